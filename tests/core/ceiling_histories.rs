//! Whatever is tried on behalf of a caller, no text opens more than before, except for what the
//! caller could do.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use keygate::{Attempt, Change, Issued, KeyId, KeyManager, NewKey, Rule};
use proptest::prelude::*;

use crate::ceiling::{caller, issue};
use crate::common::*;

/// What of a key may be chosen, by place in the lists below; `None`: not said.
#[derive(Clone, Debug)]
struct Choice {
    scopes: Option<usize>,
    lifetime: Option<usize>,
    networks: Option<usize>,
}

const SCOPES: [&[&str]; 6] = [
    &[],
    &["orders:read"],
    &["orders:*"],
    &["orders:**", "keys:write"],
    &["orders:read", "users:read"],
    &["*:read"],
];
const LIFETIMES: [Option<Duration>; 4] = [
    Some(HOUR),
    Some(DAY),
    Some(Duration::from_secs(10 * 24 * 3600)),
    None,
];
const NETWORKS: [&[&str]; 4] = [
    &[],
    &["10.0.0.0/8"],
    &["10.1.0.0/16"],
    &["10.1.0.0/16", "192.0.2.0/24"],
];
const OVERLAPS: [Duration; 3] = [Duration::ZERO, HOUR, DAY];

macro_rules! choose {
    ($to:expr, $choice:expr) => {{
        let mut to = $to;
        if let Some(n) = $choice.scopes {
            to = to.scopes(SCOPES[n].iter().copied());
        }
        if let Some(n) = $choice.lifetime {
            to = match LIFETIMES[n] {
                Some(lifetime) => to.expires_in(lifetime),
                None => to.never_expires(),
            };
        }
        if let Some(n) = $choice.networks {
            to = to.allowed_ips(NETWORKS[n].iter().copied());
        }
        to
    }};
}

fn choice() -> impl Strategy<Value = Choice> {
    let maybe = |count: usize| prop::option::of(0..count);
    (
        maybe(SCOPES.len()),
        maybe(LIFETIMES.len()),
        maybe(NETWORKS.len()),
    )
        .prop_map(|(scopes, lifetime, networks)| Choice {
            scopes,
            lifetime,
            networks,
        })
}

/// A key that exists before the caller acts. The first is the caller's.
#[derive(Clone, Debug)]
struct Existing {
    choice: Choice,
    other_owner: bool,
    sandbox: bool,
    rotated: Option<usize>,
    disabled: bool,
}

