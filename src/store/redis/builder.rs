use std::fmt;
use std::sync::Arc;

use super::RedisStore;
use super::error::RedisOpenError;
use super::layout::Layout;
use super::link::Link;
use super::server::{self, Server, Waivers};
#[cfg(feature = "redis-tls")]
use super::tls;

/// A [`RedisStore`] with something else than usual.
///
/// ```no_run
/// # use keygate::RedisStore;
/// # async fn run() -> Result<(), keygate::RedisOpenError> {
/// let store = RedisStore::builder("redis://127.0.0.1")
///     .namespace("acme")
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing happens before connect()"]
pub struct RedisStoreBuilder {
    url: String,
    namespace: String,
    waivers: Waivers,
    #[cfg(feature = "redis-tls")]
    root_certificate: Option<Vec<u8>>,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            namespace: "keygate".into(),
            waivers: Waivers::default(),
            #[cfg(feature = "redis-tls")]
            root_certificate: None,
        }
    }

    /// What the names of all keys in Redis carry, in braces; `keygate` unless it is set. Stores of
    /// different namespaces share nothing.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// You answer for it that the server loses nothing it has acknowledged, and `CONFIG GET` is not
    /// asked. For services that do not allow it.
    ///
    /// Without a durable server a crash brings back keys that were revoked.
    pub fn assume_durable(mut self) -> Self {
        self.waivers.durable = true;
        self
    }

    /// You answer for it that whoever answers at the address is the master, and `ROLE` is not
    /// asked. For services that do not allow it.
    ///
    /// Read from a replica, a revoked key opens for as long as that lags behind.
    pub fn assume_master(mut self) -> Self {
        self.waivers.master = true;
        self
    }

    /// The certificate, as PEM, that the server's goes back to, where that is none of those that
    /// browsers trust. The address must be one of `rediss://`.
    #[cfg(feature = "redis-tls")]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificate = Some(pem.into());
        self
    }

    /// Connects, and checks the server.
    ///
    /// # Errors
    /// Says what is wrong with the address or the server, and what to do about it.
    pub async fn connect(self) -> Result<RedisStore, RedisOpenError> {
        let layout = Layout::new(&self.namespace)?;
        let info = server::parse(&self.url)?;
        #[cfg(feature = "redis-tls")]
        let info = tls::prepare(info, self.root_certificate)?;
        let server = Server::new(info, layout, self.waivers)?;
        let link = Link::open(Arc::new(server)).await?;
        Ok(RedisStore { link })
    }
}

/// The address may hold a password.
impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("namespace", &self.namespace)
            .field("waivers", &self.waivers)
            .finish_non_exhaustive()
    }
}
