//! Random histories, and what each of two gates may answer after every step of them.

use std::sync::Arc;

use keygate::{
    Attempt, Change, Conflict, Issued, KeyId, Keygate, ManageError, MemoryStore, NewKey, Refusal,
    Rule, StoreErrorKind,
};

use super::op::{OWNERS, Op, SCOPES};
use super::reference::{Key, Millis, Outcome};
use crate::common::*;

/// What is asked for, beside nothing.
const WANTED: &str = "orders:read";

/// A process: a gate, its way to the store, and what is known of its failures.
struct Process {
    keys: Keygate,
    store: Arc<FaultyStore>,
    reads_fail: bool,
    /// Since when, in monotonic time, its reads fail.
    failing_since: Millis,
    next_write: Option<usize>,
}

/// A state of a key, and since when and by whose doing it is in it.
struct State {
    key: Key,
    since: Millis,
    by: usize,
}

/// A key over time, from before it was issued.
struct Life {
    id: KeyId,
    states: Vec<State>,
}

struct History {
    clock: ManualClock,
    /// Monotonic time since the start.
    time: Millis,
    processes: [Process; 2],
    lives: Vec<Life>,
    /// Every text ever handed out, with the place of its key.
    texts: Vec<(String, usize)>,
    /// Keys of each owner that were made without anybody knowing.
    orphans: [usize; 2],
}

/// Carries out `ops` in the model and for real, and compares after every step.
pub(crate) async fn run(capacity: usize, ops: &[Op]) {
    let clock = ManualClock::new();
    let shared = Arc::new(MemoryStore::new());
    let process = async || {
        let store = Arc::new(FaultyStore::new(Arc::clone(&shared)));
        let gate = builder(Arc::clone(&store), &clock).cache_capacity(capacity);
        Process {
            keys: gate.build().await.unwrap(),
            store,
            reads_fail: false,
            failing_since: 0,
            next_write: None,
        }
    };
    let mut history = History {
        processes: [process().await, process().await],
        clock: clock.clone(),
        time: 0,
        lives: Vec::new(),
        texts: Vec::new(),
        orphans: [0; 2],
    };
    for (step, op) in ops.iter().enumerate() {
        history.step(op).await;
        for gate in 0..2 {
            history
                .present_everything(gate, &format!("after step {step}, {op:?}, at gate {gate}"))
                .await;
        }
    }
}

impl History {
    fn now(&self) -> Millis {
        keygate::Clock::wall(&self.clock).as_unix_millis()
    }

