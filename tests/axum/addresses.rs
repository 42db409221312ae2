use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::connect_info::MockConnectInfo;
use axum::http::Request;
use axum::routing::get;
use axum::{Extension, Router};
use keygate::testing::{Fault, FaultyStore};
use keygate::{
    BuildError, Builder, ClientAddress, KeyStore, Keygate, MemoryStore, NewKey, Principal,
    StoreErrorKind,
};
use tracing_subscriber::util::SubscriberInitExt;

use crate::common::pepper;
use crate::{Answer, call, gate_with, request, with_key};

async fn address(caller: Principal) -> String {
    let address = caller.client_address();
    address.map_or("unknown".into(), |address| address.to_string())
}

/// A key that is bound to 10.0.0.0/8.
async fn bound(keys: &Keygate) -> String {
    let new = NewKey::for_owner("org_42").allowed_ips(["10.0.0.0/8"]);
    let issued = keys.manager().issue(new).await.unwrap();
    issued.key.expose().to_owned()
}

fn app(keys: &Keygate) -> Router {
    Router::new().route("/x", get(address).layer(keys.authenticate()))
}

/// A request with the bound key that is forwarded for 10.1.1.1.
fn forwarded(key: &str) -> Request<Body> {
    let mut request = with_key("/x", key);
    let headers = request.headers_mut();
    headers.insert("x-forwarded-for", "10.1.1.1".parse().unwrap());
    request
}

fn outcome(answer: &Answer) -> String {
    match answer.status.as_u16() {
        200 => answer.body.clone(),
        _ => answer.code(),
    }
}

#[derive(Clone)]
struct OwnPeer(IpAddr);

#[tokio::test]
async fn the_peer_is_found_wherever_servers_keep_it_and_a_place_of_ones_own_replaces_those() {
    let own = |extensions: &axum::http::Extensions| Some(extensions.get::<OwnPeer>()?.0);
    let proxies = ["192.0.2.7"];
    let proxy = SocketAddr::from(([192, 0, 2, 7], 9));
    let stranger = SocketAddr::from(([10, 0, 0, 9], 9));
    let sources = [
        ClientAddress::behind(proxies),
        ClientAddress::behind(proxies).peer_from(own),
    ];
    for (source, is_own) in sources.into_iter().zip([false, true]) {
        let keys = gate_with(|builder| builder.client_address(source)).await;
        let (key, app) = (bound(&keys).await, app(&keys));
        for (peer, expected) in [(proxy, "10.1.1.1"), (stranger, "10.0.0.9")] {
            let known = [
                app.clone().layer(Extension(ConnectInfo(peer))),
                app.clone().layer(MockConnectInfo(peer)),
                app.clone().layer(Extension(peer)),
            ];
            for app in known {
                let expected = if is_own { "ip_denied" } else { expected };
                let answer = call(&app, forwarded(&key)).await;
                assert_eq!(outcome(&answer), expected, "{peer}");
            }
            let app = app.clone().layer(Extension(OwnPeer(peer.ip())));
            let expected = if is_own { expected } else { "ip_denied" };
            let answer = call(&app, forwarded(&key)).await;
            assert_eq!(outcome(&answer), expected, "{peer}");
        }
    }
}

#[tokio::test]
async fn proxies_that_cannot_be_trusted_are_an_error_of_the_build() {
    let nobody: [&str; 0] = [];
    for (source, named) in [
        (ClientAddress::behind(["nginx"]), "\"nginx\""),
        (ClientAddress::behind(["10.0.0.0/8", "::/0"]), "\"::/0\""),
        (ClientAddress::behind(nobody), "ClientAddress::peer()"),
    ] {
        let keys = builder(MemoryStore::new()).client_address(source);
        let error = keys.build().await.unwrap_err();
        assert!(matches!(error, BuildError::ClientAddress(_)), "{error:?}");
        assert!(error.to_string().contains(named), "{error}");
    }
}

fn builder(store: impl KeyStore) -> Builder {
    Keygate::builder("acme_live").pepper(pepper()).store(store)
}

/// What this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> (Self, impl Drop) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, subscriber.set_default())
    }

    /// The warnings since the last call.
    fn warnings(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let warnings = text.lines().filter(|line| line.contains("WARN"));
        warnings.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_gate_without_a_source_says_at_the_start_how_many_keys_need_one() {
    let (log, _logging) = Log::begin();
    let store = Arc::new(FaultyStore::new(MemoryStore::new()));
    let keys = builder(store.clone()).build().await.unwrap();
    assert_eq!(log.warnings(), [""; 0], "there is no such key");
    let (_one, _two) = (bound(&keys).await, bound(&keys).await);
    let _unbound = keys.manager().issue(NewKey::for_owner("a")).await.unwrap();

    let _ = builder(store.clone()).build().await.unwrap();
    let [warning] = &log.warnings()[..] else {
        panic!("one warning")
    };
    for part in ["keys=2", "realm=\"acme_live\"", "Builder::client_address"] {
        assert!(warning.contains(part), "{warning}");
    }

    let peer = builder(store.clone()).client_address(ClientAddress::peer());
    let _ = peer.build().await.unwrap();
    let _ = builder(store.clone()).build_manager().await.unwrap();
    let _ = builder(store.clone()).build_authenticator().await.unwrap();
    assert_eq!(log.warnings(), [""; 0], "no guard is without a source");

    for fault in [
        Fault::Fail(StoreErrorKind::Unavailable),
        Fault::Panic,
        Fault::Hang,
    ] {
        store.lists.always(fault);
        let _ = builder(store.clone()).build().await.unwrap();
        assert_eq!(log.warnings(), [""; 0], "it is a hint, and no check");
    }
}

#[tokio::test]
async fn a_bound_key_that_is_refused_for_want_of_a_source_is_told_once_with_the_fix() {
    let keys = gate_with(|builder| builder).await;
    let (key, app) = (bound(&keys).await, app(&keys));
    let (log, _logging) = Log::begin();
    assert_eq!(call(&app, request("/x")).await.code(), "key_missing");
    assert_eq!(log.warnings(), [""; 0], "it is not for want of a source");
    for _ in 0..3 {
        assert_eq!(call(&app, with_key("/x", &key)).await.code(), "ip_denied");
    }
    let warnings = log.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("Builder::client_address"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_server_that_tells_no_peer_is_told_once_with_the_fix() {
    for source in [ClientAddress::peer(), ClientAddress::behind(["10.0.0.1"])] {
        let keys = gate_with(|builder| builder.client_address(source)).await;
        let (key, app) = (bound(&keys).await, app(&keys));
        let (log, _logging) = Log::begin();
        let stranger = app
            .clone()
            .layer(MockConnectInfo(SocketAddr::from(([8; 4], 1))));
        let answer = call(&stranger, with_key("/x", &key)).await;
        assert_eq!(answer.code(), "ip_denied");
        assert_eq!(log.warnings(), [""; 0], "the peer is known");
        for _ in 0..3 {
            assert_eq!(call(&app, forwarded(&key)).await.code(), "ip_denied");
        }
        let warnings = log.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        for part in ["into_make_service_with_connect_info", "peer_from"] {
            assert!(warnings[0].contains(part), "{warnings:?}");
        }
    }
}
