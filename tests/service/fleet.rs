//! The example `fleet`: what it shows, and that it leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::servers::{postgres::PostgresServer, redis::RedisServer};
use crate::support::*;

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn fleet(database: &str) -> (TempDir, Command) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(example("fleet"));
    command
        .arg(database)
        .current_dir(directory.path())
        .env_clear()
        .env("KEYGATE_PEPPER", PEPPER)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    (directory, command)
}

/// Runs it to its end; what it printed, if it says that all was well.
fn shown(database: &str) -> String {
    let output = fleet(database).1.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.ends_with("every instance refused every key within a second\n"));
    assert!(processes(&stdout).iter().all(|process| !runs(*process)));
    stdout
}

/// How many instances are said to have refused a key.
fn refusals(shown: &str) -> usize {
    shown.matches(": first 401 after ").count()
}

fn processes(shown: &str) -> Vec<u32> {
    let numbers = shown
        .lines()
        .filter_map(|line| line.rsplit_once(", process "));
    let numbers: Vec<u32> = numbers.map(|(_, id)| id.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 3, "{shown}");
    numbers
}

fn runs(process: u32) -> bool {
    std::path::Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn on_postgresql_it_shows_a_revocation_by_http_and_one_by_hand_reach_all_instances() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let first = shown(&server.url());
    assert_eq!(refusals(&first), 6, "{first}");
    assert!(first.contains("UPDATE keygate_keys SET revoked_at"));
    assert_eq!(first.matches("key: acme_live_").count(), 1, "{first}");
    let second = shown(&server.url());
    assert!(!second.contains("acme_live_"), "it shows no key: {second}");
}

#[test]
fn on_redis_it_shows_a_revocation_reach_all_instances() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    assert_eq!(refusals(&shown(&server.url())), 3);
}

#[test]
fn on_a_file_it_shows_a_revocation_reach_all_instances() {
    assert_eq!(refusals(&shown("keys.db")), 3);
}

/// It ends with the test, also when that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn its_instances_end_with_it_however_it_ends() {
    for signal in ["INT", "TERM", "KILL"] {
        let (_directory, mut command) = fleet("keys.db");
        let mut running = Running(command.spawn().unwrap());
        let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
        let started: Vec<String> = lines
            .map_while(Result::ok)
            .take_while(|line| !line.contains("a new key"))
            .collect();
        let processes = processes(&started.join("\n"));
        assert!(processes.iter().all(|process| runs(*process)));
        assert!(crate::servers::signal(running.0.id(), signal));
        assert!(!running.0.wait().unwrap().success(), "{signal}");
        let deadline = Instant::now() + PATIENCE;
        while processes.iter().any(|process| runs(*process)) {
            assert!(Instant::now() < deadline, "they run on after {signal}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn what_is_wrong_is_said_by_one_line() {
    let server = "postgres://keys:hunter2@127.0.0.1:1/keys";
    let (_directory, mut command) = fleet(server);
    let without = command.env_remove("KEYGATE_PEPPER").output().unwrap();
    let stderr = String::from_utf8(without.stderr).unwrap();
    assert!(
        stderr.starts_with("error: KEYGATE_PEPPER is not set"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let (_directory, mut command) = fleet("missing/keys.db");
    let failed = command.output().unwrap();
    let stderr = String::from_utf8(failed.stderr).unwrap();
    assert!(!failed.status.success());
    assert!(
        stderr.contains("error: KEYGATE_STORE=missing/keys.db"),
        "{stderr}"
    );
}
