//! What lies beside a SQLite file: a lock for the start, and a pepper for trying out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keygate::Pepper;

use super::Failure;

/// Whether a database can lie there, before anything is made beside it.
pub(super) fn check_place(db: &Path) -> Result<(), Failure> {
    let directory = db.parent().filter(|parent| !parent.as_os_str().is_empty());
    let wrong = |problem: &str| Err(format!("KEYGATE_STORE={}: {problem}", db.display()).into());
    if db.is_dir() {
        wrong("this is a directory: name a file in it")
    } else if directory.is_some_and(|directory| !directory.is_dir()) {
        wrong("its directory does not exist: make it first")
    } else {
        Ok(())
    }
}

/// Only one service at a time starts on a database. The lock ends with the process.
pub(super) async fn lock(db: &Path) -> Result<File, Failure> {
    let path = beside(db, "lock");
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(&path);
    let file =
        file.map_err(|error| format!("KEYGATE_STORE: cannot create {}: {error}", path.display()))?;
    for _ in 0..100 {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(format!(
        "another process has been starting for ten seconds: it holds {}",
        path.display()
    )
    .into())
}

/// Where no pepper is named: the file of one beside the database, made on the first start.
pub(super) fn trial_pepper(db: &Path) -> Result<PathBuf, Failure> {
    let path = beside(db, "pepper");
    if !path.exists() {
        if db.exists() {
            return Err(format!(
                "{} exists, and neither KEYGATE_PEPPER nor {} holds the pepper of its keys: bring it back",
                db.display(),
                path.display()
            )
            .into());
        }
        let unfinished = beside(db, "pepper.new");
        let mut file = private_file(&unfinished)?;
        file.write_all(Pepper::generate_base64()?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
    }
    eprintln!(
        "KEYGATE_PEPPER is not set: using the pepper in {}. That is for trying out only: a thief of the directory has both.",
        path.display()
    );
    Ok(path)
}

/// A new file that only its owner can read. What a start that was cut off left there is removed.
fn private_file(path: &Path) -> Result<File, Failure> {
    let _ = fs::remove_file(path);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    Ok(file.map_err(|error| format!("cannot create {}: {error}", path.display()))?)
}

pub(super) fn beside(db: &Path, ending: &str) -> PathBuf {
    let mut path = db.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}
