//! Audit events: who changed which key, when, from where, and what was before and after; and which
//! requests were accepted and refused.

mod channel;
mod event;
mod hub;
mod journal;
mod keeper;

pub use channel::{AuditReceiver, AuditSender, channel};
pub use event::{Actor, AuditAction, AuditEvent, AuditKind, FieldChange, Requests};
pub(crate) use hub::Events;
pub(crate) use journal::Journal;
pub(crate) use keeper::Keeper;
