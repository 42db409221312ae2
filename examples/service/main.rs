//! An HTTP service guarded by API keys that survive a restart, on axum: one instance on SQLite, or many
//! on one PostgreSQL or Redis.
//!
//! For Unix. Run it with `cargo run --example service --features axum,sqlite` and follow what it prints;
//! with the features `postgres` or `redis` it takes a server too. What its routes ask for is told at
//! `/openapi.json`, and to callers at `/docs/keys`.
//!
//! | variable | default | |
//! |---|---|---|
//! | `KEYGATE_BIND` | `127.0.0.1:8080` | where to listen; port 0 picks a free one |
//! | `KEYGATE_URL` | `http://` and the address | what callers call, if it is something else |
//! | `KEYGATE_STORE` | `keygate.db` | the SQLite file with the keys, or `postgres://..`, `redis://..` |
//! | `KEYGATE_PEPPER_FILE` | for a SQLite file: one beside it, made on the first start | the peppers of the keys; read again every minute, so they are changed without a restart |
//! | `KEYGATE_PEPPER` | as above | the same as a text: at least 32 random bytes in base64, or several as in `2:<base64> 1:<base64>` |
//! | `KEYGATE_TRUSTED_PROXIES` | none: the caller is the peer | proxies in front that write `X-Forwarded-For` and `X-Forwarded-Proto`, like `10.0.0.0/8,::1` |
//! | `RUST_LOG` | `info` | `debug` shows each decision, never a key |
//!
//! On Redis all instances count rate limits together.
//!
//! The log says when changes by other instances are told as they happen, and when not for a while.
//! Either way a revoked key is refused by all of them within a second. It also names keys that end soon.

mod audit;
mod bearer;
mod first_key;
mod live;
mod reports;
mod requests;
mod routes;
mod sqlite_file;
pub(crate) mod store;
mod usage;

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use keygate::{
    BuildError, Builder, ClientAddress, ExpiryNotice, ExpiryNotifier, KeyStore, Keygate, OnExposure,
};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use store::Database;

#[tokio::main]
pub(crate) async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(Some(&*error), |error| (**error).source());
            let texts: Vec<String> = causes.map(ToString::to_string).collect();
            eprintln!("error: {}", texts.join(": "));
            ExitCode::FAILURE
        }
    }
}

/// For so long before a key ends, its callers are told.
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(crate) type Failure = Box<dyn Error>;

async fn run() -> Result<(), Failure> {
    let level = variable("RUST_LOG")?.unwrap_or_else(|| "info".into());
    let level: LevelFilter = level.parse().map_err(|_| {
        format!("RUST_LOG={level:?} is no level: use error, warn, info, debug or trace")
    })?;
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .init();
    let bind = variable("KEYGATE_BIND")?.unwrap_or_else(|| "127.0.0.1:8080".into());
    let bind: SocketAddr = bind.parse().map_err(|_| {
        format!("KEYGATE_BIND={bind:?} is no address to listen on: write it like 127.0.0.1:8080")
    })?;
    let url = variable("KEYGATE_URL")?;
    if let Some(url) = url.as_deref().filter(|url| !is_url(url)) {
        return Err(format!(
            "KEYGATE_URL={url:?} is not what callers call: write it like https://api.example.com"
        )
        .into());
    }
    let database = variable("KEYGATE_STORE")?.unwrap_or_else(|| "keygate.db".into());
    let database = Database::named(&database)?;

    let starting = database.lock_start().await?;
    let builder = database.peppers(Keygate::builder("acme_live"))?;
    let store = database.open().await?;
    let keys = gate(builder, &database, Arc::clone(&store)).await?;
    let listener = TcpListener::bind(bind)
        .await
        .map_err(|error| format!("cannot listen on {bind} (KEYGATE_BIND): {error}"))?;
    first_key::print_once(&keys, &*store, database.patience()).await?;
    drop(starting);

    let address = listener.local_addr()?;
    say(&format!("listening on http://{address}"))?;
    let url = url.unwrap_or_else(|| format!("http://{address}"));
    let url = url.trim_end_matches('/');
    say(&format!(
        r#"try:
  KEY=...   # the text behind "key:", which the first start printed
  curl -H "Authorization: Bearer $KEY" {url}/v1/whoami
  curl -H "X-API-Key: $KEY" {url}/v1/orders
  curl -H "X-API-Key: $KEY" {url}/v1/keys -d '{{"owner":"org_42","scopes":["orders:admin"],"expires_in_days":20,"rate_limit":{{"requests":5,"per_seconds":60}}}}'
  curl -H "X-API-Key: $KEY" "{url}/v1/keys?owner=org_42"
  curl -H "X-API-Key: $KEY" "{url}/v1/reports/expiring?days=30"
  curl -H "X-API-Key: $KEY" "{url}/v1/reports/over-privileged?days=30"
  curl -H "X-API-Key: $KEY" "{url}/v1/reports/would-refuse?days=30"
  ID=...    # a key_id of the list
  curl -H "X-API-Key: $KEY" {url}/v1/keys/$ID
  curl -H "X-API-Key: $KEY" "{url}/v1/audit?key_id=$ID"
  curl -H "X-API-Key: $KEY" -X POST {url}/v1/keys/$ID/rotate
  curl -H "X-API-Key: $KEY" -X DELETE {url}/v1/keys/$ID
  LOST=...  # the text of a key: whoever holds it can end it, also where it does not open
  curl -H "X-API-Key: $LOST" -X POST {url}/v1/keys/self/revoke
for whoever gets a key: {url}/docs/keys"#
    ))?;
    let source = client_address()?;
    let service = bearer::Service {
        keys: keys.clone(),
        source,
    };
    let app = routes::app(service, url).0;
    let served = serve(listener, app).await;
    // What was counted since it was last handed on is stored here.
    keys.shutdown().await;
    served
}

