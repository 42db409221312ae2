use std::error::Error as StdError;
use std::path::{Path, PathBuf};

use rusqlite::{Error, ErrorCode};

use crate::store::{StoreError, StoreErrorKind};

/// Why a file cannot be opened as a [`SqliteStore`](super::SqliteStore).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteOpenError {
    /// Not a database, or a damaged one.
    #[error(
        "{} is damaged, or is no SQLite database: restore it from a backup, or name another file",
        path.display()
    )]
    Damaged {
        /// The file's path.
        path: PathBuf,
    },
    /// Something else went wrong.
    #[error("the key database {} cannot be opened", path.display())]
    Failed {
        /// The file's path.
        path: PathBuf,
        /// What went wrong.
        #[source]
        cause: Box<dyn StdError + Send + Sync>,
    },
    /// The database of another application. It was not changed.
    #[error(
        "{} is the database of another application and was left as it is: keygate needs a file of \
         its own",
        path.display()
    )]
    Foreign {
        /// The file's path.
        path: PathBuf,
    },
    /// Another process keeps the file locked.
    #[error(
        "{} is locked by another process: end that process or its transaction, and try again",
        path.display()
    )]
    Locked {
        /// The file's path.
        path: PathBuf,
    },
    /// There is no such file, and none was to be made.
    #[error("there is no file {}: name the one that holds the keys", path.display())]
    Missing {
        /// The file's path.
        path: PathBuf,
    },
    /// The directory of the file does not exist.
    #[error("the directory of {} does not exist: make it first", path.display())]
    MissingDirectory {
        /// The file's path.
        path: PathBuf,
    },
    /// Made by newer code. It was not changed.
    #[error(
        "{} was made by a newer keygate (schema {schema}, this one knows up to {known}): upgrade \
         this process",
        path.display()
    )]
    Newer {
        /// The file's path.
        path: PathBuf,
        /// The schema it has.
        schema: i32,
        /// The newest schema that this code knows.
        known: usize,
    },
    /// Not the path of a file.
    #[error(
        "{} does not name a file: give the path of one, or use MemoryStore to keep nothing",
        path.display()
    )]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Made by older code, and it was not to be changed.
    #[error(
        "{} has an older schema ({schema}, this keygate needs {known}): make a backup, and let a process \
         that may do so bring it up to date",
        path.display()
    )]
    Outdated {
        /// The file's path.
        path: PathBuf,
        /// The schema it has; 0: none yet.
        schema: usize,
        /// The schema that this code needs.
        known: usize,
    },
    /// The file or its directory cannot be written.
    #[error(
        "{} cannot be written: let this process write the file and its directory, which holds the \
         journal beside it",
        path.display()
    )]
    NotWritable {
        /// The file's path.
        path: PathBuf,
    },
}

impl SqliteOpenError {
    /// What `error` means for whoever opens `path`.
    pub(super) fn of(path: &Path, error: Error) -> Self {
        let code = error.sqlite_error_code();
        let path = path.to_path_buf();
        match code {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged { path },
            Some(ErrorCode::ReadOnly) => Self::NotWritable { path },
            Some(ErrorCode::CannotOpen) if path.is_dir() => Self::NotAFile { path },
            Some(ErrorCode::CannotOpen) if !path.parent().is_some_and(Path::is_dir) => {
                Self::MissingDirectory { path }
            }
            Some(ErrorCode::CannotOpen) => Self::NotWritable { path },
            _ => Self::failed(&path, error),
        }
    }

    pub(super) fn failed(path: &Path, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Failed {
            path: path.into(),
            cause: cause.into(),
        }
    }
}

/// Whether waiting may help.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::FileLockingProtocolFailed)
    )
}

/// What `error` means where nothing was committed yet.
pub(super) fn store_error(error: Error) -> StoreError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, error)
}

/// What `error` means as the answer to a COMMIT.
///
/// A commit that found no lock or no room left no whole frame in the log. After any other failure
/// the frame may be there, and a recovery would find it.
pub(super) fn commit_error(error: Error) -> StoreError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull) => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::OutcomeUnknown,
    };
    StoreError::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn kinds(code: i32) -> (StoreErrorKind, StoreErrorKind) {
        let error = || Error::SqliteFailure(ffi::Error::new(code), None);
        (store_error(error()).kind(), commit_error(error()).kind())
    }

    #[test]
    fn only_a_failed_commit_leaves_doubt() {
        use StoreErrorKind::{Corrupt, OutcomeUnknown, Unavailable};
        assert_eq!(
            kinds(ffi::SQLITE_IOERR_FSYNC),
            (Unavailable, OutcomeUnknown)
        );
        assert_eq!(
            kinds(ffi::SQLITE_IOERR_WRITE),
            (Unavailable, OutcomeUnknown)
        );
        assert_eq!(kinds(ffi::SQLITE_CORRUPT), (Corrupt, OutcomeUnknown));
        assert_eq!(kinds(ffi::SQLITE_FULL), (Unavailable, Unavailable));
        assert_eq!(kinds(ffi::SQLITE_BUSY), (Unavailable, Unavailable));
        assert_eq!(kinds(ffi::SQLITE_READONLY), (Unavailable, OutcomeUnknown));
    }

    #[test]
    fn every_form_of_busy_is_worth_waiting_for() {
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_BUSY_RECOVERY,
            ffi::SQLITE_BUSY_SNAPSHOT,
            ffi::SQLITE_PROTOCOL,
        ] {
            assert!(is_busy(&Error::SqliteFailure(ffi::Error::new(code), None)));
        }
        assert!(!is_busy(&Error::QueryReturnedNoRows));
    }
}
