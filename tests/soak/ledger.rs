//! What was acknowledged and when: the reference that answers are judged by.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use keygate::KeyId;
use serde::Deserialize;

use crate::http::{Exchange, Outcome};
use crate::key::{Change, Key, Phase, Secret};
use crate::random::Random;

/// The promise: decisions begun this long after an acknowledged change honour it.
pub(crate) const BOUND: Duration = Duration::from_secs(1);

/// A refusal is believed for this long, so what another process has made valid opens by then.
const BELIEVED: Duration = Duration::from_millis(100);

/// So many keys that do not open any more are still presented.
const ENDED: usize = 100;

pub(crate) struct Ledger {
    began: Instant,
    keys: Mutex<Keys>,
}

#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) all: HashMap<KeyId, Key>,
    /// Those that are not revoked.
    pub(crate) live: Vec<KeyId>,
    /// Those that were revoked lately.
    pub(crate) ended: VecDeque<KeyId>,
    /// How often it is not known whether a key was issued.
    pub(crate) perhaps_issued: u64,
}

#[derive(Deserialize)]
struct Issued {
    key_id: KeyId,
    key: String,
    version: u64,
}

/// A secret as somebody presents it.
pub(crate) struct Presented {
    pub(crate) text: String,
    id: KeyId,
    secret: usize,
}

impl Ledger {
    pub(crate) fn new(keys: Keys) -> Self {
        Self {
            began: Instant::now(),
            keys: Mutex::new(keys),
        }
    }

