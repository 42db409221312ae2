use std::fmt;

use async_trait::async_trait;

use super::pace::{PARTS_OF_A_NANOSECOND, Pace};
use super::shared::{Level, SharedLimiter, Take};
use crate::store::{Counting, CountingServer, RedisOpenError, StoreError, StoreErrorKind, Taken};

/// Counts the rate limits of keys for all instances of a service together, in one Redis or Valkey server
/// from version 6.2 on. Cloning it is cheap.
///
/// ```no_run
/// # use keygate::*;
/// # async fn run(builder: Builder) -> Result<(), RedisOpenError> {
/// let limiter = RedisLimiter::connect("redis://127.0.0.1").await?;
/// let builder = builder.shared_limiter(limiter, OnOutage::CountHere);
/// # Ok(())
/// # }
/// ```
///
/// Each request of a key with a limit runs one script, which takes from all limits that it has to do with
/// or from none. Exactly the burst of a limit passes, however many instances a key is used on, and after
/// exactly its window it is there again. The time is that of the server, so clocks of instances may
/// differ.
///
/// # What the server must be
/// The master, and in a cluster the node that keeps the namespace. It need not be durable. It may be the
/// server of a [`RedisStore`](crate::RedisStore), of the same namespace too: counts are not written to its
/// append-only file, so they cost it no fsync.
///
/// The user needs `~{keygate}:*`, `+@read`, `+@write`, `+@scripting`, `+@connection`, `+time` and `+role`.
///
/// A key has one key in Redis, the STRING `{keygate}:limit:<id>`, which tells of each of its limits
/// the moment up to which it is paid for, in seconds, nanoseconds and parts of one, and of which limit. It
/// ends two seconds after it says nothing any more. What was made unreadable there by hand is answered as an outage for that
/// key, until it is deleted.
///
/// # When it is away
/// A request waits for 200 ms, and up to a second passes before the next one asks again. Until then
/// [`OnOutage`](crate::OnOutage) holds: each instance counts for itself, and from nothing, or keys with a
/// limit are refused with 503. Nothing that was counted meanwhile is added when the server is back.
///
/// # What is lost
/// - A restart empties the counts, or brings back older ones. Each key may then use its burst once more.
/// - So does a failover with the counts that the replica did not have yet, and `maxmemory` with a policy
///   that evicts.
/// - A request whose answer is lost may have been counted.
/// - When the server's clock steps forward, time has passed for limits too. When it steps back, nothing
///   more is let through, and keys that are in use have to wait until it has caught up: keep it steady
///   by NTP.
#[derive(Clone)]
pub struct RedisLimiter {
    counting: Counting,
}

/// A [`RedisLimiter`] with something else than usual.
#[derive(Clone)]
#[must_use = "nothing happens before connect()"]
pub struct RedisLimiterBuilder {
    server: CountingServer,
}

impl RedisLimiter {
    /// Connects to the server at `url`, as in `redis://user:password@host:6379/0`, and checks it.
    ///
    /// # Errors
    /// Says what is wrong with the address or the server, and what to do about it.
    pub async fn connect(url: &str) -> Result<Self, RedisOpenError> {
        Self::builder(url).connect().await
    }

    /// A limiter with something else than usual.
    pub fn builder(url: &str) -> RedisLimiterBuilder {
        RedisLimiterBuilder {
            server: CountingServer {
                url: url.into(),
                namespace: "keygate".into(),
                is_surely_master: false,
                #[cfg(feature = "redis-tls")]
                root_certificate: None,
            },
        }
    }
}

impl RedisLimiterBuilder {
    /// What the names of all keys in Redis carry, in braces; `keygate` unless it is set. Limiters of
    /// different namespaces share nothing.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.server.namespace = namespace.into();
        self
    }

    /// You answer for it that whoever answers at the address is the master, and `ROLE` is not asked. For
    /// services that do not allow it. A replica refuses to count, which is an outage.
    pub fn assume_master(mut self) -> Self {
        self.server.is_surely_master = true;
        self
    }

    /// The certificate, as PEM, that the server's goes back to, where that is none of those that
    /// browsers trust. The address must be one of `rediss://`.
    #[cfg(feature = "redis-tls")]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.server.root_certificate = Some(pem.into());
        self
    }

    /// Connects, and checks the server.
    ///
    /// # Errors
    /// Says what is wrong with the address or the server, and what to do about it.
    pub async fn connect(self) -> Result<RedisLimiter, RedisOpenError> {
        let counting = self.server.connect().await?;
        Ok(RedisLimiter { counting })
    }
}

#[async_trait]
impl SharedLimiter for RedisLimiter {
    async fn take(&self, takes: &[Take<'_>]) -> Result<Vec<Level>, StoreError> {
        let Some(first) = takes.first() else {
            return Ok(Vec::new());
        };
        let paces: Vec<Pace> = takes.iter().map(|take| Pace::of(take.limit)).collect();
        let arguments = takes.iter().zip(&paces).flat_map(|(take, pace)| {
            let times = [pace.needed(take.cost), pace.price(take.cost), pace.ahead()];
            let numbers = times.into_iter().flat_map(apart).map(|n| n.to_string());
            std::iter::once(take.name.to_owned()).chain(numbers)
        });
        let (taken, ahead) = self.counting.take(first.key_id, arguments).await?;
        let (ahead, rest) = ahead.as_chunks();
        if ahead.len() != takes.len() || !rest.is_empty() {
            let cause = "Redis did not answer for each limit";
            return Err(StoreError::new(StoreErrorKind::OutcomeUnknown, cause));
        }
        let levels = takes.iter().zip(&paces).zip(ahead);
        let level = |((take, pace), ahead): ((&Take<'_>, &Pace), _)| match taken {
            Taken::All => pace.level_after(together(ahead)),
            Taken::Nothing => pace.level(together(ahead), take.cost),
        };
        Ok(levels.map(level).collect())
    }
}

const SECOND: u128 = 1_000_000_000 * PARTS_OF_A_NANOSECOND;

/// No time that the script is given is longer, in seconds: 70 million years.
const LONGEST: u128 = 1 << 51;

/// The seconds, nanoseconds and parts of one in a time.
fn apart(parts: u128) -> [u128; 3] {
    let parts = parts.min(LONGEST * SECOND);
    [
        parts / SECOND,
        parts % SECOND / PARTS_OF_A_NANOSECOND,
        parts % PARTS_OF_A_NANOSECOND,
    ]
}

fn together(time: &[u64; 3]) -> u128 {
    let [seconds, nanos, parts] = time.map(u128::from);
    seconds * SECOND + nanos * PARTS_OF_A_NANOSECOND + parts
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter")
            .field("address", &self.counting.address())
            .field("namespace", &self.counting.namespace())
            .finish()
    }
}

/// The address may hold a password.
impl fmt::Debug for RedisLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiterBuilder")
            .field("namespace", &self.server.namespace)
            .field("is_surely_master", &self.server.is_surely_master)
            .finish_non_exhaustive()
    }
}
