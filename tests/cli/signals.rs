//! Ctrl-C and the other signals, at a question and in the middle of a change.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::held::{CHANGE, HELLO, HeldStore};
use crate::support::World;
use crate::terminal::{Terminal, pair};

const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];

const SAID: &str = "keygate: ending as soon as what is under way is done; again to end it now\n";

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

fn keys(world: &World) -> usize {
    let listed = world.run(["list", "--json"]).json();
    listed["keys"].as_array().unwrap().len()
}

/// Those that are heard here: what the tests inherit is inherited from them.
fn signals() -> impl Iterator<Item = (Signal, i32)> {
    let below_nohup = is_below_nohup();
    let is_heard = move |signal: &Signal| !below_nohup || *signal != Signal::HUP;
    SIGNALS
        .into_iter()
        .filter(move |(signal, _)| is_heard(signal))
}

/// Whether whoever has started the tests wants them to go on when the terminal goes.
fn is_below_nohup() -> bool {
    let about = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = about.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.map(|bits| u64::from_str_radix(bits.trim(), 16).unwrap());
    let below_nohup = ignored.is_some_and(|ignored| ignored & 1 == 1);
    if below_nohup {
        eprintln!("SKIPPED: SIGHUP is ignored below nohup");
    }
    below_nohup
}

#[test]
fn what_only_reads_ends_at_once() {
    let Some(store) = HeldStore::start() else {
        return;
    };
    for (signal, code) in signals() {
        store.hold(HELLO);
        let running = Running::start(&store.world, &["list"]);
        store.wait();
        let sent = Instant::now();
        running.signal(signal);
        assert_eq!(running.end(), (code, String::new()));
        assert!(sent.elapsed() < Duration::from_secs(1), "{signal:?}");
        store.release();
    }
}

#[test]
fn a_key_in_the_making_is_handed_over_first_and_given_up_when_asked_again() {
    const GIVEN_UP: &str = "keygate: given up in the middle: whether it was done, keygate list and keygate show tell\n";
    let Some(store) = HeldStore::start() else {
        return;
    };
    let world = &store.world;
    let issue_to = |out: &str| {
        store.hold(CHANGE);
        let running = Running::start(world, &["issue", "--owner", "org_42", "--out", out]);
        store.wait();
        running
    };
    for (n, (signal, code)) in signals().enumerate() {
        // The store comes back in time.
        let out = format!("kept-{n}");
        let mut running = issue_to(&out);
        running.signal(signal);
        assert_eq!(running.remark(), SAID);
        store.release();
        assert_eq!(running.end(), (0, String::new()));
        assert!(keygate::PresentedKey::parse(world.read(&out).trim_end()).is_ok());

        // Whoever asks again does not wait for it.
        let out = format!("given-up-{n}");
        let mut running = issue_to(&out);
        running.signal(signal);
        assert_eq!(running.remark(), SAID);
        running.signal(signal);
        assert_eq!(running.end(), (code, GIVEN_UP.to_owned()));
        assert!(!world.path(&out).exists());
        store.release();
    }

    // Nobody asks, and the store does not come back: it is given up by itself.
    let started = Instant::now();
    let (code, said) = issue_to("key").end();
    assert_eq!(code, 6, "{said}");
    assert!(!said.contains("Nobody has the text"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(15));
    assert!(!world.path("key").exists());
    store.release();
    assert_eq!(keys(world), signals().count());
}

#[test]
fn an_import_ends_between_two_rows_and_goes_on_when_it_is_run_again() {
    let Some(mut store) = HeldStore::start() else {
        return;
    };
    store.world = store.world.with("TERM", "xterm");
    let world = &store.world;
    world.declare("[foreign.old]\nhashing = \"sha256\"\nalphabet = \"hex\"\nlength = [40, 40]\n");
    let rows: String = (1..=3).map(|n| format!("{n:064}\n")).collect();
    world.write("old.csv", &format!("hash\n{rows}"));
    let import = ["import", "old.csv", "--format", "old", "--owner", "org_42"];
    let as_json = import.iter().copied().chain(["--json"]).collect::<Vec<_>>();
    // What a start notes is noted before.
    world.run(import.iter().chain(&["--dry-run"])).done();

    store.hold(CHANGE);
    let mut terminal = Terminal::run(world, import);
    store.wait();
    terminal.expect("importing").expect("0 of 3").interrupt();
    terminal.expect(SAID.trim_end());
    store.release();
    let (code, screen) = terminal.end();
    assert_eq!(code, 130, "{screen}");
    assert!(screen.contains("1 imported, 0 there already"), "{screen}");
    assert!(screen.contains("run it again as it is"), "{screen}");
    assert_eq!(keys(world), 1);

    store.hold(CHANGE);
    let mut running = Running::start(world, &as_json);
    store.wait();
    running.signal(Signal::TERM);
    assert_eq!(running.remark(), SAID);
    store.release();
    let mut told = String::new();
    let mut out = running.child.stdout.take().unwrap();
    out.read_to_string(&mut told).unwrap();
    assert_eq!(running.end(), (130, String::new()));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["known"], &told["interrupted"]),
        (&1.into(), &true.into())
    );

    let told = world.run(as_json).json();
    assert_eq!((&told["imported"], &told["known"]), (&2.into(), &1.into()));
    assert_eq!(keys(world), 3);
}

