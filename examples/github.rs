//! A service that ends keys which GitHub has found in public, on axum.
//! `cargo run --example github --features axum,github -- public_keys.json`, and follow what it prints.
//!
//! The file holds what `https://api.github.com/meta/public_keys/secret_scanning` answers. It is read again
//! when a request names a key that is not in it, so whatever fetches it need not restart the service. To
//! try it out, make a key of your own as is printed.

use std::error::Error;
use std::path::PathBuf;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use keygate::github::{GithubKeySource, GithubKeys, SecretScanning};
use keygate::{Keygate, MemoryStore, NewKey, OnLeak, Pepper, Principal};
use tokio::net::TcpListener;

struct File(PathBuf);

#[async_trait::async_trait]
impl GithubKeySource for File {
    async fn fetch(&self) -> Result<GithubKeys, Box<dyn Error + Send + Sync>> {
        Ok(GithubKeys::from_json(&std::fs::read(&self.0)?)?)
    }
}

/// The route that GitHub calls. No guard stands before it: the signature lets requests in.
async fn found(
    State(scanning): State<SecretScanning>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let identifier = field("github-public-key-identifier");
    let signature = field("github-public-key-signature");
    let answer = scanning.handle(identifier, signature, &body).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, answer.content_type)], answer.body).into_response()
}

async fn whoami(caller: Principal) -> String {
    caller.owner().to_owned()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os()
        .nth(1)
        .unwrap_or_else(|| "public_keys.json".into());
    let keys = Keygate::builder("acme_live")
        .pepper(Pepper::from_base64(&Pepper::generate_base64()?)?)
        .store(MemoryStore::new())
        .on_leak(OnLeak::Revoke)
        .build()
        .await?;
    let scanning = SecretScanning::with_source(keys.manager(), File(file.into()));
    let route = post(found).layer(DefaultBodyLimit::max(SecretScanning::MAX_BODY));
    let app = Router::new()
        .route("/github/found", route.with_state(scanning))
        .route("/whoami", get(whoami).layer(keys.authenticate()));

    let issued = keys.manager().issue(NewKey::for_owner("org_42")).await?;
    let bind = std::env::var("KEYGATE_BIND").unwrap_or_else(|_| "127.0.0.1:8080".into());
    let listener = TcpListener::bind(bind).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!(
        r#"try:
  KEY={key}
  curl -H "X-API-Key: $KEY" {url}/whoami
for want of GitHub's own key:
  openssl ecparam -name prime256v1 -genkey -noout -out github.pem
  PEM=$(openssl ec -in github.pem -pubout | awk '{{printf "%s\\n", $0}}')
  printf '{{"public_keys":[{{"key_identifier":"mine","key":"%s","is_current":true}}]}}' "$PEM" > public_keys.json
  printf '[{{"token":"%s","type":"acme_key","url":"https://github.example/x","source":"commit"}}]' "$KEY" > found.json
  SIGNATURE=$(openssl dgst -sha256 -sign github.pem found.json | openssl base64 -A)
  curl -H "Github-Public-Key-Identifier: mine" -H "Github-Public-Key-Signature: $SIGNATURE" --data-binary @found.json {url}/github/found
the key is ended:
  curl -H "X-API-Key: $KEY" {url}/whoami"#,
        key = issued.key.expose()
    );
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .await?;
    keys.shutdown().await;
    Ok(())
}
