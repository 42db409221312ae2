//! What comes between: kills, other processes, slow requests, and what the log shows.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::*;

#[test]
fn killing_it_amid_a_thousand_issues_loses_no_acknowledged_key() {
    let (directory, service, admin) = started();
    let acknowledged = std::sync::Mutex::new(Vec::new());
    let remaining = AtomicUsize::new(1_000);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (service, admin, acknowledged, remaining) =
                (&service, &admin, &acknowledged, &remaining);
            scope.spawn(move || {
                while remaining
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok()
                {
                    let body = json!({"owner": format!("org_{worker}"), "scopes": ["orders:read"]});
                    match request(&service.base, "POST", "/v1/keys", admin, Some(body)) {
                        Ok(answer) if answer.status == 201 => {
                            acknowledged.lock().unwrap().push(answer.text("key"))
                        }
                        Ok(answer) => panic!("{answer:?}"),
                        Err(_) => return,
                    }
                }
            });
        }
        scope.spawn(|| {
            while acknowledged.lock().unwrap().len() < 300 {
                std::thread::sleep(Duration::from_millis(1));
            }
            service.signal("KILL");
        });
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(
        (300..1_000).contains(&acknowledged.len()),
        "it was killed in the middle: {}",
        acknowledged.len()
    );
    drop(service);
    let service = Service::start(directory.path());
    for key in &acknowledged {
        assert_eq!(service.get("/v1/orders", key).status, 200);
    }
}

#[test]
fn a_revocation_by_another_process_is_honoured_within_a_second() {
    let (directory, first, admin) = started();
    let second = Service::start(directory.path());
    for _ in 0..3 {
        let (id, key) = first.issue(
            &admin,
            json!({"owner": "org_42", "scopes": ["orders:read"]}),
        );
        assert_eq!(
            [&first, &second].map(|service| service.get("/v1/orders", &key).status),
            [200, 200]
        );
        assert_eq!(
            first
                .call("DELETE", &format!("/v1/keys/{id}"), &admin, None)
                .status,
            200
        );
        let acknowledged = Instant::now();
        first.get("/v1/orders", &key).expect(401, "key_revoked");
        loop {
            let begun = acknowledged.elapsed();
            let answer = second.get("/v1/orders", &key);
            if begun > Duration::from_secs(1) {
                answer.expect(401, "key_revoked");
                break;
            }
        }
    }
}

#[test]
fn no_log_line_at_any_level_holds_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::spawn(
        command(directory.path())
            .env("KEYGATE_PEPPER", PEPPER)
            .env("RUST_LOG", "trace"),
    );
    let admin = service.bootstrap_keys().remove(0);
    let (id, key) = service.issue(
        &admin,
        json!({"owner": "org_42", "scopes": ["orders:read"]}),
    );
    let rotated = service
        .call("POST", &format!("/v1/keys/{id}/rotate"), &admin, None)
        .text("key");
    for key in [&key, &rotated] {
        service.get("/v1/orders", key);
        service.get(&format!("/v1/orders?key={key}"), "");
        service.call("POST", "/v1/orders", key, Some(json!({})));
    }
    service.get("/v1/orders", &format!("{}x", &key[..71]));
    service.call("DELETE", &format!("/v1/keys/{id}"), &admin, None);
    service.get("/v1/orders", &rotated);
    let log = String::from_utf8(service.stop("TERM").stderr).unwrap();
    assert!(
        log.contains("key accepted") && log.contains(&id),
        "the log tells who called: {log}"
    );
    assert!(log.contains("request refused") && log.contains("key_revoked"));
    for text in [&admin, &key, &rotated] {
        let secret = &text[text.len() - 49..text.len() - 6];
        assert!(!log.contains(secret), "the log holds a secret");
    }
    assert!(!log.contains(PEPPER) && !log.contains("pepper of tests"));
}

#[test]
fn a_request_that_is_finished_after_its_key_was_revoked_gets_nothing() {
    let (_directory, service, admin) = started();
    let scopes = json!({"owner": "admin", "scopes": ["keys:write"], "expires_in_days": null});
    let (id, thief) = service.issue(&admin, scopes.clone());
    let body = scopes.to_string();
    let address = service.base.strip_prefix("http://").unwrap();
    let head = |path: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {thief}\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let zero = r#"{"overlap_seconds":0}"#;
    let held: Vec<_> = [("/v1/keys", body.as_str()), ("/v1/keys/self/rotate", zero)]
        .into_iter()
        .map(|(path, body)| {
            let mut connection = TcpStream::connect(address).unwrap();
            connection
                .write_all(head(path, body.len()).as_bytes())
                .unwrap();
            (connection, body)
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        service
            .call("DELETE", &format!("/v1/keys/{id}"), &admin, None)
            .status,
        200
    );
    for (mut connection, body) in held {
        connection.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 403 ") && answer.contains("caller_ended"),
            "{answer}"
        );
    }
}
