use std::sync::Arc;
use std::time::Duration;

use ::redis::{FromRedisValue, Value};

use super::error::{RedisOpenError, unexpected_reply};
use super::layout::Layout;
use super::link::Link;
use super::script::LIMIT;
use super::server::{self, Server, Waivers};
#[cfg(feature = "redis-tls")]
use super::tls;
use super::wire::Request;
use crate::key::KeyId;
use crate::store::{StoreError, StoreErrorKind};

/// How a server is reached that keeps counts, and no records. What it counts may be lost, so it need
/// not be durable.
#[derive(Clone)]
pub(crate) struct CountingServer {
    pub(crate) url: String,
    pub(crate) namespace: String,
    pub(crate) is_surely_master: bool,
    #[cfg(feature = "redis-tls")]
    pub(crate) root_certificate: Option<Vec<u8>>,
}

/// The way to it.
#[derive(Clone)]
pub(crate) struct Counting {
    link: Link,
}

/// What became of a request to take of limits.
pub(crate) enum Taken {
    /// It took from all.
    All,
    /// It took from none.
    Nothing,
}

/// Who has to be told of an outage waits for 250 ms. It ends before, so that the connection is known to
/// be of no use.
const PATIENCE: Duration = Duration::from_millis(200);

impl CountingServer {
    pub(crate) async fn connect(self) -> Result<Counting, RedisOpenError> {
        let layout = Layout::new(&self.namespace)?;
        let info = server::parse(&self.url)?;
        #[cfg(feature = "redis-tls")]
        let info = tls::prepare(info, self.root_certificate)?;
        let waivers = Waivers {
            durable: true,
            master: self.is_surely_master,
        };
        let link = Link::open(Arc::new(Server::new(info, layout, waivers)?)).await?;
        Ok(Counting { link })
    }
}

impl Counting {
    pub(crate) fn address(&self) -> &str {
        self.link.server().address()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.link.server().layout().namespace()
    }

    /// Runs the script of limits for a key. How far ahead of now it is paid for, in three numbers for
    /// each limit.
    pub(crate) async fn take(
        &self,
        key_id: &KeyId,
        arguments: impl Iterator<Item = String>,
    ) -> Result<(Taken, Vec<u64>), StoreError> {
        let key = self.link.server().layout().limits(key_id.as_str());
        let call = LIMIT.call(std::slice::from_ref(&key));
        let call = arguments.fold(call, |call, argument| call.with(argument));
        let reply: Value = self.link.change(Request::Script(call), PATIENCE).await?;
        let unexpected = || unexpected_reply(StoreErrorKind::OutcomeUnknown);
        let (answer, ahead): (String, Vec<u64>) =
            FromRedisValue::from_redis_value(reply).map_err(|_| unexpected())?;
        match answer.as_str() {
            "taken" => Ok((Taken::All, ahead)),
            "over" => Ok((Taken::Nothing, ahead)),
            "damaged" => {
                let cause = format!("{key} in Redis was changed by hand: delete it");
                Err(StoreError::new(StoreErrorKind::Corrupt, cause))
            }
            _ => Err(unexpected()),
        }
    }
}
