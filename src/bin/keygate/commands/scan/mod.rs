//! Looking for keys where none should be.

mod identity;
mod reading;
mod window;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Progress, counted, plain, print};
use identity::{Identifier, Identity};
use reading::{Reading, STDIN, Seen};
use window::Located;

/// So many findings wait to be shown.
const WAITING: usize = 256;

#[derive(Args)]
#[command(after_help = NOTES)]
pub(crate) struct Scan {
    /// Files, and directories with all that is in them; - or none: standard input.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Another prefix to look for; can be repeated.
    #[arg(long, value_name = "PREFIX")]
    also: Vec<String>,
    /// Say of each whether it is a key of the store with its right secret, and whose.
    #[arg(long)]
    identify: bool,
    /// Show so many at most; the others are counted.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,
}

const NOTES: &str = "\
All that was ever in a repository: git log -p --all | keygate scan --identify

Keys that were imported have a form of their own, and are not found until they are rotated. Links within a \
directory are not followed.";

#[derive(Serialize)]
struct Finding {
    file: String,
    line: Option<u64>,
    offset: usize,
    hint: String,
    /// `null`: nobody has asked for it.
    identity: Option<Identity>,
}

#[derive(Serialize)]
struct Unreadable {
    file: String,
    problem: String,
}

/// What has come of it. With `--json` it is kept until all is scanned, and else shown as it comes.
#[derive(Default, Serialize)]
struct Scanned {
    findings: Vec<Finding>,
    /// Also of those that were not shown.
    found: usize,
    /// The files that were read to their end.
    files: usize,
    unreadable: Vec<Unreadable>,
    unreadable_files: usize,
}

impl Scan {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let mut scanner = context.config.scanner()?;
        for prefix in &self.also {
            let wider = scanner.also(prefix);
            scanner = wider.map_err(|error| Failure::usage(error.to_string()))?;
        }
        let mut identifier = match self.identify {
            true => Some(Identifier::new(context.config.manager().await?)),
            false => None,
        };
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let reading = Reading::new(scanner, self.identify, sender);
        let paths = self.paths(context.output);
        let reading = spawn_blocking(move || reading.run(&paths));
        let mut shown = Shown::new(context.output, self.limit);
        while let Some(seen) = receiver.recv().await {
            shown.take(seen, &mut identifier).await?;
        }
        reading.await.map_err(|error| {
            Failure::new(Exit::Failed, "the scan has broken off").because(error)
        })?;
        shown.end()
    }

    fn paths(&self, output: Output) -> Vec<PathBuf> {
        let paths = match self.paths.is_empty() {
            true => vec![STDIN.into()],
            false => self.paths.clone(),
        };
        if paths.iter().any(|path| path.as_os_str() == STDIN) && io::stdin().is_terminal() {
            output.tell("reading what is typed, up to Ctrl-D");
        }
        paths
    }
}

struct Shown {
    output: Output,
    progress: Progress,
    limit: usize,
    scanned: Scanned,
}

impl Shown {
    fn new(output: Output, limit: usize) -> Self {
        Self {
            output,
            progress: Progress::spinner(output, "MiB scanned"),
            limit,
            scanned: Scanned::default(),
        }
    }

    async fn take(
        &mut self,
        seen: Seen,
        identifier: &mut Option<Identifier>,
    ) -> Result<(), Failure> {
        match seen {
            Seen::Key { file, key } => self.key(file, key, identifier).await,
            Seen::Unreadable { file, problem } => {
                self.unreadable(Unreadable { file, problem });
                Ok(())
            }
            Seen::File => {
                self.scanned.files += 1;
                Ok(())
            }
            Seen::Mib(mib) => {
                self.progress.step(mib);
                Ok(())
            }
        }
    }

    async fn key(
        &mut self,
        file: String,
        mut key: Located,
        identifier: &mut Option<Identifier>,
    ) -> Result<(), Failure> {
        self.scanned.found += 1;
        if self.scanned.found > self.limit {
            return Ok(());
        }
        let identity = match identifier {
            Some(identifier) => Some(identifier.identify(&mut key).await?),
            None => None,
        };
        let finding = Finding {
            file,
            line: key.line,
            offset: key.offset,
            hint: key.hint,
            identity,
        };
        match self.output.is_json() {
            true => self.scanned.findings.push(finding),
            false => self.progress.aside(|| print(&finding.row()))?,
        }
        Ok(())
    }

    fn unreadable(&mut self, file: Unreadable) {
        self.scanned.unreadable_files += 1;
        if !self.output.is_json() {
            let Unreadable { file, problem } = file;
            let told = format_args!("{file} cannot be read: {problem}");
            self.progress.aside(|| self.output.tell(told));
        } else if self.scanned.unreadable_files <= self.limit {
            self.scanned.unreadable.push(file);
        }
    }

    fn end(self) -> Result<Exit, Failure> {
        let Self {
            output,
            progress,
            limit,
            scanned,
        } = self;
        drop(progress);
        output.answer(&scanned, String::new)?;
        let (found, files) = (scanned.found, counted(scanned.files, "file"));
        output.tell(match found {
            0 => format!("no keys in {files}"),
            _ => format!("{} in {files}", counted(found, "key")),
        });
        if let more @ 1.. = found.saturating_sub(limit) {
            output.tell(format_args!(
                "not shown: {}, raise --limit",
                counted(more, "key")
            ));
        }
        Ok(match (found, scanned.unreadable_files) {
            (1.., _) => Exit::Refused,
            (0, 1..) => Exit::Failed,
            (0, 0) => Exit::Done,
        })
    }
}

impl Finding {
    fn row(&self) -> String {
        let place = match self.line {
            Some(line) => line.to_string(),
            None => format!("byte {}", self.offset),
        };
        let identity = self.identity.as_ref();
        let identity = identity.map_or_else(String::new, |identity| format!(": {identity}"));
        format!("{}:{place}: {}{identity}\n", plain(&self.file), self.hint)
    }
}
