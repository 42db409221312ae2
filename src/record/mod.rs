//! The record: what a store keeps for one key. It holds MACs and no secret.

mod codec;
mod info;
mod network;
mod rate_limit;
mod text;

#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(crate) use codec::FORMAT;
pub use codec::RecordError;
pub use info::{KeyInfo, KeyStatus, SecretInfo};
pub(crate) use network::parse_network;
pub use rate_limit::{RateLimit, RateLimitError};
pub use text::TextError;
pub(crate) use text::{
    CANARY, check_metadata, check_name, check_owner, check_reason, check_source, check_user,
    cut_source,
};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::key::{KeyId, KeyText, Prefix, RandomError, Secret};
use crate::mac::{Mac, PepperId, PepperRing, PepperedMac, Proof, Proofs};
use crate::scope::ScopeSet;

/// Everything a store keeps for one key.
///
/// A store may keep it in columns of its own, or whole as the opaque bytes of
/// [`to_bytes`](Self::to_bytes) beside id, owner and version. It has no `Serialize` on purpose:
/// what may be shown is [`KeyInfo`]. Nor is it non-exhaustive: a field more is a breaking change, so
/// that no store with columns of its own drops a restriction it does not know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRecord {
    /// The key's id, for its whole life.
    pub id: KeyId,
    /// The prefix of its text. Under another prefix the key does not exist.
    pub prefix: Prefix,
    /// A name for people; may be empty.
    pub name: String,
    /// Whom the key acts for.
    pub owner: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// The host's own notes on the key.
    pub metadata: BTreeMap<String, String>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// From this moment on it is expired; `None`: it never expires.
    pub expires_at: Option<Timestamp>,
    /// Since when it is paused.
    pub disabled_at: Option<Timestamp>,
    /// Since when it is ended, for good.
    pub revocation: Option<Revocation>,
    /// The networks it works from; empty: from everywhere.
    pub allowed_ips: Vec<IpNet>,
    /// How often it may be used; `None`: without limit.
    pub rate_limit: Option<RateLimit>,
    /// The MACs of its live secrets.
    pub secrets: Secrets,
    /// Raised by every change, also one typed by hand. The first is 1.
    pub version: u64,
}

impl KeyRecord {
    /// Whether it was born revoked, and only tells of whoever presents it.
    pub(crate) fn is_canary(&self) -> bool {
        let born_revoked = |revocation: &Revocation| {
            revocation.at == self.created_at && revocation.reason == CANARY
        };
        self.revocation.as_ref().is_some_and(born_revoked)
    }

    /// What a presented secret of this key is held against.
    pub(crate) fn proofs(&self) -> Proofs {
        let proof = |slot: &SecretSlot| Proof {
            sealed: slot.sealed(),
            created_at: slot.created_at,
            ends_at: [slot.not_after, self.expires_at]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(Timestamp::MAX),
        };
        Proofs {
            current: proof(&self.secrets.current),
            previous: self
                .secrets
                .previous
                .as_ref()
                .map(|slot| Box::new(proof(slot))),
        }
    }
}

impl KeyRecord {
    /// The peppers without which a secret of this key would not open that does, or may again.
    pub(crate) fn needed_peppers(&self, now: Timestamp) -> BTreeSet<PepperId> {
        if self.revocation.is_some() {
            return BTreeSet::new();
        }
        let proofs = self.proofs();
        let live = proofs.iter().filter(|proof| !proof.has_ended(now));
        live.map(|proof| proof.sealed.pepper).collect()
    }

    /// The version of the next change. The contract's largest version is that of most databases.
    pub(crate) fn next_version(&self) -> Option<u64> {
        let next = self.version.checked_add(1)?;
        i64::try_from(next).is_ok().then_some(next)
    }
}

/// The end of a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// When it was revoked.
    pub at: Timestamp,
    /// Why, for people; may be empty.
    pub reason: String,
}

/// The one or two secrets of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secrets {
    /// The newest secret.
    pub current: SecretSlot,
    /// The one before it. It keeps its slot when it has ended, until the next rotation.
    pub previous: Option<SecretSlot>,
}

impl Secrets {
    /// The slots, the newest first.
    pub fn slots(&self) -> impl Iterator<Item = &SecretSlot> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// What is kept of one secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecretSlot {
    /// The keyed MAC of key id and secret.
    pub mac: Mac,
    /// The pepper it was made with.
    pub pepper: PepperId,
    /// When the secret was made: later than every secret of the key before it.
    pub created_at: Timestamp,
    /// From this moment on the secret no longer opens, also where its key goes on; `None`: as long as
    /// the key.
    pub not_after: Option<Timestamp>,
}

impl Secrets {
    /// When a new secret counts as made. Two never count as made in the same millisecond, also where
    /// the clock stepped back.
    pub(crate) fn next_created_at(&self, now: Timestamp) -> Timestamp {
        let latest = self.slots().map(|slot| slot.created_at).max();
        let after = latest.and_then(|latest| latest.checked_add(Duration::from_millis(1)));
        after.map_or(now, |after| after.max(now))
    }
}

impl SecretSlot {
    /// A fresh secret of the key `id`: its text, and what is kept of it.
    pub(crate) fn generate(
        peppers: &PepperRing,
        prefix: &Prefix,
        id: &KeyId,
        created_at: Timestamp,
        not_after: Option<Timestamp>,
    ) -> Result<(KeyText, Self), RandomError> {
        let secret = Secret::generate()?;
        let PepperedMac { mac, pepper } = peppers.mac(id, secret.as_bytes());
        let slot = Self {
            mac,
            pepper,
            created_at,
            not_after,
        };
        Ok((KeyText::new(prefix, id, &secret), slot))
    }

    pub(crate) fn sealed(&self) -> PepperedMac {
        PepperedMac {
            mac: self.mac,
            pepper: self.pepper,
        }
    }

    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        self.not_after.is_some_and(|end| now >= end)
    }
}
