//! The way to the server: connections that are lent by the pool, and given back sound or not at
//! all, and the time that each exchange may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{AssertSqlSafe, Error, PgConnection, PgPool, Postgres, Row, query_with, raw_sql};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::error::{commit_error, is_lost, not_done, unavailable};
use crate::store::{StoreError, StoreErrorKind};

/// Callers wait a second for a record, so the answer must come within it.
const ANSWER: Duration = Duration::from_millis(900);

/// How long anything else may take up to its COMMIT, and that. The server gives up a little
/// earlier, so that what a client gave up does not happen later.
const WORK: Duration = Duration::from_secs(3);
const COMMIT: Duration = Duration::from_secs(2);

/// How long a connection may take to come back to the pool before it is closed instead.
const RETURN: Duration = Duration::from_secs(1);

/// As columns: whether a standby answers, and which server it is.
pub(super) const ANSWERED_BY: &str = "pg_is_in_recovery() AS on_standby,
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS node";

/// A transaction of a process that is frozen must not keep a key from being revoked.
const BEGIN_CHANGE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL statement_timeout = 2500;
    SET LOCAL lock_timeout = 2000;
    SET LOCAL idle_in_transaction_session_timeout = 1500";

const BEGIN_VIEW: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
    SET LOCAL statement_timeout = 2500;
    SET LOCAL idle_in_transaction_session_timeout = 1500;
    SELECT pg_is_in_recovery() AS on_standby,
        (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS node";

/// A commit that waits for a replica would count as done when its time is over.
const COMMIT_CHANGE: &str = "SET LOCAL statement_timeout = 0; COMMIT";

/// A statement whose values are sent apart from it.
pub(super) type Sql = Arc<str>;

pub(super) struct Link {
    pool: PgPool,
    /// Reads of single records leave some connections to writes and to the host.
    reads: Semaphore,
    through_pooler: bool,
    allow_standby: bool,
    answered_by: watch::Sender<Option<Node>>,
}

/// One run of one server: when it was started, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Node(i64);

impl Node {
    /// Who sent a row that has the columns of [`ANSWERED_BY`], and whether it is a standby.
    pub(super) fn of(row: &PgRow) -> Result<(Self, bool), Error> {
        let node = row.try_get("node")?;
        Ok((Self(node), row.try_get("on_standby")?))
    }
}

impl Link {
    pub(super) fn new(pool: PgPool, through_pooler: bool, allow_standby: bool) -> Self {
        let connections = pool.options().get_max_connections() as usize;
        Self {
            pool,
            reads: Semaphore::new(connections.saturating_sub(connections.div_ceil(4)).max(1)),
            through_pooler,
            allow_standby,
            answered_by: watch::Sender::new(None),
        }
    }

    /// Which server answered last.
    pub(super) fn answers(&self) -> watch::Receiver<Option<Node>> {
        self.answered_by.subscribe()
    }

    /// What a statement finds that has the columns of [`ANSWERED_BY`] and answers at least one row:
    /// one round trip, within the time that a request has.
    pub(super) async fn look_up(
        &self,
        sql: &Sql,
        arguments: PgArguments,
    ) -> Result<Vec<PgRow>, StoreError> {
        let sent = AtomicBool::new(false);
        self.within(ANSWER, &sent, async {
            let _turn = self
                .reads
                .acquire()
                .await
                .map_err(|_| unavailable("the store was closed"))?;
            if self.through_pooler {
                return self.view_now(sql, arguments, &sent).await;
            }
            let message = Message::Prepared(sql, arguments);
            let (lent, rows) = self.begin(&message, &sent).await?;
            self.check_node(rows.first())?;
            lent.give_back();
            Ok(rows)
        })
        .await
    }

    /// What a statement finds that may take longer.
    pub(super) async fn view(
        &self,
        sql: &Sql,
        arguments: PgArguments,
    ) -> Result<Vec<PgRow>, StoreError> {
        let sent = AtomicBool::new(false);
        let view = self.view_now(sql, arguments, &sent);
        self.within(WORK, &sent, view).await
    }

    async fn view_now(
        &self,
        sql: &Sql,
        arguments: PgArguments,
        sent: &AtomicBool,
    ) -> Result<Vec<PgRow>, StoreError> {
        let (mut lent, begun) = self.begin(&Message::Simple(BEGIN_VIEW), sent).await?;
        self.check_node(begun.first())?;
        let message = self.message(sql, arguments);
        let rows = lent.send(&message).await.map_err(|e| not_done(&e))?;
        lent.send(&Message::Simple("COMMIT"))
            .await
            .map_err(|e| not_done(&e))?;
        lent.give_back();
        Ok(rows)
    }

    /// Makes a change with one statement, in a transaction that is committed if `judge` accepts
    /// what the statement answered.
    pub(super) async fn change(
        &self,
        sql: &Sql,
        arguments: PgArguments,
        judge: impl FnOnce(&[PgRow]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sent = AtomicBool::new(false);
        let made = self.within(WORK, &sent, async {
            let (mut lent, _) = self.begin(&Message::Simple(BEGIN_CHANGE), &sent).await?;
            let message = self.message(sql, arguments);
            let rows = lent.send(&message).await.map_err(|e| not_done(&e))?;
            if let Err(refused) = judge(&rows) {
                if lent.send(&Message::Simple("ROLLBACK")).await.is_ok() {
                    lent.give_back();
                }
                return Err(refused);
            }
            Ok(lent)
        });
        let mut lent = made.await?;
        match timeout(COMMIT, lent.send(&Message::Simple(COMMIT_CHANGE))).await {
            Ok(Ok(_)) => {
                lent.give_back();
                Ok(())
            }
            Ok(Err(error)) => Err(commit_error(&error)),
            Err(_) => {
                self.drop_idle();
                let cause = "the server did not answer a COMMIT in time";
                Err(StoreError::new(StoreErrorKind::OutcomeUnknown, cause))
            }
        }
    }

    /// Sends the first message of an exchange, on a connection that may have been lost while it was
    /// idle: then on another one, as nothing has happened yet.
    async fn begin(
        &self,
        message: &Message<'_>,
        sent: &AtomicBool,
    ) -> Result<(Lent, Vec<PgRow>), StoreError> {
        let begun = match self.try_begin(message, sent).await {
            Err(error) if is_lost(&error) => {
                self.drop_idle();
                self.try_begin(message, sent).await
            }
            begun => begun,
        };
        begun.map_err(|error| not_done(&error))
    }

    async fn try_begin(
        &self,
        message: &Message<'_>,
        sent: &AtomicBool,
    ) -> Result<(Lent, Vec<PgRow>), Error> {
        let mut lent = self.lend().await?;
        sent.store(true, Ordering::Relaxed);
        let rows = lent.send(message).await?;
        Ok((lent, rows))
    }

    pub(super) async fn lend(&self) -> Result<Lent, Error> {
        Ok(Lent(Some(self.pool.acquire().await?)))
    }

    fn message<'a>(&self, sql: &'a Sql, arguments: PgArguments) -> Message<'a> {
        match self.through_pooler {
            true => Message::Unprepared(sql, arguments),
            false => Message::Prepared(sql, arguments),
        }
    }

    /// Remembers who answered, and refuses what a standby says.
    fn check_node(&self, row: Option<&PgRow>) -> Result<(), StoreError> {
        let row = row.ok_or_else(|| unavailable("the server sent no row"))?;
        let (node, on_standby) = Node::of(row).map_err(|error| not_done(&error))?;
        if on_standby && !self.allow_standby {
            return Err(unavailable(
                "a standby answered, which may not know of revocations yet: connect to the primary",
            ));
        }
        self.answered_by.send_if_modified(|last| {
            let before = last.replace(node);
            before != Some(node)
        });
        Ok(())
    }

    /// Waits for `work` that commits nothing, and not longer than `limit`. It says in `sent` whether
    /// the server was asked: what only waited for a connection tells nothing about the others.
    async fn within<T>(
        &self,
        limit: Duration,
        sent: &AtomicBool,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match timeout(limit, work).await {
            Ok(outcome) => outcome,
            Err(_) if sent.load(Ordering::Relaxed) => {
                self.drop_idle();
                let cause = format!("no answer within {} ms", limit.as_millis());
                Err(unavailable(cause))
            }
            Err(_) => {
                let cause = format!("no connection was free within {} ms", limit.as_millis());
                Err(unavailable(cause))
            }
        }
    }

    /// Where one connection was lost or is dead silent, the others that were opened before are
    /// likely no better: without this, each would fail somebody.
    fn drop_idle(&self) {
        while let Some(connection) = self.pool.try_acquire() {
            drop(connection.detach());
        }
    }
}