/// The gate of every instance on a database.
pub(crate) async fn gate(
    builder: Builder,
    database: &Database,
    store: Arc<dyn KeyStore>,
) -> Result<Keygate, Failure> {
    let gate = builder
        .decline_prefix("acme_test")
        .scopes(routes::SCOPES)
        .callers_page_url(routes::PAGE)
        .client_address(client_address()?)
        // Where a proxy says so. Of keys that browsers send it is only told.
        .keys_in_plaintext(OnExposure::Refuse)
        .tell_callers_of_end(MONTH)
        .tell_rate_limits()
        // Each use of a key, not only what is refused.
        .audit_accepted()
        // Every minute, to try it out. The default, which is an hour, is often enough.
        .expiry_notifier(ExpiryNotifier::new(tell).every(Duration::from_secs(60)))
        .store(store);
    let gate = database.limiting(gate).await?;
    gate.build().await.map_err(|error| match error {
        BuildError::WrongPepper(id) => database.wrong_pepper(id),
        error => error.into(),
    })
}

/// Whom proxies in front name as the caller, if there are any, and the peer otherwise.
fn client_address() -> Result<ClientAddress, Failure> {
    const NAME: &str = "KEYGATE_TRUSTED_PROXIES";
    if std::env::var_os(NAME).is_none_or(|value| value.is_empty()) {
        return Ok(ClientAddress::peer());
    }
    let proxies = variable(NAME)?.unwrap_or_default();
    let behind = ClientAddress::behind(proxies.split(',').map(str::trim));
    behind
        .check()
        .map_err(|error| format!("{NAME}={proxies:?}: {error}"))?;
    Ok(behind)
}

/// Here a service would write to the key's owner. What fails is told again later.
async fn tell(notice: ExpiryNotice) -> io::Result<()> {
    let (key, ends, at) = (&notice.key, notice.ends, notice.ends_at);
    let (id, owner) = (key.key_id, &key.owner);
    let mut log = io::stderr().lock();
    writeln!(log, "notice: key {id} of {owner}: {ends} ends at {at}")
}

/// Whether it begins a URL that can be pasted into a shell.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://");
    let rest = rest.or_else(|| text.strip_prefix("http://"));
    let of_url = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]@%".contains(c);
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(of_url))
}

/// Serves until Ctrl-C or SIGTERM; requests under way may finish, for ten seconds.
async fn serve(listener: TcpListener, app: Router) -> Result<(), Failure> {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    // Before anybody is served, so that no signal that comes after kills it.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let patience = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let _ = stop.send(());
        tokio::time::sleep(Duration::from_secs(10)).await;
    };
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    tokio::select! {
        served = server => Ok(served?),
        () = patience => Ok(()),
    }
}

/// The value of an environment variable, if it is set.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => {
            Err(format!("{name} is empty: set it to something, or unset it").into())
        }
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8").into()),
    }
}

/// Prints a line and makes sure that it was printed.
pub(crate) fn say(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())?;
    Ok(())
}
