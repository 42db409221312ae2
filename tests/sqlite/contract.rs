//! The public suite on this store: alone, as two processes on one file, with damaged rows, and with
//! rows that are changed by hand.

use std::path::PathBuf;
use std::time::Duration;

use keygate::conformance::{self, Outcome, Report};
use keygate::testing::{Fault, FaultyStore};
use keygate::{KeyId, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

/// The path of a new file. Its directory lives as long as the test.
fn new_path(directory: &TempDir) -> PathBuf {
    let file = tempfile::Builder::new()
        .suffix(".db")
        .tempfile_in(directory)
        .unwrap();
    file.into_temp_path().keep().unwrap()
}

async fn open(directory: &TempDir) -> SqliteStore {
    SqliteStore::open(new_path(directory)).await.unwrap()
}

/// Nothing failed, and nothing was skipped for the want of an ability.
#[track_caller]
fn assert_whole(report: &Report) {
    report.assert_ok();
    for case in report.cases() {
        assert_eq!(case.outcome, Outcome::Ok, "{case}");
    }
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
        let path = new_path(&directory);
        let first = SqliteStore::open(&path).await.unwrap();
        (first, SqliteStore::open(&path).await.unwrap())
    };
    assert_whole(&conformance::check_shared(open_two).await);
}

#[tokio::test]
async fn late_answers_and_dropped_reads_are_held_against_no_store() {
    let directory = tempfile::tempdir().unwrap();
    let report = conformance::check(async || {
        let store = FaultyStore::new(open(&directory).await);
        for calls in [&store.gets, &store.lists] {
            calls.always(Fault::Drop(1));
        }
        store.writes.always(Fault::Delay(Duration::from_millis(1)));
        store
    })
    .await;
    assert_whole(&report);
}

/// The file of one case after the other, each time without any row.
struct Emptied {
    directory: TempDir,
}

impl Emptied {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    async fn open(&self) -> SqliteStore {
        let store = SqliteStore::open(self.path()).await.unwrap();
        let empty = "DELETE FROM keygate_keys; DELETE FROM keygate_audit";
        self.by_hand().execute_batch(empty).unwrap();
        store
    }

    fn by_hand(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("keys.db")
    }
}

#[tokio::test]
async fn a_damaged_row_fails_alone() {
    let file = Emptied::new();
    let damage = async |_: &SqliteStore, id: &KeyId| {
        let spoil = "UPDATE keygate_keys SET scopes = 'a  b' WHERE id = ?1";
        let spoilt = file.by_hand().execute(spoil, [id.as_str()]);
        assert_eq!(spoilt.unwrap(), 1);
    };
    assert_whole(&conformance::check_damaged(async || file.open().await, damage).await);
}

#[tokio::test]
async fn an_update_typed_by_hand_is_a_change_like_any_other() {
    let file = Emptied::new();
    let change = async |_: &SqliteStore, id: &KeyId| {
        let rename = "UPDATE keygate_keys SET name = 'by hand' WHERE id = ?1";
        let renamed = file.by_hand().execute(rename, [id.as_str()]);
        assert_eq!(renamed.unwrap(), 1);
    };
    assert_whole(&conformance::check_by_hand(async || file.open().await, change).await);
}

#[tokio::test]
async fn a_revocation_is_not_taken_back_by_hand() {
    for set in [
        "revoked_at = NULL, revocation_reason = ''",
        "revoked_at = revoked_at + 1",
        "revocation_reason = '', version = 9",
    ] {
        let file = Emptied::new();
        let unrevoke = async |_: &SqliteStore, id: &KeyId| {
            let sql = format!("UPDATE keygate_keys SET {set} WHERE id = ?1");
            let refused = file.by_hand().execute(&sql, [id.as_str()]);
            refused.unwrap_err();
        };
        assert_whole(&conformance::check_final_by_hand(async || file.open().await, unrevoke).await);
    }
}
