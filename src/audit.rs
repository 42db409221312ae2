//! Audit events: who changed which key, when, from where, and what was before and after.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::key::KeyId;

/// One change of one key, as the audit log keeps it. It holds no secret and no MAC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEvent {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub action: AuditAction,
    /// The key it happened to.
    pub key_id: KeyId,
    /// Whom that key acts for.
    pub owner: String,
    /// Who did it.
    pub actor: Actor,
    /// Where the request came from that did it, if that is known.
    pub address: Option<IpAddr>,
    /// The fields that were changed.
    pub changes: Vec<FieldChange>,
}

/// What happened to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditAction {
    /// Name, scopes, metadata, expiry or addresses were changed.
    Changed,
    /// It was paused.
    Disabled,
    /// It was enabled again.
    Enabled,
    /// It was made.
    Issued,
    /// It was ended for good.
    Revoked,
    /// It got a new secret; the old one ends later.
    Rotated,
    /// Its secret was older than the policy allows, and was given an end, by which the key has to be
    /// rotated.
    RotationDemanded,
    /// The old secret of a rotation was ended early.
    RotationFinished,
    /// The newer secret of a rotation was replaced, because its text was lost.
    Superseded,
    /// A change was taken back: the caller for whom it was made had ended meanwhile.
    Undone,
}

impl AuditAction {
    /// The action as it is written in stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Issued => "issued",
            Self::Revoked => "revoked",
            Self::Rotated => "rotated",
            Self::RotationDemanded => "rotation_demanded",
            Self::RotationFinished => "rotation_finished",
            Self::Superseded => "superseded",
            Self::Undone => "undone",
        }
    }
}

/// Who made a change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// The service itself.
    Host,
    /// The caller that the service acted for.
    Key(KeyId),
}

/// One field before and after a change; absent values are `None`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// The field's name.
    pub field: String,
    /// Its value before.
    pub before: Option<String>,
    /// Its value after.
    pub after: Option<String>,
}
