//! Three instances of the service on one database, and a revocation that reaches all of them.
//!
//! For Unix. Name a PostgreSQL database, a Redis server or a SQLite file, to try it out with:
//!
//! ```sh
//! export KEYGATE_PEPPER=$(openssl rand -base64 32)
//! cargo run --example fleet --features axum,sqlite,postgres -- postgres://user:password@localhost/keys
//! cargo run --example fleet --features axum,sqlite,redis -- redis://localhost
//! ```
//!
//! It issues a key, revokes it through one instance by HTTP, and prints when each of them refused it; in
//! PostgreSQL it revokes a second one by hand. It fails if an instance let a key in by a request that
//! began more than a second after the revocation was acknowledged. The instances end with it.

mod instance;
#[path = "../service/main.rs"]
mod service;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use keygate::{Keygate, NewKey};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use instance::Instance;
use service::store::Database;
use service::{Failure, say, variable};

fn main() -> ExitCode {
    let name = std::env::args().nth(1);
    if name.as_deref() == Some(instance::ARGUMENT) {
        return instance::serve();
    }
    match run(name) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every instance kept the promise.
fn run(name: Option<String>) -> Result<bool, Failure> {
    let runtime = Runtime::new()?;
    runtime.spawn(end_on_signal());
    let name = match name {
        Some(name) => name,
        None => {
            variable("KEYGATE_STORE")?.ok_or("name a database, as in postgres://localhost/keys")?
        }
    };
    let database = Database::named(&name)?;
    // As the instances do, and before they are started.
    let builder = database.peppers(Keygate::builder("acme_live"))?;

    say("three instances on one database:")?;
    let mut instances = Vec::new();
    for number in 1..=3 {
        instances.push(Instance::start(number, &name)?);
    }
    let keys = runtime.block_on(async {
        let store = database.open().await?;
        service::gate(builder, &database, store).await
    })?;
    let all_well = show(&runtime, &database, &keys, &instances);
    runtime.block_on(keys.shutdown());
    let all_well = all_well?;
    say(match all_well {
        true => "every instance refused every key within a second",
        false => "BROKEN: not every instance refused every key within a second",
    })?;
    Ok(all_well)
}

fn show(
    runtime: &Runtime,
    database: &Database,
    keys: &Keygate,
    instances: &[Instance],
) -> Result<bool, Failure> {
    let admin = NewKey::for_owner("admin")
        .name("fleet")
        .scopes(["keys:write"])
        .expires_in(Duration::from_secs(60 * 60));
    let admin = runtime.block_on(keys.manager().issue(admin))?;
    let issue = || issue(&instances[0], admin.key.expose());

    let (id, key) = issue()?;
    let by_http = watch::revocation(instances, &key, || {
        say(&format!("DELETE /v1/keys/{id} to instance 1"))?;
        let path = format!("/v1/keys/{id}");
        let answer = instances[0].call("DELETE", &path, admin.key.expose(), "")?;
        answer.expect(200).map(drop)
    })?;
    let by_hand = match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(url) => {
            let (id, key) = issue()?;
            watch::revocation(instances, &key, || {
                runtime.block_on(revoke_by_hand(url, &id))
            })?
        }
        _ => true,
    };
    runtime.block_on(keys.manager().revoke(&admin.info.key_id, "no more needed"))?;
    Ok(by_http && by_hand)
}

/// A key that every instance accepts: its id and its text.
fn issue(by: &Instance, admin: &str) -> Result<(String, String), Failure> {
    let body = json!({"owner": "org_42", "name": "fleet"}).to_string();
    let answer = by.call("POST", "/v1/keys", admin, &body)?.expect(201)?;
    let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
    Ok((text("key_id"), text("key")))
}

/// As somebody with `psql` does.
#[cfg(feature = "postgres")]
async fn revoke_by_hand(url: &str, id: &str) -> Result<(), Failure> {
    say(&format!(
        "UPDATE keygate_keys SET revoked_at = now() WHERE id = '{id}'"
    ))?;
    let pool = keygate::PostgresStore::pool(url)?;
    let revoke = sqlx::query("UPDATE keygate_keys SET revoked_at = now() WHERE id = $1");
    let revoked = revoke.bind(id).execute(&pool).await?;
    match revoked.rows_affected() {
        1 => Ok(()),
        _ => Err("the key is not in the table".into()),
    }
}

/// The instances end when this process does, however it does.
async fn end_on_signal() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
    eprintln!("stopped");
    std::process::exit(1);
}
