//! Secrets that go on for longer than the policy allows are given an end.

use std::sync::{Arc, Weak};

use super::write::{Demand, Updated};
use super::{Authority, KeyManager, ManageError, Shared};
use crate::audit::AuditAction;
use crate::key::KeyId;
use crate::record::KeyStatus;

/// A manager for work that must not keep its gate alive.
#[derive(Clone)]
pub(crate) struct WeakManager(Weak<Shared>);

impl KeyManager {
    pub(crate) fn downgrade(&self) -> WeakManager {
        WeakManager(Arc::downgrade(&self.shared))
    }

    /// Gives the current secret of an active key the end that the policy demands, if it has none that
    /// comes as soon.
    pub(crate) async fn demand_rotation(&self, id: &KeyId) -> Result<Updated, ManageError> {
        self.update(id, Demand::Weaken, |record| {
            let now = self.now();
            if KeyStatus::of(record, now) != KeyStatus::Active {
                return Ok(None);
            }
            let current = &mut record.secrets.current;
            let end = self.shared.policy.demanded_end(current, now);
            Ok(end.map(|end| {
                current.not_after = Some(end);
                AuditAction::RotationDemanded
            }))
        })
        .await
    }
}

impl WeakManager {
    /// The manager, which acts for the host; `None`: it is gone.
    pub(crate) fn upgrade(&self) -> Option<KeyManager> {
        self.0.upgrade().map(|shared| KeyManager {
            shared,
            authority: Authority::Host,
        })
    }
}
