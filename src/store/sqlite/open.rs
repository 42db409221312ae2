//! Opening a file, and bringing its schema up to date.

use std::path::{self, Path};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{SqliteOpenError, is_busy};
use super::place::{Place, file_id};

/// Marks a file as keygate's: "kgat".
const APPLICATION_ID: i32 = 0x6b67_6174;

/// The step from each schema to the next; `user_version` counts those that were taken.
const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_keys.sql"),
    include_str!("migrations/0002_changes.sql"),
    include_str!("migrations/0003_usage.sql"),
    include_str!("migrations/0004_audit.sql"),
];

/// How long opening waits for other processes.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file system in layers copies a file when it is first written, which makes it another one once.
const ATTEMPTS: usize = 3;

/// As many threads as this can read at once without a detour.
const MAX_READERS: usize = 16;

/// What may be done to the file before it is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Preparation {
    /// It is made if there is none, and an older schema is brought up to date.
    AsNeeded,
    /// It is used as it is, or not at all.
    None,
}

/// All connections to one file.
#[derive(Debug)]
pub(super) struct Connections {
    /// The file that all of them have open.
    pub(super) place: Place,
    /// The only one that writes.
    pub(super) writer: Connection,
    /// For reads that take long or have to wait.
    pub(super) reader: Connection,
    /// For reads in the calling thread, with no patience for locks.
    pub(super) readers: Vec<Connection>,
    /// For the feed of changes, with no patience either.
    pub(super) feed: Connection,
}

impl Connections {
    pub(super) fn open(path: &Path, allowed: Preparation) -> Result<Self, SqliteOpenError> {
        // SQLite gives these names a meaning of their own.
        if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
            return Err(SqliteOpenError::NotAFile { path: path.into() });
        }
        let path = &path::absolute(path).map_err(|error| SqliteOpenError::failed(path, error))?;
        for _ in 0..ATTEMPTS {
            if let Some(opened) = Self::open_once(path, allowed)? {
                return Ok(opened);
            }
        }
        let cause = "it is replaced again and again: leave it in place, and open it then";
        Err(SqliteOpenError::failed(path, cause))
    }

    /// `None` when another file came to the path meanwhile: each connection finds it by its path.
    fn open_once(path: &Path, allowed: Preparation) -> Result<Option<Self>, SqliteOpenError> {
        match allowed {
            Preparation::AsNeeded => make_private(path),
            Preparation::None if path.exists() => {}
            Preparation::None => return Err(SqliteOpenError::Missing { path: path.into() }),
        }
        let before = file_id(path).ok();
        let writer = open_writer(path, allowed)?;
        let place = Place::of(path).map_err(|error| SqliteOpenError::failed(path, error))?;
        let open_reader = || open_reader(path).map_err(|error| SqliteOpenError::of(path, error));
        let count = thread::available_parallelism().map_or(1, |n| n.get().min(MAX_READERS));
        let opened = Self {
            writer,
            reader: open_reader()?,
            readers: (0..count)
                .map(|_| open_reader())
                .collect::<Result<_, _>>()?,
            feed: open_reader()?,
            place,
        };
        let place = &opened.place;
        let was_there = before.is_none_or(|before| before == place.file());
        Ok((was_there && place.check().is_ok()).then_some(opened))
    }
}

/// A connection that cannot write, and reports at once that it would have to wait.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    Ok(connection)
}

/// Makes a new file for its owner's eyes only; SQLite gives the files beside it the same mode.
/// Whatever fails here fails again, and better explained, when SQLite opens it.
#[cfg(unix)]
fn make_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let _ = options.write(true).create_new(true).mode(0o600).open(path);
}

#[cfg(not(unix))]
fn make_private(_: &Path) {}

fn open_writer(path: &Path, allowed: Preparation) -> Result<Connection, SqliteOpenError> {
    let of_path = |error| SqliteOpenError::of(path, error);
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(
        OpenFlags::SQLITE_OPEN_CREATE,
        allowed == Preparation::AsNeeded,
    );
    let mut connection = Connection::open_with_flags(path, flags).map_err(of_path)?;
    connection.busy_timeout(PATIENCE).map_err(of_path)?;
    // Closing a file would bring the log that its owner left into it. Nothing is to be changed
    // until it is known whose file it is.
    let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep_log, true).map_err(of_path)?;
    let schema = connection
        .transaction()
        .and_then(|moment| Schema::read(&moment))
        .map_err(of_path)?;
    let made = schema.check(path)?;
    if allowed == Preparation::None && made < MIGRATIONS.len() {
        return Err(SqliteOpenError::Outdated {
            path: path.into(),
            schema: made,
            known: MIGRATIONS.len(),
        });
    }
    // SQLite quietly falls back to reading only.
    if connection.is_readonly("main").map_err(of_path)? {
        return Err(SqliteOpenError::NotWritable { path: path.into() });
    }
    connection.set_db_config(keep_log, false).map_err(of_path)?;
    switch_to_wal(&connection, path)?;
    // The last one makes fsync reach the disk on macOS too.
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;")
        .map_err(of_path)?;
    if made < MIGRATIONS.len() {
        migrate(&mut connection, path)?;
    }
    Ok(connection)
}

/// What a file says of itself.
struct Schema {
    application_id: i32,
    user_version: i32,
    objects: i64,
}

impl Schema {
    /// To be read in a transaction, as of one moment: another process may be making the file.
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        let count = "SELECT count(*) FROM sqlite_schema";
        Ok(Self {
            objects: connection.query_row(count, [], |row| row.get(0))?,
            application_id: pragma("application_id")?,
            user_version: pragma("user_version")?,
        })
    }

    /// How many migrations were made, if it is for us to make the others.
    fn check(&self, path: &Path) -> Result<usize, SqliteOpenError> {
        match (self.application_id, self.user_version, self.objects) {
            (APPLICATION_ID, schema, _) => usize::try_from(schema)
                .ok()
                .filter(|made| *made <= MIGRATIONS.len())
                .ok_or_else(|| SqliteOpenError::Newer {
                    path: path.into(),
                    schema,
                    known: MIGRATIONS.len(),
                }),
            (0, 0, 0) => Ok(0),
            _ => Err(SqliteOpenError::Foreign { path: path.into() }),
        }
    }
}

/// The switch does not wait for locks by itself.
fn switch_to_wal(connection: &Connection, path: &Path) -> Result<(), SqliteOpenError> {
    let deadline = Instant::now() + PATIENCE;
    let mode: String = loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            mode => break mode.map_err(|error| SqliteOpenError::of(path, error))?,
        }
    };
    match mode.eq_ignore_ascii_case("wal") {
        true => Ok(()),
        false => Err(SqliteOpenError::failed(
            path,
            "its file system has no shared memory for a write-ahead log: put it on a local disk",
        )),
    }
}

/// Takes the steps that are missing, all or none. Another process may have taken them meanwhile.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), SqliteOpenError> {
    let of_path = |error| SqliteOpenError::of(path, error);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(of_path)?;
    let made = Schema::read(&transaction).map_err(of_path)?.check(path)?;
    for migration in &MIGRATIONS[made..] {
        transaction.execute_batch(migration).map_err(of_path)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .and_then(|()| transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64))
        .and_then(|()| transaction.commit())
        .map_err(of_path)
}
