//! An instance in a process of its own: a test that is ignored otherwise, and asked line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Child {
    process: std::process::Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Child {
    /// Begins `test` in a process of its own, with the database in `variable`, and waits until it has
    /// said that it is ready.
    pub(crate) fn start(test: &str, variable: &str, url: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--ignored", "--nocapture"])
            .env(variable, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = Self {
            asks: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
        };
        child.answer("ready");
        child
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn ask(&mut self, text: &str) {
        writeln!(self.asks, "{text}").unwrap();
    }

    /// The rest of the next line that begins with `word`.
    pub(crate) fn answer(&mut self, word: &str) -> String {
        let mut line = String::new();
        while self.answers.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.trim().strip_prefix(word) {
                return rest.trim().to_owned();
            }
            line.clear();
        }
        panic!("the instance ended");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
