//! The server that keeps the records: how it is reached, and what must be true of it.

use ::redis::aio::{AsyncPushSender, MultiplexedConnection};
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline,
    ProtocolVersion, ServerErrorKind, Value,
};

use super::error::RedisOpenError;
use super::layout::Layout;

/// What keeps an acknowledged change from being lost: by a crash, by a crash while the append-only
/// file is rewritten, and by want of memory.
const DURABILITY: [(&str, &str); 4] = [
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("no-appendfsync-on-rewrite", "no"),
    ("maxmemory-policy", "noeviction"),
];

/// ZRANGE BYLEX, and the exclusive ranges of streams.
const OLDEST: (u32, u32) = (6, 2);

/// How the server at `url` is to be spoken to.
pub(super) fn parse(url: &str) -> Result<ConnectionInfo, RedisOpenError> {
    let info = url.into_connection_info();
    let info = info.map_err(|_| RedisOpenError::InvalidAddress)?;
    if !info.addr().is_supported() {
        return Err(RedisOpenError::InvalidAddress);
    }
    let settings = info.redis_settings().clone();
    let settings = settings
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("keygate", env!("CARGO_PKG_VERSION"));
    Ok(info.set_redis_settings(settings))
}

/// What the host answers for, and is not checked.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Waivers {
    pub(super) durable: bool,
    pub(super) master: bool,
}

/// A server, with what has to be true of it on every new connection.
pub(super) struct Server {
    client: Client,
    address: String,
    layout: Layout,
    waivers: Waivers,
}

impl Server {
    pub(super) fn new(
        info: ConnectionInfo,
        layout: Layout,
        waivers: Waivers,
    ) -> Result<Self, RedisOpenError> {
        let address = info.addr().to_string();
        let client = Client::open(info).map_err(|_| RedisOpenError::InvalidAddress)?;
        Ok(Self {
            client,
            address,
            layout,
            waivers,
        })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether it has to say with each answer that it is the master.
    pub(super) fn proves_its_role(&self) -> bool {
        !self.waivers.master
    }

    /// A new connection to a server of which everything is true. What it says unasked goes to
    /// `pushes`.
    pub(super) async fn connect(
        &self,
        pushes: impl AsyncPushSender,
    ) -> Result<MultiplexedConnection, RedisOpenError> {
        // Whoever connects limits the time of the whole.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(pushes);
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| RedisOpenError::of_connecting(&self.address, &error))?;
        self.check(&mut connection).await?;
        Ok(connection)
    }

    async fn check(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisOpenError> {
        let mut questions = Pipeline::new();
        questions.ignore_errors();
        questions.cmd("HELLO");
        questions.cmd("ROLE");
        questions.cmd("EXISTS").arg(self.layout.ids());
        for (setting, _) in DURABILITY {
            questions.cmd("CONFIG").arg("GET").arg(setting);
        }
        let answers: Vec<Value> = questions
            .query_async(connection)
            .await
            .map_err(|error| RedisOpenError::of_connecting(&self.address, &error))?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        self.check_version(next())?;
        self.check_role(&next())?;
        self.check_slot(&next())?;
        for (setting, needed) in DURABILITY {
            self.check_setting(setting, needed, next())?;
        }
        Ok(())
    }

    fn check_version(&self, hello: Value) -> Result<(), RedisOpenError> {
        let version = self.version(hello)?;
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) if (major, minor) >= OLDEST => Ok(()),
            _ => Err(RedisOpenError::TooOld {
                address: self.address.clone(),
                version,
            }),
        }
    }

    fn version(&self, hello: Value) -> Result<String, RedisOpenError> {
        let fields: Vec<(String, Value)> = FromRedisValue::from_redis_value(hello)
            .map_err(|_| RedisOpenError::failed(&self.address, "it does not answer HELLO"))?;
        let version = fields.into_iter().find(|(field, _)| field == "version");
        version
            .and_then(|(_, version)| String::from_redis_value(version).ok())
            .ok_or_else(|| RedisOpenError::failed(&self.address, "it does not tell its version"))
    }

    fn check_role(&self, role: &Value) -> Result<(), RedisOpenError> {
        match Role::of(role) {
            _ if self.waivers.master => Ok(()),
            Role::Master => Ok(()),
            Role::Replica => Err(RedisOpenError::NotMaster {
                address: self.address.clone(),
            }),
            Role::Untold => Err(self.cannot_check("ROLE", "assume_master")),
        }
    }

    /// In a cluster, whether the node keeps the slot of the namespace.
    fn check_slot(&self, exists: &Value) -> Result<(), RedisOpenError> {
        match exists {
            Value::ServerError(error) if error.kind() == Some(ServerErrorKind::Moved) => {
                let node = error.details().and_then(|moved| moved.split(' ').nth(1));
                Err(RedisOpenError::WrongNode {
                    address: self.address.clone(),
                    node: node.unwrap_or("the node that does").into(),
                })
            }
            Value::ServerError(error) => {
                Err(RedisOpenError::failed(&self.address, error.to_string()))
            }
            _ => Ok(()),
        }
    }

    fn check_setting(
        &self,
        setting: &'static str,
        needed: &'static str,
        answer: Value,
    ) -> Result<(), RedisOpenError> {
        if self.waivers.durable {
            return Ok(());
        }
        let settings = Vec::<(String, String)>::from_redis_value(answer).unwrap_or_default();
        match settings.into_iter().next() {
            Some((_, value)) if value == needed => Ok(()),
            Some((_, value)) => Err(RedisOpenError::NotDurable {
                address: self.address.clone(),
                setting,
                value,
                needed,
            }),
            None => Err(self.cannot_check("CONFIG GET", "assume_durable")),
        }
    }

    fn cannot_check(&self, command: &'static str, waiver: &'static str) -> RedisOpenError {
        RedisOpenError::CannotCheck {
            address: self.address.clone(),
            command,
            waiver,
        }
    }
}

/// What a server says that it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Master,
    Replica,
    Untold,
}

impl Role {
    /// From the reply to ROLE.
    pub(super) fn of(reply: &Value) -> Self {
        let Value::Array(parts) = reply else {
            return Self::Untold;
        };
        match parts.first() {
            Some(Value::BulkString(role)) if role == b"master" => Self::Master,
            Some(_) => Self::Replica,
            None => Self::Untold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_new_enough_from_6_2_on() {
        let info = parse("redis://127.0.0.1").unwrap();
        let layout = Layout::new("keygate").unwrap();
        let server = Server::new(info, layout, Waivers::default()).unwrap();
        for (version, is_new_enough) in [
            ("5.0.14", false),
            ("6.0.16", false),
            ("6.2.0", true),
            ("7.0.15", true),
            ("10.0.0", true),
            ("255.255.255", true),
            ("unstable", false),
        ] {
            let text = |text: &str| Value::BulkString(text.into());
            let hello = Value::Map(vec![
                (text("server"), text("redis")),
                (text("version"), text(version)),
            ]);
            assert_eq!(
                server.check_version(hello).is_ok(),
                is_new_enough,
                "{version}"
            );
        }
    }

    #[test]
    fn only_who_says_master_is_one() {
        let role = |role: &str| Role::of(&Value::Array(vec![Value::BulkString(role.into())]));
        assert_eq!(role("master"), Role::Master);
        assert_eq!(role("slave"), Role::Replica);
        assert_eq!(role("sentinel"), Role::Replica);
        assert_eq!(Role::of(&Value::Nil), Role::Untold);
        assert_eq!(Role::of(&Value::Array(Vec::new())), Role::Untold);
    }
}
