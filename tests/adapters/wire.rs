//! HTTP/1.1 written by hand, byte for byte as the case has it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Http;
use crate::answers::HttpAnswer;
use crate::world::Sent;

/// A client of a server on the loopback interface: a connection for each request.
pub(crate) struct Wire(pub(crate) SocketAddr);

impl Http for Wire {
    async fn ask(&mut self, sent: &Sent) -> HttpAnswer {
        let target = sent.target();
        let mut request =
            format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in &sent.headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        parse(&answer)
    }
}

fn parse(answer: &[u8]) -> HttpAnswer {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.expect("an answer with a head");
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers: Vec<(&str, &str)> = lines.map(|line| line.split_once(": ").unwrap()).collect();
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let body = answer[end + 4..].to_vec();
    assert_eq!(
        length.map(|(_, length)| length.parse()),
        Some(Ok(body.len()))
    );
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    HttpAnswer::new(status.parse().unwrap(), headers, body)
}
