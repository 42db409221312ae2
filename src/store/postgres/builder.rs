use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{PgPool, Row};
use tokio::time::timeout;

use super::link::{Lent, Link};
use super::names::{Names, WRITTEN_PREFIX};
use super::statements::Statements;
use super::{PostgresOpenError, PostgresStore, Shared, migrate};

/// How long opening may take, also when other processes are making the tables.
const PATIENCE: Duration = Duration::from_secs(60);

/// `server_version_num` of the oldest version that will do.
const OLDEST: i32 = 120_000;

const INSPECT: &str = "SELECT current_setting('server_version_num')::integer AS version_number,
    current_setting('server_version') AS version, pg_is_in_recovery() AS on_standby,
    current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync,
    current_schema()::text AS schema";

/// Builds a [`PostgresStore`] on a pool.
pub struct PostgresBuilder {
    pool: PgPool,
    schema: Option<String>,
    prefix: String,
    listen_options: Option<PgConnectOptions>,
    migrate: bool,
    through_pooler: bool,
    allow_standby: bool,
}

impl PostgresBuilder {
    pub(super) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            schema: None,
            prefix: WRITTEN_PREFIX.into(),
            listen_options: None,
            migrate: true,
            through_pooler: false,
            allow_standby: false,
        }
    }

    /// The schema of the tables, which is made if there is none. Without this, it is the one that
    /// the connections of the pool make tables in.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// What the names of the tables begin with; without this, `keygate_`.
    #[must_use]
    pub fn table_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How the change feed connects, if not as the pool does: to the same database, and not through
    /// a pooler that hands out transactions.
    #[must_use]
    pub fn listen_options(mut self, options: PgConnectOptions) -> Self {
        self.listen_options = Some(options);
        self
    }

    /// Whether the tables are brought up to date; without this, they are. A team that runs the
    /// SQL files by itself turns it off: a store then opens only on tables that are up to date.
    #[must_use]
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Says that the pool connects through a pooler that hands out transactions and knows no
    /// prepared statements, as pgbouncer does before 1.21 with `pool_mode = transaction`. Each
    /// statement then goes unprepared in a transaction of its own, which takes four round trips.
    ///
    /// Without [`listen_options`](Self::listen_options) to the server itself the store has no
    /// change feed. Such a pooler has to have `ignore_startup_parameters = extra_float_digits`, and with
    /// a [pool of the store's own](PostgresStore::pool) `extra_float_digits, options`.
    #[must_use]
    pub fn through_transaction_pooler(mut self) -> Self {
        self.through_pooler = true;
        self
    }

    /// Accepts standbys. A revocation is then honoured as late as it arrives there, which has no
    /// bound; the store has no change feed, and cannot be written while it is connected to one.
    ///
    /// Usage cannot be added there either, so a key that is used on a standby alone looks unused.
    #[must_use]
    pub fn waive_revocation_bound_on_replicas(mut self) -> Self {
        self.allow_standby = true;
        self
    }

    /// Opens the store, and brings the tables up to date.
    ///
    /// # Errors
    /// Says what is wrong with the database and what to do about it. Tables that are newer than
    /// this code are left as they are.
    pub async fn open(self) -> Result<PostgresStore, PostgresOpenError> {
        Names::check_prefix(&self.prefix)?;
        if let Some(schema) = &self.schema {
            Names::check_schema(schema)?;
        }
        let late = |_| PostgresOpenError::Failed("the server did not answer in time".into());
        timeout(PATIENCE, self.open_now()).await.map_err(late)?
    }

    async fn open_now(self) -> Result<PostgresStore, PostgresOpenError> {
        let listen_options = self.feed_options();
        let link = Link::new(self.pool, self.through_pooler, self.allow_standby);
        let mut connection = link.lend().await?;
        let server = Server::inspect(&mut connection).await?;
        server.check(self.allow_standby)?;
        let names = Names {
            schema: server.schema_for(self.schema)?,
            prefix: self.prefix,
        };
        if self.migrate && !server.on_standby {
            migrate::migrate(&mut connection, &names).await?;
        } else {
            migrate::check(&mut connection, &names).await?;
        }
        connection.give_back();
        Ok(PostgresStore {
            shared: Arc::new(Shared {
                link,
                statements: Statements::new(&names),
                names,
                listen_options,
            }),
        })
    }

    fn feed_options(&self) -> Option<PgConnectOptions> {
        match &self.listen_options {
            _ if self.allow_standby => None,
            None if self.through_pooler => None,
            None => Some((*self.pool.connect_options()).clone()),
            given => given.clone(),
        }
    }
}

impl fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBuilder")
            .field("schema", &self.schema)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// What a server says of itself.
struct Server {
    version_number: i32,
    version: String,
    on_standby: bool,
    encoding: String,
    fsync: String,
    schema: Option<String>,
}

impl Server {
    async fn inspect(connection: &mut Lent) -> Result<Self, sqlx::Error> {
        let rows = connection.run(INSPECT.into()).await?;
        let row: &PgRow = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Self {
            version_number: row.try_get("version_number")?,
            version: row.try_get("version")?,
            on_standby: row.try_get("on_standby")?,
            encoding: row.try_get("encoding")?,
            fsync: row.try_get("fsync")?,
            schema: row.try_get("schema")?,
        })
    }

    fn check(&self, allow_standby: bool) -> Result<(), PostgresOpenError> {
        if self.version_number < OLDEST {
            let found = self.version.clone();
            return Err(PostgresOpenError::TooOld { found });
        }
        if self.encoding != "UTF8" {
            let found = self.encoding.clone();
            return Err(PostgresOpenError::Encoding { found });
        }
        if self.on_standby && !allow_standby {
            return Err(PostgresOpenError::Standby);
        }
        if self.fsync != "on" {
            return Err(PostgresOpenError::Forgetful);
        }
        Ok(())
    }

    /// The schema that was chosen, or else the one that new tables go to.
    fn schema_for(&self, chosen: Option<String>) -> Result<String, PostgresOpenError> {
        chosen
            .or_else(|| self.schema.clone())
            .ok_or_else(|| PostgresOpenError::Schema {
                schema: String::new(),
            })
    }
}

/// A pool whose connections give up on the server's side soon after their callers do.
pub(super) fn pool(url: &str) -> Result<PgPool, PostgresOpenError> {
    let mut options: PgConnectOptions = url.parse().map_err(|_| PostgresOpenError::Url)?;
    let is_set = |setting| {
        options
            .get_options()
            .is_some_and(|set| set.contains(setting))
    };
    if !is_set("statement_timeout") {
        options = options.options([("statement_timeout", "1000")]);
    }
    if options.get_application_name().is_none() {
        options = options.application_name("keygate");
    }
    Ok(PgPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(Duration::from_secs(5))
        // Whoever is lent a connection that was lost gets another one.
        .test_before_acquire(false)
        .connect_lazy_with(options))
}
