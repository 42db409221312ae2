//! One instance of the service: this program once more, as a process of its own.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::service::{self, Failure, say};

/// Makes this program an instance.
pub(crate) const ARGUMENT: &str = "--instance";

/// Serves until whoever started it is gone, which closes the pipe to it.
pub(crate) fn serve() -> ExitCode {
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    service::main()
}

/// An instance that runs. It ends with this value.
pub(crate) struct Instance {
    pub(crate) number: usize,
    process: Child,
    url: String,
    agent: ureq::Agent,
}

impl Instance {
    /// Starts it, and returns when it listens.
    pub(crate) fn start(number: usize, database: &str) -> Result<Self, Failure> {
        let process = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .env("KEYGATE_BIND", "127.0.0.1:0")
            .env("KEYGATE_STORE", database)
            .env_remove("KEYGATE_URL")
            .env("RUST_LOG", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)))
            .build();
        let mut instance = Self {
            number,
            process,
            url: String::new(),
            agent: agent.into(),
        };
        instance.wait_until_it_listens()?;
        let (url, process) = (&instance.url, instance.process.id());
        say(&format!("  {number}: {url}, process {process}"))?;
        Ok(instance)
    }

    fn wait_until_it_listens(&mut self) -> Result<(), Failure> {
        let stdout = self.process.stdout.take();
        let mut lines = BufReader::new(stdout.ok_or("no pipe")?).lines();
        for line in &mut lines {
            let line = line?;
            if let Some(url) = line.strip_prefix("listening on ") {
                self.url = url.to_owned();
                // It says more, and has to be listened to.
                std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
                return Ok(());
            }
            say(&format!("  the first key of this database: {line}"))?;
        }
        Err("an instance did not start: it says above why".into())
    }

    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: &str,
    ) -> Result<Answer, ureq::Error> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {key}"))
            .body(body.to_owned())?;
        let mut response = self.agent.run(request)?;
        Ok(Answer {
            status: response.status().as_u16(),
            body: response.body_mut().read_to_string()?,
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    body: String,
}

impl Answer {
    /// Its body, if it has this status.
    pub(crate) fn expect(self, status: u16) -> Result<Value, Failure> {
        if self.status != status {
            return Err(format!("{} instead of {status}: {}", self.status, self.body).into());
        }
        Ok(serde_json::from_str(&self.body)?)
    }
}
