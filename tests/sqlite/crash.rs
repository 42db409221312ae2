//! Processes that end at a bad moment, or may not write. Both are this test binary, run again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use keygate::{KeyId, KeyStore, SqliteOpenError, SqliteStore};

use crate::feed::{Ear, Told, following};
use crate::support::*;

const CHILD: &str = "KEYGATE_SQLITE_TEST_CHILD";

/// This binary, to run only the test `name`, on the file of `place`.
pub(crate) fn child(name: &str, place: &Place) -> Command {
    child_of(std::env::current_exe().unwrap(), name, place)
}

fn child_of(program: PathBuf, name: &str, place: &Place) -> Command {
    let mut command = Command::new(program);
    command
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env(CHILD, place.path())
        .stdout(Stdio::piped());
    command
}

/// The file to work on, in a child.
pub(crate) fn childs_path() -> PathBuf {
    std::env::var_os(CHILD).unwrap().into()
}

#[tokio::test]
#[ignore = "a process of the next test"]
async fn child_that_writes_until_it_is_killed() {
    let path = childs_path();
    let store = SqliteStore::open(path).await.unwrap();
    loop {
        let first = full_record();
        insert(&store, &first).await.unwrap();
        println!("\nkept {} {}", first.id, first.version);
        let ended = revoked(&first);
        update(&store, &ended).await.unwrap();
        println!("\nkept {} {}", ended.id, ended.version);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_writes_is_told() {
    let place = Place::new();
    let store = place.open().await;
    let ear = Ear::default();
    following(&store, &ear, async {
        let mut process = child("crash::child_that_writes_until_it_is_killed", &place)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let read = tokio::task::spawn_blocking(move || {
            let lines = lines.map(|line| line.unwrap());
            let kept = lines.filter(|line| line.starts_with("kept"));
            kept.take(20).collect::<Vec<_>>()
        });
        let kept = read.await.unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(kept.len(), 20);
        ear.news_of(async {}).await;
        for line in kept {
            let id: KeyId = line.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(ear.told().contains(&Told::Changed(id)), "{line}");
        }
    })
    .await;
}

#[tokio::test]
async fn whatever_was_acknowledged_survives_a_kill_and_every_row_is_whole() {
    let place = Place::new();
    let mut acknowledged: HashMap<KeyId, u64> = HashMap::new();
    for round in 0..8 {
        let mut process = child("crash::child_that_writes_until_it_is_killed", &place)
            .spawn()
            .unwrap();
        let delay = random_delay();
        println!("round {round}: killed after {delay:?} of writing");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut kept = |line: std::io::Result<String>| {
            let line = line.unwrap();
            let mut words = line.split(' ');
            let (Some("kept"), Some(id), Some(version), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return false;
            };
            let id = id.parse().unwrap();
            acknowledged.insert(id, version.parse().unwrap());
            true
        };
        assert!(lines.by_ref().any(&mut kept), "it never wrote");
        std::thread::sleep(delay);
        process.kill().unwrap();
        process.wait().unwrap();
        lines.for_each(|line| _ = kept(line));

        let store = place.open().await;
        let mut events_of: HashMap<KeyId, u64> = HashMap::new();
        for event in events(&store).await {
            *events_of.entry(event.key_id.unwrap()).or_default() += 1;
        }
        for (id, version) in &acknowledged {
            let stored = store.get(id).await.unwrap().expect("acknowledged");
            assert!(stored.version >= *version, "{id}");
        }
        assert!(events_of.len() >= acknowledged.len());
        for (id, events) in events_of {
            let stored = store.get(&id).await.unwrap().expect("with its events");
            assert_eq!(stored.version, events, "{id}: each version has its event");
            assert_eq!(stored.revocation.is_some(), stored.version == 2);
        }
        let sound: String = place
            .by_hand()
            .query_row("PRAGMA integrity_check", (), |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
    }
}

/// Several processes make one new file at once, and one after the other is killed on the way.
#[tokio::test]
async fn a_kill_while_the_file_is_made_leaves_one_that_can_be_opened() {
    for round in 0..10 {
        let place = Place::new();
        let mut processes: Vec<_> = (0..2)
            .map(|_| {
                child("crash::child_that_writes_until_it_is_killed", &place)
                    .spawn()
                    .unwrap()
            })
            .collect();
        let delay = random_delay() / 2;
        println!("round {round}: killed {delay:?} after the start");
        std::thread::sleep(delay);
        for process in &mut processes {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        let store = place.open().await;
        insert(&store, &record()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "a process of the next test"]
async fn child_that_may_not_write() {
    let path = childs_path();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(
        matches!(error, SqliteOpenError::NotWritable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(path.to_str().unwrap()));
    println!("\nrefused");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_or_directory_that_cannot_be_written_is_refused() {
    use std::fs::{Permissions, copy, create_dir, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let place = Place::new();
    let directory = place.path().parent().unwrap().to_owned();
    set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    // Another user may have no way to where this binary lies.
    let program = directory.join("test");
    copy(std::env::current_exe().unwrap(), &program).unwrap();
    let refused = |path: PathBuf| {
        let place = Place::new();
        let mut command = child_of(program.clone(), "crash::child_that_may_not_write", &place);
        command.env(CHILD, path);
        // Permissions do not bind the super-user.
        if is_super_user() {
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains("\nrefused\n"), "{shown}");
    };
    drop(place.open().await);
    set_permissions(place.path(), Permissions::from_mode(0o444)).unwrap();
    refused(place.path());

    let closed = directory.join("closed");
    create_dir(&closed).unwrap();
    set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
    refused(closed.join("keys.db"));
}

#[cfg(unix)]
fn is_super_user() -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = tempfile::NamedTempFile::new().unwrap();
    own.as_file().metadata().unwrap().uid() == 0
}

/// A random delay of up to 65 ms.
pub(crate) fn random_delay() -> Duration {
    let hash = RandomState::new().hash_one("");
    Duration::from_micros(hash % 65_536)
}