/// What is sent to the server at once.
enum Message<'a> {
    /// Statements without values.
    Simple(&'static str),
    /// A statement that the connection remembers.
    Prepared(&'a Sql, PgArguments),
    /// A statement that it does not.
    Unprepared(&'a Sql, PgArguments),
}

/// A connection of the pool. Dropped in the middle of an exchange, or after a failed one, it is
/// closed at once: nobody waits for its answer, and no later user gets it.
pub(super) struct Lent(Option<PoolConnection<Postgres>>);

impl Lent {
    /// Sends statements that are put together from names.
    pub(super) async fn run(&mut self, sql: String) -> Result<Vec<PgRow>, Error> {
        let connection = self.connection()?;
        raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await
    }

    async fn send(&mut self, message: &Message<'_>) -> Result<Vec<PgRow>, Error> {
        let connection = self.connection()?;
        let safe = |sql: &Sql| AssertSqlSafe(Arc::clone(sql));
        match message {
            Message::Simple(sql) => raw_sql(*sql).fetch_all(connection).await,
            Message::Prepared(sql, values) => {
                let query = query_with(safe(sql), values.clone());
                query.fetch_all(connection).await
            }
            Message::Unprepared(sql, values) => {
                let query = query_with(safe(sql), values.clone()).persistent(false);
                query.fetch_all(connection).await
            }
        }
    }

    fn connection(&mut self) -> Result<&mut PgConnection, Error> {
        let connection = self.0.as_deref_mut();
        connection.ok_or(Error::PoolClosed)
    }

    /// The exchange is over: the connection goes back.
    pub(super) fn give_back(mut self) {
        if let Some(mut connection) = self.0.take() {
            // The pool tests what comes back, and would wait for ever for a server that froze.
            tokio::spawn(timeout(RETURN, connection.return_to_pool()));
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}