#[test]
fn of_several_keys_it_is_said_which_were_ended_and_which_were_left() {
    let Some(store) = HeldStore::start() else {
        return;
    };
    let world = &store.world;
    let [first, second] = [(); 2].map(|()| world.issue(["--owner", "org_42"]).1);
    store.hold(CHANGE);
    let mut terminal = Terminal::run(world, ["revoke", &first, &second]);
    terminal.expect("[y/N]").type_line("y");
    store.wait();
    terminal.interrupt().expect(SAID.trim_end());
    store.release();
    let (code, screen) = terminal.end();
    assert_eq!(code, 130, "{screen}");
    assert!(screen.contains(&format!("revoked: {first}\n")), "{screen}");
    let left = format!("left as they were: {second}\n");
    assert!(screen.contains(&left), "{screen}");
    let shown = world.run(["show", &second, "--json"]).json();
    assert_eq!(shown["info"]["status"], "active");
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    if is_below_nohup() {
        return;
    }
    let world = World::new();
    let (mut screen, theirs) = pair();
    let side = || Stdio::from(theirs.try_clone().unwrap());
    // In a session of its own, as behind ssh.
    let mut command = Command::new("setsid");
    command.args(["--ctty", env!("CARGO_BIN_EXE_keygate"), "verify"]);
    command
        .current_dir(world.path(""))
        .stdin(side())
        .stdout(side())
        .stderr(side());
    let Ok(mut child) = command.spawn() else {
        eprintln!("SKIPPED: setsid is not installed");
        return;
    };
    drop((theirs, command));
    let (mut seen, mut piece) = (Vec::new(), [0; 256]);
    while !String::from_utf8_lossy(&seen).contains("it is not shown") {
        let len = screen.read(&mut piece).unwrap();
        seen.extend_from_slice(&piece[..len]);
    }
    drop(screen);
    assert_eq!(child.wait().unwrap().code(), Some(129));
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
    let mut command = Command::new("sh");
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
    // It closes the input, if nobody holds it.
    let input = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    drop(input);
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
    let Some(store) = HeldStore::start() else {
        return;
    };
    let world = &store.world;
    let (_, id) = world.issue(["--owner", "org_42"]);
    let given_up = |arguments: &[&str]| {
        store.hold(COMMIT);
        let running = Running::start(world, arguments);
        store.wait();
        let (code, said) = running.end();
        store.release();
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
    assert_eq!(keys(world), 2);
    let words = advice.split(' ').skip(1);
    world.run(words.chain(["--yes", "--out", "key"])).done();
}
