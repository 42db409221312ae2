//! A directory to run `keygate` in, and what a run has left.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use keygate::{PepperRing, SqliteStore};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PREFIX: &str = "acme_live";

/// Ids in snapshots are all this one.
const AN_ID: &str = "4KX9vQ2mB7tZ";

/// A directory of an operator, and what the environment says.
pub(crate) struct World {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

/// What a run has left.
pub(crate) struct Ran {
    command: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    directory: PathBuf,
}

impl World {
    /// Nothing is there yet.
    pub(crate) fn empty() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// A store in a SQLite file, as `init` sets it up.
    pub(crate) fn new() -> Self {
        Self::on("keys.db")
    }

    /// A store at this address, as `init` sets it up.
    pub(crate) fn on(store: &str) -> Self {
        let world = Self::empty();
        world
            .run(["init", "--prefix", PREFIX, "--store", store])
            .done();
        world
    }

    /// The same on a SQLite file, with more in its file of settings.
    pub(crate) fn declaring(more: &str) -> Self {
        let world = Self::new();
        world.declare(more);
        world
    }

    /// Adds to the file of settings.
    pub(crate) fn declare(&self, more: &str) {
        let settings = self.read("keygate.toml");
        self.write("keygate.toml", &format!("{settings}\n{more}"));
    }

    /// From now on this variable is set.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The program, with nothing of this environment but what the world says.
    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keygate"));
        command.args(arguments).current_dir(self.directory.path());
        command.env_clear().env("USER", "ada");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        self.run_with("", arguments)
    }

    /// A run with `input` on its standard input.
    pub(crate) fn run_with<A: AsRef<OsStr>>(
        &self,
        input: impl AsRef<[u8]>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Ran {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Whoever does not read it, closes it.
        let _ = child.stdin.take().unwrap().write_all(input.as_ref());
        let output = child.wait_with_output().unwrap();
        self.ran(&command, output)
    }

    /// A run whose standard output cannot be written.
    pub(crate) fn run_unread<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Ran {
        let mut command = self.command(arguments);
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        self.ran(&command, output)
    }

    fn ran(&self, command: &Command, output: Output) -> Ran {
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        Ran {
            command: format!("keygate {}", arguments.join(" ")),
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            directory: fs::canonicalize(self.directory.path()).unwrap(),
        }
    }

    /// Makes a key, and has its text and its id.
    pub(crate) fn issue<'a>(&self, more: impl IntoIterator<Item = &'a str>) -> (String, String) {
        let arguments = ["issue", "--json"].into_iter().chain(more);
        let issued = self.run(arguments).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&issued["key"]), text(&issued["info"]["key_id"]))
    }

    /// All that is shown of a key but its use.
    pub(crate) fn info(&self, id: &str) -> Value {
        self.run(["show", id, "--json"]).json()["info"].take()
    }

    /// A gate on the SQLite file, as a service has it, to be built.
    pub(crate) async fn gate(&self) -> keygate::Builder {
        keygate::Keygate::builder(PREFIX)
            .peppers(PepperRing::from_file(self.path("pepper")).unwrap())
            .store(SqliteStore::open(self.path("keys.db")).await.unwrap())
    }
}

impl Ran {
    /// It did what it was asked.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.shown());
        self
    }

    /// It failed, with this code, and said so.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.shown());
        assert!(!self.err.is_empty());
        self
    }

    /// It answered, and the answer was no.
    #[track_caller]
    pub(crate) fn failed_answer(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.shown());
        assert!(!self.out.is_empty() && self.err.is_empty());
        self
    }

    /// What it answered with `--json`.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        self.json_with(0)
    }

    /// The same, where it ended with this code all the same.
    #[track_caller]
    pub(crate) fn json_with(self, code: i32) -> Value {
        assert_eq!(self.code, code, "{}", self.shown());
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }

    /// All that was seen of it.
    pub(crate) fn shown(&self) -> String {
        let mut shown = format!("$ {}\n", self.command);
        let _ = write!(shown, "{}", self.out);
        if !self.err.is_empty() {
            let _ = write!(shown, "--- stderr\n{}", self.err);
        }
        if self.code != 0 {
            let _ = writeln!(shown, "--- exit {}", self.code);
        }
        shown.replace(self.directory.to_str().unwrap(), "[directory]")
    }

    /// The same, with one id and one text for those of any run.
    pub(crate) fn shown_of<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> String {
        let mut shown = self.shown();
        for id in ids {
            shown = shown.replace(id, AN_ID);
            shown = shown.replace(&format!("acme_live_{}…", &id[..4]), "acme_live_4KX9…");
        }
        shown
    }
}

/// Holds what was seen to a snapshot, whenever that is run.
macro_rules! snapshot {
    ($name:expr, $shown:expr) => {{
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        for (pattern, instead) in $crate::support::FILTERS {
            settings.add_filter(pattern, instead);
        }
        settings.bind(|| insta::assert_snapshot!($name, $shown));
    }};
}
pub(crate) use snapshot;

/// What differs from run to run, as long as it is, so that tables stay aligned.
pub(crate) const FILTERS: [(&str, &str); 7] = [
    (
        r"\b[a-z][a-z0-9_]*_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b",
        "[key text]",
    ),
    (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
        "2026-01-02T03:04:05.678Z",
    ),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "2026-01-02 03:04 UTC"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-01-02 03:04:05"),
    (r"\b20\d\d-\d\d-\d\d\b", "2026-01-02"),
    (r"\b\d s ago", "0 s ago"),
    (r"(SQLite|pepper) [0-9A-Za-z+/]{43}=", "$1 [base64]"),
];
