//! A store whose answers are kept back, so that a program can be caught in the middle.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use crate::servers::postgres::PostgresServer;
use crate::servers::proxy::{Proxy, Trap};
use crate::support::World;

/// What is sent before any change.
pub(crate) const CHANGE: &[u8] = b"READ COMMITTED READ WRITE";

/// What is sent before all else.
pub(crate) const HELLO: &[u8] = b"user";

pub(crate) struct HeldStore {
    pub(crate) world: World,
    proxy: Proxy,
    /// How often somebody was caught, once the one that is waited for is.
    caught: Cell<usize>,
    _server: PostgresServer,
}

impl HeldStore {
    pub(crate) fn start() -> Option<Self> {
        let server = PostgresServer::start()?;
        let proxy = Proxy::to(server.port());
        let [direct, behind] = [server.port(), proxy.port()].map(|port| port.to_string());
        Some(Self {
            world: World::on(&server.url().replace(&direct, &behind)),
            proxy,
            caught: Cell::new(0),
            _server: server,
        })
    }

    /// Whoever next sends this gets no answer from then on.
    pub(crate) fn hold(&self, sent: &[u8]) {
        self.caught.set(self.proxy.sprung() + 1);
        self.proxy.set(Trap::HoldAnswers, sent);
    }

    /// Waits until somebody has.
    pub(crate) fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(10);
        while self.proxy.sprung() < self.caught.get() {
            assert!(Instant::now() < end, "it does not come so far");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Answers come again.
    pub(crate) fn release(&self) {
        self.proxy.unblock();
    }
}