fn existing() -> impl Strategy<Value = Existing> {
    let rotated = prop::option::of(0..OVERLAPS.len());
    (
        choice(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        rotated,
        any::<bool>(),
    )
        .prop_map(
            |(choice, other_owner, sandbox, rotated, disabled)| Existing {
                choice,
                other_owner,
                sandbox,
                rotated,
                disabled,
            },
        )
}

/// What is tried on behalf of the caller; `key` is taken modulo the number of keys.
#[derive(Clone, Debug)]
enum Act {
    Change {
        key: usize,
        choice: Choice,
    },
    Disable {
        key: usize,
    },
    Enable {
        key: usize,
    },
    Finish {
        key: usize,
    },
    Issue {
        choice: Choice,
        other_owner: bool,
        sandbox: bool,
    },
    Rotate {
        key: usize,
        overlap: usize,
    },
    Supersede {
        key: usize,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let key = || 0..8_usize;
    prop_oneof![
        (key(), choice()).prop_map(|(key, choice)| Act::Change { key, choice }),
        key().prop_map(|key| Act::Disable { key }),
        key().prop_map(|key| Act::Enable { key }),
        key().prop_map(|key| Act::Finish { key }),
        (
            choice(),
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.1)
        )
            .prop_map(|(choice, other_owner, sandbox)| Act::Issue {
                choice,
                other_owner,
                sandbox
            }),
        (key(), 0..OVERLAPS.len()).prop_map(|(key, overlap)| Act::Rotate { key, overlap }),
        key().prop_map(|key| Act::Supersede { key }),
    ]
}

fn new_key(choice: &Choice, other_owner: bool, sandbox: bool) -> NewKey {
    let new = NewKey::for_owner(if other_owner { "b" } else { "a" });
    choose!(
        new.environment(if sandbox { SANDBOX } else { LIVE }),
        choice
    )
}

async fn perform(manager: &KeyManager, act: &Act, keys: &[KeyId]) -> Option<Issued> {
    let id = |key: usize| &keys[key % keys.len()];
    match act {
        Act::Change { key, choice } => {
            manager
                .change(id(*key), choose!(Change::new(), choice))
                .await
                .ok();
            None
        }
        Act::Disable { key } => manager.disable(id(*key)).await.err().and(None),
        Act::Enable { key } => manager.enable(id(*key)).await.err().and(None),
        Act::Finish { key } => manager.finish_rotation(id(*key)).await.err().and(None),
        Act::Issue {
            choice,
            other_owner,
            sandbox,
        } => manager
            .issue(new_key(choice, *other_owner, *sandbox))
            .await
            .ok(),
        Act::Rotate { key, overlap } => manager
            .rotate_with_overlap(id(*key), OVERLAPS[*overlap])
            .await
            .ok(),
        Act::Supersede { key } => manager.supersede(id(*key)).await.ok(),
    }
}

/// A way to use a key: after so many hours, from this address, for this rule; by whom and where.
type Use = (u64, Option<IpAddr>, &'static str, String, String);

/// Every way in which `text` can be used from now on: what it opens, found out by trying.
async fn uses(world: &World, text: &str) -> Vec<Use> {
    const RULES: [&str; 6] = [
        "orders:read",
        "orders:write",
        "orders:read:own",
        "users:read",
        "keys:write",
        "keys:read",
    ];
    let addresses = [
        None,
        Some("10.1.2.3"),
        Some("10.2.0.1"),
        Some("192.0.2.1"),
        Some("2001:db8::1"),
    ];
    let mut uses = Vec::new();
    for hours in [0, 1, 2, 23, 24, 25, 10 * 24, 90 * 24, 10_000] {
        let offset = i64::try_from(hours * 3_600_000).unwrap();
        world.clock.step_wall(offset);
        for address in addresses {
            let address = address.map(|text| text.parse().unwrap());
            let attempt = Attempt::new(text).from_address(address);
            let Ok(caller) = world.keys.authenticator().authenticate(attempt).await else {
                continue;
            };
            let mut add = |rule| {
                let (owner, environment) =
                    (caller.owner().into(), caller.environment().to_string());
                uses.push((hours, address, rule, owner, environment));
            };
            add("");
            for rule in RULES {
                if caller.authorize(&Rule::all([rule]).unwrap()).is_ok() {
                    add(rule);
                }
            }
        }
        world.clock.step_wall(-offset);
    }
    uses
}

async fn history(
    mine: Choice,
    rotated: Option<usize>,
    others: Vec<Existing>,
    acts: Vec<Act>,
    any_owner: bool,
) {
    let world = World::new().await;
    let host = world.keys.manager();
    let mine = issue(&world, new_key(&mine, false, false)).await;
    let mut keys = vec![mine.info.key_id];
    let mut texts = vec![mine.key.expose().to_owned()];
    // With a rotation, what the caller presents is the old secret.
    if let Some(overlap) = rotated {
        let overlap = OVERLAPS[overlap].max(HOUR);
        let new = host.rotate_with_overlap(&keys[0], overlap).await.unwrap();
        texts.push(new.key.expose().to_owned());
    }
    for other in others {
        let issued = issue(
            &world,
            new_key(&other.choice, other.other_owner, other.sandbox),
        )
        .await;
        let id = issued.info.key_id;
        keys.push(id);
        texts.push(issued.key.expose().to_owned());
        if let Some(overlap) = other.rotated {
            let new = host
                .rotate_with_overlap(&id, OVERLAPS[overlap])
                .await
                .unwrap();
            texts.push(new.key.expose().to_owned());
        }
        if other.disabled {
            host.disable(&id).await.unwrap();
        }
    }
    let ceiling = uses(&world, &texts[0]).await;
    let mut before = BTreeMap::new();
    for text in texts {
        let uses = uses(&world, &text).await;
        before.insert(text, uses);
    }
    let principal = caller(&world, &mine).await;
    let manager = match any_owner {
        true => host.on_behalf_of_across_owners(&principal),
        false => host.on_behalf_of(&principal),
    };
    for act in acts {
        if let Some(issued) = perform(&manager, &act, &keys).await {
            keys.push(issued.info.key_id);
            before.insert(issued.key.expose().to_owned(), Vec::new());
        }
    }
    let within = |one: &Use| {
        ceiling.iter().any(|own| {
            (own.0, own.1, own.2, &own.4) == (one.0, one.1, one.2, &one.4)
                && (any_owner || own.3 == one.3)
        })
    };
    for (text, before) in before {
        for one in uses(&world, &text).await {
            assert!(
                before.contains(&one) || within(&one),
                "opened beyond the caller: {one:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_tried_opens_nothing_beyond_the_caller(
        mine in choice(),
        rotated in prop::option::of(0..OVERLAPS.len()),
        others in prop::collection::vec(existing(), 0..3),
        acts in prop::collection::vec(act(), 1..8),
        any_owner: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(history(mine, rotated, others, acts, any_owner));
    }
}
