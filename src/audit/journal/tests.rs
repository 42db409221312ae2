use std::future::Future;
use std::task::{Context, Waker};

use super::*;
use crate::store::{AuditPage, AuditQuery};
use async_trait::async_trait;

/// An audit log that never answers.
struct Silent;

#[async_trait]
impl AuditLog for Silent {
    async fn events(&self, _: &AuditQuery) -> Result<AuditPage, StoreError> {
        std::future::pending().await
    }

    async fn record(&self, _: &[AuditEvent]) -> Result<(), StoreError> {
        std::future::pending().await
    }

    async fn forget_before(
        &self,
        _: crate::audit::AuditKind,
        _: Timestamp,
        _: usize,
    ) -> Result<usize, StoreError> {
        std::future::pending().await
    }
}

fn tag(number: u32, key_id: Option<KeyId>) -> Tag {
    Tag {
        action: AuditAction::Refused,
        code: Some("key_revoked"),
        key_id,
        address: Some(std::net::Ipv4Addr::from(number).into()),
    }
}

#[test]
fn what_waits_is_bounded_and_of_what_was_given_up_only_the_batch_is_gone() {
    let journal = Journal::new("acme");
    let key_id = Some("4KX9vQ2mB7tZ".parse().unwrap());
    let note = |number, key_id| journal.note(tag(number, key_id), None, Timestamp::MIN);
    let dropped = || journal.dropped.swap(0, Ordering::Relaxed);
    let (most, strangers) = (MOST as u32, MOST_OF_STRANGERS as u32);
    for _again in 0..2 {
        (0..strangers + 1).for_each(|number| note(number, None));
        assert_eq!(dropped(), 1);
        (0..most).for_each(|number| note(number, key_id));
        assert_eq!(dropped(), u64::from(strangers));
        // Those that are alike to one that waits take no room.
        note(0, None);
        note(0, key_id);
        assert_eq!(dropped(), 0);
        {
            let mut given_up = pin!(journal.hand_on(&Silent));
            let mut context = Context::from_waker(Waker::noop());
            assert!(given_up.as_mut().poll(&mut context).is_pending());
        }
        let left = MOST - BATCH;
        assert_eq!(journal.rows.load(Ordering::SeqCst), left);
        assert_eq!(journal.take_rows().len(), left, "those are back");
        journal.rows.store(0, Ordering::SeqCst);
        assert_eq!(journal.under_way.load(Ordering::SeqCst), 0);
    }
}
