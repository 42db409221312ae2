//! The public suite on this store: alone, as two processes on one file, and with damaged rows.

use keygate::conformance::{self, Outcome, Report};
use keygate::{KeyId, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

/// A new file. Its directory lives as long as the test.
async fn open(directory: &TempDir) -> SqliteStore {
    let file = tempfile::Builder::new()
        .suffix(".db")
        .tempfile_in(directory)
        .unwrap();
    let path = file.into_temp_path().keep().unwrap();
    SqliteStore::open(path).await.unwrap()
}

/// Nothing failed, and nothing was skipped for the want of an ability.
#[track_caller]
fn assert_whole(report: &Report) {
    report.assert_ok();
    assert!(
        report
            .cases()
            .iter()
            .all(|case| case.outcome == Outcome::Ok),
        "{report}"
    );
}

#[tokio::test]
async fn it_keeps_every_clause() {
    let directory = tempfile::tempdir().unwrap();
    assert_whole(&conformance::check(async || open(&directory).await).await);
}

#[tokio::test]
async fn it_keeps_every_clause_between_two_processes_on_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let open_two = async || {
        let file = tempfile::Builder::new()
            .suffix(".db")
            .tempfile_in(&directory)
            .unwrap();
        let path = file.into_temp_path().keep().unwrap();
        let first = SqliteStore::open(&path).await.unwrap();
        (first, SqliteStore::open(&path).await.unwrap())
    };
    assert_whole(&conformance::check_shared(open_two).await);
}

#[tokio::test]
async fn a_damaged_row_fails_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.db");
    let open_empty = async || {
        let store = SqliteStore::open(&path).await.unwrap();
        let rows = Connection::open(&path).unwrap();
        rows.execute_batch("DELETE FROM keygate_keys; DELETE FROM keygate_audit")
            .unwrap();
        store
    };
    let damage = async |_: &SqliteStore, id: &KeyId| {
        let rows = Connection::open(&path).unwrap();
        let spoil = "UPDATE keygate_keys SET scopes = 'a  b' WHERE id = ?1";
        assert_eq!(rows.execute(spoil, [id.as_str()]).unwrap(), 1);
    };
    assert_whole(&conformance::check_damaged(open_empty, damage).await);
}