    pub(crate) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap()
    }

    /// A key was issued, as `answer` said at `now`.
    pub(crate) fn issued(&self, answer: &str, now: Instant) -> KeyId {
        let answer: Issued = serde_json::from_str(answer).unwrap();
        let secret = Secret::new(answer.key, now, Phase::Valid);
        let mut key = Key::new(answer.key_id, vec![secret], answer.version, now);
        key.history.push((now, "issued".into()));
        let mut keys = self.keys();
        keys.all.insert(answer.key_id, key);
        keys.live.push(answer.key_id);
        answer.key_id
    }

    /// Any secret of a key that is not revoked.
    pub(crate) fn live_one(&self, random: &mut Random) -> Option<Presented> {
        let keys = self.keys();
        let id = *random.pick(&keys.live)?;
        Some(keys.present(id, random))
    }

    /// Any secret of a key that was revoked.
    pub(crate) fn ended_one(&self, random: &mut Random) -> Option<Presented> {
        let keys = self.keys();
        let id = *keys.ended.get(random.below(keys.ended.len().max(1)))?;
        Some(keys.present(id, random))
    }

    /// The newest secret of a key.
    pub(crate) fn newest(&self, id: KeyId) -> Presented {
        let keys = self.keys();
        let secret = keys.all[&id].secrets.len() - 1;
        keys.present_secret(id, secret)
    }

    /// Takes a key that `wanted` accepts, so that nobody else changes it.
    pub(crate) fn take(&self, random: &mut Random, wanted: impl Fn(&Key) -> bool) -> Option<KeyId> {
        let mut keys = self.keys();
        let wanted: Vec<KeyId> = keys
            .live
            .iter()
            .filter(|id| !keys.all[id].taken && wanted(&keys.all[id]))
            .copied()
            .collect();
        let id = *random.pick(&wanted)?;
        keys.key(id).taken = true;
        Some(id)
    }

    pub(crate) fn give_back(&self, id: KeyId) {
        self.keys().key(id).taken = false;
    }

    /// When no older secret of a rotation opens any more, if there is no other rotation.
    pub(crate) fn overlaps_end(&self) -> Instant {
        let keys = self.keys();
        let ends = keys.all.values().map(|key| key.rotating_until);
        ends.max().unwrap_or(self.began)
    }

    /// Begins a change, and answers when that was.
    pub(crate) fn begin(&self, id: KeyId, change: Change, whereby: &str) -> Instant {
        let mut keys = self.keys();
        let now = Instant::now();
        let key = keys.key(id);
        key.begin(change, now);
        key.history
            .push((now, format!("{change:?} begins {whereby}")));
        now
    }

    /// A change was acknowledged.
    pub(crate) fn done(
        &self,
        id: KeyId,
        change: Change,
        text: Option<String>,
        version: u64,
        now: Instant,
    ) {
        let mut keys = self.keys();
        let key = keys.key(id);
        key.done(change, text, now);
        key.version = key.version.max(version);
        key.history
            .push((now, format!("{change:?} acknowledged, version {version}")));
        if change == Change::Revoke {
            keys.live.retain(|live| *live != id);
            keys.end(id);
        }
    }

    /// A change did not happen.
    pub(crate) fn undone(&self, id: KeyId, begun: Instant, why: &str) {
        let mut keys = self.keys();
        let now = Instant::now();
        let key = keys.key(id);
        // What may still happen of an earlier change is not undone by this.
        if !key.in_doubt {
            key.undone(begun, now);
        }
        key.history.push((now, format!("did not happen: {why}")));
    }

    /// Whether a change happened is not known, and it may happen later.
    pub(crate) fn in_doubt(&self, id: KeyId, why: &str) {
        let mut keys = self.keys();
        let key = keys.key(id);
        key.in_doubt = true;
        key.history
            .push((Instant::now(), format!("in doubt: {why}")));
    }

    /// What is wrong with the answer to who presented this, if anything.
    pub(crate) fn judge(&self, presented: &Presented, exchange: &Exchange) -> Option<String> {
        let Outcome::Answered { status, body } = &exchange.outcome else {
            return None;
        };
        let keys = self.keys();
        let key = &keys.all[&presented.id];
        let secret = &key.secrets[presented.secret];
        let (since, phase) = secret.phase_during(exchange.begun, exchange.ended);
        let after = exchange.begun.saturating_duration_since(since);
        let problem = match (status, phase) {
            (200, _) if *body != presented.id.as_str() => format!("taken for {body}"),
            (200, Phase::Refused) if after > BOUND => format!("accepted {after:?} after its end"),
            (401, Phase::Valid) if after > BELIEVED => format!("refused {after:?} after it began"),
            (200 | 401 | 503, _) => return None,
            _ => format!("answered {status}"),
        };
        let what = format!(
            "{problem}: {body} (secret {} of {}, service {}, from {} to {})",
            presented.secret + 1,
            key.secrets.len(),
            exchange.instance,
            self.time(exchange.begun),
            self.time(exchange.ended),
        );
        Some(self.with_history(key, &what))
    }

    /// `what` is wrong with `key`, and what was done with that before.
    pub(crate) fn with_history(&self, key: &Key, what: &str) -> String {
        let mut text = format!("key {}: {what}", key.id);
        for (at, event) in &key.history {
            text += &format!("\n      {} {event}", self.time(*at));
        }
        text
    }

    /// Seconds since the beginning.
    pub(crate) fn time(&self, at: Instant) -> String {
        let since = at.saturating_duration_since(self.began);
        format!("{:.3}", since.as_secs_f64())
    }
}

impl Keys {
    pub(crate) fn key(&mut self, id: KeyId) -> &mut Key {
        self.all.get_mut(&id).expect("keys stay in the ledger")
    }

    /// A key does not open any more, and is still presented for a while.
    pub(crate) fn end(&mut self, id: KeyId) {
        self.ended.push_back(id);
        if self.ended.len() > ENDED {
            self.ended.pop_front();
        }
    }

    fn present(&self, id: KeyId, random: &mut Random) -> Presented {
        let secrets = self.all[&id].secrets.len();
        // The two newest: those before have been replaced in the record.
        let secret = secrets - 1 - random.below(secrets.min(2));
        self.present_secret(id, secret)
    }

    fn present_secret(&self, id: KeyId, secret: usize) -> Presented {
        Presented {
            text: self.all[&id].secrets[secret].text.clone(),
            id,
            secret,
        }
    }
}
