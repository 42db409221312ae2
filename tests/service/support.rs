//! A running service, and requests to it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PEPPER: &str = "cGVwcGVyIG9mIHRlc3RzLCBuZXZlciBvZiBhbnkgdXNlISE=";

/// An example beside this test, which `cargo test` has built.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().unwrap().parent().unwrap();
    let program = built.join("examples").join(name);
    assert!(
        program.exists(),
        "build it first: cargo build --all-features --example {name}"
    );
    program
}

pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new(example("service"));
    command
        .current_dir(directory)
        .env_clear()
        .env("KEYGATE_BIND", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running service.
pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) base: String,
    /// What it printed before it listened.
    pub(crate) printed: Vec<String>,
}

impl Service {
    pub(crate) fn start(directory: &Path) -> Self {
        Self::spawn(command(directory).env("KEYGATE_PEPPER", PEPPER))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut printed = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let base = loop {
            let Some(line) = lines.next() else {
                let mut error = String::new();
                child
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut error)
                    .unwrap();
                panic!("the service did not start: {error}");
            };
            let line = line.unwrap();
            if let Some(base) = line.strip_prefix("listening on ") {
                break base.to_owned();
            }
            printed.push(line);
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            base,
            printed,
        }
    }

    pub(crate) fn bootstrap_keys(&self) -> Vec<String> {
        let keys = self
            .printed
            .iter()
            .filter_map(|line| line.strip_prefix("key: "));
        keys.map(str::to_owned).collect()
    }

    pub(crate) fn call(&self, method: &str, path: &str, key: &str, body: Option<Value>) -> Answer {
        request(&self.base, method, path, key, body).unwrap()
    }

    pub(crate) fn get(&self, path: &str, key: &str) -> Answer {
        self.call("GET", path, key, None)
    }

    pub(crate) fn issue(&self, by: &str, body: Value) -> (String, String) {
        let answer = self.call("POST", "/v1/keys", by, Some(body));
        assert_eq!(answer.status, 201, "{}", answer.body);
        (answer.text("key_id"), answer.text("key"))
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for the process to end by itself.
    pub(crate) fn stop(mut self, signal: &str) -> Output {
        self.signal(signal);
        let status = self.child.wait().unwrap();
        let mut stderr = Vec::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_end(&mut stderr)
            .unwrap();
        Output {
            status,
            stdout: Vec::new(),
            stderr,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field]
            .as_str()
            .unwrap_or_else(|| panic!("{field} in {}", self.body))
            .to_owned()
    }

    pub(crate) fn expect(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.body
        );
    }
}

/// A client that keeps its connection.
pub(crate) struct Client<'a> {
    agent: ureq::Agent,
    base: &'a str,
}

impl<'a> Client<'a> {
    pub(crate) fn of(service: &'a Service) -> Self {
        Self::of_base(&service.base)
    }

    fn of_base(base: &'a str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        let agent = agent.into();
        Self { agent, base }
    }

    pub(crate) fn get(&self, path: &str, key: &str) -> Result<Answer, ureq::Error> {
        self.send("GET", path, key, None)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: Option<Value>,
    ) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let body = body.map(|body| match body {
            Value::String(raw) => raw,
            json => json.to_string(),
        });
        let request = request.body(body.unwrap_or_default()).unwrap();
        let mut response = self.agent.run(request)?;
        let text = response.body_mut().read_to_string()?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }
}

pub(crate) fn request(
    base: &str,
    method: &str,
    path: &str,
    key: &str,
    body: Option<Value>,
) -> Result<Answer, ureq::Error> {
    Client::of_base(base).send(method, path, key, body)
}

pub(crate) fn started() -> (TempDir, Service, String) {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(directory.path());
    let [key] = &service.bootstrap_keys()[..] else {
        panic!("{:?}", service.printed)
    };
    let key = key.clone();
    (directory, service, key)
}
