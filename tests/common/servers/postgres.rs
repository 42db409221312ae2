//! PostgreSQL servers that a test starts, breaks and ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{directory_in_memory, directory_on_disk, free_port, program, signal};

/// How long a server may take to start, also after a crash.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the server when the pipe to it is closed, so also when the test is killed, and removes its
/// directory, unless that is to stay. With a line on the pipe it only ends the server.
const SUPERVISOR: &str = r#"
    directory=$1; stay=$2; shift 2
    "$@" >>"$directory/log" 2>&1 &
    if read -r _; then stay=1; fi
    kill -QUIT $! 2>/dev/null
    wait
    if [ -z "$stay" ]; then rm -rf "$directory"; fi
"#;

/// A server with a directory of its own, on a port of the loopback interface. It ends with this
/// value, and with the test process.
pub struct PostgresServer {
    programs: PathBuf,
    /// Who runs it, where the super-user may not.
    user: Option<(u32, u32)>,
    directory: PathBuf,
    /// Whether the directory stays when the server has ended.
    stays: bool,
    port: u16,
    settings: Vec<String>,
    supervisor: Option<Child>,
}

impl PostgresServer {
    /// `None`, and said so, where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// With settings such as `fsync=off`, and a cluster in UTF8.
    pub fn start_with(settings: &[&str]) -> Option<Self> {
        Self::start_in("UTF8", settings)
    }

    pub fn start_in(encoding: &str, settings: &[&str]) -> Option<Self> {
        let mut server = Self::prepare(settings)?;
        server.make_cluster(encoding);
        server.launch();
        Some(server)
    }

    /// One whose writes cost what the disk costs.
    pub fn start_on_disk() -> Option<Self> {
        let mut server = Self::prepare_in(|| directory_on_disk().keep(), &[])?;
        server.make_cluster("UTF8");
        server.launch();
        Some(server)
    }

    /// On the data that an earlier server left in `directory`, if any. It stays there.
    pub fn start_at(directory: &Path) -> Option<Self> {
        fs::create_dir_all(directory).unwrap();
        let directory = directory.canonicalize().unwrap();
        let mut server = Self::prepare_in(|| directory, &[])?;
        server.stays = true;
        if !server.data().exists() {
            server.make_cluster("UTF8");
        }
        server.launch();
        Some(server)
    }

    fn make_cluster(&self, encoding: &str) {
        let mut initdb = self.command("initdb");
        initdb.args(["--auth", "trust", "--no-sync", "--username", "postgres"]);
        initdb.args(["--encoding", encoding, "--locale", "C", "--pgdata"]);
        run(initdb.arg(self.data()));
    }

    /// A standby of this server, which may lag behind.
    pub fn start_standby(&self) -> Self {
        let mut standby = Self::prepare(&[]).unwrap();
        let mut copy = standby.command("pg_basebackup");
        copy.args(["--host", "127.0.0.1", "--username", "postgres"]);
        copy.args(["--port", &self.port.to_string(), "--checkpoint", "fast"]);
        copy.args(["--write-recovery-conf", "--no-sync", "--pgdata"]);
        run(copy.arg(standby.data()));
        standby.launch();
        standby
    }

    fn prepare(settings: &[&str]) -> Option<Self> {
        Self::prepare_in(|| directory_in_memory().keep(), settings)
    }

