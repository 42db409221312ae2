use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Serialize;

use super::{KeyRecord, RateLimit, Revocation, SecretSlot};
use crate::clock::Timestamp;
use crate::key::{KeyId, Prefix, hint};
use crate::scope::ScopeSet;

/// What may be shown of a key: everything but its MACs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The key's id.
    pub key_id: KeyId,
    /// What to recognise it by: `acme_live_4KX9…`. An [imported](crate::KeyManager::import) key has
    /// another text until it is rotated, and is recognised by its name.
    pub hint: String,
    /// The environment it belongs to.
    pub environment: Prefix,
    /// A name for people; may be empty.
    pub name: String,
    /// Whom it acts for.
    pub owner: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// The host's own notes.
    pub metadata: BTreeMap<String, String>,
    /// Where it stands in its life.
    pub status: KeyStatus,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Since when it is paused.
    pub disabled_at: Option<Timestamp>,
    /// When and why it was ended.
    pub revocation: Option<Revocation>,
    /// The networks it works from; empty: from everywhere.
    pub allowed_ips: Vec<IpNet>,
    /// How often it may be used.
    pub rate_limit: Option<RateLimit>,
    /// Its secrets, the newest first.
    pub secrets: Vec<SecretInfo>,
    /// Raised by every change.
    pub version: u64,
}

/// What may be shown of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct SecretInfo {
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops to open, if its key goes on until then; `None`: as long as the key.
    pub not_after: Option<Timestamp>,
}

impl From<&SecretSlot> for SecretInfo {
    fn from(slot: &SecretSlot) -> Self {
        Self {
            created_at: slot.created_at,
            not_after: slot.not_after,
        }
    }
}

/// Where a key stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyStatus {
    /// It opens.
    Active,
    /// It opens nothing and never did: it was [planted to be stolen](crate::NewKey::canary).
    Canary,
    /// Paused; it can be enabled again.
    Disabled,
    /// Past its end.
    Expired,
    /// Ended for good.
    Revoked,
    /// Each of its secrets has ended, as by [`Policy::max_secret_age`](crate::Policy::max_secret_age):
    /// nothing opens it until the host rotates it.
    RotationOverdue,
}

impl KeyInfo {
    pub(crate) fn new(record: &KeyRecord, now: Timestamp) -> Self {
        Self {
            key_id: record.id,
            hint: hint(&format!("{}_", record.prefix), record.id.as_str()),
            environment: record.prefix.clone(),
            name: record.name.clone(),
            owner: record.owner.clone(),
            scopes: record.scopes.clone(),
            metadata: record.metadata.clone(),
            status: KeyStatus::of(record, now),
            created_at: record.created_at,
            expires_at: record.expires_at,
            disabled_at: record.disabled_at,
            revocation: record.revocation.clone(),
            allowed_ips: record.allowed_ips.clone(),
            rate_limit: record.rate_limit,
            secrets: record.secrets.slots().map(SecretInfo::from).collect(),
            version: record.version,
        }
    }

    /// Whether it is revoked or expired. One that is paused may be enabled again.
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        self.revocation.is_some() || self.expires_at.is_some_and(|end| now >= end)
    }
}

impl KeyStatus {
    pub(crate) fn of(record: &KeyRecord, now: Timestamp) -> Self {
        if record.is_canary() {
            Self::Canary
        } else if record.revocation.is_some() {
            Self::Revoked
        } else if record.disabled_at.is_some() {
            Self::Disabled
        } else if record.expires_at.is_some_and(|end| now >= end) {
            Self::Expired
        } else if record.secrets.slots().all(|slot| slot.has_ended(now)) {
            Self::RotationOverdue
        } else {
            Self::Active
        }
    }
}
