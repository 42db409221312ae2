use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

/// Connections for reading in the calling thread: each of them answers in microseconds or reports
/// at once that it would have to wait.
///
/// All are opened together with the store, so that they read one and the same file.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self {
            idle: Mutex::new(connections),
        }
    }

    /// What `query` finds, or `None` when every connection is in use.
    pub(super) fn with_idle<T>(&self, query: impl FnOnce(&Connection) -> T) -> Option<T> {
        let connection = self.idle().pop()?;
        let found = query(&connection);
        self.idle().push(connection);
        Some(found)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
