//! Reports of keys that may do too much, that a rule on trial would refuse, and that end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use keygate::{Issued, Keygate, NewKey, Pepper, Policy, SqliteStore};
use serde_json::{Value, json};

use crate::support::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn report(service: &Service, key: &str, name: &str) -> Vec<Value> {
    let answer = service.get(&format!("/v1/reports/{name}"), key);
    assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    answer.body["keys"].as_array().unwrap().clone()
}

/// What a report says of one key.
fn said_of(keys: &[Value], id: &str) -> Option<Value> {
    keys.iter().find(|key| key["key_id"] == json!(id)).cloned()
}

#[test]
fn keys_that_may_do_more_than_they_did_are_named_with_what_to_drop() {
    let (_directory, service, admin) = started();
    let issue = |owner: &str, scopes: Value| {
        service.issue(
            &admin,
            json!({"owner": owner, "name": "CI", "scopes": scopes}),
        )
    };
    let (wide, wide_key) = issue("org_42", json!(["keys:read", "orders:admin"]));
    let (exact, exact_key) = issue("org_42", json!(["orders:read"]));
    let (unused, _) = issue("org_43", json!(["orders:read", "orders:write"]));
    for key in [&wide_key, &exact_key] {
        assert_eq!(service.get("/v1/orders", key).status, 200);
    }
    let keys = report(&service, &admin, "over-privileged");
    let expected = json!({
        "key_id": wide, "owner": "org_42", "name": "CI",
        "granted": ["keys:read", "orders:read", "orders:write"],
        "used": ["orders:read"],
        "drop": ["keys:read", "orders:write"],
    });
    assert_eq!(said_of(&keys, &wide), Some(expected));
    assert_eq!(said_of(&keys, &exact), None, "it needs all that it has");
    assert_eq!(said_of(&keys, &unused), None, "it is idle instead");
}

#[test]
fn a_report_is_of_the_keys_of_the_callers_own_owner() {
    let (_directory, service, admin) = started();
    let key =
        json!({"owner": "org_42", "scopes": ["keys:read", "orders:write"], "expires_in_days": 3});
    let (own, reader) = service.issue(&admin, key.clone());
    let mut foreign = key;
    foreign["owner"] = json!("org_43");
    let (foreign, writer) = service.issue(&admin, foreign);
    for key in [&reader, &writer] {
        // It lacks what the rule on trial asks for.
        assert_eq!(service.call("POST", "/v1/orders", key, None).status, 201);
    }
    // To ask, the reader uses the one scope that it had not needed.
    for name in ["over-privileged", "would-refuse", "expiring"] {
        let all = report(&service, &admin, name);
        assert!(said_of(&all, &foreign).is_some(), "{name}");
        let keys = report(&service, &reader, name);
        assert_eq!(said_of(&keys, &foreign), None, "{name}");
        let is_empty = name == "over-privileged";
        assert_eq!(said_of(&keys, &own).is_none(), is_empty, "{name}");
        let others = service.get(&format!("/v1/reports/{name}?owner=org_43"), &reader);
        others.expect(404, "not_found");
    }
}

#[test]
fn whom_the_rule_on_trial_would_refuse_is_let_through_and_named_until_it_has_the_scope() {
    let (_directory, service, admin) = started();
    let write = json!({"owner": "org_42", "scopes": ["orders:write"]});
    let (lacking, key) = service.issue(&admin, write);
    let both = json!({"owner": "org_42", "scopes": ["orders:admin"]});
    let (having, both) = service.issue(&admin, both);
    for key in [&key, &key, &both] {
        assert_eq!(service.call("POST", "/v1/orders", key, None).status, 201);
    }
    let keys = report(&service, &admin, "would-refuse");
    let said = said_of(&keys, &lacking).unwrap();
    assert_eq!(said["lacked"], json!({"orders:read": 2}));
    assert_eq!(said_of(&keys, &having), None);
    let shown = service.get(&format!("/v1/keys/{lacking}"), &admin).body;
    assert_eq!(shown["usage"]["lacked"], json!({"orders:read": 2}));
    assert_eq!(shown["usage"]["requests"], 2);
}

/// Keys of a process that has ended.
fn issued_before(
    directory: &Path,
    policy: Policy,
    keys: impl IntoIterator<Item = NewKey>,
) -> Vec<Issued> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(directory.join("keygate.db"));
        let gate = Keygate::builder("acme_live")
            .pepper(Pepper::from_base64(PEPPER).unwrap())
            .store(store.await.unwrap())
            .policy(policy)
            .build();
        let gate = gate.await.unwrap();
        let mut issued = Vec::new();
        for key in keys {
            issued.push(gate.manager().issue(key).await.unwrap());
        }
        gate.shutdown().await;
        issued
    })
}

fn administrator() -> NewKey {
    let all = ["keys:read", "keys:write", "orders:read", "orders:write"];
    NewKey::for_owner("admin").scopes(all).never_expires()
}

