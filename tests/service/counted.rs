//! What is counted comes through: under kills but for an interval, and whole when it is stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::*;

/// How often counts are stored, which the service leaves as it is.
const INTERVAL: Duration = Duration::from_secs(5);

/// What storing them may take on a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(4);

const CLIENTS: usize = 4;

/// What one client saw of one key.
#[derive(Default)]
struct Seen {
    /// When each of its requests was answered by a 200.
    answered: Vec<Instant>,
    /// Whether a request of it was under way at the kill: whoever was killed may have accepted it.
    is_cut_off: bool,
}

fn requests_of(service: &Service, admin: &str, id: &str) -> usize {
    let shown = service.get(&format!("/v1/keys/{id}"), admin);
    assert_eq!(shown.status, 200, "{}", shown.body);
    shown.body["usage"]["requests"].as_u64().unwrap() as usize
}

/// Kills the service at a random moment while clients use it, and starts it again, so many times.
pub(crate) fn kills_lose_an_interval_at_most(start: impl Fn() -> Service, rounds: usize) {
    let mut draw = [0; 8];
    getrandom::fill(&mut draw).unwrap();
    println!("seed {}", u64::from_ne_bytes(draw));
    let mut service = start();
    let admin = service.bootstrap_keys().remove(0);
    let keys: Vec<(String, String)> = (0..CLIENTS)
        .map(|_| service.issue(&admin, json!({"owner": "org_42"})))
        .collect();
    let mut stored = [0; CLIENTS];
    for drawn in draw.into_iter().take(rounds) {
        let beyond = Duration::from_secs(2) + Duration::from_millis(u64::from(drawn) * 20);
        let wait = INTERVAL + SLACK + beyond;
        let (seen, killed) = kill_after(&service, &keys, wait);
        drop(service);
        service = start();
        for (place, (id, _)) in keys.iter().enumerate() {
            let all: usize = seen.iter().map(|client| client[place].answered.len()).sum();
            let cut_off = seen.iter().filter(|client| client[place].is_cut_off);
            let most = stored[place] + all + cut_off.count();
            let answered = seen.iter().flat_map(|client| &client[place].answered);
            let old = answered
                .filter(|at| **at + INTERVAL + SLACK < killed)
                .count();
            let least = stored[place] + old;
            assert!(old > 0, "it is killed when it has stored something");
            stored[place] = requests_of(&service, &admin, id);
            assert!(
                (least..=most).contains(&stored[place]),
                "{} requests, where {least} to {most} were made",
                stored[place]
            );
        }
    }
    // Nothing comes after.
    std::thread::sleep(INTERVAL + Duration::from_secs(1));
    for ((id, _), stored) in keys.iter().zip(stored) {
        assert_eq!(requests_of(&service, &admin, id), stored);
    }
}

/// What each client saw of each key, and when the service was killed.
fn kill_after(
    service: &Service,
    keys: &[(String, String)],
    wait: Duration,
) -> (Vec<Vec<Seen>>, Instant) {
    let is_over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = |first: usize| {
            move || {
                let client = Client::of(service);
                let mut seen: Vec<Seen> = keys.iter().map(|_| Seen::default()).collect();
                for place in (first..).map(|turn| turn % keys.len()) {
                    match client.get("/v1/whoami", &keys[place].1) {
                        Ok(answer) => assert_eq!(answer.status, 200, "{}", answer.body),
                        Err(_) => {
                            assert!(is_over.load(Ordering::SeqCst), "before it was killed");
                            seen[place].is_cut_off = true;
                            break;
                        }
                    }
                    seen[place].answered.push(Instant::now());
                    std::thread::sleep(Duration::from_millis(1));
                }
                seen
            }
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|first| scope.spawn(client(first)))
            .collect();
        std::thread::sleep(wait);
        is_over.store(true, Ordering::SeqCst);
        service.signal("KILL");
        let killed = Instant::now();
        let seen = clients.into_iter().map(|client| client.join().unwrap());
        (seen.collect(), killed)
    })
}

/// Two instances count the same keys at once, and are stopped one after the other.
pub(crate) fn instances_add_up_and_a_stop_loses_nothing(start: impl Fn() -> Service) {
    let [first, second] = [start(), start()];
    let admin = first.bootstrap_keys().remove(0);
    let scopes = json!({"owner": "org_42", "scopes": ["orders:read"]});
    let (id, key) = first.issue(&admin, scopes);
    std::thread::scope(|scope| {
        for (service, requests) in [(&first, 300), (&second, 200), (&second, 100)] {
            let key = &key;
            scope.spawn(move || {
                let client = Client::of(service);
                for _ in 0..requests {
                    assert_eq!(client.get("/v1/orders", key).unwrap().status, 200);
                }
            });
        }
    });
    assert!(second.stop("TERM").status.success());
    assert_eq!(requests_of(&first, &admin, &id), 600);
    assert_eq!(first.get("/v1/orders", &key).status, 200);
    assert!(first.stop("TERM").status.success());
    let shown = start().get(&format!("/v1/keys/{id}"), &admin).body;
    let usage = &shown["usage"];
    assert_eq!(
        (
            &usage["requests"],
            &usage["scopes"],
            &usage["secrets"][0]["requests"]
        ),
        (&json!(601), &json!({"orders:read": 601}), &json!(601))
    );
}

#[test]
fn on_a_file_kills_lose_an_interval_at_most() {
    let directory = tempfile::tempdir().unwrap();
    kills_lose_an_interval_at_most(|| Service::start(directory.path()), 3);
}

#[test]
fn on_a_file_instances_add_up_and_a_stop_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    instances_add_up_and_a_stop_loses_nothing(|| Service::start(directory.path()));
}
