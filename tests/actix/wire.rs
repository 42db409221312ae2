use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::net::TcpStream;
use actix_web::rt::spawn;
use actix_web::rt::time::{sleep, timeout};
use actix_web::web::{self, Data, Payload};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer};
use futures_util::{SinkExt, StreamExt};
use keygate::{Keygate, Principal};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::common::{Door, Fault, World};
use crate::support::{key, owner};

/// A server on a port of its own.
struct Server {
    address: SocketAddr,
    /// How often `count` was called.
    calls: Data<AtomicUsize>,
    handle: ServerHandle,
}

impl Server {
    fn start(keys: &Keygate) -> Self {
        let calls = Data::new(AtomicUsize::new(0));
        let (keys, counter) = (keys.clone(), calls.clone());
        let app = move || {
            App::new()
                .app_data(counter.clone())
                .route("/owner", web::get().to(owner))
                .route("/count", web::post().to(count))
                .route("/echo", web::post().to(echo))
                .route("/ws", web::get().to(websocket))
                .wrap(keys.require("a"))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .h1_allow_half_closed(false)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        spawn(server);
        Self {
            address,
            calls,
            handle,
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn connect(&self) -> Connection {
        Connection(BufReader::new(
            TcpStream::connect(self.address).await.unwrap(),
        ))
    }
}

async fn count(calls: Data<AtomicUsize>, body: web::Bytes) -> String {
    calls.fetch_add(1, Ordering::SeqCst);
    body.len().to_string()
}

async fn echo(body: Payload) -> HttpResponse {
    HttpResponse::Ok().streaming(body)
}

async fn websocket(
    caller: Principal,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, Error> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    spawn(async move {
        while let Some(Ok(actix_ws::Message::Text(text))) = messages.next().await {
            let _ = session
                .text(format!("{} says {text}", caller.owner()))
                .await;
        }
        let _ = session.close(None).await;
    });
    Ok(response)
}

/// One connection of a client that reads and writes byte by byte what it wants to.
struct Connection(BufReader<TcpStream>);

#[derive(Debug, PartialEq)]
struct Heard {
    status: u16,
    closes: bool,
    body: String,
}

impl Connection {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        timeout(Duration::from_secs(10), read)
            .await
            .expect("no answer")?;
        Ok(line.trim_end().to_owned())
    }

    async fn bytes(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        let read = self.0.read_exact(&mut bytes);
        timeout(Duration::from_secs(10), read)
            .await
            .expect("no body")
            .unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// The next piece of a body in chunks; the last one is empty.
    async fn chunk(&mut self) -> String {
        let length = usize::from_str_radix(&self.line().await.unwrap(), 16).unwrap();
        let chunk = self.bytes(length).await;
        assert_eq!(self.line().await.unwrap(), "");
        chunk
    }

    /// The next response's status and fields; nothing where the server has closed the connection.
    async fn head(&mut self) -> Option<(u16, Vec<String>)> {
        let first = self.line().await.unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ")?[..3].parse().unwrap();
        let mut fields = Vec::new();
        loop {
            match self.line().await.unwrap() {
                end if end.is_empty() => return Some((status, fields)),
                field => fields.push(field.to_ascii_lowercase()),
            }
        }
    }

    async fn response(&mut self) -> Option<Heard> {
        let (status, fields) = self.head().await?;
        let length = fields
            .iter()
            .find_map(|field| field.strip_prefix("content-length: "));
        let body = self.bytes(length.unwrap().parse().unwrap()).await;
        let closes = fields.contains(&"connection: close".to_owned());
        Some(Heard {
            status,
            closes,
            body,
        })
    }

    /// The status of the response to a request without a body.
    async fn get(&mut self, path: &str, key: &str) -> Option<u16> {
        self.send(head("GET", path, key) + "\r\n").await;
        Some(self.response().await?.status)
    }
}

fn head(method: &str, path: &str, key: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n")
}

#[actix_web::test]
async fn requests_that_are_refused_and_let_through_share_a_connection() {
    let keys = World::new().await.keys;
    let (good, weak) = (key(&keys, &["a"]).await, key(&keys, &[]).await);
    let server = Server::start(&keys);
    let mut connection = server.connect().await;
    for _cold_then_cached in 0..2 {
        assert_eq!(connection.get("/owner", "nonsense").await, Some(401));
        assert_eq!(connection.get("/owner", &good).await, Some(200));
        assert_eq!(connection.get("/owner", &weak).await, Some(403));
        assert_eq!(connection.get("/nowhere", &weak).await, Some(403));
        assert_eq!(connection.get("/nowhere", &good).await, Some(404));
        assert_eq!(connection.get("/owner", &good).await, Some(200));
    }
    // Requests that come at once are answered in their order.
    let both = head("GET", "/owner", "nonsense") + "\r\n" + &head("GET", "/owner", &good) + "\r\n";
    connection.send(both).await;
    assert_eq!(connection.response().await.unwrap().status, 401);
    assert_eq!(connection.response().await.unwrap().body, "org_42");
    server.handle.stop(false).await;
}

/// The body of the refused request looks like a request, with a good key. It must not be taken for
/// one, however the server goes on.
#[actix_web::test]
async fn the_body_of_a_refused_request_is_never_taken_for_the_next_request() {
    let keys = World::new().await.keys;
    let good = key(&keys, &["a"]).await;
    let server = Server::start(&keys);
    let smuggled = head("POST", "/count", &good) + "content-length: 0\r\n\r\n";
    let body = smuggled.repeat(8 * 1024 / smuggled.len() + 1);
    let sized = format!("content-length: {}\r\n\r\n{body}", body.len());
    let chunked = format!(
        "transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    for rest in [sized, chunked] {
        // In one go, and with the body only after the answer.
        for split in [false, true] {
            let mut connection = server.connect().await;
            let (first, rest) = rest.split_at(if split {
                rest.len() - body.len() / 2
            } else {
                rest.len()
            });
            connection
                .send(head("POST", "/count", "nonsense") + first)
                .await;
            let refused = connection.response().await.unwrap();
            assert_eq!(refused.status, 401);
            let next = format!("{rest}{}\r\n", head("GET", "/owner", &good));
            // A server that does not want the body may have closed the connection.
            let _ = connection.0.write_all(next.as_bytes()).await;
            match connection.response().await {
                Some(next) => assert_eq!((next.status, next.body.as_str()), (200, "org_42")),
                None => assert!(refused.closes, "closed without notice"),
            }
            assert_eq!(server.calls(), 0);
        }
    }
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn bodies_stream_through_a_guard_in_both_directions() {
    let keys = World::new().await.keys;
    let good = key(&keys, &["a"]).await;
    let server = Server::start(&keys);
    for _cold_then_cached in 0..2 {
        let mut connection = server.connect().await;
        let chunked = head("POST", "/echo", &good) + "transfer-encoding: chunked\r\n\r\n";
        connection.send(chunked).await;
        assert_eq!(connection.head().await.unwrap().0, 200);
        for piece in ["one", "two"] {
            connection.send(format!("3\r\n{piece}\r\n")).await;
            // It comes back while the request is still being sent.
            assert_eq!(connection.chunk().await, piece);
        }
        connection.send("0\r\n\r\n").await;
        assert_eq!(connection.chunk().await, "");
    }
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_websocket_opens_with_a_key_and_is_refused_before_the_upgrade_without() {
    let keys = World::new().await.keys;
    let good = key(&keys, &["a"]).await;
    let server = Server::start(&keys);
    let url = format!("ws://{}/ws", server.address);
    match tokio_tungstenite::connect_async(&url).await {
        Err(tungstenite::Error::Http(refused)) => {
            assert_eq!(refused.status(), 401);
            assert_eq!(
                refused.headers()["www-authenticate"],
                r#"Bearer realm="acme_live""#
            );
        }
        other => panic!("{other:?}"),
    }
    for _cold_then_cached in 0..2 {
        let mut request = url.as_str().into_client_request().unwrap();
        request
            .headers_mut()
            .insert("x-api-key", good.parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        let heard = socket.next().await.unwrap().unwrap();
        assert_eq!(heard.to_text().unwrap(), "org_42 says hello");
        socket.close(None).await.unwrap();
    }
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_client_that_goes_away_while_the_store_is_slow_leaves_nothing_behind() {
    let world = World::new().await;
    let good = key(&world.keys, &["a"]).await;
    let server = Server::start(&world.keys);
    let door = Door::new();
    world.store.gets.once(Fault::Hold(door.clone()));
    let mut connection = server.connect().await;
    connection
        .send(head("POST", "/count", &good) + "content-length: 0\r\n\r\n")
        .await;
    door.arrival().await;
    assert_eq!(world.store.under_way(), 1);
    drop(connection);
    timeout(Duration::from_secs(10), async {
        while world.store.under_way() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the store is still being asked");
    assert_eq!(server.calls(), 0);
    let mut connection = server.connect().await;
    assert_eq!(connection.get("/owner", &good).await, Some(200));
    server.handle.stop(false).await;
}
