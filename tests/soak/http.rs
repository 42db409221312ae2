//! A client of the instances. It keeps a connection to each for as long as that works.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::instance::Instance;

#[derive(Default)]
pub(crate) struct Client {
    connections: HashMap<usize, Connection>,
}

struct Connection {
    address: SocketAddr,
    sender: SendRequest<String>,
}

/// A request and what became of it.
pub(crate) struct Exchange {
    pub(crate) instance: usize,
    /// Before anything was sent.
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Answered {
        status: u16,
        body: String,
    },
    /// Nobody took the request.
    NotSent,
    /// It may have been taken, and no answer came in time.
    Lost,
}

impl Exchange {
    pub(crate) fn status(&self) -> Option<u16> {
        match &self.outcome {
            Outcome::Answered { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// As the report counts it.
    pub(crate) fn label(&self) -> String {
        match &self.outcome {
            Outcome::Answered { status, .. } => status.to_string(),
            Outcome::NotSent => "not sent".into(),
            Outcome::Lost => "no answer".into(),
        }
    }
}

impl Client {
    pub(crate) async fn get(
        &mut self,
        instance: &Instance,
        path: &str,
        key: &str,
        patience: Duration,
    ) -> Exchange {
        self.ask(instance, "GET", path, key, patience).await
    }

    pub(crate) async fn post(
        &mut self,
        instance: &Instance,
        path: &str,
        key: &str,
        patience: Duration,
    ) -> Exchange {
        self.ask(instance, "POST", path, key, patience).await
    }

    async fn ask(
        &mut self,
        instance: &Instance,
        method: &str,
        path: &str,
        key: &str,
        patience: Duration,
    ) -> Exchange {
        let begun = Instant::now();
        let deadline = (begun + patience).into();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {key}"))
            .body(String::new())
            .unwrap();
        let connected = timeout_at(deadline, self.connection(instance)).await;
        let outcome = match connected.ok().flatten() {
            None => Outcome::NotSent,
            Some(mut connection) => {
                let answer = timeout_at(deadline, exchange(&mut connection.sender, request)).await;
                match answer.ok().flatten() {
                    None => Outcome::Lost,
                    Some((status, body)) => {
                        self.connections.insert(instance.number, connection);
                        Outcome::Answered { status, body }
                    }
                }
            }
        };
        Exchange {
            instance: instance.number,
            begun,
            ended: Instant::now(),
            outcome,
        }
    }

    /// A connection that is used for one request, and kept if that is answered.
    async fn connection(&mut self, instance: &Instance) -> Option<Connection> {
        let address = instance.address()?;
        if let Some(mut kept) = self.connections.remove(&instance.number)
            && kept.address == address
            && kept.sender.ready().await.is_ok()
        {
            return Some(kept);
        }
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(Connection { address, sender })
    }
}

async fn exchange(
    sender: &mut SendRequest<String>,
    request: Request<String>,
) -> Option<(u16, String)> {
    let response = sender.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}
