//! Where nobody reads what is written, or nothing can be written.

use std::fs::File;
use std::io::{Read as _, pipe};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::servers::redis::RedisServer;
use crate::support::World;

/// More than a pipe holds.
const MANY: usize = 3_000;

fn shell(world: &World, script: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(world.path(""));
    command
        .env_clear()
        .env("USER", "ada")
        .env("PATH", "/usr/bin:/bin");
    command.env("KEYGATE", env!("CARGO_BIN_EXE_keygate"));
    command.output().unwrap()
}

fn shown(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn fill(world: &World) {
    world.issue(["--owner", "org_42"]);
    let mut hand = rusqlite::Connection::open(world.path("keys.db")).unwrap();
    let hand = hand.transaction().unwrap();
    hand.execute_batch("CREATE TEMP TABLE row AS SELECT * FROM keygate_keys")
        .unwrap();
    for n in 0..MANY {
        let id = format!("{n:012}");
        hand.execute("UPDATE row SET id = ?1", [id]).unwrap();
        hand.execute_batch("INSERT INTO keygate_keys SELECT * FROM row")
            .unwrap();
    }
    hand.execute_batch("DROP TABLE row").unwrap();
    hand.commit().unwrap();
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let world = World::new();
    fill(&world);
    for command in ["list --limit 5000", "list --limit 5000 --json"] {
        let ran = shell(
            &world,
            &format!("{{ \"$KEYGATE\" {command}; echo $? >code; }} | head -n 1"),
        );
        assert_eq!(shown(&ran.stdout).lines().count(), 1, "{command}");
        assert_eq!(shown(&ran.stderr), "", "{command}");
        assert_eq!(world.read("code"), "141\n", "{command}");
    }
}

#[test]
fn a_signal_ends_it_while_it_waits_for_a_reader_that_reads_no_more() {
    let world = World::new();
    fill(&world);
    let (mut reader, writer) = pipe().unwrap();
    let mut child = {
        let mut list = world.command(["list", "--limit", "5000"]);
        list.stdout(writer).spawn().unwrap()
    };
    reader.read_exact(&mut [0]).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
        }
        sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(reader);
}

#[test]
fn help_that_nobody_reads_ends_it_quietly() {
    let world = World::empty();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut help = world.command(["--help"]);
    let ran = help.stdout(writer).output().unwrap();
    assert_eq!((ran.status.code(), shown(&ran.stderr)), (Some(141), ""));
}

#[test]
fn standard_error_may_be_closed_or_full() {
    let world = World::new();
    for errors in ["2>&-", "2>/dev/full"] {
        for (command, code) in [
            ("list --owner nobody", 0),
            ("list --store kyes.db", 6),
            ("lsit", 2),
        ] {
            let ran = shell(&world, &format!("\"$KEYGATE\" {command} {errors}"));
            assert_eq!(ran.status.code(), Some(code), "{command} {errors}");
            assert_eq!(shown(&ran.stdout), "", "{command} {errors}");
        }
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let world = World::new();
    world.issue(["--owner", "org_42"]);
    for command in ["list", "list --json", "--help"] {
        let ran = shell(&world, &format!("\"$KEYGATE\" {command} >/dev/full"));
        assert_eq!(ran.status.code(), Some(1), "{command}");
        assert!(
            shown(&ran.stderr).contains("standard output cannot be written"),
            "{command}: {}",
            shown(&ran.stderr)
        );
    }
}

#[test]
fn standard_input_may_be_closed() {
    let world = World::new();
    let (_, id) = world.issue(["--owner", "org_42"]);
    let ran = shell(&world, "\"$KEYGATE\" list <&-");
    assert_eq!(ran.status.code(), Some(0), "{}", shown(&ran.stderr));
    let ran = shell(&world, &format!("\"$KEYGATE\" revoke {id} <&-"));
    assert_eq!(ran.status.code(), Some(8), "{}", shown(&ran.stderr));
    let ran = shell(&world, "\"$KEYGATE\" verify <&-");
    assert_eq!(ran.status.code(), Some(2), "{}", shown(&ran.stderr));
}

#[test]
fn a_text_for_nobody_is_said_to_be_lost_or_not_made_at_all() {
    let world = World::new();
    // Whether somebody reads a pipe shows only when it is written.
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut issue = world.command(["issue", "--owner", "org_42"]);
    let ran = issue.stdout(writer).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        shown(&ran.stderr).contains("its text is lost"),
        "{}",
        shown(&ran.stderr)
    );

    for nowhere in [">&-", ">/dev/null"] {
        let ran = shell(
            &world,
            &format!("\"$KEYGATE\" issue --owner org_43 {nowhere}"),
        );
        assert_eq!(ran.status.code(), Some(2), "{nowhere}");
        assert!(
            shown(&ran.stderr).contains("--out"),
            "{}",
            shown(&ran.stderr)
        );
    }
    let ran = shell(&world, "\"$KEYGATE\" issue --owner org_44 --out key >&-");
    assert_eq!(ran.status.code(), Some(0), "{}", shown(&ran.stderr));
    let listed = world.run(["list", "--json"]).json();
    let owners = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["owner"]);
    let mut owners: Vec<_> = owners.collect();
    owners.sort_by_key(|owner| owner.to_string());
    assert_eq!(owners, ["org_42", "org_44"]);
}

#[test]
fn a_text_that_finds_no_room_is_said_to_be_lost_and_leaves_no_file() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let world = World::on(&server.url());
    // No file may grow, as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 0; exec \"$KEYGATE\" issue --owner org_42 --out key";
    let ran = shell(&world, limited);
    assert_eq!(ran.status.code(), Some(1), "{}", shown(&ran.stderr));
    assert!(
        shown(&ran.stderr).contains("its text is lost"),
        "{}",
        shown(&ran.stderr)
    );
    assert!(!world.path("key").exists());
    let listed = world.run(["list", "--json"]).json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_full_device_loses_a_text_and_says_so_beside_json_too() {
    let world = World::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut issue = world.command(["issue", "--owner", "org_42", "--json"]);
    let ran = issue.stdout(Stdio::from(full)).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        shown(&ran.stderr).contains("its text is lost"),
        "{}",
        shown(&ran.stderr)
    );
}
