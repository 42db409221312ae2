//! Connections that last: upgrades, bodies that stream, and clients that leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::{any, get, post};
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use keygate::Principal;
use keygate::testing::{Door, Fault};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tower::ServiceExt;

use crate::common::World;
use crate::{gate, key};

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_websocket_is_refused_before_its_upgrade_and_open_after_it() {
    async fn echo(caller: Principal, upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            while let Some(Ok(message)) = socket.next().await {
                let answer = format!("{}: {}", caller.owner(), message.to_text().unwrap());
                socket.send(answer.into()).await.unwrap();
            }
        })
    }
    let keys = gate().await;
    let good = key(&keys, &["orders:read"]).await;
    let guarded = any(echo).layer(keys.require("orders:read"));
    let address = serve(Router::new().route("/", guarded)).await;
    let connect = |key: Option<&str>| {
        let mut request = format!("ws://{address}/").into_client_request().unwrap();
        if let Some(key) = key {
            let value = format!("Bearer {key}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        tokio_tungstenite::connect_async(request)
    };
    for (key, code) in [(None, "key_missing"), (Some("junk"), "key_invalid")] {
        let Err(Error::Http(response)) = connect(key).await else {
            panic!("a connection without a key");
        };
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let body = String::from_utf8(response.into_body().unwrap()).unwrap();
        assert!(body.contains(code), "{body}");
    }
    let (mut socket, _) = connect(Some(&good)).await.unwrap();
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert_eq!(answer.to_text().unwrap(), format!("org_42: {text}"));
    }
}

#[tokio::test]
async fn bodies_flow_through_a_guard_piece_by_piece_in_both_directions() {
    async fn echo(request: Request<Body>) -> Body {
        request.into_body()
    }
    let keys = gate().await;
    let good = key(&keys, &[]).await;
    let app = Router::new().route("/", post(echo).layer(keys.authenticate()));
    for _cold_then_cached in 0..2 {
        let (pieces, body) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        let request = Request::post("/")
            .header("x-api-key", &good)
            .body(Body::from_stream(ReceiverStream::new(body)))
            .unwrap();
        let mut response = app.clone().oneshot(request).await.unwrap();
        for piece in ["one", "two", "three"] {
            pieces.send(Ok(piece.into())).await.unwrap();
            let frame = response.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
        }
        drop(pieces);
        assert!(response.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_refused_request_is_answered_without_its_body_being_read() {
    let keys = gate().await;
    let read = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&read);
    let body = futures_util::stream::poll_fn(move |_| {
        seen.store(true, Ordering::SeqCst);
        std::task::Poll::Ready(None::<Result<Bytes, std::io::Error>>)
    });
    let app = Router::new().route("/", post(|_: Bytes| async {}).layer(keys.authenticate()));
    let request = Request::post("/").body(Body::from_stream(body)).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(!read.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_client_that_leaves_while_the_store_is_slow_leaves_nothing_behind() {
    let world = World::new().await;
    let text = key(&world.keys, &[]).await;
    let called = Arc::new(AtomicBool::new(false));
    let handler = {
        let called = Arc::clone(&called);
        move || async move { called.store(true, Ordering::SeqCst) }
    };
    let app = Router::new().route("/", get(handler).layer(world.keys.authenticate()));
    let address = serve(app).await;
    let door = Door::new();
    world.store.gets.once(Fault::HoldBack(door.clone()));
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-api-key: {text}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    door.arrival().await;
    assert_eq!(world.store.under_way(), 1);
    drop(client);
    let gone = async {
        while world.store.under_way() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .unwrap();
    assert!(!called.load(Ordering::SeqCst));

    let attempt = keygate::Attempt::new(&text);
    world
        .keys
        .authenticator()
        .authenticate(attempt)
        .await
        .unwrap();
    assert_eq!(
        world.store.gets.count(),
        2,
        "the next request asks for itself"
    );
}
