//! An HTTP service guarded by API keys that survive a restart, on SQLite and axum.
//!
//! For Unix. Run it with `cargo run --example service --features axum,sqlite` and follow what it prints.
//! What its routes ask for is told at `/openapi.json`, and to callers at `/docs/keys`.
//!
//! | variable | default | |
//! |---|---|---|
//! | `KEYGATE_BIND` | `127.0.0.1:8080` | where to listen; port 0 picks a free one |
//! | `KEYGATE_URL` | `http://` and the address | what callers call, if it is something else |
//! | `KEYGATE_DB` | `keygate.db` | the SQLite file with the keys |
//! | `KEYGATE_PEPPER` | made on the first start | at least 32 random bytes in base64 |
//! | `RUST_LOG` | `info` | `debug` shows each decision, never a key |

mod requests;
mod routes;

use std::error::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use keygate::store::SqliteStore;
use keygate::{BuildError, Filter, KeyStore, Keygate, NewKey, Pepper};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

#[tokio::main]
async fn main() -> ExitCode {
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

type Failure = Box<dyn Error>;

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
    let db = PathBuf::from(variable("KEYGATE_DB")?.unwrap_or_else(|| "keygate.db".into()));

    check_place(&db)?;
    let starting = lock(&beside(&db, "lock")).await?;
    let pepper = match variable("KEYGATE_PEPPER")? {
        Some(text) => {
            Pepper::from_base64(&text).map_err(|error| format!("KEYGATE_PEPPER: {error}"))?
        }
        None => trial_pepper(&db)?,
    };
    let store = Arc::new(SqliteStore::open(&db).await?);
    let keys = Keygate::builder("acme_live")
        .decline_prefix("acme_test")
        .scopes(routes::SCOPES)
        .callers_page_url(routes::PAGE)
        .pepper(pepper)
        .store(Arc::clone(&store))
        .build()
        .await
        .map_err(|error| match error {
            BuildError::WrongPepper(_) => wrong_pepper(&db),
            error => error.into(),
        })?;
    let listener = TcpListener::bind(bind)
        .await
        .map_err(|error| format!("cannot listen on {bind} (KEYGATE_BIND): {error}"))?;
    bootstrap(&keys, &store).await?;
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
  curl -H "X-API-Key: $KEY" {url}/v1/keys -d '{{"owner":"org_42","scopes":["orders:read"]}}'
  curl -H "X-API-Key: $KEY" "{url}/v1/keys?owner=org_42"
  ID=...    # a key_id of the list
  curl -H "X-API-Key: $KEY" -X POST {url}/v1/keys/$ID/rotate
  curl -H "X-API-Key: $KEY" -X DELETE {url}/v1/keys/$ID
for whoever gets a key: {url}/docs/keys"#
    ))?;
    serve(listener, routes::app(&keys, url).0).await
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
    let mut terminate = signal(SignalKind::terminate())?;
    let patience = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        let _ = stop.send(());
        tokio::time::sleep(Duration::from_secs(10)).await;
    };
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    tokio::select! {
        served = server => Ok(served?),
        () = patience => Ok(()),
    }
}

/// Issues the first key of an empty database and prints it.
///
/// That it was printed is noted only afterwards: a start that is cut off in between is made up for
/// by the next one, which prints another key. The caller holds the lock, so two starts print one.
async fn bootstrap(keys: &Keygate, store: &SqliteStore) -> Result<(), Failure> {
    const NAME: &str = "bootstrap";
    const PRINTED: &str = "service/bootstrap_key_printed";
    let settings = store
        .abilities()
        .settings
        .ok_or("the store keeps no settings")?;
    if settings.read(PRINTED).await?.is_some() {
        return Ok(());
    }
    let list = keys.manager().list(Filter::new()).await?;
    if list.unreadable.is_empty() && list.keys.iter().all(|key| key.name == NAME) {
        let key = NewKey::for_owner("admin")
            .name(NAME)
            .scopes(routes::SCOPES.scopes().iter().copied())
            .never_expires();
        let issued = keys.manager().issue(key).await?;
        say(&format!("key: {}", issued.key.expose()))?;
    }
    settings.compare_and_set(PRINTED, None, b"yes").await?;
    Ok(())
}

/// Without KEYGATE_PEPPER: the pepper in a file beside the database, made on the first start.
fn trial_pepper(db: &Path) -> Result<Pepper, Failure> {
    let path = beside(db, "pepper");
    if !path.exists() {
        if db.exists() {
            return Err(format!(
                "{} exists, and neither KEYGATE_PEPPER nor {} holds the pepper of its keys: bring it back",
                db.display(),
                path.display()
            )
            .into());
        }
        let unfinished = beside(db, "pepper.new");
        let mut file = private_file(&unfinished)?;
        file.write_all(Pepper::generate_base64()?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
    }
    eprintln!(
        "KEYGATE_PEPPER is not set: using the pepper in {}. That is for trying out only: a thief of the directory has both.",
        path.display()
    );
    Ok(Pepper::from_file(path)?)
}

fn wrong_pepper(db: &Path) -> Failure {
    format!(
        "the pepper (KEYGATE_PEPPER, or else {}) is not the one that the keys in {} were made with: bring it back",
        beside(db, "pepper").display(),
        db.display()
    )
    .into()
}

/// Whether a database can lie there, before anything is made beside it.
fn check_place(db: &Path) -> Result<(), Failure> {
    let directory = db.parent().filter(|parent| !parent.as_os_str().is_empty());
    let wrong = |problem: &str| Err(format!("KEYGATE_DB={}: {problem}", db.display()).into());
    if db.to_string_lossy().contains("://") {
        wrong("this service keeps its keys in a SQLite file: name one")
    } else if db.is_dir() {
        wrong("this is a directory: name a file in it")
    } else if directory.is_some_and(|directory| !directory.is_dir()) {
        wrong("its directory does not exist: make it first")
    } else {
        Ok(())
    }
}

/// Only one service at a time starts on a database. The lock ends with the process.
async fn lock(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path);
    let file =
        file.map_err(|error| format!("KEYGATE_DB: cannot create {}: {error}", path.display()))?;
    for _ in 0..100 {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(format!(
        "another process has been starting for ten seconds: it holds {}",
        path.display()
    )
    .into())
}

/// A new file that only its owner can read. What a start that was cut off left there is removed.
fn private_file(path: &Path) -> Result<File, Failure> {
    let _ = fs::remove_file(path);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    Ok(file.map_err(|error| format!("cannot create {}: {error}", path.display()))?)
}

fn beside(db: &Path, ending: &str) -> PathBuf {
    let mut path = db.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

/// The value of an environment variable, if it is set.
fn variable(name: &str) -> Result<Option<String>, Failure> {
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
fn say(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())?;
    Ok(())
}
