//! The lines that the examples print do what they say, when they are pasted into a shell.

#![cfg(all(feature = "actix-web", feature = "axum", feature = "tonic"))]
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// An example that prints nothing for longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running example.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap();
    let program = program.join("examples").join(name);
    assert!(
        program.exists(),
        "build it first: cargo build --all-features --example {name}"
    );
    Command::new(program)
}

/// Starts an example, and returns what it prints up to its last line.
fn start(name: &str, last: &str) -> (Example, Vec<String>) {
    let child = program(name)
        .env("KEYGATE_BIND", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut example = Example(child.unwrap());
    let stdout = BufReader::new(example.0.stdout.take().unwrap());
    let (lines, printing) = mpsc::channel();
    // It is read to its end: a program that prints into a closed pipe ends.
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    let mut printed = Vec::new();
    while let Ok(line) = printing.recv_timeout(PATIENCE) {
        let is_last = line.contains(last);
        printed.push(line);
        if is_last {
            return (example, printed);
        }
    }
    panic!("{name} ended, or prints something else: {printed:?}");
}

/// Runs the assignments and the `curl` lines in a shell; the status of each answer.
fn paste(printed: &[String]) -> Option<Vec<String>> {
    if Command::new("curl").arg("--version").output().is_err() {
        let required = std::env::var_os("KEYGATE_REQUIRE_SERVERS").is_some();
        assert!(!required, "curl is not installed");
        eprintln!("skipped: curl is not installed");
        return None;
    }
    let mut script = String::new();
    for line in printed.iter().filter_map(|line| line.strip_prefix("  ")) {
        let assigns = line
            .split_once('=')
            .is_some_and(|(name, _)| name.bytes().all(|c| c.is_ascii_uppercase() || c == b'_'));
        if let Some(rest) = line.strip_prefix("curl ") {
            script += &format!("curl -s -o /dev/null -w '%{{http_code}}\\n' {rest}\n");
        } else if assigns {
            script += &format!("{line}\n");
        }
    }
    let output = Command::new("sh").args(["-euc", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}");
    let codes = String::from_utf8(output.stdout).unwrap();
    Some(codes.lines().map(str::to_owned).collect())
}

const LAST: &str = r#"curl -i -H "X-API-Key: $REVOKED""#;

#[test]
fn what_the_example_of_actix_web_prints_works() {
    let (_running, printed) = start("actix", LAST);
    let Some(codes) = paste(&printed) else { return };
    let accepted = ["200", "200", "200", "201", "201"];
    let refused = ["401", "401", "403", "400", "401"];
    assert_eq!(codes, [accepted, refused].concat(), "{printed:#?}");
}

#[test]
fn the_example_of_limits_shows_a_burst_a_wait_and_a_quota() {
    let last = "GET /orders: 200 OK";
    let (_running, printed) = start("limits", "has the quota of exports");
    let of_burst: Vec<&str> = printed.iter().map(String::as_str).collect();
    let passed = of_burst.iter().filter(|line| **line == last).count();
    assert_eq!(passed, 5, "{printed:#?}");
    for beginning in [
        "GET /orders: 429 Too Many Requests",
        "  retry-after: ",
        r#"  ratelimit-policy: "key";q=5;w=60"#,
        r#"  ratelimit: "key";r=4;t="#,
        r#"  ratelimit: "key";r=0;t="#,
    ] {
        let mut lines = of_burst.iter();
        let is_there = lines.any(|line| line.starts_with(beginning));
        assert!(is_there, "{beginning}: {printed:#?}");
    }
}

#[test]
fn the_example_of_addresses_lets_in_whom_it_says_and_nobody_by_a_forged_address() {
    let (_running, printed) = start("addresses", "203.0.113.7, unknown");
    let statuses = printed.iter().filter_map(|line| line.split_once("\": "));
    let statuses: Vec<&str> = statuses.map(|(_, status)| &status[..3]).collect();
    let expected = [["200"; 3].as_slice(), &["403"; 4]].concat();
    assert_eq!(statuses, expected, "{printed:#?}");
}

#[test]
fn what_the_example_of_grpc_prints_for_http_works() {
    let (_running, printed) = start("grpc", LAST);
    let Some(codes) = paste(&printed) else { return };
    assert_eq!(codes, ["200", "401", "401"], "{printed:#?}");
}

#[test]
#[cfg(feature = "sqlite")]
fn the_example_of_import_imports_each_key_once_and_old_texts_open() {
    let folder = tempfile::tempdir().unwrap();
    for expected in [
        "10 imported, 0 were here already",
        "0 imported, 10 were here already",
    ] {
        let output = program("import")
            .current_dir(folder.path())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            printed,
            format!("{expected}\nthe old text opens, for user_1\n"),
            "{said}"
        );
    }
}
