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

#[test]
fn what_is_accepted_leaves_room_for_what_is_refused() {
    let journal = Journal::new("acme");
    let key_id = Some("4KX9vQ2mB7tZ".parse().unwrap());
    let accepted = |number| Tag {
        action: AuditAction::Accepted,
        code: None,
        ..tag(number, key_id)
    };
    for number in 0..MOST as u32 {
        journal.note(accepted(number), None, Timestamp::MIN);
    }
    assert_eq!(journal.rows.load(Ordering::SeqCst), MOST / 4 * 3);
    journal.dropped.store(0, Ordering::SeqCst);
    for number in 0..MOST as u32 / 4 {
        journal.note(tag(number, key_id), None, Timestamp::MIN);
    }
    assert_eq!(journal.dropped.load(Ordering::SeqCst), 0);
}

#[test]
fn requests_of_one_network_are_one_row_of_each_key_with_the_address_of_the_first() {
    let journal = Journal::new("acme");
    let from = |address: &str| Some(address.parse().unwrap());
    let note = |address, key_id| {
        let tag = Tag {
            address: from(address),
            ..tag(0, key_id)
        };
        journal.note(tag, None, Timestamp::MIN);
    };
    let key_id = Some("4KX9vQ2mB7tZ".parse().unwrap());
    for address in [
        "2001:db8::7",
        "2001:db8::8",
        "2001:db8:0:1::7",
        "192.0.2.1",
        "192.0.2.2",
    ] {
        note(address, None);
        note(address, key_id);
    }
    let mut rows: Vec<_> = journal
        .take_rows()
        .iter()
        .map(|(tag, row)| row.event(tag))
        .map(|event| {
            let count = event.requests.unwrap().count;
            (event.key_id, event.address, count)
        })
        .collect();
    rows.sort();
    let expected = [
        (None, from("192.0.2.1"), 1),
        (None, from("192.0.2.2"), 1),
        (None, from("2001:db8::7"), 2),
        (None, from("2001:db8:0:1::7"), 1),
        (key_id, from("192.0.2.1"), 1),
        (key_id, from("192.0.2.2"), 1),
        (key_id, from("2001:db8::7"), 2),
        (key_id, from("2001:db8:0:1::7"), 1),
    ];
    assert_eq!(rows, expected);
}
