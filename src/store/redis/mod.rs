mod audit;
mod builder;
mod counting;
mod error;
mod feed;
mod layout;
mod link;
mod rows;
mod script;
mod server;
#[cfg(feature = "redis-tls")]
mod tls;
mod usage;
mod wire;

pub use builder::RedisStoreBuilder;
pub(crate) use counting::{Counting, CountingServer, Taken};
pub use error::RedisOpenError;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use ::redis::{FromRedisValue, Value};
use async_trait::async_trait;

use self::error::unexpected_reply;
use self::link::Link;
use self::script::SET;
use self::usage::Of;
use self::wire::Request;
use super::{
    Abilities, AuditLog, AuditPage, AuditQuery, ChangeFeed, ChangeListener, DayTotal, KeyStore,
    KeyUsage, Listed, OwnerTotal, Page, Settings, StoreError, StoreErrorKind, UsageBatch,
    UsageStore, Write,
};
use crate::audit::{AuditEvent, AuditKind};
use crate::clock::{Day, Timestamp};
use crate::key::KeyId;
use crate::record::KeyRecord;

/// Callers wait a second for a record, so the answer must come within it.
const GET_PATIENCE: Duration = Duration::from_millis(900);

/// How long everything else waits for the server.
const PATIENCE: Duration = Duration::from_secs(4);

/// Keeps records in one Redis or Valkey server, from version 6.2 on, for any number of processes.
/// Cloning it is cheap.
///
/// It works on tokio runtimes with time and I/O enabled. Requests share one connection, which is
/// made anew when it breaks; the [feed of changes](ChangeFeed) has one of its own.
///
/// ```no_run
/// # use keygate::RedisStore;
/// # async fn run() -> Result<(), keygate::RedisOpenError> {
/// let store = RedisStore::connect("redis://keygate:password@127.0.0.1:6379/0").await?;
/// # Ok(())
/// # }
/// ```
///
/// # What the server must be
/// Checked on every new connection, and an error says what to change:
/// - the master, which every read asks after again;
/// - `appendonly yes`, `appendfsync always` and `no-appendfsync-on-rewrite no`, so that nothing is
///   lost that was acknowledged;
/// - `maxmemory-policy noeviction`, so that no record is thrown away;
/// - in a cluster, the node that keeps the namespace, which is all on one.
///
/// The user needs `~{keygate}:*`, `+@read`, `+@write`, `+@scripting`, `+@connection`, `+role` and
/// `+config|get`. A server without `CONFIG` or `ROLE` takes a
/// [waiver](RedisStoreBuilder::assume_durable).
///
/// With the feature `redis-tls` the address may be one of `rediss://`. The first such store of a
/// process chooses `ring` for the rustls of the whole process, unless a choice was made before.
///
/// # Keys in Redis
/// | key | type | holds |
/// |---|---|---|
/// | `{keygate}:key:<id>` | HASH | `format`, `version`, `owner`, `revoked_at`, `revocation_reason`, `body` |
/// | `{keygate}:ids` | ZSET | every id |
/// | `{keygate}:owners` | ZSET | every owner and id, with a NUL between them |
/// | `{keygate}:settings` | HASH | what all processes agree on |
/// | `{keygate}:audit` | STREAM | an audit event as JSON in each entry |
/// | `{keygate}:audit:lifecycle`, `:authentication` | ZSET | the entries of each kind, by their times |
/// | `{keygate}:audit:index` | ZSET | `k`, `o` or `a` with key id, owner or action, a NUL, and the entry |
/// | `{keygate}:usage:key:<id>` | HASH | `requests`, `last_used_at`, `last_used_from`; and count and moment, with a space between them, in each `scope:<scope>`, `lacked:<scope>` and `secret:<created>` |
/// | `{keygate}:usage:day:<date>:keys` | HASH | the requests of each id on a day such as `2026-11-25` |
/// | `{keygate}:usage:day:<date>:owners` | HASH | the requests of each owner on that day |
/// | `{keygate}:usage:day:<date>:owners:index` | ZSET | those owners, in the order of their names |
/// | `{keygate}:usage:days` | ZSET | the dates, by days since 1970 |
/// | `{keygate}:usage:instance:<instance>` | STRING | the last batch of counts that an instance added, for 60 days |
///
/// Moments are Unix milliseconds. Usage takes some 300 bytes a key, and 70 bytes for each key on each
/// day on which it was used. Who tracks keys of Redis to follow records, as the feed does, hears
/// nothing of it.
///
/// # By hand
/// Every process sees a change at once, or within a second while its feed is down. Two are of use; any other is better made by
/// [`KeyManager`](crate::KeyManager), since what stands beside the body must agree with it:
/// ```text
/// HSET {keygate}:key:4KX9vQ2mB7tZ revoked_at 1795325668000 revocation_reason leaked
/// HINCRBY {keygate}:key:4KX9vQ2mB7tZ version 1
/// ```
/// ends a key at once and for good, with the moment in Unix milliseconds that is to be shown, and
/// `XTRIM {keygate}:audit MINID 1795325668000` drops the events before a moment. What the index
/// and the times still say of those is passed over.
///
/// # Deployment caveats
/// - Replication is asynchronous: a failover can lose the last writes, revocations among them.
///   `min-replicas-to-write` narrows that and does not end it. Revoke again what was revoked in the
///   minute before.
/// - In a split network, instances that reach only the old master go on with what it holds until it
///   is demoted or cut off.
/// - A server that refuses writes, because it is full or lacks replicas, refuses the heartbeats of
///   the feed too: every key is then read once a second.
/// - A backup that is put back brings back keys that were revoked since.
/// - A batch of counts is one script, so that it counts once. One of a thousand keys keeps the server
///   busy for 10 to 20 ms, in which it answers nobody.
/// - What was made unreadable by hand among the counts holds up every batch that has to do with it. The
///   error names it: correct or delete it.
/// - Redirections are not followed: the address must lead to the master also after a failover.
/// - Redis tells nobody of a `SWAPDB`: it is honoured within a minute.
#[derive(Clone)]
pub struct RedisStore {
    link: Link,
}

