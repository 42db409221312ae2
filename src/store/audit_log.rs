use async_trait::async_trait;

use super::StoreError;
use crate::audit::{AuditAction, AuditEvent, AuditKind};
use crate::clock::Timestamp;
use crate::key::KeyId;

/// The audit events that [`KeyStore::write`](super::KeyStore::write) keeps with its changes, and those
/// that come without one.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// The events that `query` asks for, in the order in which they were written.
    ///
    /// # Errors
    /// `Unavailable`, or `Corrupt` for a cursor that is none of the store's. Events that cannot be
    /// read are part of the answer instead.
    async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError>;

    /// Keeps events that come with no change: of [`AuditKind::Authentication`]. All of them or none.
    /// They are new each time: what is recorded twice is kept twice.
    ///
    /// # Errors
    /// `Unavailable` where none of them is kept, or `OutcomeUnknown`.
    async fn record(&self, events: &[AuditEvent]) -> Result<(), StoreError>;

    /// Forgets events of a kind that happened before `moment`, and at most `limit` of them, so that no
    /// transaction is long. Answers how many: where it is `limit`, there may be more. Cursors of other
    /// events stay good.
    ///
    /// # Errors
    /// `Unavailable` or `OutcomeUnknown`. Some of them may be forgotten then.
    async fn forget_before(
        &self,
        kind: AuditKind,
        moment: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError>;
}

/// Which events to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditQuery {
    /// Of this key alone.
    pub key_id: Option<KeyId>,
    /// Of this owner's keys alone.
    pub owner: Option<String>,
    /// Of this action alone.
    pub action: Option<AuditAction>,
    /// Of this kind alone.
    pub kind: Option<AuditKind>,
    /// At or after this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// After the end of an earlier page: its [`AuditPage::next`].
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Some events, in the order in which they were stored: those of requests are stored some seconds after
/// what they tell of.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// The events.
    pub events: Vec<AuditEvent>,
    /// What is wrong with events of the page that cannot be read. They count towards the limit.
    pub unreadable: Vec<StoreError>,
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
            kind: None,
            from: None,
            until: None,
            after: None,
            limit: 100,
        }
    }

    /// Whether `event` is one of those that are asked for, wherever its page begins.
    pub fn selects(&self, event: &AuditEvent) -> bool {
        (self.key_id.is_none() || self.key_id == event.key_id)
            && (self.owner.is_none() || self.owner == event.owner)
            && self.action.is_none_or(|action| action == event.action)
            && self.kind.is_none_or(|kind| kind == event.action.kind())
            && self.from.is_none_or(|from| event.at >= from)
            && self.until.is_none_or(|until| event.at < until)
    }
}

impl Default for AuditQuery {
    fn default() -> Self {
        Self::new()
    }
}
