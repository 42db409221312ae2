use std::sync::Arc;

use super::Shared;
use crate::changes::Stamp;
use crate::clock::Now;
use crate::environment::{EnvironmentIndex, Presented};
use crate::gate::Gate;
use crate::key::Prefix;
use crate::mac::{Proofs, Ring};
use crate::principal::Identity;
use crate::record::KeyRecord;

/// What the cache keeps of a record. Its times are judged anew on every hit.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) stamp: Stamp,
    pub(super) environment: EnvironmentIndex,
    pub(super) disabled: bool,
    pub(super) revoked: bool,
    pub(super) proofs: Proofs,
    /// What they are checked with: the ring that was in use when the record was read.
    pub(super) ring: Arc<Ring>,
    pub(super) identity: Arc<Identity>,
}

impl Entry {
    pub(super) fn new(
        stamp: Stamp,
        gate: Arc<Gate>,
        ring: Arc<Ring>,
        environment: EnvironmentIndex,
        prefix: Prefix,
        record: KeyRecord,
    ) -> Self {
        Self {
            stamp,
            environment,
            disabled: record.disabled_at.is_some(),
            revoked: record.revocation.is_some(),
            proofs: record.proofs(),
            ring,
            identity: Arc::new(Identity::new(gate, prefix, record)),
        }
    }
}

impl Shared {
    /// What is known of the presented key. Without it, as much work is done as to look for its secret.
    pub(super) fn entry_of<'e>(
        &self,
        presented: &Presented<'_>,
        entry: Option<&'e Entry>,
        now: Now,
    ) -> Option<&'e Entry> {
        match entry {
            None => {
                let ring = self.peppers.current();
                ring.find_nothing(&presented.key, now.wall);
            }
            Some(entry) if entry.environment != presented.environment => {
                entry.ring.find_nothing(&presented.key, now.wall);
            }
            Some(entry) => return Some(entry),
        }
        None
    }
}
