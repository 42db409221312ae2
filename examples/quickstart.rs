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

    let issued = keys
        .manager()
        .issue(
            NewKey::for_owner("org_42")
                .name("CI")
                .scopes(["orders:read"]),
        )
        .await?;
    let id = issued.info.key_id;
    println!("issued, shown once: {}", issued.key.expose());
    println!("recognised later by: {}", issued.info.hint);

    let attempt = Attempt::new(issued.key.expose());
    let caller = keys.authenticator().authenticate(attempt).await?;
    println!(
        "it opens for {} with the scopes {}",
        caller.owner(),
        caller.scopes()
    );

    let write = Rule::all(["orders:write"])?;
    match keys
        .authenticator()
        .authenticate(attempt.requiring(&write))
        .await
    {
        Ok(_) => println!("it may write orders"),
        Err(refusal) => println!("it may not write orders: {refusal}"),
    }

    let rotated = keys.manager().rotate(&id).await?;
    println!(
        "rotated, the same key with a new secret: {}",
        rotated.key.expose()
    );
    if let Some(end) = rotated.previous_ends_at() {
        println!("the old secret works until {end}");
    }
    for (name, text) in [("old", issued.key.expose()), ("new", rotated.key.expose())] {
        keys.authenticator()
            .authenticate(Attempt::new(text))
            .await?;
        println!("the {name} secret opens");
    }

    let revoked = keys.manager().revoke(&id, "no longer used").await?;
    println!("revoked, everywhere within {:?}", revoked.effective_within);
    match keys
        .authenticator()
        .authenticate(Attempt::new(rotated.key.expose()))
        .await
    {
        Ok(_) => println!("it still opens"),
        Err(refusal) => println!("it opens no more: {refusal}"),
    }
    Ok(())
}
