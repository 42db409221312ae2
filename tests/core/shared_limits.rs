//! Limits that are counted elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use keygate::{
    Issued, KeyManager, Level, NewKey, OnOutage, RateLimit, Refusal, Rejection, SharedLimiter,
    StoreError, StoreErrorKind, Take,
};

use crate::common::*;

/// Allows everything, unless it is away. Where a manager is given, the key is revoked by it meanwhile.
#[derive(Default)]
struct Elsewhere {
    is_away: AtomicBool,
    revoking: OnceLock<KeyManager>,
}

struct Shared(Arc<Elsewhere>);

#[async_trait]
impl SharedLimiter for Shared {
    async fn take(&self, takes: &[Take<'_>]) -> Result<Vec<Level>, StoreError> {
        if self.0.is_away.load(Ordering::SeqCst) {
            return Err(StoreErrorKind::Unavailable.into());
        }
        if let Some(manager) = self.0.revoking.get() {
            manager.revoke(takes[0].key_id, "").await.unwrap();
        }
        Ok(vec![Level::default(); takes.len()])
    }
}

async fn world(on_outage: OnOutage) -> (World, Arc<Elsewhere>, Issued) {
    let elsewhere = Arc::new(Elsewhere::default());
    let shared = Shared(Arc::clone(&elsewhere));
    let world = World::with(|builder| builder.shared_limiter(shared, on_outage)).await;
    let limit = RateLimit::per_day(2);
    let new = NewKey::for_owner("org_42").rate_limit(limit);
    let issued = world.keys.manager().issue(new).await.unwrap();
    (world, elsewhere, issued)
}

#[tokio::test]
async fn a_key_that_is_revoked_while_the_limiter_is_asked_is_refused() {
    let (world, elsewhere, issued) = world(OnOutage::Refuse).await;
    let text = issued.key.expose();
    present(&world.keys, text).await.unwrap();
    let manager = world.keys.manager().clone();
    assert!(elsewhere.revoking.set(manager).is_ok());
    let refusal = present(&world.keys, text).await.unwrap_err();
    assert!(
        matches!(refusal, Refusal::Rejected(Rejection::KeyRevoked)),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_limit_that_nobody_counts_is_counted_here_or_answered_as_an_outage() {
    for on_outage in [OnOutage::CountHere, OnOutage::Refuse] {
        let (world, elsewhere, issued) = world(on_outage).await;
        let text = issued.key.expose();
        for _ in 0..5 {
            present(&world.keys, text).await.unwrap();
        }
        elsewhere.is_away.store(true, Ordering::SeqCst);
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            let outcome = present(&world.keys, text).await;
            outcomes.push(outcome.map_or_else(|refusal| refusal.code(), |_| "accepted"));
        }
        let expected = match on_outage {
            OnOutage::CountHere => ["accepted", "accepted", "rate_limited"],
            _ => ["store_unavailable"; 3],
        };
        assert_eq!(outcomes, expected);
        elsewhere.is_away.store(false, Ordering::SeqCst);
        world.clock.advance_monotonic(SECOND);
        present(&world.keys, text).await.unwrap();
    }
}
