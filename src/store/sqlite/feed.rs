//! The feed of changes. A file calls nobody, so it is asked, many times a second.

use std::time::Duration;

use async_trait::async_trait;
use futures_timer::Delay;
use rusqlite::{Connection, OptionalExtension, Row};

use super::error::{is_busy, store_error};
use super::{Shared, SqliteStore};
use crate::key::KeyId;
use crate::store::{ChangeFeed, ChangeListener, StoreError};
use crate::waiters::lock;

/// Asking takes microseconds, so it is done in the thread of whoever follows.
const PAUSE: Duration = Duration::from_millis(25);

/// Differs from the last answer when another connection has committed anything since.
const COMMITS: &str = "PRAGMA data_version";

const LATEST: &str = "SELECT sequence, mark FROM keygate_changes ORDER BY sequence DESC LIMIT 1";

const SINCE: &str = "SELECT sequence, mark, id FROM keygate_changes
    WHERE sequence >= ?1 ORDER BY sequence";

#[async_trait]
impl ChangeFeed for SqliteStore {
    async fn follow(&self, listener: &dyn ChangeListener) -> StoreError {
        let mut follower = Follower::default();
        loop {
            if let Err(error) = follower.ask(&self.shared, listener) {
                return error;
            }
            Delay::new(PAUSE).await;
        }
    }
}

/// What one follower knows.
#[derive(Default)]
struct Follower {
    /// The answer to [`COMMITS`] when the changes were last looked at.
    commits: Option<i64>,
    /// The last change that was reported, or that was there before.
    reported: Option<Position>,
}

/// A place in the sequence of changes. Marks are random: in a file that was put back to what it was
/// once, and goes on from there, the same number is another position.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Position {
    sequence: i64,
    mark: i64,
}

enum News {
    Changed(Vec<KeyId>),
    /// The entries do not go on from where they ended before.
    Unclear,
}

impl Follower {
    /// Reports what is new, and then that it was heard.
    ///
    /// The beat is taken first of all: what was acknowledged to anybody before it is in the file by
    /// now, and the file, if it was replaced before it, is no longer at its path.
    fn ask(&mut self, shared: &Shared, listener: &dyn ChangeListener) -> Result<(), StoreError> {
        let beat = listener.beat();
        shared.place.check()?;
        let news = self.news(&lock(&shared.feed));
        match news {
            Ok(News::Changed(ids)) => ids.iter().for_each(|id| listener.changed(id)),
            Ok(News::Unclear) => listener.all_changed(),
            // It is asked again soon, and until then nothing is known.
            Err(error) if is_busy(&error) => return Ok(()),
            Err(error) => return Err(store_error(error)),
        }
        listener.alive(beat);
        Ok(())
    }

    fn news(&mut self, connection: &Connection) -> rusqlite::Result<News> {
        // Before the changes are read: what is committed in between is looked for again.
        let commits: i64 = connection
            .prepare_cached(COMMITS)?
            .query_row([], |row| row.get(0))?;
        if self.commits == Some(commits) {
            return Ok(News::Changed(Vec::new()));
        }
        let since = match self.reported {
            Some(reported) => since(connection, reported)?,
            None => None,
        };
        let (news, reported) = match since {
            Some((ids, reported)) => (News::Changed(ids), reported),
            None => (News::Unclear, latest(connection)?),
        };
        (self.commits, self.reported) = (Some(commits), Some(reported));
        Ok(news)
    }
}

/// The keys that were changed after `from`, with the position of the last; `None` where the entries
/// do not tell, because they were deleted, or `from` is not among them.
fn since(
    connection: &Connection,
    from: Position,
) -> rusqlite::Result<Option<(Vec<KeyId>, Position)>> {
    let mut statement = connection.prepare_cached(SINCE)?;
    let mut rows = statement.query([from.sequence])?;
    if from != Position::default() {
        match rows.next()? {
            Some(row) if position(row)? == from => {}
            _ => return Ok(None),
        }
    }
    let (mut ids, mut last) = (Vec::new(), from);
    while let Some(row) = rows.next()? {
        let next = position(row)?;
        let id = row.get_ref(2)?.as_str().ok().and_then(|id| id.parse().ok());
        match id {
            Some(id) if next.sequence == last.sequence + 1 => ids.push(id),
            _ => return Ok(None),
        }
        last = next;
    }
    Ok(Some((ids, last)))
}

/// The position of the last entry, or the one before the first.
fn latest(connection: &Connection) -> rusqlite::Result<Position> {
    let mut statement = connection.prepare_cached(LATEST)?;
    let latest = statement.query_row([], position).optional()?;
    Ok(latest.unwrap_or_default())
}

fn position(row: &Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position {
        sequence: row.get(0)?,
        mark: row.get(1)?,
    })
}
