//! Who did what to a key, and with it, without a framework: `cargo run --example audit`

use keygate::audit::{AuditEvent, channel};
use keygate::store::AuditQuery;
use keygate::{Attempt, Change, Keygate, MemoryStore, NewKey, Pepper, Rule};

fn print(event: &AuditEvent) {
    let requests = event.requests.as_ref();
    let code = requests.and_then(|requests| requests.code.as_deref());
    let what = [event.action.as_str(), code.unwrap_or_default()].join(" ");
    let (count, from) = (requests.map_or(1, |requests| requests.count), event.address);
    println!(
        "  {} ({count}x) by {:?} from {from:?}",
        what.trim_end(),
        event.actor
    );
    for change in &event.changes {
        println!(
            "    {}: {:?} -> {:?}",
            change.field, change.before, change.after
        );
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Where the host wants to hear of events as they happen. When it is full, new ones are dropped.
    let (sender, receiver) = channel(1_000);
    let keys = Keygate::builder("acme_live")
        .pepper(Pepper::from_base64(&Pepper::generate_base64()?)?)
        .store(MemoryStore::new())
        .audit_channel(sender)
        .audit_accepted()
        .build()
        .await?;

    // The host knows which person asked, and from where.
    let hers = keys
        .manager()
        .as_user("ada@example.com")
        .from_address("192.0.2.7".parse()?);
    let issued = hers
        .issue(NewKey::for_owner("org_42").scopes(["orders:read"]))
        .await?;
    let id = issued.info.key_id;
    hers.change(&id, Change::new().scopes(["orders:read", "orders:write"]))
        .await?;

    let authenticator = keys.authenticator();
    let text = issued.key.expose();
    let attempt = Attempt::new(text).from_address(Some("198.51.100.3".parse()?));
    for _ in 0..3 {
        authenticator.authenticate(attempt).await?;
    }
    let rule = Rule::all(["keys:write"])?;
    assert!(
        authenticator
            .authenticate(attempt.requiring(&rule))
            .await
            .is_err()
    );
    hers.revoke(&id, "it is not needed any more").await?;
    assert!(authenticator.authenticate(attempt).await.is_err());

    println!("the audit log of {id}:");
    let query = AuditQuery {
        key_id: Some(id),
        ..AuditQuery::new()
    };
    for event in &keys.manager().audit(&query).await?.events {
        print(event);
    }
    println!("what the host was told, one by one:");
    while let Some(event) = receiver.try_recv() {
        println!("  {}", event.action.as_str());
    }
    keys.shutdown().await;
    Ok(())
}
