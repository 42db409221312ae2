//! The scripts that make every change and read what takes more than one command.

use std::sync::LazyLock;

use ::redis::Cmd;

pub(super) static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/keep_events.lua"),
        include_str!("scripts/write.lua")
    ))
});
pub(super) static RECORD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/keep_events.lua"),
        include_str!("scripts/record.lua")
    ))
});
pub(super) static FORGET_EVENTS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/forget_events.lua")));
pub(super) static ADD_TIMES: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/add_times.lua")));
pub(super) static LIST: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/list.lua")));
pub(super) static EVENTS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/events.lua")));
pub(super) static LIMIT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/limit.lua")));
pub(super) static SET: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/set.lua")));
pub(super) static ADD_USAGE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/add_usage.lua")));
pub(super) static USAGE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/usage.lua")));
pub(super) static USAGE_DAYS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/usage_days.lua")));
pub(super) static USAGE_OWNERS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/usage_owners.lua")));
pub(super) static FORGET_USAGE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/forget_usage.lua")));
pub(super) static BEAT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/beat.lua")));

#[derive(Debug)]
pub(super) struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: ::redis::Script::new(source).get_hash().into(),
        }
    }

    pub(super) fn call(&'static self, keys: &[String]) -> Call {
        Call {
            script: self,
            keys: keys.to_vec(),
            arguments: Vec::new(),
        }
    }
}

/// A script with what it is given. It has no `Debug`: there are MACs among the arguments.
pub(super) struct Call {
    script: &'static Script,
    keys: Vec<String>,
    arguments: Vec<Vec<u8>>,
}

impl Call {
    pub(super) fn with(mut self, argument: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// By its hash, which a server knows that has run it since its start.
    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// By its source, for a server that does not know it yet.
    pub(super) fn by_source(&self) -> Cmd {
        self.command("EVAL", self.script.source)
    }

    fn command(&self, verb: &str, script: &str) -> Cmd {
        let mut command = ::redis::cmd(verb);
        command.arg(script).arg(self.keys.len());
        for key in &self.keys {
            command.arg(key);
        }
        for argument in &self.arguments {
            command.arg(argument);
        }
        command
    }
}