#[test]
fn what_ends_soon_is_named_with_what_of_it_ends_when() {
    let directory = tempfile::tempdir().unwrap();
    let rotated = Policy::new().max_secret_age(20 * DAY);
    let aged = NewKey::for_owner("org_42").never_expires();
    let aged = issued_before(directory.path(), rotated, [aged])
        .remove(0)
        .info;
    let new = [administrator()];
    let admin = issued_before(directory.path(), Policy::new(), new).remove(0);
    let service = Service::start(directory.path());
    let admin = admin.key.expose();
    let issue = |days: Value| {
        let body = json!({"owner": "org_42", "name": "CI", "expires_in_days": days});
        service.issue(admin, body).0
    };
    let (soon, later, never) = (issue(json!(10)), issue(json!(60)), issue(Value::Null));
    let revoked = issue(json!(10));
    service.call("DELETE", &format!("/v1/keys/{revoked}"), admin, None);

    let keys = report(&service, admin, "expiring?days=30");
    let ends_at = service.get(&format!("/v1/keys/{soon}"), admin).body["expires_at"].clone();
    let expected = json!({
        "key_id": soon, "owner": "org_42", "name": "CI",
        "ends": "key", "ends_at": ends_at, "days_left": 9,
    });
    assert_eq!(said_of(&keys, &soon), Some(expected));
    let said = said_of(&keys, aged.key_id.as_str()).unwrap();
    assert_eq!(
        (&said["ends"], &said["ends_at"], &said["days_left"]),
        (
            &json!("secret"),
            &json!(aged.secrets[0].not_after),
            &json!(19)
        )
    );
    for id in [&later, &never, &revoked] {
        assert_eq!(said_of(&keys, id), None);
    }
    assert_eq!(report(&service, admin, "expiring?days=61").len(), 3);
    assert_eq!(report(&service, admin, "expiring?days=15").len(), 1);
    assert_eq!(report(&service, admin, "expiring?days=4294967295").len(), 3);
}

#[test]
fn reports_come_in_pages_in_the_order_of_ids_and_say_what_is_wrong_with_a_request() {
    let (_directory, service, admin) = started();
    let mut issued: Vec<String> = (0..5)
        .map(|_| {
            let body = json!({"owner": "org_42", "scopes": ["orders:admin"], "expires_in_days": 3});
            let (id, key) = service.issue(&admin, body);
            service.get("/v1/orders", &key);
            id
        })
        .collect();
    issued.sort();
    for name in ["expiring", "over-privileged"] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/reports/{name}?owner=org_42&limit=2{after}");
            let page = service.get(&path, &admin).body;
            let keys = page["keys"].as_array().unwrap();
            assert!(keys.len() <= 2);
            seen.extend(
                keys.iter()
                    .map(|key| key["key_id"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next"].as_str() else {
                break;
            };
            after = format!("&after={next}");
        }
        assert_eq!(seen, issued, "{name}");
    }
    // Each key has a quota of its own of them.
    let (_, another) = service.issue(&admin, json!({"owner": "admin", "scopes": ["keys:read"]}));
    for name in ["expiring", "over-privileged", "would-refuse"] {
        for query in ["limit=0", "limit=1001", "days=-1", "day=1", "after=short"] {
            let wrong = service.get(&format!("/v1/reports/{name}?{query}"), &another);
            wrong.expect(400, "input_invalid");
        }
    }
}

#[test]
fn a_caller_is_told_by_a_header_when_its_key_or_its_old_secret_ends_within_a_month() {
    let (_directory, service, admin) = started();
    let issue =
        |days: u32| service.issue(&admin, json!({"owner": "org_42", "expires_in_days": days}));
    let told = |key: &str, name: &str| {
        let headers = service.get("/v1/whoami", key).headers;
        headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let (id, near) = issue(29);
    let ends_at = service
        .get(&format!("/v1/keys/{id}"), &admin)
        .text("expires_at");
    assert_eq!(told(&near, "x-api-key-expires"), Some(ends_at));
    let (id, far) = issue(60);
    assert_eq!(told(&far, "x-api-key-expires"), None);
    let rotated = service.call("POST", &format!("/v1/keys/{id}/rotate"), &admin, None);
    let ends_at = rotated.text("previous_secret_ends_at");
    assert_eq!(told(&far, "x-api-key-rotate-by"), Some(ends_at));
    assert_eq!(told(&rotated.text("key"), "x-api-key-rotate-by"), None);
}

#[test]
fn the_service_notices_what_ends_soon_and_says_so_once() {
    let directory = tempfile::tempdir().unwrap();
    let near = NewKey::for_owner("org_42").expires_in(5 * DAY);
    let far = NewKey::for_owner("org_43").expires_in(60 * DAY);
    let issued = issued_before(directory.path(), Policy::new(), [near, far]);
    let near = &issued[0].info;
    let mut service = Service::start(directory.path());
    let log = BufReader::new(service.child.stderr.take().unwrap());
    let (id, end) = (near.key_id, near.expires_at.unwrap());
    let expected = format!("notice: key {id} of org_42: the key ends at {end}");
    let began = Instant::now();
    let mut notices = log.lines().map_while(Result::ok);
    let mut notices = notices.by_ref().filter(|line| line.starts_with("notice: "));
    assert_eq!(notices.next(), Some(expected));
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "soon after the start"
    );
    service.signal("TERM");
    assert_eq!(notices.next(), None);
}
