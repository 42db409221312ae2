//! How events reach the host.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use keygate::audit::{Actor, AuditAction, AuditReceiver, channel};
use keygate::{Builder, NewKey, StoreErrorKind};

use crate::common::*;

async fn world(capacity: usize, change: impl FnOnce(Builder) -> Builder) -> (World, AuditReceiver) {
    let (sender, receiver) = channel(capacity);
    let world = World::with(|builder| change(builder).audit_channel(sender)).await;
    (world, receiver)
}

#[tokio::test]
async fn the_host_is_told_of_changes_after_the_commit_and_of_requests_one_by_one() {
    let (world, receiver) = world(100, Builder::audit_accepted).await;
    let manager = world.keys.manager().as_user("ada");
    let issued = manager.issue(NewKey::for_owner("a")).await.unwrap();
    for _ in 0..2 {
        present(&world.keys, issued.key.expose()).await.unwrap();
        rejection(present(&world.keys, "junk").await);
    }
    let told: Vec<_> = std::iter::from_fn(|| receiver.try_recv()).collect();
    let (key, stranger) = (Actor::Key(issued.info.key_id), Actor::Stranger);
    let (accepted, refused) = (AuditAction::Accepted, AuditAction::Refused);
    let actual: Vec<_> = told
        .iter()
        .map(|event| {
            let count = event.requests.as_ref().map(|requests| requests.count);
            (event.action, event.actor.clone(), count)
        })
        .collect();
    let expected = [
        (AuditAction::Issued, Actor::User("ada".into()), None),
        (accepted, key.clone(), Some(1)),
        (refused, stranger.clone(), Some(1)),
        (accepted, key, Some(1)),
        (refused, stranger, Some(1)),
    ];
    assert_eq!(actual, expected);
    let kept = world.keys.manager().audit(&Default::default()).await;
    assert_eq!(kept.unwrap().events[0], told[0], "the log says the same");
}

#[tokio::test]
async fn the_host_is_not_told_of_a_change_that_nobody_knows_to_be_made() {
    let (world, receiver) = world(100, |builder| builder).await;
    let issued = world.keys.manager().issue(NewKey::for_owner("a")).await;
    let id = issued.unwrap().info.key_id;
    receiver.try_recv().unwrap();
    for fault in [
        Fault::Fail(StoreErrorKind::Unavailable),
        Fault::NotDoneUnknown,
    ] {
        world.store.writes.once(fault);
        world.keys.manager().revoke(&id, "").await.unwrap_err();
        assert_eq!(receiver.try_recv(), None);
    }
    // The answer was lost, and the manager has seen that it is done.
    world.store.writes.once(Fault::DoneUnknown);
    world.keys.manager().revoke(&id, "").await.unwrap();
    assert_eq!(receiver.try_recv().unwrap().action, AuditAction::Revoked);
    assert_eq!(receiver.try_recv(), None, "at most once");
}

#[tokio::test]
async fn a_draft_is_told_when_the_host_says_that_it_is_committed() {
    let (world, receiver) = world(100, |builder| builder).await;
    let draft = world.keys.manager().draft(NewKey::for_owner("a")).unwrap();
    assert_eq!(receiver.try_recv(), None);
    let issued = draft.committed();
    let event = receiver.try_recv().unwrap();
    assert_eq!(event.key_id, Some(issued.info.key_id));
}

#[tokio::test]
async fn a_full_channel_keeps_what_it_has_and_counts_what_it_drops() {
    for (capacity, kept) in [(0, 1), (2, 2)] {
        let (world, receiver) = world(capacity, |builder| builder).await;
        let manager = world.keys.manager();
        for owner in ["a", "b", "c", "d"] {
            drop(manager.issue(NewKey::for_owner(owner)).await.unwrap());
        }
        for owner in ["a", "b"].iter().take(kept) {
            let event = receiver.recv().await.unwrap();
            assert_eq!(event.owner.as_deref(), Some(*owner));
        }
        assert_eq!(receiver.try_recv(), None);
        assert_eq!(receiver.take_dropped(), 4 - kept as u64);
        assert_eq!(receiver.take_dropped(), 0);
        drop(manager.issue(NewKey::for_owner("e")).await.unwrap());
        let event = receiver.try_recv().unwrap();
        assert_eq!(event.owner.as_deref(), Some("e"), "there is room again");
    }
}

