//! An instance that is frozen, as by a debugger or a container that is paused: what it held in
//! memory is old when it wakes up, and it must know.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use keygate::{ChangeFeedStatus, Keygate, NewKey, Refusal, Rejection};

use crate::common::*;
use crate::place::{self, Place};
use crate::servers::signal;

const CHILD: &str = "KEYGATE_INSTANCES_TEST_CHILD";

/// Answers what becomes of each key text that it reads, a line each.
#[tokio::test]
#[ignore = "a process of the next test"]
async fn child_that_answers() {
    let url = std::env::var(CHILD).unwrap();
    let keys = place::instance(&url, |builder| builder).await;
    while !matches!(keys.change_feed(), ChangeFeedStatus::Live) {
        tokio::time::sleep(millis(10)).await;
    }
    println!("\nready");
    for line in std::io::stdin().lines() {
        let decision = decided(&keys, &line.unwrap()).await;
        println!("\ndecided {decision}");
        // The feed's turn.
        tokio::time::sleep(millis(1)).await;
    }
}

async fn decided(keys: &Keygate, text: &str) -> &'static str {
    match present(keys, text).await {
        Ok(_) => "opens",
        Err(Refusal::Rejected(Rejection::KeyRevoked)) => "revoked",
        Err(Refusal::Rejected(_)) => "rejected",
        Err(Refusal::Failed(_)) => "failed",
    }
}

struct Instance {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Instance {
    fn start(url: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "frozen::child_that_answers",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(CHILD, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let asks = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut instance = Self {
            process,
            asks,
            answers,
        };
        instance.answer("ready");
        instance
    }

    fn ask(&mut self, text: &str) {
        writeln!(self.asks, "{text}").unwrap();
    }

    /// The rest of the next line that begins with `word`.
    fn answer(&mut self, word: &str) -> String {
        let mut line = String::new();
        while self.answers.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.trim().strip_prefix(word) {
                return rest.trim().to_owned();
            }
            line.clear();
        }
        panic!("the instance ended");
    }

    fn decision(&mut self, text: &str) -> String {
        self.ask(text);
        self.answer("decided")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn an_instance_that_was_frozen_refuses_what_was_revoked_meanwhile() {
    for place in Place::all() {
        let elsewhere = place.instance().await;
        let new = NewKey::for_owner("a");
        let issued = elsewhere.manager().issue(new).await.unwrap();
        let text = issued.key.expose();
        let mut instance = Instance::start(&place.url());
        assert_eq!(instance.decision(text), "opens");
        let process = instance.process.id();
        assert!(signal(process, "STOP"));
        let id = issued.info.key_id;
        let revoked = elsewhere.manager().revoke(&id, "").await.unwrap();
        tokio::time::sleep(revoked.effective_within).await;
        // It decides as soon as it wakes up, before it hears what it missed.
        instance.ask(text);
        assert!(signal(process, "CONT"));
        assert_eq!(instance.answer("decided"), "revoked");
    }
}
