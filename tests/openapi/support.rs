//! Gates, keys and calls.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use keygate::{Builder, ClientAddress, Keygate, MemoryStore, NewKey, Pepper};
use serde_json::Value;
use tower::ServiceExt;

use crate::routes::SCOPES;

pub(crate) async fn gate(configure: impl FnOnce(Builder) -> Builder) -> Keygate {
    let pepper = Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
    let builder = Keygate::builder("acme_live")
        .pepper(pepper)
        .store(MemoryStore::new());
    configure(builder).build().await.unwrap()
}

/// The gate of the service example, and what it serves.
pub(crate) async fn service() -> (Keygate, Router, utoipa::openapi::OpenApi) {
    let keys = gate(|builder| builder.scopes(SCOPES)).await;
    let service = crate::bearer::Service {
        keys: keys.clone(),
        source: ClientAddress::peer(),
    };
    let (app, document) = crate::routes::app(service, "https://api.acme.example");
    (keys, app, document)
}

pub(crate) async fn key<S: Into<String>>(
    keys: &Keygate,
    scopes: impl IntoIterator<Item = S>,
) -> String {
    let new = NewKey::for_owner("org_42").scopes(scopes);
    let issued = keys.manager().issue(new).await.unwrap();
    issued.key.expose().to_owned()
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Header lines.
pub(crate) type Lines<'a> = &'a [(&'a str, &'a str)];

pub(crate) async fn call(app: &Router, method: &str, path: &str, headers: Lines<'_>) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let request = request.body(Body::empty()).unwrap();
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}

pub(crate) fn json(document: &utoipa::openapi::OpenApi) -> Value {
    serde_json::to_value(document).unwrap()
}

/// All operations of a document: method, path, and what is said of it.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let operations = item.as_object().unwrap().clone().into_iter();
        let path = path.clone();
        operations.map(move |(method, said)| (method.to_uppercase(), path.clone(), said))
    };
    paths.into_iter().flat_map(of_path).collect()
}

/// What stands where a `$ref` points to.
pub(crate) fn resolve<'a>(document: &'a Value, said: &'a Value) -> &'a Value {
    match said.get("$ref") {
        None => said,
        Some(to) => {
            let pointer = to.as_str().unwrap().strip_prefix('#').unwrap();
            let found = document.pointer(pointer);
            found.unwrap_or_else(|| panic!("{to} leads nowhere"))
        }
    }
}
