//! An instance of the service, as a process that can be killed, frozen and started again.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::servers::proxy::Proxy;
use crate::service::{CAPACITY, LISTENING, PEPPER, STORE};
use crate::store::StoreUnderTest;

/// Freezes a process until the pipe to this is closed, so not beyond the end of the soak.
const FREEZER: &str = "kill -STOP $1; read -r _; kill -CONT $1";

/// How long it may take to start, while its store comes and goes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Instance {
    pub(crate) number: usize,
    /// Its way to the server of the store, where there is one.
    pub(crate) way: Option<Proxy>,
    store: String,
    pepper: String,
    /// How many keys it keeps in memory.
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    process: Option<Child>,
    /// Holds it still.
    freezer: Option<Child>,
    address: Option<SocketAddr>,
}

impl Instance {
    pub(crate) fn new(
        number: usize,
        store: &StoreUnderTest,
        pepper: &str,
        capacity: usize,
    ) -> Self {
        let way = store.port().map(Proxy::to);
        Self {
            number,
            store: store.address_by(way.as_ref().map(Proxy::port)),
            way,
            pepper: pepper.to_owned(),
            capacity,
            state: Mutex::default(),
        }
    }

    /// Where it listens; `None` while it does not run.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.state.lock().unwrap().address
    }

    pub(crate) fn process_id(&self) -> Option<u32> {
        let state = self.state.lock().unwrap();
        state.process.as_ref().map(Child::id)
    }

    /// Starts it, again and again while its store cannot be reached.
    pub(crate) fn start(&self) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(printed) = self.try_start() {
            assert!(
                Instant::now() < deadline,
                "service {} does not start: {printed}",
                self.number
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn try_start(&self) -> Result<(), String> {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["service::serves_until_the_soak_ends", "--exact"])
            .args(["--ignored", "--nocapture"])
            .env(STORE, &self.store)
            .env(PEPPER, &self.pepper)
            .env(CAPACITY, self.capacity.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = Vec::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let address = line.strip_prefix(LISTENING)?.parse().ok();
            printed.push(line);
            address
        });
        if address.is_none() {
            process.wait().unwrap();
            return Err(printed.join("; "));
        }
        std::thread::spawn(move || lines.for_each(drop));
        *self.state.lock().unwrap() = State {
            process: Some(process),
            freezer: None,
            address,
        };
        Ok(())
    }

    pub(crate) fn kill(&self) {
        let taken = std::mem::take(&mut *self.state.lock().unwrap());
        if let Some(mut process) = taken.process {
            let _ = process.kill();
            process.wait().unwrap();
        }
        taken.freezer.into_iter().for_each(end);
    }

    pub(crate) fn freeze(&self) {
        let mut state = self.state.lock().unwrap();
        if let Some(process) = &state.process {
            let mut freezer = Command::new("sh");
            freezer.args(["-c", FREEZER, "freezer", &process.id().to_string()]);
            state.freezer = Some(freezer.stdin(Stdio::piped()).spawn().unwrap());
        }
    }

    pub(crate) fn thaw(&self) {
        let freezer = self.state.lock().unwrap().freezer.take();
        freezer.into_iter().for_each(end);
    }

    /// How it ended, if that was not by [`kill`](Self::kill).
    pub(crate) fn ended_by_itself(&self) -> Option<String> {
        let mut state = self.state.lock().unwrap();
        let status = state.process.as_mut()?.try_wait().unwrap()?;
        *state = State::default();
        Some(status.to_string())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waiting closes the pipe first.
fn end(mut freezer: Child) {
    freezer.wait().unwrap();
}
