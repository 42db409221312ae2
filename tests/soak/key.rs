//! One key as it was acknowledged: since when each of its secrets is good or bad, as far as that
//! can be known from outside.

use std::time::{Duration, Instant};

use keygate::KeyId;
use serde::{Deserialize, Serialize};

/// What is certain of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// It opens.
    Valid,
    /// A change is under way, or was cut off.
    Open,
    /// It does not open.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Disable,
    Enable,
    Revoke,
    Rotate { overlap: Duration },
}

/// The end of an overlap is told by the wall clock, in milliseconds.
const TOLERANCE: Duration = Duration::from_millis(50);

pub(crate) struct Secret {
    pub(crate) text: String,
    /// In the order of time. The last may lie in the future: the end of an overlap.
    pub(crate) phases: Vec<(Instant, Phase)>,
    /// As they were before the change that is under way.
    before: Vec<(Instant, Phase)>,
}

pub(crate) struct Key {
    pub(crate) id: KeyId,
    /// The oldest first.
    pub(crate) secrets: Vec<Secret>,
    /// The version of the last change that was acknowledged.
    pub(crate) version: u64,
    pub(crate) revoked: bool,
    pub(crate) disabled: bool,
    /// A change was cut off, so that it may still happen.
    pub(crate) in_doubt: bool,
    /// Somebody is changing it.
    pub(crate) taken: bool,
    /// How often it was, or may have been, changed past the manager.
    pub(crate) by_hand: u64,
    /// Until then an older secret is in its overlap.
    pub(crate) rotating_until: Instant,
    pub(crate) history: Vec<(Instant, String)>,
}

impl Secret {
    pub(crate) fn new(text: String, since: Instant, phase: Phase) -> Self {
        Self {
            text,
            phases: vec![(since, phase)],
            before: Vec::new(),
        }
    }

    /// The phase at `at` and since when it was so.
    pub(crate) fn phase(&self, at: Instant) -> (Instant, Phase) {
        let past = self.phases.iter().rev().find(|(since, _)| *since <= at);
        *past.unwrap_or(&(self.phases[0].0, Phase::Open))
    }

    /// The phase that held from before `begun` until `ended`, and since when.
    pub(crate) fn phase_during(&self, begun: Instant, ended: Instant) -> (Instant, Phase) {
        let phase = self.phase(begun);
        match self.phase(ended) == phase {
            true => phase,
            false => (begun, Phase::Open),
        }
    }

    /// What was to come does not come any more.
    fn becomes(&mut self, phase: Phase, at: Instant) {
        self.phases.retain(|(since, _)| *since <= at);
        if self.phase(at).1 != phase {
            self.phases.push((at, phase));
        }
    }

    fn is_refused(&self, at: Instant) -> bool {
        self.phase(at).1 == Phase::Refused
    }

    /// The change that began at `begun` did not happen, as is known at `now`.
    fn restore(&mut self, begun: Instant, now: Instant) {
        let before = std::mem::take(&mut self.before);
        let undone = Self {
            text: String::new(),
            phases: before,
            before: Vec::new(),
        };
        if self.phases == undone.phases {
            return;
        }
        let (past, coming): (Vec<_>, Vec<_>) =
            undone.phases.iter().partition(|(since, _)| *since <= begun);
        self.phases = past;
        self.phases.push((begun, Phase::Open));
        self.phases.push((now, undone.phase(now).1));
        self.phases
            .extend(coming.into_iter().filter(|(since, _)| *since > now));
    }
}

impl Key {
    pub(crate) fn new(id: KeyId, secrets: Vec<Secret>, version: u64, now: Instant) -> Self {
        Self {
            id,
            secrets,
            version,
            revoked: false,
            disabled: false,
            in_doubt: false,
            taken: false,
            by_hand: 0,
            rotating_until: now,
            history: Vec::new(),
        }
    }

    /// From now on the outcome of `change` is open.
    pub(crate) fn begin(&mut self, change: Change, now: Instant) {
        for secret in &mut self.secrets {
            secret.before.clone_from(&secret.phases);
        }
        let newest = self.secrets.len() - 1;
        match change {
            Change::Disable | Change::Revoke => {
                for secret in self.secrets.iter_mut().filter(|one| !one.is_refused(now)) {
                    secret.becomes(Phase::Open, now);
                }
            }
            Change::Enable => self.secrets[newest].becomes(Phase::Open, now),
            Change::Rotate { overlap } => {
                let end = now + overlap.saturating_sub(TOLERANCE);
                self.secrets[newest].phases.push((end, Phase::Open));
            }
        }
    }

    /// `change` was acknowledged, with the text of the new secret if it made one.
    pub(crate) fn done(&mut self, change: Change, text: Option<String>, now: Instant) {
        let newest = self.secrets.len() - 1;
        match change {
            Change::Disable | Change::Revoke => {
                for secret in &mut self.secrets {
                    secret.becomes(Phase::Refused, now);
                }
                self.disabled = change == Change::Disable;
                self.revoked |= change == Change::Revoke;
            }
            Change::Enable => {
                self.secrets[newest].becomes(Phase::Valid, now);
                self.disabled = false;
            }
            Change::Rotate { overlap } => {
                let end = now + overlap;
                self.secrets[newest].phases.push((end, Phase::Refused));
                self.rotating_until = end + TOLERANCE;
                let text = text.expect("a rotation shows the new secret");
                self.secrets.push(Secret::new(text, now, Phase::Valid));
            }
        }
    }

    /// `change`, begun at `begun`, did not happen and will not.
    pub(crate) fn undone(&mut self, begun: Instant, now: Instant) {
        for secret in &mut self.secrets {
            secret.restore(begun, now);
        }
    }
}
