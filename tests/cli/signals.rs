//! Ctrl-C and the other signals, at a question and in the middle of a change.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::servers::postgres::PostgresServer;
use crate::servers::proxy::{Proxy, Trap};
use crate::support::World;
use crate::terminal::Terminal;

const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];

/// A program under way, whose remarks are read as they come.
struct Running {
    child: Child,
    remarks: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let mut command = world.command(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let remarks = BufReader::new(child.stderr.take().unwrap());
        Self { child, remarks }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn remark(&mut self) -> String {
        let mut line = String::new();
        self.remarks.read_line(&mut line).unwrap();
        line
    }

    /// Its exit code and the remarks that were left.
    fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        self.remarks.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().unwrap(), rest)
    }
}

/// Waits until the program was caught in the middle.
fn wait_for(proxy: &Proxy, sprung: usize) {
    let end = Instant::now() + Duration::from_secs(10);
    while proxy.sprung() < sprung {
        assert!(Instant::now() < end, "it does not come to a change");
        thread::sleep(Duration::from_millis(5));
    }
}

fn keys(world: &World) -> usize {
    let listed = world.run(["list", "--json"]).json();
    listed["keys"].as_array().unwrap().len()
}

#[test]
fn what_only_reads_ends_at_once() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let world = World::on(&server.url());
    server.freeze();
    for (signal, code) in SIGNALS {
        let running = Running::start(&world, &["list"]);
        // Its own signals are heard before it asks the store, which does not answer.
        thread::sleep(Duration::from_millis(500));
        let sent = Instant::now();
        running.signal(signal);
        assert_eq!(running.end(), (code, String::new()));
        assert!(sent.elapsed() < Duration::from_secs(1), "{signal:?}");
    }
}

#[test]
fn a_key_in_the_making_is_handed_over_first_and_given_up_when_asked_again() {
    const CHANGE: &[u8] = b"READ COMMITTED READ WRITE";
    const SAID: &str =
        "keygate: ending as soon as what is under way is done; again to end it now\n";
    const GIVEN_UP: &str = "keygate: given up in the middle: whether it was done, keygate list and keygate show tell\n";
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let url = server
        .url()
        .replace(&server.port().to_string(), &proxy.port().to_string());
    let world = World::on(&url);
    for (n, (signal, code)) in SIGNALS.into_iter().enumerate() {
        let issue = ["issue", "--owner", "org_42", "--out"];
        let held = || {
            proxy.set(Trap::HoldAnswers, CHANGE);
            proxy.sprung() + 1
        };

        // The store comes back in time.
        let out = format!("kept-{n}");
        let sprung = held();
        let mut running = Running::start(&world, &[&issue[..], &[&out]].concat());
        wait_for(&proxy, sprung);
        running.signal(signal);
        assert_eq!(running.remark(), SAID);
        proxy.unblock();
        assert_eq!(running.end(), (0, String::new()));
        assert!(keygate::PresentedKey::parse(world.read(&out).trim_end()).is_ok());

        // Whoever asks again does not wait for it.
        let out = format!("given-up-{n}");
        let sprung = held();
        let mut running = Running::start(&world, &[&issue[..], &[&out]].concat());
        wait_for(&proxy, sprung);
        running.signal(signal);
        assert_eq!(running.remark(), SAID);
        running.signal(signal);
        assert_eq!(running.end(), (code, GIVEN_UP.to_owned()));
        assert!(!world.path(&out).exists());
        proxy.unblock();
    }

    // Nobody asks, and the store does not come back: it is given up by itself.
    let sprung = {
        proxy.set(Trap::HoldAnswers, CHANGE);
        proxy.sprung() + 1
    };
    let started = Instant::now();
    let running = Running::start(&world, &["issue", "--owner", "org_42", "--out", "key"]);
    wait_for(&proxy, sprung);
    let (code, said) = running.end();
    assert_eq!(code, 6, "{said}");
    assert!(!said.contains("Nobody has the text"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(15));
    assert!(!world.path("key").exists());
    proxy.unblock();
    assert_eq!(keys(&world), SIGNALS.len());
}

#[test]
fn an_import_ends_between_two_rows_and_goes_on_when_it_is_run_again() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let url = server
        .url()
        .replace(&server.port().to_string(), &proxy.port().to_string());
    let world = World::on(&url);
    let settings = world.read("keygate.toml");
    let format = "[foreign.old]\nhashing = \"sha256\"\nalphabet = \"hex\"\nlength = [40, 40]\n";
    world.write("keygate.toml", &format!("{settings}{format}"));
    let rows: String = (1..=3).map(|n| format!("{n:064}\n")).collect();
    world.write("old.csv", &format!("hash\n{rows}"));
    let import = [
        "import", "old.csv", "--format", "old", "--owner", "org_42", "--json",
    ];

    // The first change of all notes the format; the second is of the first row.
    world
        .run([
            "import",
            "old.csv",
            "--format",
            "old",
            "--owner",
            "org_42",
            "--dry-run",
        ])
        .done();
    proxy.set(Trap::HoldAnswers, b"READ COMMITTED READ WRITE");
    let mut running = Running::start(&world, &import);
    wait_for(&proxy, 1);
    running.signal(Signal::INT);
    assert_eq!(
        running.remark(),
        "keygate: ending as soon as what is under way is done; again to end it now\n"
    );
    proxy.unblock();
    let mut told = String::new();
    running
        .child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert_eq!(running.end(), (130, String::new()));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["imported"], &told["interrupted"]),
        (&1.into(), &true.into())
    );
    assert_eq!(keys(&world), 1);

    let told = world.run(import).json();
    assert_eq!((&told["imported"], &told["known"]), (&2.into(), &1.into()));
    assert_eq!(keys(&world), 3);
}

