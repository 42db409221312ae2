//! Three months of three keys: which is idle, which may do more than it needs, and what a tighter rule
//! would refuse: `cargo run --example reports`
//!
//! The months pass at once: the clock is set by hand, by the feature `testing`.

use std::time::Duration;

use keygate::testing::ManualClock;
use keygate::{Attempt, Change, Filter, Keygate, MemoryStore, NewKey, Pepper, Rule};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = ManualClock::new();
    let keys = Keygate::builder("acme_live")
        .pepper(Pepper::from_base64(&Pepper::generate_base64()?)?)
        .store(MemoryStore::new())
        .clock(clock.clone())
        .build()
        .await?;
    let (manager, verifier) = (keys.manager(), keys.authenticator());

    let new = |name| NewKey::for_owner("org_42").name(name).never_expires();
    let shop = new("shop").scopes(["orders:*", "invoices:read"]);
    let shop = manager.issue(shop).await?;
    let backup = new("backup").scopes(["orders:read", "orders:export"]);
    let backup = manager.issue(backup).await?;
    let forgotten = new("forgotten").scopes(["orders:*"]);
    let forgotten = manager.issue(forgotten).await?;

    // Guards ask for scopes in the same way. The second rule is on trial: it lets everybody through.
    let read = Rule::all(["orders:read"])?;
    let tighter = Rule::all(["orders:read", "customers:read"])?.report_only();
    for day in 0..90 {
        clock.advance(DAY);
        let shopping = Attempt::new(shop.key.expose());
        verifier.authenticate(shopping.requiring(&read)).await?;
        verifier.authenticate(shopping.requiring(&tighter)).await?;
        if day < 10 {
            let backing_up = Attempt::new(backup.key.expose());
            verifier.authenticate(backing_up.requiring(&read)).await?;
        }
    }
    // Counts are written every few seconds, and when the service stops.
    keys.shutdown().await;

    println!("idle for a month:");
    for key in manager.idle(Filter::new(), MONTH).await?.keys {
        if let Some(since) = key.idle_since() {
            println!("  {} since {since}", key.info.name);
        }
    }

    println!("may do more than it needed in a month:");
    let excessive = manager.over_privileged(Filter::new(), MONTH).await?;
    for key in &excessive.keys {
        let privileges = key.privileges(MONTH)?;
        println!("  {} never used {}", key.info.name, privileges.unused);
    }

    println!("would be refused by the tighter rule:");
    for key in manager.shadow_refusals(Filter::new(), MONTH).await?.keys {
        for lacked in key.still_lacks(MONTH) {
            let (scope, requests) = (&lacked.scope, lacked.requests);
            println!("  {} lacked {scope} {requests} times", key.info.name);
        }
    }

    for key in &excessive.keys {
        let narrowing = Change::new().narrow_to_used(MONTH);
        let narrowed = manager.change(&key.info.key_id, narrowing).await?;
        println!("narrowed {} to {}", narrowed.name, narrowed.scopes);
    }

    let id = forgotten.info.key_id;
    if manager.activity(&id).await?.safe_to_revoke(MONTH).is_safe() {
        let revoked = manager.revoke(&id, "idle for a month").await?;
        println!("revoked {}", revoked.info.name);
    }
    Ok(())
}
