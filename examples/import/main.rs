//! Keys of a Laravel service come over, and go on working with the texts that their bearers have:
//! `cargo run --example import --features sqlite`
//!
//! It reads what this has written, of which a sample lies beside it:
//! `SELECT id, tokenable_id, token FROM personal_access_tokens`
//!
//! Run it twice: the second time there is nothing left to import. So a run that was cut off is begun
//! again. Other files are named behind `--`: `tokens.csv keys.db`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use keygate::{
    Attempt, ForeignFormat, KeyManager, Keygate, NewKey, Pepper, SqliteStore, StoredHash,
};

/// It goes into all that is kept of the keys, and must never change.
const SHOP: &str = "shop";

/// What a bearer of the first token of the sample has. Nobody else knows it: the table has its hash.
const OLD_TEXT: &str = "1|iZ4aWCYmNZ4zY5xin7pADjrCQPubjBohedBAG6KI482e1e0a";

type Failure = Box<dyn Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args_os().skip(1);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/import/tokens.csv");
    let tokens = args.next().map_or_else(|| sample.into(), PathBuf::from);
    let db = args
        .next()
        .map_or_else(|| "import.db".into(), PathBuf::from);

    let keys = Keygate::builder("acme_live")
        .pepper(pepper_beside(&db)?)
        .store(SqliteStore::open(&db).await?)
        .accept_foreign(ForeignFormat::laravel_sanctum(SHOP))
        .build()
        .await?;
    let tokens =
        fs::read_to_string(&tokens).map_err(|error| format!("{}: {error}", tokens.display()))?;
    import(keys.manager(), &tokens).await?;

    match keys
        .authenticator()
        .authenticate(Attempt::new(OLD_TEXT))
        .await
    {
        Ok(caller) => println!("the old text opens, for {}", caller.owner()),
        Err(refusal) => println!("the old text opens nothing: {refusal}"),
    }
    keys.shutdown().await;
    Ok(())
}

/// Imports each row, and says how far it has come.
async fn import(manager: &KeyManager, tokens: &str) -> Result<(), Failure> {
    let (mut imported, mut known) = (0, 0);
    for (line, row) in tokens.lines().enumerate().skip(1) {
        let &[id, owner, hash] = row.split(',').collect::<Vec<_>>().as_slice() else {
            return Err(format!("line {}: not id,tokenable_id,token", line + 1).into());
        };
        let hash =
            StoredHash::from_hex(hash).map_err(|error| format!("line {}: {error}", line + 1))?;
        let new = NewKey::for_owner(format!("user_{owner}"))
            .name(format!("Sanctum token {id}"))
            .scopes(["orders:read"])
            .never_expires();
        let outcome = manager.import(SHOP, &hash.labelled(id), new).await;
        match outcome
            .map_err(|error| format!("line {}: {error}", line + 1))?
            .is_new
        {
            true => imported += 1,
            false => known += 1,
        }
        if line % 1_000 == 0 {
            println!("line {line}: {imported} imported, {known} were here already");
        }
    }
    println!("{imported} imported, {known} were here already");
    Ok(())
}

/// For trying out: a thief of the directory has both. A service keeps its pepper elsewhere.
fn pepper_beside(db: &Path) -> Result<Pepper, Failure> {
    let path = db.with_extension("pepper");
    if !path.exists() {
        fs::write(&path, Pepper::generate_base64()?.as_bytes())?;
    }
    Ok(Pepper::from_file(path)?)
}