    fn prepare_in(directory: impl FnOnce() -> PathBuf, settings: &[&str]) -> Option<Self> {
        let known = installed();
        let known: Vec<&Path> = known.iter().map(PathBuf::as_path).collect();
        // The path may hold links to some of the programs.
        let initdb = program("initdb", &known)?.canonicalize().unwrap();
        let programs = initdb.parent()?.to_path_buf();
        let directory = directory();
        let user = other_user();
        if let Some((uid, gid)) = user {
            chown(&directory, Some(uid), Some(gid)).unwrap();
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        Some(Self {
            programs,
            user,
            directory,
            stays: false,
            port: free_port(),
            settings: settings.iter().map(ToString::to_string).collect(),
            supervisor: None,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the database that every server has.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database, and answers its URL.
    pub async fn make_database(&self, name: &str) -> String {
        let mut hand = self.by_hand().await;
        let sql = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(sql).execute(&mut hand).await.unwrap();
        self.url_of(name)
    }

    /// A connection of one's own, as somebody with `psql` has.
    pub async fn by_hand(&self) -> sqlx::PgConnection {
        by_hand(&self.url()).await
    }

    /// Waits until `standby` has everything that was committed here until now.
    pub async fn wait_for(&self, standby: &Self) {
        let (mut here, mut there) = (self.by_hand().await, standby.by_hand().await);
        let position = "SELECT pg_current_wal_lsn()::text";
        let position: String = sqlx::query_scalar(position)
            .fetch_one(&mut here)
            .await
            .unwrap();
        let has_it = "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let query = sqlx::query_scalar(has_it).bind(&position);
            if query.fetch_one(&mut there).await.unwrap() {
                return;
            }
            assert!(Instant::now() < deadline, "the standby does not catch up");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// As by a power cut of the server alone: every process of it is gone at once.
    pub fn kill(&mut self) {
        let processes = self.processes(|pid| {
            signal(pid, "STOP");
        });
        for process in &processes {
            signal(*process, "KILL");
        }
        self.supervise_no_more();
        // The next server does not start while one of them holds the memory that they share.
        let deadline = Instant::now() + PATIENCE;
        while processes.iter().any(|process| runs(*process)) {
            assert!(Instant::now() < deadline, "the server does not die");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts again on the same port with the same data; kills it first if it runs.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    /// All of it keeps its ports and its connections, and does nothing.
    pub fn freeze(&self) {
        self.processes(|pid| {
            signal(pid, "STOP");
        });
    }

    pub fn thaw(&self) {
        self.processes(|pid| {
            signal(pid, "CONT");
        });
    }

    /// Does something to each process, the first of them first, so that none is added unseen.
    fn processes(&self, each: impl Fn(u32)) -> Vec<u32> {
        let Some(first) = self.process_id() else {
            return Vec::new();
        };
        each(first);
        let mut all = vec![first];
        for process in children_of(first) {
            each(process);
            all.push(process);
        }
        all
    }

    /// The process that all others come from.
    pub fn process_id(&self) -> Option<u32> {
        self.supervisor.as_ref()?;
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        self.as_user(&mut command);
        command
    }

    fn as_user(&self, command: &mut Command) {
        command.current_dir(&self.directory);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
    }

    fn launch(&mut self) {
        let mut command = Command::new("sh");
        self.as_user(&mut command);
        // A signal that ends the test and all that is in its group would leave the server behind.
        command.process_group(0);
        command.args(["-c", SUPERVISOR, "supervisor"]);
        command
            .arg(&self.directory)
            .arg(if self.stays { "stays" } else { "" })
            .arg(self.programs.join("postgres"));
        command.arg("-D").arg(self.data());
        command.args(["-p", &self.port.to_string()]);
        command.arg("-k").arg(&self.directory);
        for setting in [
            "listen_addresses=127.0.0.1",
            "shared_buffers=32MB",
            "wal_level=replica",
            "max_wal_senders=4",
        ] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.supervisor = Some(command.spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while !accepts(self.port) {
            assert!(Instant::now() < deadline, "no start: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn supervise_no_more(&mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            let _ = writeln!(supervisor.stdin.take().unwrap());
            supervisor.wait().unwrap();
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.thaw();
        match self.supervisor.take() {
            Some(mut supervisor) => {
                drop(supervisor.stdin.take());
                let _ = supervisor.wait();
            }
            None if self.stays => {}
            None => _ = fs::remove_dir_all(&self.directory),
        }
    }
}

/// A connection to a database, as somebody with `psql` has.
pub async fn by_hand(url: &str) -> sqlx::PgConnection {
    <sqlx::PgConnection as sqlx::Connection>::connect(url)
        .await
        .unwrap()
}

/// Where distributions put the programs, the newest first.
fn installed() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    found.sort();
    found.reverse();
    found
}

/// PostgreSQL does not run as the super-user.
fn other_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let user = find("postgres").or_else(|| find("nobody"));
    assert!(user.is_some(), "no user to run PostgreSQL as");
    user
}

/// The state of a process, such as `Z` when nothing of it is left but its number, and its parent.
fn state_of(process: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in brackets may hold anything; the state comes next, and then the parent.
    let mut rest = stat.rsplit(") ").next()?.split(' ');
    Some((rest.next()?.to_owned(), rest.next()?.parse().ok()?))
}

fn runs(process: u32) -> bool {
    state_of(process).is_some_and(|(state, _)| state != "Z" && state != "X")
}

fn children_of(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| state_of(*process).is_some_and(|(_, other)| other == parent);
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(is_child)
        .collect()
}

/// Whether the server answers who it is asked to be with anything but "not yet".
fn accepts(port: u16) -> bool {
    let ask = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let words = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        let length = u32::try_from(words.len() + 4).unwrap();
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(words)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind[0])
    };
    ask().is_ok_and(|kind| kind == b'R')
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {shown}");
}
