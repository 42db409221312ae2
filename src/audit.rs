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
    /// The old secret of a rotation was ended early.
    RotationFinished,
    /// The newer secret of a rotation was replaced, because its text was lost.
    Superseded,
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
            Self::RotationFinished => "rotation_finished",
            Self::Superseded => "superseded",
        }
    }
}

/// Who made a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

/// Which events to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditQuery {
    /// Of this key alone.
    pub key_id: Option<KeyId>,
    /// Of this owner's keys alone.
    pub owner: Option<String>,
    /// Of this kind alone.
    pub action: Option<AuditAction>,
    /// At or after this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// After the end of an earlier page: its [`AuditPage::next`].
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Some events, the oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditPage {
    /// The events.
    pub events: Vec<AuditEvent>,
    /// Where the next page begins, in the store's own notation; `None` at the end.
    pub next: Option<String>,
}

impl AuditQuery {
    /// The first hundred events.
    pub const fn new() -> Self {
        Self {
            key_id: None,
            owner: None,
            action: None,
            from: None,
            until: None,
            after: None,
            limit: 100,
        }
    }

    /// Whether `event` is of the kind that is asked for, wherever its page begins.
    pub fn selects(&self, event: &AuditEvent) -> bool {
        self.key_id.is_none_or(|id| id == event.key_id)
            && self
                .owner
                .as_ref()
                .is_none_or(|owner| *owner == event.owner)
            && self.action.is_none_or(|action| action == event.action)
            && self.from.is_none_or(|from| event.at >= from)
            && self.until.is_none_or(|until| event.at < until)
    }
}

impl Default for AuditQuery {
    fn default() -> Self {
        Self::new()
    }
}
