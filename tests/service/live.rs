//! Connections that stay open, and close with the key of whoever opened them.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::support::*;

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A second is promised. The rest is for a machine that is busy with other tests, and less than it
/// takes to notice by the next second's look what was to be noticed by this one's.
const IN_TIME: Duration = Duration::from_millis(1_800);

/// A connection, with its own runtime: nothing happens to it but while it is asked.
pub(crate) struct Live {
    runtime: Runtime,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Live {
    pub(crate) fn open(service: &Service, key: &str) -> Result<Self, Error> {
        let url = service.base.replace("http://", "ws://") + "/v1/orders/live";
        let mut request = url.into_client_request().unwrap();
        if !key.is_empty() {
            let value = format!("Bearer {key}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        let runtime = Runtime::new().unwrap();
        let connecting = tokio_tungstenite::connect_async(request);
        let (socket, _) = runtime.block_on(connecting)?;
        Ok(Self { runtime, socket })
    }

    /// One that has been greeted.
    pub(crate) fn greeted(service: &Service, key: &str) -> Self {
        let mut live = Self::open(service, key).unwrap();
        assert_eq!(live.orders()["owner"], "org_42");
        live
    }

    fn send(&mut self, message: Message) {
        self.runtime.block_on(self.socket.send(message)).unwrap();
    }

    fn next(&mut self) -> Option<Result<Message, Error>> {
        let next = async { timeout(PATIENCE, self.socket.next()).await };
        self.runtime.block_on(next).unwrap()
    }

    fn orders(&mut self) -> Value {
        let text = self.next().unwrap().unwrap().into_text().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// With which code and reason the service closes it, and that it does so before it ends.
    pub(crate) fn closed(&mut self) -> (u16, String) {
        match self.next() {
            Some(Ok(Message::Close(Some(frame)))) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("not closed: {other:?}"),
        }
    }
}

fn reader(service: &Service, admin: &str) -> (String, String) {
    let reader = json!({"owner": "org_42", "scopes": ["orders:read"]});
    service.issue(admin, reader)
}

#[test]
fn a_caller_that_may_see_orders_is_greeted_with_them_and_answered_until_it_leaves() {
    let (_directory, service, admin) = started();
    let (_, key) = reader(&service, &admin);
    let mut live = Live::open(&service, &key).unwrap();
    let greeting = live.orders();
    assert_eq!(greeting, service.get("/v1/orders", &key).body);
    live.send(Message::Ping("are you there".into()));
    assert_eq!(
        live.next().unwrap().unwrap(),
        Message::Pong("are you there".into())
    );
    live.send(Message::text("again"));
    assert_eq!(live.orders(), greeting);
    live.send(Message::Close(None));
    assert!(matches!(live.next(), Some(Ok(Message::Close(None)))));
}

#[test]
fn a_caller_that_may_not_is_refused_before_there_is_a_connection() {
    let (_directory, service, admin) = started();
    let (_, weak) = service.issue(&admin, json!({"owner": "org_42"}));
    for (key, status, code) in [
        ("", 401, "key_missing"),
        ("junk", 401, "key_invalid"),
        (&weak, 403, "scope_insufficient"),
    ] {
        let Err(Error::Http(answer)) = Live::open(&service, key) else {
            panic!("it was let in");
        };
        assert_eq!(answer.status(), status);
        let body: Value = serde_json::from_slice(answer.body().as_deref().unwrap()).unwrap();
        assert_eq!(body["code"], code);
    }
    let (_, key) = reader(&service, &admin);
    let plain = service.get("/v1/orders/live", &key);
    plain.expect(400, "input_invalid");
}

#[test]
fn a_connection_is_closed_within_a_second_of_a_revocation_here_or_by_another_process() {
    let (directory, service, admin) = started();
    let other = Service::start(directory.path());
    let stays = &mut Live::greeted(&service, &reader(&service, &admin).1);
    for round in 0..3 {
        let (id, key) = reader(&service, &admin);
        let mut connections = [&service, &other].map(|service| Live::greeted(service, &key));
        let path = format!("/v1/keys/{id}");
        let revoked = service.call("DELETE", &path, &admin, None);
        let acknowledged = Instant::now();
        assert_eq!(revoked.status, 200);
        for (live, process) in connections.iter_mut().zip(["here", "elsewhere"]) {
            assert_eq!(live.closed(), (1008, "key_revoked".into()), "{process}");
            let late = acknowledged.elapsed();
            assert!(late < IN_TIME, "{process}, round {round}: after {late:?}");
        }
    }
    stays.send(Message::text("again"));
    assert_eq!(stays.orders()["owner"], "org_42", "other keys keep theirs");
}

#[test]
fn a_connection_is_closed_when_the_secret_that_opened_it_ends() {
    let (_directory, service, admin) = started();
    let (id, key) = reader(&service, &admin);
    let mut live = Live::greeted(&service, &key);
    let path = format!("/v1/keys/{id}/rotate");
    let at_once = Some(json!({"overlap_seconds": 0}));
    let new = service.call("POST", &path, &admin, at_once).text("key");
    assert_eq!(live.closed(), (1008, "key_expired".into()));
    Live::greeted(&service, &new);
}

#[test]
fn a_caller_that_talks_on_is_told_why_it_is_cut_off_and_not_reset() {
    let (_directory, service, admin) = started();
    let (id, key) = reader(&service, &admin);
    let Live { runtime, socket } = Live::greeted(&service, &key);
    let (mut talking, mut heard) = socket.split();
    runtime.spawn(async move {
        while talking.send(Message::text("again")).await.is_ok() {}
        talking
    });
    let listening = runtime.spawn(async move {
        let mut told = None;
        while let Some(message) = heard.next().await {
            if let Message::Close(Some(frame)) = message.unwrap() {
                told = Some(frame.reason.to_string());
            }
        }
        told
    });
    let path = format!("/v1/keys/{id}");
    service.call("DELETE", &path, &admin, None);
    let told = runtime.block_on(async { timeout(PATIENCE, listening).await });
    assert_eq!(told.unwrap().unwrap().as_deref(), Some("key_revoked"));
}