#[test]
fn at_a_question_nothing_is_done() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42"]);
    let mut terminal = Terminal::run(&world, ["revoke", &id]);
    terminal.expect("[y/N]").interrupt();
    assert_eq!(terminal.end().0, 130);
    let listed = world.run(["list", "--json"]).json();
    assert_eq!(listed["keys"][0]["status"], "active");
}

#[test]
fn at_a_hidden_question_the_terminal_shows_again_what_is_typed() {
    let world = World::new();
    let mut terminal = Terminal::run(&world, ["verify"]);
    terminal.expect("it is not shown");
    let end = Instant::now() + Duration::from_secs(10);
    while terminal.shows_what_is_typed() {
        assert!(Instant::now() < end, "it shows what is typed");
        thread::sleep(Duration::from_millis(5));
    }
    terminal.interrupt();
    let shows = terminal.watch();
    assert_eq!(terminal.end().0, 130);
    assert!(shows(), "it goes on to show nothing");
}

#[test]
fn below_nohup_it_goes_on_when_the_terminal_is_gone() {
    let world = World::new();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$KEYGATE\" verify"]);
    command.env("KEYGATE", env!("CARGO_BIN_EXE_keygate"));
    command.current_dir(world.path("")).stdin(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while !catches(&child, Signal::TERM) {
        assert!(Instant::now() < end, "it hears no signals");
        thread::sleep(Duration::from_millis(5));
    }
    let send = |signal| kill_process(Pid::from_child(&child), signal).unwrap();
    send(Signal::HUP);
    thread::sleep(Duration::from_millis(500));
    send(Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// As Linux tells; elsewhere it is taken for granted.
fn catches(child: &Child, signal: Signal) -> bool {
    let about = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let caught = about.unwrap_or_default();
    let caught = caught.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    caught.is_none_or(|bits| bits >> (signal.as_raw() - 1) & 1 == 1)
}

#[test]
fn a_text_that_nobody_has_is_told_of_where_a_store_did_not_say_whether_it_was_done() {
    const COMMIT: &[u8] = b"= 0; COMMIT";
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let url = server
        .url()
        .replace(&server.port().to_string(), &proxy.port().to_string());
    let world = World::on(&url);
    let (_, id) = world.issue(["--owner", "org_42"]);
    let given_up = |arguments: &[&str]| {
        let sprung = proxy.sprung() + 1;
        proxy.set(Trap::HoldAnswers, COMMIT);
        let running = Running::start(&world, arguments);
        wait_for(&proxy, sprung);
        let (code, said) = running.end();
        proxy.unblock();
        assert_eq!(code, 6, "{said}");
        said
    };
    let said = given_up(&["issue", "--owner", "org_43", "--out", "key"]);
    assert!(said.contains("Nobody has the text of the key"), "{said}");
    let advice = format!("keygate rotate {id} --supersede");
    let said = given_up(&["rotate", &id, "--out", "key"]);
    assert!(said.contains(&advice), "{said}");
    assert!(!world.path("key").exists());
    // What was not known was done.
    assert_eq!(keys(&world), 2);
    let words = advice.split(' ').skip(1);
    world.run(words.chain(["--yes", "--out", "key"])).done();
}
