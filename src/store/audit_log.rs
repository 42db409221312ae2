use async_trait::async_trait;

use super::StoreError;
use crate::audit::{AuditAction, AuditEvent};
use crate::clock::Timestamp;
use crate::key::KeyId;

/// Reads the audit events that [`KeyStore::write`](super::KeyStore::write) keeps.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// The events that `query` asks for, in the order in which they were written.
    ///
    /// # Errors
    /// `Unavailable`, or `Corrupt` for a cursor that is none of the store's. Events that cannot be
    /// read are part of the answer instead.
    async fn events(&self, query: &AuditQuery) -> Result<AuditPage, StoreError>;
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