    async fn step(&mut self, op: &Op) {
        let now = self.now();
        let end = |lifetime: u64| (lifetime > 0).then(|| now + lifetime as Millis);
        let fresh = self.texts.len();
        match *op {
            Op::Advance { by } => {
                self.clock.advance(millis(by));
                self.time += by as Millis;
            }
            Op::StepWall { by } => self.clock.step_wall(by),
            Op::FailReads { gate, fail } => {
                let process = &mut self.processes[gate];
                match fail {
                    true => process
                        .store
                        .gets
                        .always(Fault::Fail(StoreErrorKind::Unavailable)),
                    false => process.store.gets.heal(),
                }
                if fail && !process.reads_fail {
                    process.failing_since = self.time;
                }
                process.reads_fail = fail;
            }
            Op::FailWrite { gate, how } => {
                self.processes[gate].store.writes.heal();
                self.processes[gate].store.writes.once(match how {
                    0 => Fault::Fail(StoreErrorKind::Unavailable),
                    1 => Fault::DoneUnknown,
                    _ => Fault::NotDoneUnknown,
                });
                self.processes[gate].next_write = Some(how);
            }
            Op::Issue {
                gate,
                sandbox,
                owner,
                scopes,
                lifetime,
            } => {
                let key = Key {
                    prefix: if sandbox { SANDBOX } else { LIVE },
                    owner,
                    scopes: SCOPES[scopes],
                    expires: end(lifetime),
                    disabled: false,
                    revoked: false,
                    current: fresh,
                    previous: None,
                };
                let new = NewKey::for_owner(OWNERS[owner]).environment(key.prefix);
                let new = new.scopes(SCOPES[scopes].iter().copied());
                let new = match lifetime {
                    0 => new.never_expires(),
                    _ => new.expires_in(millis(lifetime)),
                };
                let outcome = self.manager(gate).issue(new).await;
                // Reads only matter when the acknowledgement is lost.
                let process = &mut self.processes[gate];
                let made = match process.next_write.take() {
                    None => true,
                    Some(1) if process.reads_fail => {
                        self.orphans[owner] += 1;
                        false
                    }
                    Some(how) => how == 1,
                };
                assert_eq!(outcome.is_ok(), made, "{op:?}: {outcome:?}");
                if let Ok(issued) = outcome {
                    self.lives.push(Life {
                        id: issued.info.key_id,
                        states: vec![State {
                            key,
                            since: self.time,
                            by: gate,
                        }],
                    });
                    self.texts
                        .push((issued.key.expose().to_owned(), self.lives.len() - 1));
                }
            }
            Op::RevokeOwner { gate, owner } => {
                self.processes[gate].store.writes.heal();
                self.processes[gate].next_write = None;
                let outcome = self
                    .manager(gate)
                    .revoke_owner(OWNERS[owner], "")
                    .await
                    .unwrap();
                let of_owner = |life: &Life| life.last().owner == owner && !life.last().revoked;
                let places: Vec<usize> = (0..self.lives.len())
                    .filter(|n| of_owner(&self.lives[*n]))
                    .collect();
                let fails = self.processes[gate].reads_fail;
                let (revoked, failed) = (outcome.revoked, outcome.failed.len());
                let count = places.len() + self.orphans[owner];
                let expected = if fails { (0, count) } else { (count, 0) };
                self.orphans[owner] = if fails { self.orphans[owner] } else { 0 };
                assert_eq!((revoked, failed), expected);
                for place in places.into_iter().filter(|_| !fails) {
                    let outcome = self.lives[place].last().revoke();
                    self.record(place, gate, outcome.unwrap());
                }
            }
            Op::Rotate { gate, key, overlap } => {
                let Some((place, id, model)) = self.choose(key) else {
                    return;
                };
                let outcome = self
                    .manager(gate)
                    .rotate_with_overlap(&id, millis(overlap))
                    .await;
                let expected = model.rotate(fresh, overlap as Millis, now);
                self.compare_issued(op, gate, place, expected, outcome);
            }
            Op::Supersede { gate, key } => {
                let Some((place, id, model)) = self.choose(key) else {
                    return;
                };
                let outcome = self.manager(gate).supersede(&id).await;
                self.compare_issued(op, gate, place, model.supersede(fresh, now), outcome);
            }
            Op::Finish { gate, key } => {
                let Some((place, id, model)) = self.choose(key) else {
                    return;
                };
                let outcome = self.manager(gate).finish_rotation(&id).await;
                self.compare(op, gate, place, model.finish(now), &outcome);
            }
            Op::Disable { gate, key } => {
                let Some((place, id, model)) = self.choose(key) else {
                    return;
                };
                let outcome = self.manager(gate).disable(&id).await;
                self.compare(op, gate, place, model.pause(true), &outcome);
            }
            Op::Enable { gate, key } => {
                let Some((place, id, model)) = self.choose(key) else {
                    return;
                };
                let outcome = self.manager(gate).enable(&id).await;
                self.compare(op, gate, place, model.pause(false), &outcome);
            }
            Op::Change {
                gate,
                key,
                scopes,
                lifetime,
            } => {
                let Some((place, id, model)) = self.choose(key) else {
                    return;
                };
                let change = Change::new().scopes(SCOPES[scopes].iter().copied());
                let change = match lifetime {
                    0 => change.never_expires(),
                    _ => change.expires_in(millis(lifetime)),
                };
                let outcome = self.manager(gate).change(&id, change).await;
                let expected = model.change(SCOPES[scopes], end(lifetime), now);
                self.compare(op, gate, place, expected, &outcome);
            }
            Op::Revoke { gate, key } => {
                let Some((place, id, model)) = self.choose(key) else {
                    return;
                };
                let outcome = self.manager(gate).revoke(&id, "").await;
                self.compare(op, gate, place, model.revoke(), &outcome);
            }
        }
    }

    fn manager(&self, gate: usize) -> keygate::KeyManager {
        self.processes[gate].keys.manager().clone()
    }

    fn choose(&self, key: usize) -> Option<(usize, KeyId, Key)> {
        let place = key.checked_rem(self.lives.len())?;
        let life = &self.lives[place];
        Some((place, life.id, life.last().clone()))
    }

    fn record(&mut self, place: usize, gate: usize, key: Option<Key>) {
        let since = self.time;
        let state = key.map(|key| State {
            key,
            since,
            by: gate,
        });
        self.lives[place].states.extend(state);
    }

    fn compare_issued(
        &mut self,
        op: &Op,
        gate: usize,
        place: usize,
        expected: Outcome,
        outcome: Result<Issued, ManageError>,
    ) {
        self.compare(op, gate, place, expected, &outcome);
        if let Ok(issued) = outcome {
            self.texts.push((issued.key.expose().to_owned(), place));
        }
    }

