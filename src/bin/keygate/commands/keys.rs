//! The keys that a command is about: all are found first, named where something is asked, and gone through
//! one by one.

use keygate::{KeyActivity, KeyId, KeyInfo, KeyManager, ManageError};
use serde::Serialize;

use super::Context;
use super::traits::parse_id;
use super::usage::last_use;
use crate::failure::{Exit, Failure, in_a_line};
use crate::output::plain;

/// What became of several keys.
#[derive(Serialize)]
pub(crate) struct Outcome<T> {
    pub(crate) keys: Vec<T>,
    failed: Vec<Failed>,
    /// Keys whose turn did not come, because the program was to end.
    left: Vec<KeyId>,
}

/// A key with which it was not done.
#[derive(Serialize)]
pub(crate) struct Failed {
    key_id: String,
    problem: String,
    #[serde(skip)]
    exit: Exit,
}

/// The keys with these ids, and how they are used. One that is not there stops a command before it has
/// begun with the others.
pub(crate) async fn find(
    manager: &KeyManager,
    ids: &[String],
) -> Result<Vec<KeyActivity>, Failure> {
    let mut named: Vec<KeyId> = Vec::new();
    for id in ids {
        let id = parse_id(id)?;
        if !named.contains(&id) {
            named.push(id);
        }
    }
    let mut keys = Vec::new();
    for id in &named {
        keys.push(manager.activity(id).await?);
    }
    Ok(keys)
}

/// A key as somebody knows it, without what a terminal would act on: `4KX9vQ2mB7tZ "CI" of org_42`.
pub(crate) fn named(key: &KeyInfo) -> String {
    let KeyInfo {
        key_id,
        name,
        owner,
        ..
    } = key;
    let name = match name.is_empty() {
        true => String::new(),
        false => format!("\"{}\" ", plain(name)),
    };
    format!("{key_id} {name}of {}", plain(owner))
}

/// The same, and how it is used: `4KX9vQ2mB7tZ "CI" of org_42, last used 3 d ago`.
pub(crate) fn described(key: &KeyActivity) -> String {
    format!("{}, {}", named(&key.info), last_use(key))
}

/// What is asked about keys: `Disable: 4KX9vQ2mB7tZ of org_42, never used?`, or the same of several.
pub(crate) fn question(act: &str, keys: &[KeyActivity]) -> String {
    if let [key] = keys {
        return format!("{act}: {}?", described(key));
    }
    let lines = keys.iter().map(|key| format!("  {}\n", described(key)));
    let lines: String = lines.collect();
    format!("keys:\n{lines}{act}: these {} keys?", keys.len())
}

/// Does it with each of the keys, whatever became of those before; a signal ends it between two.
pub(crate) async fn one_by_one<T>(
    context: &Context<'_>,
    keys: Vec<KeyActivity>,
    mut act: impl AsyncFnMut(KeyInfo) -> Result<T, ManageError>,
) -> Outcome<T> {
    let mut outcome = Outcome {
        keys: Vec::new(),
        failed: Vec::new(),
        left: Vec::new(),
    };
    for key in keys {
        let id = key.info.key_id;
        if context.interrupts.is_pending() {
            outcome.left.push(id);
            continue;
        }
        match act(key.info).await {
            Ok(done) => outcome.keys.push(done),
            Err(error) => outcome.failed.push(Failed::new(id.to_string(), error)),
        }
    }
    outcome
}

impl<T> Outcome<T> {
    /// How the command ends; `done` names what was to be done, such as `revoked`.
    pub(crate) fn exit(&self, done: &str, id: impl Fn(&T) -> KeyId) -> Result<Exit, Failure> {
        if self.failed.is_empty() && self.left.is_empty() {
            return Ok(Exit::Done);
        }
        if let ([failed], [], []) = (&*self.failed, &*self.keys, &*self.left) {
            return Err(failed.alone());
        }
        let listed = |ids: Vec<String>| match ids.is_empty() {
            true => "none".to_owned(),
            false => ids.join(" "),
        };
        let ids = self.keys.iter().map(|key| id(key).to_string()).collect();
        let failure = not_all(&self.failed, done).line(format!("{done}: {}", listed(ids)));
        let left: Vec<String> = self.left.iter().map(KeyId::to_string).collect();
        Err(match left.is_empty() {
            true => failure,
            false => failure.line(format!("left as they were: {}", listed(left))),
        })
    }
}

/// Says with which keys it was not done, and why. Where it failed with none, it was interrupted.
pub(crate) fn not_all(failed: &[Failed], done: &str) -> Failure {
    let first = failed.first();
    let exit = first.map_or(Exit::Interrupted, |failed| failed.exit);
    let failure = Failure::new(exit, format!("not all keys are {done}"));
    failed.iter().fold(failure, |failure, failed| {
        failure.line(format!("{}: {}", failed.key_id, failed.problem))
    })
}

impl Failed {
    pub(crate) fn new(key_id: String, error: ManageError) -> Self {
        let failure = Failure::from(error);
        Self {
            key_id,
            problem: in_a_line(&failure),
            exit: failure.exit(),
        }
    }

    fn alone(&self) -> Failure {
        Failure::new(self.exit, format!("{}: {}", self.key_id, self.problem))
    }
}
