//! The file that a store works on, and whether it is still the one at its path.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::store::{StoreError, StoreErrorKind};

/// Where the file lies, and which one it is.
///
/// An open file outlives its name. Whoever replaced it would go on without this process, and keys
/// that are revoked in the new one would be served from the old one for ever.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// The log beside it, which belongs to it.
    log: PathBuf,
    files: Files,
}

/// The database and its log, which may be missing.
type Files = (FileId, Option<FileId>);

impl Place {
    /// The file that is at `path` now.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        Ok(Self {
            files: files(path, &log)?,
            path: path.into(),
            log,
        })
    }

    pub(super) fn file(&self) -> FileId {
        self.files.0
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails as `Unavailable` when something else is at the path, or nothing.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match files(&self.path, &self.log) {
            Ok(found) if found == self.files => Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StoreError::new(StoreErrorKind::Unavailable, error))
            }
            _ => {
                let cause = format!(
                    "the file at {} was replaced or removed while in use: restart this process",
                    self.path.display()
                );
                Err(StoreError::new(StoreErrorKind::Unavailable, cause))
            }
        }
    }
}

fn files(path: &Path, log: &Path) -> io::Result<Files> {
    let file = file_id(path)?;
    match file_id(log) {
        Ok(log) => Ok((file, Some(log))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((file, None)),
        Err(error) => Err(error),
    }
}

/// Its device and its number there, which no other file gets while it is open.
#[cfg(unix)]
pub(super) type FileId = (u64, u64);

#[cfg(unix)]
pub(super) fn file_id(path: &Path) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    let file = path.metadata()?;
    Ok((file.dev(), file.ino()))
}

/// Elsewhere a file that is open cannot be replaced.
#[cfg(not(unix))]
pub(super) type FileId = ();

#[cfg(not(unix))]
pub(super) fn file_id(path: &Path) -> io::Result<FileId> {
    path.metadata().map(drop)
}
