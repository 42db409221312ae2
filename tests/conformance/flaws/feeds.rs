//! Stores whose feed of changes has one flaw.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use keygate::store::{ChangeListener, Write};
use keygate::{StoreError, StoreErrorKind};
use tokio::task::yield_now;

use crate::mutant::{Flaw, Shared};

/// Begins its heartbeat after it has looked for changes.
pub(super) struct BeatsLate;

#[async_trait]
impl Flaw for BeatsLate {
    async fn follow(&self, store: &Shared, listener: &dyn ChangeListener) -> StoreError {
        let mut heard = store.lock().changes.len();
        loop {
            for id in store.changes_since(&mut heard) {
                listener.changed(&id);
            }
            yield_now().await;
            listener.alive(listener.beat());
        }
    }
}

/// As a trigger does that is on UPDATE alone.
pub(super) struct TellsUpdates;

#[async_trait]
impl Flaw for TellsUpdates {
    async fn follow(&self, store: &Shared, listener: &dyn ChangeListener) -> StoreError {
        let mut heard = store.lock().changes.len();
        loop {
            let beat = listener.beat();
            for id in store.changes_since(&mut heard) {
                let version = store.lock().records[&id].version;
                if version > 1 {
                    listener.changed(&id);
                }
            }
            listener.alive(beat);
            yield_now().await;
        }
    }
}

/// Keeps no more than one change until it is asked.
pub(super) struct TellsTheLast;

#[async_trait]
impl Flaw for TellsTheLast {
    async fn follow(&self, store: &Shared, listener: &dyn ChangeListener) -> StoreError {
        let mut heard = store.lock().changes.len();
        loop {
            let beat = listener.beat();
            if let Some(id) = store.changes_since(&mut heard).last() {
                listener.changed(id);
            }
            listener.alive(beat);
            yield_now().await;
        }
    }
}

/// Tells of a change before it is made.
pub(super) struct TellsFirst;

#[async_trait]
impl Flaw for TellsFirst {
    async fn write(&self, store: &Shared, change: Write<'_>) -> Result<(), StoreError> {
        store.lock().changes.push(change.record.id);
        yield_now().await;
        let mut contents = store.lock();
        contents.judge(change.expect, change.record)?;
        contents.put(change.record, change.audit);
        contents.changes.pop();
        Ok(())
    }
}

/// Takes silence for a sign that all is well, soon after a change.
pub(super) struct BeatsWithChanges;

#[async_trait]
impl Flaw for BeatsWithChanges {
    async fn follow(&self, store: &Shared, listener: &dyn ChangeListener) -> StoreError {
        let mut heard = store.lock().changes.len();
        let mut idle = 0;
        loop {
            let beat = listener.beat();
            let changes = store.changes_since(&mut heard);
            changes.iter().for_each(|id| listener.changed(id));
            idle = if changes.is_empty() { idle + 1 } else { 0 };
            if idle <= 4 {
                listener.alive(beat);
            }
            yield_now().await;
        }
    }
}

/// Does not let go of its connection when it is dropped.
#[derive(Default)]
pub(super) struct FollowedOnce(AtomicBool);

#[async_trait]
impl Flaw for FollowedOnce {
    async fn follow(&self, store: &Shared, listener: &dyn ChangeListener) -> StoreError {
        struct Sound;
        impl Flaw for Sound {}
        match self.0.swap(true, Ordering::SeqCst) {
            true => StoreErrorKind::Unavailable.into(),
            false => Sound.follow(store, listener).await,
        }
    }
}
