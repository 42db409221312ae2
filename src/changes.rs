//! What was changed since: the one thing that the authenticator and the manager share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::key::KeyId;

/// No record is used this long after its read began, so a change in another process is honoured
/// by then.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(1);

/// A refusal stands only on a record read this recently.
pub(crate) const RECENT: Duration = Duration::from_millis(100);

const SHARDS: usize = 1024;

/// A generation per group of keys. Every cached entry carries the one it was read under.
///
/// Keys share a generation with a thousandth of the others, so that one change costs the rest of
/// the cache nothing, and memory stays fixed.
#[derive(Debug)]
pub(crate) struct Changes {
    shards: Box<[AtomicU64]>,
}

/// What a group of keys had seen of changes when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Generation(u64);

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The generation that a read of `id` begins in.
    pub(crate) fn generation(&self, id: &KeyId) -> Generation {
        Generation(self.shard(id).load(Ordering::Acquire))
    }

    /// Ends the use of everything that was read of `id` before now.
    pub(crate) fn invalidate(&self, id: &KeyId) {
        self.shard(id).fetch_add(1, Ordering::AcqRel);
    }

    /// Invalidates `id` when it is dropped: after the write, whatever it answered, and also when
    /// its caller stopped waiting for the answer.
    pub(crate) fn invalidate_on_drop<'a>(&'a self, id: &'a KeyId) -> impl Drop + 'a {
        InvalidateOnDrop { changes: self, id }
    }

    fn shard(&self, id: &KeyId) -> &AtomicU64 {
        let [.., a, b, c, d, e, f, g, h] = *id.as_bytes();
        let mixed =
            u64::from_le_bytes([a, b, c, d, e, f, g, h]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.shards[(mixed >> 54) as usize]
    }
}

struct InvalidateOnDrop<'a> {
    changes: &'a Changes,
    id: &'a KeyId,
}

impl Drop for InvalidateOnDrop<'_> {
    fn drop(&mut self) {
        self.changes.invalidate(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_the_generation_of_its_key_and_spares_nearly_all_others() {
        let changes = Changes::new();
        let ids: Vec<KeyId> = (0..2_000).map(|_| KeyId::generate().unwrap()).collect();
        let before: Vec<Generation> = ids.iter().map(|id| changes.generation(id)).collect();
        changes.invalidate(&ids[0]);
        assert_ne!(changes.generation(&ids[0]), before[0]);
        let touched = ids
            .iter()
            .zip(before)
            .filter(|(id, g)| changes.generation(id) != *g)
            .count();
        assert!(
            touched < 40,
            "{touched} of 2000 share one of 1024 generations"
        );
    }
}
