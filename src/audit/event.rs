use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::key::KeyId;

/// One change of one key, or requests that were alike, as the audit log keeps it. It holds no secret
/// and no MAC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEvent {
    /// When it happened; of requests, when the first of them came.
    pub at: Timestamp,
    /// What happened.
    pub action: AuditAction,
    /// The key it happened to. `None`: a request was refused that proved to be of no key.
    pub key_id: Option<KeyId>,
    /// Whom that key acts for.
    pub owner: Option<String>,
    /// Who did it.
    pub actor: Actor,
    /// Where the request came from that did it, if that is known.
    pub address: Option<IpAddr>,
    /// The fields that were changed.
    pub changes: Vec<FieldChange>,
    /// How many requests it stands for: of [`AuditKind::Authentication`] alone.
    #[serde(default)]
    pub requests: Option<Requests>,
}

/// Requests that were alike, and are one event: of one key, from one address, with one outcome. Where the
/// address is of IPv6, from one network of 64 bits: the event has the address of the first of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// How many.
    pub count: u64,
    /// When the last of them came.
    pub last_at: Timestamp,
    /// Why they were refused: a code of the catalogue, as in `key_expired`.
    pub code: Option<String>,
}

/// What an event tells of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditKind {
    /// A change of a key, which is committed together with it.
    Lifecycle,
    /// Requests that were accepted or refused, which come with no change.
    Authentication,
}

impl AuditKind {
    /// The kind as it is written in stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lifecycle => "lifecycle",
            Self::Authentication => "authentication",
        }
    }

    /// Its actions.
    #[cfg(feature = "redis")]
    pub(crate) fn actions(self) -> impl Iterator<Item = AuditAction> {
        AuditAction::all().filter(move |action| action.kind() == self)
    }
}

/// What happened to a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditAction {
    /// Requests with it were accepted.
    Accepted,
    /// Somebody presented it, and it is a canary: it was planted to be stolen, and opens nothing.
    CanaryUsed,
    /// Name, scopes, metadata, expiry, addresses or the rate limit were changed.
    Changed,
    /// It was paused.
    Disabled,
    /// It was enabled again.
    Enabled,
    /// It was taken over from another system, with its old text.
    Imported,
    /// It was made.
    Issued,
    /// Somebody reported that it has leaked, and where.
    LeakReported,
    /// It came in the URL of requests, where logs and histories keep it.
    LeakedInUrl,
    /// The MAC of a secret was made anew under the active pepper.
    MacRenewed,
    /// Requests were refused, with it or with no key that was proved.
    Refused,
    /// It was ended for good.
    Revoked,
    /// It got a new secret; the old one ends later.
    Rotated,
    /// Its secret was older than the policy allows, and was given an end, by which the key has to be
    /// rotated.
    RotationDemanded,
    /// The old secret of a rotation was ended early.
    RotationFinished,
    /// A browser sent it, where whoever uses the browser can read it.
    SentByBrowser,
    /// It came over a connection that was not encrypted, where others can read it.
    SentInPlaintext,
    /// The newer secret of a rotation was replaced, because its text was lost.
    Superseded,
    /// A change was taken back: the caller for whom it was made had ended meanwhile.
    Undone,
}

impl AuditAction {
    const ALL: [Self; 19] = [
        Self::Accepted,
        Self::CanaryUsed,
        Self::Changed,
        Self::Disabled,
        Self::Enabled,
        Self::Imported,
        Self::Issued,
        Self::LeakReported,
        Self::LeakedInUrl,
        Self::MacRenewed,
        Self::Refused,
        Self::Revoked,
        Self::Rotated,
        Self::RotationDemanded,
        Self::RotationFinished,
        Self::SentByBrowser,
        Self::SentInPlaintext,
        Self::Superseded,
        Self::Undone,
    ];

    /// All of them, in the order of their names: for whoever lets people choose.
    ///
    /// ```
    /// use keygate::audit::AuditAction;
    ///
    /// let chosen = AuditAction::all().find(|action| action.as_str() == "revoked");
    /// assert_eq!(chosen, Some(AuditAction::Revoked));
    /// ```
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    /// The action as it is written in stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::CanaryUsed => "canary_used",
            Self::Changed => "changed",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Imported => "imported",
            Self::Issued => "issued",
            Self::LeakReported => "leak_reported",
            Self::LeakedInUrl => "leaked_in_url",
            Self::MacRenewed => "mac_renewed",
            Self::Refused => "refused",
            Self::Revoked => "revoked",
            Self::Rotated => "rotated",
            Self::RotationDemanded => "rotation_demanded",
            Self::RotationFinished => "rotation_finished",
            Self::SentByBrowser => "sent_by_browser",
            Self::SentInPlaintext => "sent_in_plaintext",
            Self::Superseded => "superseded",
            Self::Undone => "undone",
        }
    }

    /// What kind of event it makes.
    pub fn kind(self) -> AuditKind {
        match self {
            Self::Accepted
            | Self::CanaryUsed
            | Self::LeakReported
            | Self::LeakedInUrl
            | Self::Refused
            | Self::SentByBrowser
            | Self::SentInPlaintext => AuditKind::Authentication,
            Self::Changed
            | Self::Disabled
            | Self::Enabled
            | Self::Imported
            | Self::Issued
            | Self::MacRenewed
            | Self::Revoked
            | Self::Rotated
            | Self::RotationDemanded
            | Self::RotationFinished
            | Self::Superseded
            | Self::Undone => AuditKind::Lifecycle,
        }
    }
}

/// Who made a change, or sent a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// The service itself.
    Host,
    /// The caller that the service acted for.
    Key(KeyId),
    /// A person, as the service names them.
    User(String),
    /// Nobody knows: a request that was refused.
    Stranger,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_from_before_there_were_requests_is_still_read() {
        let json = r#"{"at":"2026-01-02T03:04:05.678Z","action":"changed","key_id":"4KX9vQ2mB7tZ",
            "owner":"org_42","actor":{"key":"7PqLm3XcV9aR"},"address":"203.0.113.7",
            "changes":[{"field":"name","before":"a","after":null}]}"#;
        let event: AuditEvent = serde_json::from_str(json).unwrap();
        assert_eq!(event.key_id, Some("4KX9vQ2mB7tZ".parse().unwrap()));
        assert_eq!(event.owner.as_deref(), Some("org_42"));
        assert_eq!(event.actor, Actor::Key("7PqLm3XcV9aR".parse().unwrap()));
        assert_eq!(event.requests, None);
        let host = json.replace(r#"{"key":"7PqLm3XcV9aR"}"#, r#""host""#);
        let event: AuditEvent = serde_json::from_str(&host).unwrap();
        assert_eq!(event.actor, Actor::Host);
        let unknown = json.replace(r#""owner""#, r#""since":1,"owner""#);
        assert!(serde_json::from_str::<AuditEvent>(&unknown).is_err());
    }

    #[test]
    fn kinds_and_actions_are_written_alike_in_json_and_in_stores() {
        for kind in [AuditKind::Lifecycle, AuditKind::Authentication] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for action in AuditAction::all() {
            assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
        }
    }

    #[test]
    fn all_actions_are_listed_once_in_the_order_of_their_names() {
        let names: Vec<&str> = AuditAction::all().map(AuditAction::as_str).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        // Serde knows all of them, and names them where one is not known.
        let error = serde_json::from_str::<AuditAction>(r#""none""#).unwrap_err();
        assert_eq!(error.to_string().matches('`').count() / 2, names.len() + 1);
    }
}
