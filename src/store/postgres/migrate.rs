//! Bringing the tables up to date: in one transaction, by one process at a time.

use super::PostgresOpenError;
use super::link::Lent;
use super::names::{Names, WRITTEN_PREFIX, identifier, literal};
use sqlx::{Error, Row};

/// The steps from nothing to what this code needs. Each records itself.
const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/0001_keys.sql"),
    include_str!("migrations/0002_usage.sql"),
    include_str!("migrations/0003_audit.sql"),
];

/// Takes the steps that are missing, all or none.
pub(super) async fn migrate(connection: &mut Lent, names: &Names) -> Result<(), PostgresOpenError> {
    // As nearly always, there is nothing to do, and no right to do it is needed.
    if steps_taken(connection, names).await? == MIGRATIONS.len() {
        return Ok(());
    }
    let schema = identifier(&names.schema);
    connection.run(begin(names)).await?;
    if !has_schema(connection, names).await? {
        connection.run(format!("CREATE SCHEMA {schema}")).await?;
    }
    // Another process may have taken them meanwhile.
    let taken = steps_taken(connection, names).await?;
    for migration in &MIGRATIONS[taken..] {
        let migration = migration.replace(WRITTEN_PREFIX, &names.prefix);
        connection
            .run(format!("SET LOCAL search_path = {schema}; {migration}"))
            .await?;
    }
    connection.run("COMMIT".into()).await?;
    Ok(())
}

/// That no step is missing.
pub(super) async fn check(connection: &mut Lent, names: &Names) -> Result<(), PostgresOpenError> {
    let known = MIGRATIONS.len();
    match steps_taken(connection, names).await? {
        taken if taken == known => Ok(()),
        taken => Err(PostgresOpenError::NotMigrated {
            in_schema: names.schema.clone(),
            schema: i32::try_from(taken).unwrap_or(i32::MAX),
            known,
        }),
    }
}

/// How many steps were taken, if not more than this code knows.
async fn steps_taken(connection: &mut Lent, names: &Names) -> Result<usize, PostgresOpenError> {
    let table = names.migrations();
    let made = format!(
        "SELECT to_regclass({}) IS NOT NULL AS made",
        literal(&table)
    );
    if !answer::<bool>(connection, made, "made").await? {
        return Ok(0);
    }
    let last = format!("SELECT coalesce(max(number), 0) AS last FROM {table}");
    let schema: i32 = answer(connection, last, "last").await?;
    let known = MIGRATIONS.len();
    usize::try_from(schema)
        .ok()
        .filter(|taken| *taken <= known)
        .ok_or(PostgresOpenError::Newer { schema, known })
}

async fn has_schema(connection: &mut Lent, names: &Names) -> Result<bool, Error> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = {}) AS found",
        literal(&names.schema)
    );
    answer(connection, sql, "found").await
}

async fn answer<T>(connection: &mut Lent, sql: String, column: &str) -> Result<T, Error>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let rows = connection.run(sql).await?;
    rows.first().ok_or(Error::RowNotFound)?.try_get(column)
}

/// Begins a transaction when no other process is in one like it.
fn begin(names: &Names) -> String {
    /// "kgat": keeps clear of the locks of others.
    const CLASS: i32 = 0x6b67_6174;
    let which = crc32fast::hash(names.migrations().as_bytes()).cast_signed();
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
         SET LOCAL statement_timeout = '60s';
         SET LOCAL lock_timeout = '60s';
         SELECT pg_advisory_xact_lock({CLASS}, {which})"
    )
}