    /// Holds what really came of an operation against the model, failures of the store included.
    fn compare<T: std::fmt::Debug>(
        &mut self,
        op: &Op,
        gate: usize,
        place: usize,
        expected: Outcome,
        outcome: &Result<T, ManageError>,
    ) {
        let process = &mut self.processes[gate];
        let expected = match expected {
            _ if process.reads_fail => Err("store"),
            Ok(Some(key)) => match process.next_write.take() {
                None | Some(1) => Ok(Some(key)),
                Some(_) => Err("store"),
            },
            other => other,
        };
        let real = match outcome {
            Ok(_) => Ok(()),
            Err(ManageError::Conflict(Conflict::Expired)) => Err("expired"),
            Err(ManageError::Conflict(Conflict::NotRotating)) => Err("not rotating"),
            Err(ManageError::Conflict(Conflict::Revoked)) => Err("revoked"),
            Err(ManageError::Conflict(Conflict::Rotating { .. })) => Err("rotating"),
            Err(ManageError::Store(_)) => Err("store"),
            Err(_) => Err("something else"),
        };
        assert_eq!(
            real,
            expected.as_ref().map(|_| ()).map_err(|e| *e),
            "{op:?}: {outcome:?}"
        );
        if let Ok(key) = expected {
            self.record(place, gate, key);
        }
    }

    /// Presents every text ever handed out, and some that never were.
    async fn present_everything(&self, gate: usize, when: &str) {
        let rule = Rule::all([WANTED]).unwrap();
        for (secret, (text, place)) in self.texts.iter().enumerate() {
            let life = &self.lives[*place];
            let issued_prefix = life.last().prefix;
            let other_prefix = if issued_prefix == LIVE { SANDBOX } else { LIVE };
            let nobody = usize::MAX;
            let presented = [
                (text.clone(), issued_prefix, secret),
                (with_wrong_secret(text), issued_prefix, nobody),
                (with_prefix(text, other_prefix), other_prefix, secret),
            ];
            for (text, prefix, secret) in &presented {
                for wanted in [None, Some(WANTED)] {
                    let attempt = match wanted {
                        None => Attempt::new(text),
                        Some(_) => Attempt::new(text).requiring(&rule),
                    };
                    let allowed = self.allowed(gate, life, |key| {
                        key.verdict(prefix, *secret, wanted, self.now())
                    });
                    let real = self.present(gate, attempt).await;
                    assert!(
                        allowed.contains(&real),
                        "{real} is none of {allowed:?} {when}, text {secret}"
                    );
                }
            }
            let mistyped = text.replace(issued_prefix, "acme_lime");
            assert_eq!(
                self.present(gate, Attempt::new(&mistyped)).await,
                "key_invalid"
            );
            let declined = with_prefix(text, DECLINED);
            assert_eq!(
                self.present(gate, Attempt::new(&declined)).await,
                "wrong_environment"
            );
        }
    }

    async fn present(&self, gate: usize, attempt: Attempt<'_>) -> &'static str {
        let authenticator = self.processes[gate].keys.authenticator();
        match authenticator.authenticate(attempt).await {
            Ok(_) => "accepted",
            Err(Refusal::Rejected(rejection)) => rejection.code(),
            Err(Refusal::Failed(_)) => "failed",
        }
    }

    /// What `gate` may answer: what is true now, and, where it has not changed the key itself
    /// since, what was true within the last second. While its reads fail, it may always fail, and
    /// after a second of that it can do nothing else.
    fn allowed(
        &self,
        gate: usize,
        life: &Life,
        verdict: impl Fn(&Key) -> &'static str,
    ) -> Vec<&'static str> {
        let process = &self.processes[gate];
        if process.reads_fail && self.time - process.failing_since >= 1_000 {
            return vec!["failed"];
        }
        let own = life
            .states
            .iter()
            .rposition(|state| state.by == gate)
            .unwrap_or(0);
        let mut allowed = Vec::new();
        for (n, state) in life.states.iter().enumerate().skip(own) {
            let until = life.states.get(n + 1).map(|next| next.since);
            if until.is_none_or(|until| self.time - until < 1_000) {
                allowed.push(verdict(&state.key));
            }
        }
        if process.reads_fail {
            allowed.push("failed");
        }
        allowed
    }
}

impl Life {
    fn last(&self) -> &Key {
        match self.states.last() {
            Some(state) => &state.key,
            None => unreachable!("a life begins with a state"),
        }
    }
}
