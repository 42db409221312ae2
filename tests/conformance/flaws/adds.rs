//! Stores that add a batch in the wrong steps.

use async_trait::async_trait;
use keygate::StoreError;
use keygate::store::{KeyUsage, UsageBatch};
use tokio::task::yield_now;

use crate::counted::Counted;
use crate::mutant::{Flaw, Shared};

pub(super) struct CountsInTheRecord;

#[async_trait]
impl Flaw for CountsInTheRecord {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        add(store, batch);
        let mut contents = store.lock();
        for entry in &batch.entries {
            if let Some(record) = contents.records.get_mut(&entry.key_id) {
                record.version += 1;
            }
        }
        Ok(())
    }
}

/// Reads the whole record, and writes the whole record.
pub(super) struct WritesRecordsBack;

#[async_trait]
impl Flaw for WritesRecordsBack {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        let ids = batch.entries.iter().map(|entry| entry.key_id);
        let read: Vec<_> = {
            let contents = store.lock();
            ids.filter_map(|id| contents.records.get(&id).cloned())
                .collect()
        };
        yield_now().await;
        add(store, batch);
        let mut contents = store.lock();
        for record in read {
            contents.records.insert(record.id, record);
        }
        Ok(())
    }
}

/// As a foreign key does.
pub(super) struct CountsTheKnown;

#[async_trait]
impl Flaw for CountsTheKnown {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        let mut batch = batch.clone();
        let records = store.lock().records.clone();
        batch
            .entries
            .retain(|entry| records.contains_key(&entry.key_id));
        add(store, &batch);
        Ok(())
    }
}

/// Only what is added up over all days is guarded.
pub(super) struct CountsDaysAgain;

#[async_trait]
impl Flaw for CountsDaysAgain {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        if add(store, batch) {
            return Ok(());
        }
        let usage = &mut store.lock().usage;
        let keys = usage.keys.clone();
        usage.add(batch, KeyUsage::add);
        usage.keys = keys;
        Ok(())
    }
}

pub(super) struct ReadsAndWrites;

#[async_trait]
impl Flaw for ReadsAndWrites {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        let mut usage = store.lock().usage.clone();
        if is_new(&usage, batch) {
            usage.mark(batch);
            usage.add(batch, KeyUsage::add);
            yield_now().await;
            store.lock().usage = usage;
        }
        Ok(())
    }
}

pub(super) struct AddsInTwoSteps;

#[async_trait]
impl Flaw for AddsInTwoSteps {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        let (one, other) = batch.entries.split_at(batch.entries.len() / 2);
        let part = |entries: &[_]| UsageBatch {
            entries: entries.to_vec(),
            ..batch.clone()
        };
        if add(store, &part(one)) {
            yield_now().await;
            store.lock().usage.add(&part(other), KeyUsage::add);
        }
        Ok(())
    }
}

pub(super) struct MarksFirst;

#[async_trait]
impl Flaw for MarksFirst {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        if is_new(&store.lock().usage, batch) {
            store.lock().usage.mark(batch);
            yield_now().await;
            store.lock().usage.add(batch, KeyUsage::add);
        }
        Ok(())
    }
}

pub(super) struct MarksLast;

#[async_trait]
impl Flaw for MarksLast {
    async fn add(&self, store: &Shared, batch: &UsageBatch) -> Result<(), StoreError> {
        if is_new(&store.lock().usage, batch) {
            store.lock().usage.add(batch, KeyUsage::add);
            yield_now().await;
            store.lock().usage.mark(batch);
        }
        Ok(())
    }
}

fn is_new(usage: &Counted, batch: &UsageBatch) -> bool {
    let last = usage.batches.get(&batch.instance);
    last.is_none_or(|last| *last < batch.sequence)
}

/// As a sound store does; whether the batch was new.
fn add(store: &Shared, batch: &UsageBatch) -> bool {
    let usage = &mut store.lock().usage;
    let new = is_new(usage, batch);
    if new {
        usage.mark(batch);
        usage.add(batch, KeyUsage::add);
    }
    new
}
