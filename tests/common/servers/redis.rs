//! A Redis or Valkey server that a test starts, breaks and ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{directory_in_memory, directory_on_disk, free_port, program, rare_program, signal};

/// How long a server may take to start, also with much to load.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with durable settings and a directory of its own. It ends with this value.
pub struct RedisServer {
    program: PathBuf,
    arguments: Vec<String>,
    directory: TempDir,
    port: u16,
    process: Child,
}

impl RedisServer {
    /// One that a store accepts; `None`, and said so, where none is installed.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// One with further arguments, which come before the usual ones.
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let program = program("redis-server", &[])?;
        Some(Self::of(program, directory_in_memory(), arguments))
    }

    /// One whose writes cost what the disk costs.
    pub fn start_on_disk() -> Option<Self> {
        let program = program("redis-server", &[])?;
        Some(Self::of(program, directory_on_disk(), &[]))
    }

    /// The other server of the same kind, where it is installed.
    pub fn start_valkey() -> Option<Self> {
        let program = rare_program("valkey-server")?;
        Some(Self::of(program, directory_in_memory(), &[]))
    }

    fn of(program: PathBuf, directory: TempDir, arguments: &[&str]) -> Self {
        let port = free_port();
        let process = launch(&program, &directory, port, arguments);
        let mut server = Self {
            program,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            directory,
            port,
            process,
        };
        server.wait_until_ready();
        server
    }

    /// Another server that replicates this one, and has caught up with it.
    pub fn start_replica(&self) -> Self {
        let master = self.port.to_string();
        let replica = Self::start_with(&["--replicaof", "127.0.0.1", &master]).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !replica.says("INFO replication", "master_link_status:up") {
            assert!(Instant::now() < deadline, "the replica did not catch up");
            std::thread::sleep(Duration::from_millis(20));
        }
        replica
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// As by a power cut of the server alone.
    pub fn kill(&mut self) {
        // It may be frozen, or have ended already.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    /// Starts again on the same port with the same data; ends it first if it runs.
    pub fn restart(&mut self) {
        self.kill();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.process = launch(&self.program, &self.directory, self.port, &arguments);
        self.wait_until_ready();
    }

    /// It keeps its port and its connections, and does nothing.
    pub fn freeze(&self) {
        assert!(signal(self.process.id(), "STOP"));
    }

    pub fn thaw(&self) {
        assert!(signal(self.process.id(), "CONT"));
    }

    /// A client of one's own, as somebody with `redis-cli` has.
    pub async fn by_hand(&self) -> ::redis::aio::MultiplexedConnection {
        let client = ::redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.says("PING", "+PONG") && !self.says("PING", "-NOAUTH") {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended at its start: {ended:?}");
            assert!(Instant::now() < deadline, "the server did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the answer to an inline command holds `expected`.
    fn says(&self, command: &str, expected: &str) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            write!(stream, "{command}\r\nQUIT\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.contains(expected))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(program: &PathBuf, directory: &TempDir, port: u16, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.arg("--dir").arg(directory.path());
    command.args(["--appendonly", "yes", "--appendfsync", "always"]);
    command.args(["--save", "", "--repl-diskless-sync-delay", "0"]);
    command.args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}
