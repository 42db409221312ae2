//! How a key is used, as `GET /v1/keys/{id}` shows it, and what is done about it.

use std::time::{Duration, SystemTime};

use keygate::Timestamp;
use serde_json::{Value, json};

use crate::support::*;

/// Reads the key, as its whole answer.
fn shown(service: &Service, admin: &str, id: &str, query: &str) -> Value {
    let answer = service.get(&format!("/v1/keys/{id}{query}"), admin);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn a_key_that_was_never_used_is_shown_with_empty_usage_and_is_not_called_safe() {
    let (_directory, service, admin) = started();
    let (id, _) = service.issue(&admin, json!({"owner": "org_42"}));
    let key = shown(&service, &admin, &id, "");
    let listed = service.get("/v1/keys?owner=org_42", &admin).body["keys"][0].clone();
    for (field, value) in listed.as_object().unwrap() {
        assert_eq!(&key[field], value, "{field} is as the list shows it");
    }
    let made = &key["created_at"];
    let secret = json!({
        "created_at": made, "not_after": null, "current": true,
        "requests": 0, "last_used_at": null,
    });
    let usage = json!({
        "requests": 0, "last_used_at": null, "last_used_from": null,
        "scopes": {}, "lacked": {}, "secrets": [secret],
    });
    assert_eq!(key["usage"], usage);
    assert_eq!(
        (&key["safe_to_revoke"], &key["why"], &key["idle_since"]),
        (&json!(false), &json!("unproved"), made)
    );
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    let provable_at = moment(made).checked_add(month).unwrap();
    assert_eq!(moment(&key["provable_at"]), provable_at);
    assert_eq!(key["safe_to_end_old_secret"], Value::Null);
}

#[test]
fn a_read_right_after_requests_shows_all_of_them_and_no_refused_one() {
    let (_directory, service, admin) = started();
    let scopes = json!({"owner": "org_42", "scopes": ["orders:read", "orders:write"]});
    let (id, key) = service.issue(&admin, scopes);
    let began = Timestamp::from(SystemTime::now());
    for round in 1..=3 {
        for _ in 0..7 {
            assert_eq!(service.get("/v1/orders", &key).status, 200);
        }
        assert_eq!(service.call("POST", "/v1/orders", &key, None).status, 201);
        assert_eq!(service.get("/v1/whoami", &key).status, 200);
        // None of these is a use.
        let other = service.get("/v1/keys", &key);
        other.expect(403, "scope_insufficient");
        let in_url = service.get(&format!("/v1/orders?key={key}"), &key);
        in_url.expect(400, "key_in_url");
        let usage = &shown(&service, &admin, &id, "")["usage"];
        assert_eq!(usage["requests"], 9 * round);
        // An order is created by whoever may write; the rule that is tried asks for reading too.
        let scopes = json!({"orders:read": 8 * round, "orders:write": round});
        assert_eq!(usage["scopes"], scopes);
        assert_eq!(usage["lacked"], json!({}));
        assert_eq!(usage["last_used_from"], "127.0.0.1");
        assert!((began..=SystemTime::now().into()).contains(&moment(&usage["last_used_at"])));
        assert_eq!(usage["secrets"][0]["requests"], 9 * round);
        assert_eq!(
            usage["secrets"][0]["last_used_at"], usage["last_used_at"],
            "it has one secret"
        );
    }
}

#[test]
fn whether_a_key_is_safe_to_revoke_follows_its_use_and_the_time_that_is_asked_for() {
    let (_directory, service, admin) = started();
    let (id, key) = service.issue(&admin, json!({"owner": "org_42"}));
    service.get("/v1/whoami", &key);
    let judged = |query: &str| {
        let key = shown(&service, &admin, &id, query);
        (key["safe_to_revoke"].clone(), key["why"].clone())
    };
    assert_eq!(judged(""), (json!(false), json!("in_use")));
    let for_ever = format!("?idle_seconds={}", u64::MAX);
    assert_eq!(judged(&for_ever), (json!(false), json!("in_use")));
    std::thread::sleep(Duration::from_millis(1_100));
    let idle = (json!(true), json!("idle"));
    assert_eq!(judged("?idle_seconds=1"), idle);
    service.get("/v1/whoami", &key);
    assert_eq!(
        judged("?idle_seconds=5"),
        (json!(false), json!("in_use")),
        "used once more"
    );
    let path = format!("/v1/keys/{id}");
    service.call("DELETE", &path, &admin, None);
    assert_eq!(judged(""), (json!(true), json!("ended")));
}

#[test]
fn in_a_rotation_each_secret_is_counted_and_the_old_one_is_safe_to_end_when_nobody_sends_it() {
    let (_directory, service, admin) = started();
    let (id, old) = service.issue(&admin, json!({"owner": "org_42"}));
    let path = format!("/v1/keys/{id}/rotate");
    let new = service.call("POST", &path, &admin, None).text("key");
    for (key, times) in [(&old, 2), (&new, 3)] {
        (0..times).for_each(|_| assert_eq!(service.get("/v1/whoami", key).status, 200));
    }
    let key = shown(&service, &admin, &id, "");
    let secrets = key["usage"]["secrets"].as_array().unwrap();
    let seen: Vec<_> = secrets
        .iter()
        .map(|secret| (secret["current"] == true, secret["requests"].clone()))
        .collect();
    assert_eq!(seen, [(true, json!(3)), (false, json!(2))]);
    assert_eq!(key["safe_to_end_old_secret"], false, "it was used lately");
    std::thread::sleep(Duration::from_millis(1_100));
    service.get("/v1/whoami", &new);
    let key = shown(&service, &admin, &id, "?idle_seconds=1");
    assert_eq!(
        (&key["safe_to_end_old_secret"], &key["safe_to_revoke"]),
        (&json!(true), &json!(false)),
        "everybody has gone over, and the key is in use"
    );
}

#[test]
fn callers_see_the_use_of_their_own_owners_keys_alone() {
    let (_directory, service, admin) = started();
    let (own, _) = service.issue(&admin, json!({"owner": "org_42"}));
    let (foreign, _) = service.issue(&admin, json!({"owner": "org_43"}));
    let (_, reader) = service.issue(&admin, json!({"owner": "org_42", "scopes": ["keys:read"]}));
    shown(&service, &reader, &own, "");
    for id in [&*foreign, "000000000000", "short"] {
        let answer = service.get(&format!("/v1/keys/{id}"), &reader);
        answer.expect(404, "not_found");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    for query in ["?idle_seconds=-1", "?idle_seconds=x", "?idle=1"] {
        let wrong = service.get(&format!("/v1/keys/{own}{query}"), &reader);
        wrong.expect(400, "input_invalid");
    }
}

#[test]
fn a_key_is_narrowed_to_what_it_used_and_one_that_was_not_used_is_left_alone() {
    let (_directory, service, admin) = started();
    let wide = json!({"owner": "org_42", "scopes": ["orders:admin", "keys:read"]});
    let (id, key) = service.issue(&admin, wide.clone());
    let (unused, _) = service.issue(&admin, wide);
    assert_eq!(service.get("/v1/orders", &key).status, 200);
    let narrow = |id: &str, body| {
        let path = format!("/v1/keys/{id}/narrow");
        service.call("POST", &path, &admin, body)
    };
    let narrowed = narrow(&id, Some(json!({"days": 7})));
    assert_eq!(narrowed.status, 200, "{}", narrowed.body);
    assert_eq!(narrowed.body["scopes"], json!(["orders:read"]));
    assert_eq!(service.get("/v1/orders", &key).status, 200);
    let refused = service.call("POST", "/v1/orders", &key, None);
    refused.expect(403, "scope_insufficient");
    narrow(&unused, None).expect(409, "conflict");
    let key = shown(&service, &admin, &unused, "");
    assert_eq!(
        key["scopes"],
        json!(["keys:read", "orders:read", "orders:write"])
    );
    narrow("000000000000", None).expect(404, "not_found");
    let writer = json!({"owner": "org_43", "scopes": ["keys:write"]});
    let (_, writer) = service.issue(&admin, writer);
    let path = format!("/v1/keys/{id}/narrow");
    let foreign = service.call("POST", &path, &writer, None);
    foreign.expect(404, "not_found");
    narrow(&id, Some(json!({"days": -1}))).expect(400, "input_invalid");
}
