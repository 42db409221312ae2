//! What a refusal is in bytes: one block of headers that ends the stream (trailers-only).

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[tokio::test]
async fn a_refusal_is_one_block_of_headers_that_ends_the_stream_while_the_request_goes_on() {
    let world = world().await;
    let address = serve(world.keys.require_by_method(rules()), &Spy::default()).await;
    let good = key(&world.keys, &["orders:read", "orders:write"]).await;
    for path in [
        "/orders.v1.Orders/Get",
        "/orders.v1.Orders/Chat",
        "/nowhere",
    ] {
        let frames = frames_of_answer(address, path, "bad").await;
        assert_eq!(frames, [(HEADERS, true)], "{path}");
    }
    let frames = frames_of_answer(address, "/orders.v1.Orders/Get", &good).await;
    let accepted = [(HEADERS, false), (DATA, false), (HEADERS, true)];
    assert_eq!(frames, accepted, "an answer with a message has trailers");
}

/// The kinds of the frames of an answer, and whether each ends the stream. Where a call is refused,
/// the request has not ended: only its headers were sent.
async fn frames_of_answer(address: SocketAddr, path: &str, key: &str) -> Vec<(u8, bool)> {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("x-api-key", key),
    ] {
        // A literal without indexing (RFC 7541, section 6.2.2), of fewer than 127 characters.
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.bytes());
        }
    }
    let length = u8::try_from(block.len()).unwrap();
    sent.extend([0, 0, length, HEADERS, END_HEADERS, 0, 0, 0, 1]);
    sent.extend(block);
    if key != "bad" {
        // An empty message, and the end.
        sent.extend([0, 0, 5, DATA, END_STREAM, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    }
    connection.write_all(&sent).await.unwrap();

    let mut frames = Vec::new();
    while frames.last().is_none_or(|(_, ends)| !ends) {
        let mut head = [0; 9];
        connection.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, flags, .., stream] = head;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        connection.read_exact(&mut payload).await.unwrap();
        if stream == 1 && matches!(kind, DATA | HEADERS) {
            frames.push((kind, flags & END_STREAM != 0));
        }
    }
    frames
}
