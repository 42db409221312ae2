//! Half a year of two keys in a moment, by a clock that is set by hand: secrets have to be rotated
//! every 90 days, and a hook is told in time: `cargo run --example expiry`

use std::time::Duration;

use keygate::testing::ManualClock;
use keygate::{Ends, ExpiryNotice, ExpiryNotifier, Keygate, MemoryStore, NewKey, Pepper, Policy};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A service would write to the key's owner here, or open a ticket.
async fn tell(notice: ExpiryNotice) -> Result<(), std::io::Error> {
    let what_to_do = match notice.ends {
        Ends::Secret => "rotate it",
        _ => "ask for another one",
    };
    let (key, ends_at) = (&notice.key, notice.ends_at);
    println!(
        "  to {}: {} of {:?} ends at {ends_at}: {what_to_do}",
        key.owner, notice.ends, key.name
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A service leaves the clock out, and has its keys looked at every hour by the background work.
    let clock = ManualClock::new();
    let keys = Keygate::builder("acme_live")
        .pepper(Pepper::from_base64(&Pepper::generate_base64()?)?)
        .store(MemoryStore::new())
        .clock(clock.clone())
        .policy(Policy::new().max_secret_age(90 * DAY))
        .expiry_notifier(ExpiryNotifier::new(tell).thresholds([30 * DAY, 7 * DAY]))
        .build()
        .await?;

    let manager = keys.manager();
    let new = |name: &str| NewKey::for_owner("org_42").name(name);
    let diligent = manager
        .issue(new("rotated in time").expires_in(180 * DAY))
        .await?;
    let forgotten = manager.issue(new("forgotten").never_expires()).await?;
    for day in 0..=180 {
        let sweep = keys.sweep_expiring().await?;
        if sweep.told > 0 {
            println!("day {day}: told {} times", sweep.told);
        }
        if day == 85 {
            let rotated = manager.rotate(&diligent.info.key_id).await?;
            println!("day {day}: rotated {}", rotated.info.hint);
        }
        clock.advance(DAY);
    }
    for issued in [&diligent, &forgotten] {
        let info = manager.inspect(&issued.info.key_id).await?;
        println!("{:?} is now {:?}", info.name, info.status);
    }
    // The host may still rotate it, and its callers go on with the new text.
    let rotated = manager.rotate(&forgotten.info.key_id).await?;
    println!("{:?} is now {:?}", rotated.info.name, rotated.info.status);
    Ok(())
}
