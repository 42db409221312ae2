//! Audit events: who changed which key, when, from where, and what was before and after; and which
//! requests were accepted and refused.

mod event;

pub use event::{Actor, AuditAction, AuditEvent, AuditKind, FieldChange, Requests};
