//! The steps of a history.

use proptest::prelude::*;

/// One step. Keys are taken modulo how many there are; lifetimes of 0 last for ever.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Issue {
        gate: usize,
        sandbox: bool,
        owner: usize,
        scopes: usize,
        lifetime: u64,
    },
    Rotate {
        gate: usize,
        key: usize,
        overlap: u64,
    },
    Supersede {
        gate: usize,
        key: usize,
    },
    Finish {
        gate: usize,
        key: usize,
    },
    Disable {
        gate: usize,
        key: usize,
    },
    Enable {
        gate: usize,
        key: usize,
    },
    Change {
        gate: usize,
        key: usize,
        scopes: usize,
        lifetime: u64,
    },
    Revoke {
        gate: usize,
        key: usize,
    },
    RevokeOwner {
        gate: usize,
        owner: usize,
    },
    /// Time passes.
    Advance {
        by: u64,
    },
    /// Somebody sets the time of day.
    StepWall {
        by: i64,
    },
    /// From now on the gate's reads fail, or no longer do.
    FailReads {
        gate: usize,
        fail: bool,
    },
    /// The gate's next write fails: 0 as unavailable, 1 with its outcome unknown and made, 2 unknown
    /// and not made.
    FailWrite {
        gate: usize,
        how: usize,
    },
}

pub(crate) const SCOPES: [&[&str]; 4] = [
    &[],
    &["orders:read"],
    &["orders:*", "users:read"],
    &["orders:write"],
];
pub(crate) const OWNERS: [&str; 2] = ["a", "b"];

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let gate = || 0..2_usize;
    let key = || 0..6_usize;
    let scopes = || 0..SCOPES.len();
    let lifetime = || prop::sample::select(vec![0, 400, 1_000, 2_500, 10_000]);
    let steps = prop::sample::select(vec![1, 300, 500, 999, 1_000, 3_000]);
    prop_oneof![
        4 => (gate(), any::<bool>(), 0..2_usize, scopes(), lifetime()).prop_map(
            |(gate, sandbox, owner, scopes, lifetime)| Op::Issue { gate, sandbox, owner, scopes, lifetime }
        ),
        4 => (gate(), key(), prop::sample::select(vec![0, 300, 1_000, 5_000]))
            .prop_map(|(gate, key, overlap)| Op::Rotate { gate, key, overlap }),
        2 => (gate(), key()).prop_map(|(gate, key)| Op::Supersede { gate, key }),
        2 => (gate(), key()).prop_map(|(gate, key)| Op::Finish { gate, key }),
        2 => (gate(), key()).prop_map(|(gate, key)| Op::Disable { gate, key }),
        2 => (gate(), key()).prop_map(|(gate, key)| Op::Enable { gate, key }),
        3 => (gate(), key(), scopes(), lifetime())
            .prop_map(|(gate, key, scopes, lifetime)| Op::Change { gate, key, scopes, lifetime }),
        2 => (gate(), key()).prop_map(|(gate, key)| Op::Revoke { gate, key }),
        1 => (gate(), 0..2_usize).prop_map(|(gate, owner)| Op::RevokeOwner { gate, owner }),
        6 => steps.clone().prop_map(|by| Op::Advance { by }),
        2 => (steps, any::<bool>()).prop_map(|(by, back)| Op::StepWall {
            by: if back { -(by as i64) } else { by as i64 }
        }),
        2 => (gate(), any::<bool>()).prop_map(|(gate, fail)| Op::FailReads { gate, fail }),
        1 => (gate(), 0..3_usize).prop_map(|(gate, how)| Op::FailWrite { gate, how }),
    ]
}
