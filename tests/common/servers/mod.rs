//! Throwaway servers for tests: each in a directory of its own, on a free port of the loopback
//! interface, started from the programs that are installed, and ended with the test. They can be
//! killed, frozen, thawed and started again.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses its own part of it"
)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that fails fails its test"
)]

#[cfg(feature = "postgres")]
pub mod postgres;
pub mod proxy;
#[cfg(feature = "redis")]
pub mod redis;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Set to 1 where a test that finds no server to start is to fail.
const REQUIRED: &str = "KEYGATE_REQUIRE_SERVERS";

/// Where a program lies: on the path, or in one of the directories that `elsewhere` lists. Without
/// it, says what is skipped.
pub fn program(name: &str, elsewhere: &[&Path]) -> Option<PathBuf> {
    let found = find(name, elsewhere);
    let is_required = std::env::var_os(REQUIRED).is_some_and(|required| required == "1");
    assert!(
        found.is_some() || !is_required,
        "{name} is not installed, and {REQUIRED}=1 asks for it"
    );
    found
}

/// As [`program`], for one that few systems have: nobody asks for it.
pub fn rare_program(name: &str) -> Option<PathBuf> {
    find(name, &[])
}

fn find(name: &str, elsewhere: &[&Path]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(elsewhere.iter().map(|directory| directory.to_path_buf()))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {name} is not installed");
    }
    found
}

/// A port of the loopback interface that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A new directory, in memory where that has room for servers, so that an fsync costs no more than the
/// rest: a slow disk would make a server late for what has nothing to do with it. What is in memory
/// outlives a server that is killed as what is on a disk does.
pub fn directory_in_memory() -> TempDir {
    const MEMORY: &str = "/dev/shm";
    // Enough for some servers at once. Containers often have less.
    const KILOBYTES: u64 = 4 << 20;
    let has_room = kilobytes_left(MEMORY).is_some_and(|left| left >= KILOBYTES);
    let in_memory = has_room.then(|| tempfile::tempdir_in(MEMORY).ok());
    in_memory.flatten().unwrap_or_else(directory_on_disk)
}

/// A new directory for what is to cost as much as it does in truth.
pub fn directory_on_disk() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn kilobytes_left(directory: &str) -> Option<u64> {
    let output = Command::new("df").args(["-Pk", directory]).output().ok()?;
    let table = String::from_utf8(output.stdout).ok()?;
    let row = table.lines().nth(1)?;
    row.split_whitespace().nth(3)?.parse().ok()
}

/// Sends a signal such as `STOP`, `CONT` or `KILL`; whether somebody was there to take it.
pub fn signal(pid: u32, signal: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{signal}"), &pid.to_string()]);
    kill.stderr(std::process::Stdio::null())
        .status()
        .unwrap()
        .success()
}