impl RedisStore {
    /// Connects to the server at `url`, as in `redis://user:password@host:6379/0`, and checks it.
    ///
    /// # Errors
    /// Says what is wrong with the address or the server, and what to do about it.
    pub async fn connect(url: &str) -> Result<Self, RedisOpenError> {
        Self::builder(url).connect().await
    }

    /// A store with something else than usual.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.link.server();
        f.debug_struct("RedisStore")
            .field("address", &server.address())
            .field("namespace", &server.layout().namespace())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyStore for RedisStore {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let request = Request::Command(rows::find(self.link.server().layout(), id));
        rows::found(id, self.link.read(request, GET_PATIENCE).await?)
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        let call = rows::write(self.link.server().layout(), &change)?;
        let request = Request::Script(audit::append(call, change.audit)?);
        rows::written(
            &change.record.id,
            self.link.change(request, PATIENCE).await?,
        )
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        let mut listed = Listed::default();
        let mut after = page.after.map_or(Vec::new(), |id| id.as_str().into());
        loop {
            let left = page.limit - listed.records.len() - listed.unreadable.len();
            let call = rows::list(self.link.server().layout(), page, &after, left);
            let reply = self.link.read(Request::Script(call), PATIENCE).await?;
            match rows::listed(page, left, reply, &mut listed)? {
                Some(last) if !listed.is_full(page.limit) => after = last,
                _ => return Ok(listed),
            }
        }
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities::none()
            .with_audit_log(self)
            .with_change_feed(self)
            .with_settings(self)
            .with_usage(self)
    }
}

#[async_trait]
impl AuditLog for RedisStore {
    async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        audit::events(&self.link, query).await
    }

    async fn record(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        audit::record(&self.link, events).await
    }

    async fn forget_before(
        &self,
        kind: AuditKind,
        moment: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        audit::forget_before(&self.link, kind, moment, limit).await
    }
}

#[async_trait]
impl ChangeFeed for RedisStore {
    async fn follow(&self, listener: &dyn ChangeListener) -> StoreError {
        feed::follow(&self.link, listener).await
    }
}

#[async_trait]
impl Settings for RedisStore {
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = ::redis::cmd("HGET");
        command
            .arg(self.link.server().layout().settings())
            .arg(name);
        let reply = self.link.read(Request::Command(command), PATIENCE).await?;
        Option::from_redis_value(reply).map_err(|_| unexpected_reply(StoreErrorKind::Unavailable))
    }

    async fn compare_and_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let settings = self.link.server().layout().settings();
        let mut call = SET.call(&[settings]).with(name).with(value);
        if let Some(expected) = expected {
            call = call.with(expected);
        }
        match self.link.change(Request::Script(call), PATIENCE).await? {
            Value::BulkString(answer) if answer == b"done" => Ok(()),
            Value::BulkString(answer) if answer == b"stale" => Err(StoreErrorKind::Stale.into()),
            _ => Err(unexpected_reply(StoreErrorKind::OutcomeUnknown)),
        }
    }
}

#[async_trait]
impl UsageStore for RedisStore {
    async fn add(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        usage::add(&self.link, batch).await
    }

    async fn of_keys(&self, ids: &[KeyId]) -> Result<Vec<Option<KeyUsage>>, StoreError> {
        usage::of_keys(&self.link, ids).await
    }

    async fn days_of_key(
        &self,
        id: &KeyId,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        usage::days(&self.link, Of::Key(id), &days).await
    }

    async fn days_of_owner(
        &self,
        owner: &str,
        days: RangeInclusive<Day>,
    ) -> Result<Vec<DayTotal>, StoreError> {
        usage::days(&self.link, Of::Owner(owner), &days).await
    }

    async fn owners_on(
        &self,
        day: Day,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<OwnerTotal>, StoreError> {
        usage::owners_on(&self.link, day, after, limit).await
    }

    async fn forget_before(&self, day: Day) -> Result<(), StoreError> {
        usage::forget_before(&self.link, day).await
    }
}
