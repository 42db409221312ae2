//! Issue, verify, refuse, rotate, revoke, in memory: `cargo run --example quickstart`

use keygate::{Attempt, Keygate, MemoryStore, NewKey, Pepper, Rule};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A service keeps its pepper in a file or a secrets manager, apart from the database.
    let pepper = Pepper::from_base64(&Pepper::generate_base64()?)?;
    let keys = Keygate::builder("acme_live")
        .pepper(pepper)
        .store(MemoryStore::new())
        .build()
        .await?;

    let (manager, verifier) = (keys.manager(), keys.authenticator());

    let new = NewKey::for_owner("org_42").scopes(["orders:read"]);
    let issued = manager.issue(new).await?;
    let id = issued.info.key_id;
    println!("issued, shown once: {}", issued.key.expose());
    println!("recognised later by: {}", issued.info.hint);

    let attempt = Attempt::new(issued.key.expose());
    let caller = verifier.authenticate(attempt).await?;
    println!("it opens for {}: {}", caller.owner(), caller.scopes());

    let write = Rule::all(["orders:write"])?;
    match verifier.authenticate(attempt.requiring(&write)).await {
        Ok(_) => println!("it may write orders"),
        Err(refusal) => println!("it may not write orders: {refusal}"),
    }

    let rotated = manager.rotate(&id).await?;
    println!("rotated: {}", rotated.key.expose());
    if let Some(end) = rotated.previous_ends_at() {
        println!("the old secret works until {end}");
    }
    for (name, key) in [("old", &issued.key), ("new", &rotated.key)] {
        verifier.authenticate(Attempt::new(key.expose())).await?;
        println!("the {name} secret opens");
    }

    let revoked = manager.revoke(&id, "no longer used").await?;
    println!("revoked, everywhere in {:?}", revoked.effective_within);
    match verifier.authenticate(attempt).await {
        Ok(_) => println!("it still opens"),
        Err(refusal) => println!("it opens no more: {refusal}"),
    }
    Ok(())
}