#[tokio::test]
async fn what_anybody_can_send_leaves_room_for_proved_keys_and_for_changes() {
    for (capacity, strangers, requests) in [(8, 4, 6), (3, 2, 3), (1, 1, 1)] {
        let (world, receiver) = world(capacity, Builder::audit_accepted).await;
        let manager = world.keys.manager();
        let issued = manager.issue(NewKey::for_owner("a")).await.unwrap();
        receiver.try_recv().unwrap();
        for _ in 0..20 {
            rejection(present(&world.keys, "junk").await);
        }
        for _ in 0..20 {
            present(&world.keys, issued.key.expose()).await.unwrap();
        }
        for _ in 0..20 {
            drop(manager.issue(NewKey::for_owner("b")).await.unwrap());
        }
        let told: Vec<_> = std::iter::from_fn(|| receiver.try_recv()).collect();
        let actions: Vec<_> = told.iter().map(|event| event.action).collect();
        let mut expected = vec![AuditAction::Refused; strangers];
        expected.resize(requests, AuditAction::Accepted);
        expected.resize(capacity, AuditAction::Issued);
        assert_eq!(actions, expected, "of {capacity}");
        assert_eq!(receiver.take_dropped(), 60 - capacity as u64);
    }
}

#[tokio::test]
async fn who_waits_is_told_of_the_next_event_and_of_the_end_of_the_gate() {
    let (world, receiver) = world(2, |builder| builder).await;
    let manager = world.keys.manager().clone();
    let receiver = Arc::new(receiver);
    let waiting = tokio::spawn({
        let receiver = Arc::clone(&receiver);
        async move { receiver.recv().await }
    });
    tokio::task::yield_now().await;
    drop(manager.issue(NewKey::for_owner("a")).await.unwrap());
    let event = waiting.await.unwrap().unwrap();
    assert_eq!(event.action, AuditAction::Issued);

    drop(manager.issue(NewKey::for_owner("b")).await.unwrap());
    drop((world, manager));
    let left = receiver.recv().await.unwrap();
    assert_eq!(
        left.owner.as_deref(),
        Some("b"),
        "what was sent is received"
    );
    assert_eq!(receiver.recv().await, None);
}

#[tokio::test]
async fn no_event_is_lost_with_a_wait_that_is_given_up() {
    let (world, receiver) = world(2, |builder| builder).await;
    {
        let mut given_up = pin!(receiver.recv());
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(given_up.as_mut().poll(&mut context), Poll::Pending);
        let new = NewKey::for_owner("a");
        drop(world.keys.manager().issue(new).await.unwrap());
    }
    assert!(receiver.try_recv().is_some());
}

#[tokio::test]
async fn nobody_is_held_up_where_the_host_has_dropped_its_end() {
    let (world, receiver) = world(1, |builder| builder).await;
    drop(receiver);
    for _ in 0..3 {
        let new = NewKey::for_owner("a");
        drop(world.keys.manager().issue(new).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_tasks_at_once_each_event_is_received_once_or_counted_as_dropped() {
    const TASKS: usize = 64;
    const EACH: usize = 50;
    for capacity in [100, 2 * TASKS * EACH] {
        let (world, receiver) = world(capacity, |builder| builder).await;
        let world = Arc::new(world);
        let senders: Vec<_> = (0..TASKS)
            .map(|_| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    for _ in 0..EACH {
                        rejection(present(&world.keys, "junk").await);
                    }
                })
            })
            .collect();
        let receiver = Arc::new(receiver);
        let received = tokio::spawn({
            let receiver = Arc::clone(&receiver);
            async move {
                let mut received = 0;
                while receiver.recv().await.is_some() {
                    received += 1;
                }
                received
            }
        });
        for sender in senders {
            sender.await.unwrap();
        }
        drop(Arc::into_inner(world).unwrap());
        let total = received.await.unwrap() + receiver.take_dropped() as usize;
        assert_eq!(total, TASKS * EACH, "through {capacity} places");
    }
}
