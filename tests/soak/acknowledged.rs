//! Whether every acknowledged change is in the store, and none is there by half.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keygate::audit::AuditKind;
use keygate::store::{AuditQuery, Page};
use keygate::{Attempt, KeyId, KeyRecord, KeyStore, Keygate, Refusal};
use tokio::time::sleep;

use crate::key::Phase;
use crate::service::gate_on;
use crate::store::open;
use crate::world::World;

/// Whose key all changes are made with.
pub(crate) const ADMIN: &str = "admin";

/// A page of records or of events.
const PAGE: usize = 500;

/// How often a store is asked that does not answer.
const ATTEMPTS: usize = 20;

/// While the load goes on: nothing is lost that was acknowledged before.
pub(crate) async fn check_during_load(world: &World) {
    let acknowledged: Vec<(KeyId, u64, bool)> = {
        let keys = world.ledger.keys();
        let all = keys.all.values();
        all.map(|key| (key.id, key.version, key.revoked)).collect()
    };
    let Some(records) = records(world).await else {
        return;
    };
    for (id, version, revoked) in acknowledged {
        let problem = match records.get(&id) {
            None => "it was issued and is not there".into(),
            Some(record) if record.version < version => {
                format!("version {version} was acknowledged: {}", shown(record))
            }
            Some(record) if revoked && record.revocation.is_none() => {
                format!("it was revoked: {}", shown(record))
            }
            Some(_) => continue,
        };
        lost(world, &id, &problem);
    }
}

/// After the load: what is kept is what was acknowledged, and each change has its audit event.
pub(crate) async fn check_after_load(world: &World) {
    check_during_load(world).await;
    let Some(records) = records(world).await else {
        return;
    };
    check_events(world, &records).await;
    check_strangers(world, &records);
    check_secrets(world).await;
}

async fn check_events(world: &World, records: &HashMap<KeyId, KeyRecord>) {
    let Some(events) = events(world).await else {
        return;
    };
    for (id, record) in records {
        let by_hand = world.ledger.keys().all.get(id).map_or(0, |key| key.by_hand);
        let told = events.get(id).copied().unwrap_or_default();
        if !(told..=told + by_hand).contains(&record.version) {
            let problem = format!("it has {told} audit events: {}", shown(record));
            lost(world, id, &problem);
        }
    }
}

/// Keys that nobody was told of are those whose issue was cut off.
fn check_strangers(world: &World, records: &HashMap<KeyId, KeyRecord>) {
    let keys = world.ledger.keys();
    let issued = records.values().filter(|record| record.owner != ADMIN);
    let strangers = issued.filter(|record| !keys.all.contains_key(&record.id));
    let (strangers, most) = (strangers.count() as u64, keys.perhaps_issued);
    if strangers > most {
        let what = format!("{strangers} keys are stored that nobody was told of, and not {most}");
        world.report.violation(what);
    }
}

/// A fresh gate opens what is to open, and refuses the rest.
async fn check_secrets(world: &World) {
    let Some(gate) = fresh_gate(world).await else {
        return;
    };
    let now = Instant::now();
    let secrets: Vec<(KeyId, String, Phase)> = {
        let keys = world.ledger.keys();
        let settled = keys.all.values().filter(|key| !key.in_doubt || key.revoked);
        settled
            .flat_map(|key| {
                // The two newest are in the record.
                let newest = key.secrets.iter().rev().take(2);
                newest.map(|secret| (key.id, secret.text.clone(), secret.phase(now).1))
            })
            .collect()
    };
    for (id, text, phase) in secrets {
        let decision = gate.authenticator().authenticate(Attempt::new(&text)).await;
        let problem = match (decision, phase) {
            (Ok(_), Phase::Refused) => "a secret that has ended opens".into(),
            (Err(Refusal::Rejected(why)), Phase::Valid) => format!("a good secret: {why}"),
            (Err(Refusal::Failed(error)), _) => format!("it cannot be decided: {error}"),
            _ => continue,
        };
        lost(world, &id, &problem);
    }
}

fn lost(world: &World, id: &KeyId, problem: &str) {
    let keys = world.ledger.keys();
    let text = match keys.all.get(id) {
        Some(key) => world.ledger.with_history(key, problem),
        None => format!("key {id}, whose issue was cut off: {problem}"),
    };
    world.report.violation(text);
}

fn shown(record: &KeyRecord) -> String {
    format!(
        "version {}, revoked: {}, disabled: {}",
        record.version,
        record.revocation.is_some(),
        record.disabled_at.is_some()
    )
}

/// All that is kept, read by a store of its own.
async fn records(world: &World) -> Option<HashMap<KeyId, KeyRecord>> {
    let store = fresh_store(world).await?;
    let (mut records, mut after) = (HashMap::new(), None);
    loop {
        let page = Page {
            owner: None,
            after,
            limit: PAGE,
        };
        let listed = answered(world, || store.list(&page)).await?;
        for unreadable in &listed.unreadable {
            let what = format!("key {}: {}", unreadable.id, unreadable.error);
            world.report.violation(what);
        }
        let is_full = listed.records.len() + listed.unreadable.len() >= PAGE;
        after = listed.records.last().map(|record| record.id);
        records.extend(listed.records.into_iter().map(|record| (record.id, record)));
        if !is_full || after.is_none() {
            return Some(records);
        }
    }
}

/// How many changes of each key the audit log has.
async fn events(world: &World) -> Option<HashMap<KeyId, u64>> {
    let store = fresh_store(world).await?;
    let log = store.abilities().audit_log?;
    let mut events: HashMap<KeyId, u64> = HashMap::new();
    let mut query = AuditQuery {
        kind: Some(AuditKind::Lifecycle),
        limit: PAGE,
        ..AuditQuery::new()
    };
    loop {
        let page = answered(world, || log.events(&query)).await?;
        for unreadable in &page.unreadable {
            world.report.violation(unreadable.to_string());
        }
        for event in page.events {
            *events.entry(event.key_id.unwrap()).or_default() += 1;
        }
        query.after = Some(match page.next {
            Some(next) => next,
            None => return Some(events),
        });
    }
}

async fn fresh_store(world: &World) -> Option<Arc<dyn KeyStore>> {
    answered(world, || open(world.store.address())).await
}

async fn fresh_gate(world: &World) -> Option<Keygate> {
    let store = fresh_store(world).await?;
    let gate = gate_on(store, &world.pepper, |builder| builder).await;
    gate.map_err(|error| world.report.violation(error)).ok()
}

/// Asks until there is an answer, and says so if there is none.
async fn answered<T, E: ToString, F: Future<Output = Result<T, E>>>(
    world: &World,
    ask: impl Fn() -> F,
) -> Option<T> {
    let mut problem = String::new();
    for _ in 0..ATTEMPTS {
        match ask().await {
            Ok(answer) => return Some(answer),
            Err(error) => problem = error.to_string(),
        }
        sleep(Duration::from_millis(200)).await;
    }
    let what = format!("what is kept cannot be read: {problem}");
    world.report.violation(what);
    None
}
