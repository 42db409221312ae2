//! Secrets that go on for longer than the policy allows are given an end.

use std::sync::{Arc, Weak};

use super::audit::Person;
use super::write::{Demand, Updated};
use super::{Authority, KeyManager, ManageError, Shared};
use crate::audit::AuditAction;
use crate::clock::Timestamp;
use crate::expiry::{ClockBehind, Passed};
use crate::key::KeyId;
use crate::record::{KeyStatus, SecretSlot};
use crate::telemetry;

/// A manager for work that must not keep its gate alive.
#[derive(Clone)]
pub(crate) struct WeakManager(Weak<Shared>);

impl KeyManager {
    pub(crate) fn downgrade(&self) -> WeakManager {
        WeakManager(Arc::downgrade(&self.shared))
    }

    /// Gives the current secret of an active key the end that the policy demands, if it has none that
    /// comes as soon. Not by a clock that has not seen what has `passed`: its notice could be over
    /// already, and an end is never put off.
    pub(crate) async fn demand_rotation(
        &self,
        id: &KeyId,
        passed: &[Passed],
    ) -> Result<Result<Updated, ClockBehind>, ManageError> {
        let mut judged = Ok(None);
        let updated = self.update(id, Demand::Weaken, |record| {
            let now = self.now();
            if KeyStatus::of(record, now) != KeyStatus::Active {
                return Ok(None);
            }
            judged = self.judge(&record.secrets.current, passed, now);
            let Ok(Some(end)) = judged else {
                return Ok(None);
            };
            record.secrets.current.not_after = Some(end);
            Ok(Some(AuditAction::RotationDemanded))
        });
        let updated = updated.await?;
        if let (Ok(Some(end)), true) = (&judged, updated.changed) {
            telemetry::rotation_was_demanded(id, *end);
        }
        Ok(judged.map(|_| updated))
    }

    fn judge(
        &self,
        secret: &SecretSlot,
        passed: &[Passed],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, ClockBehind> {
        let end = self.shared.policy.demanded_end(secret, now);
        if end.is_some() {
            let made = Passed {
                at: secret.created_at,
                by: Passed::MADE,
            };
            let mut all = passed.iter().chain([&made]);
            all.try_for_each(|passed| passed.check(now))?;
        }
        Ok(end)
    }
}

impl WeakManager {
    /// The manager, which acts for the host; `None`: it is gone.
    pub(crate) fn upgrade(&self) -> Option<KeyManager> {
        self.0.upgrade().map(|shared| KeyManager {
            shared,
            authority: Authority::Host(Person::default()),
        })
    }
}
