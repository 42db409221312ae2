//! Keys by HTTP: their life, who may do what with them, and requests that are wrong.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::*;

#[test]
fn a_key_lives_from_issue_to_revocation() {
    let (_directory, service, admin) = started();
    let answer = service.call(
        "POST",
        "/v1/keys",
        &admin,
        Some(json!({"owner": "org_42", "name": "CI", "scopes": ["orders:read"]})),
    );
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(
        answer.body["expires_at"].is_string(),
        "90 days unless said otherwise"
    );
    let (id, key) = (answer.text("key_id"), answer.text("key"));

    let orders = service.get("/v1/orders", &key);
    assert_eq!(
        (orders.status, orders.body["owner"].as_str()),
        (200, Some("org_42"))
    );
    assert_eq!(orders.headers["cache-control"], "private, no-cache");
    service
        .call("POST", "/v1/orders", &key, None)
        .expect(403, "scope_insufficient");
    service.get("/v1/orders", "").expect(401, "key_missing");
    service
        .get(&format!("/v1/orders?api_key={key}"), &key)
        .expect(400, "key_in_url");
    service
        .get("/v1/orders", &key.replace("acme_live", "acme_test"))
        .expect(401, "key_invalid");
    let test_key = "acme_test_9B8aUrgK57gd_RzH4EI57OFDnbTDyizMfdmAfbhtuxQxjf3EUsKwg4rd0tkZHL";
    service
        .get("/v1/orders", test_key)
        .expect(401, "wrong_environment");

    let listed = service.get("/v1/keys?owner=org_42", &admin);
    assert_eq!(listed.body["keys"][0]["key_id"], json!(id));
    let secret = &key[key.len() - 49..key.len() - 6];
    assert!(
        !listed.body.to_string().contains(secret),
        "a list shows no secret"
    );

    let rotated = service.call(
        "POST",
        &format!("/v1/keys/{id}/rotate"),
        &admin,
        Some(json!({"overlap_seconds": 3600})),
    );
    assert_eq!((rotated.status, rotated.text("key_id")), (200, id.clone()));
    assert_eq!(rotated.headers["cache-control"], "no-store");
    assert!(rotated.body["previous_secret_ends_at"].is_string());
    let newer = rotated.text("key");
    assert_eq!(
        [&key, &newer].map(|key| service.get("/v1/orders", key).status),
        [200, 200]
    );
    service
        .call("POST", &format!("/v1/keys/{id}/rotate"), &admin, None)
        .expect(409, "conflict");

    let path = format!("/v1/keys/{id}?reason=leaked");
    let revoked = service.call("DELETE", &path, &admin, None);
    assert_eq!(
        (
            revoked.status,
            revoked.body["revocation"]["reason"].as_str()
        ),
        (200, Some("leaked"))
    );
    assert_eq!(
        service
            .call(
                "DELETE",
                &format!("/v1/keys/{id}"),
                &admin,
                Some(json!({"reason": "again"}))
            )
            .body,
        revoked.body
    );
    for key in [&key, &newer] {
        service.get("/v1/orders", key).expect(401, "key_revoked");
    }
    service
        .call("DELETE", "/v1/keys/000000000000", &admin, None)
        .expect(404, "not_found");
}

#[test]
fn whoever_holds_a_key_ends_it_also_where_it_does_not_open_and_no_other_key() {
    let (_directory, service, admin) = started();
    let end = |key: &str| service.call("POST", "/v1/keys/self/revoke", key, None);
    let bound = json!({"owner": "org_42", "allowed_ips": ["10.0.0.0/8"]});
    let used_up = json!({"requests": 1, "per_seconds": 3_600});
    let used_up = json!({"owner": "org_42", "rate_limit": used_up});
    for (body, code) in [(bound, "ip_denied"), (used_up, "rate_limited")] {
        let (id, key) = service.issue(&admin, body);
        service.get("/v1/whoami", &key);
        let refused = service.get("/v1/whoami", &key);
        assert_eq!(refused.body["code"], code);
        for _again in 0..2 {
            let ended = end(&key);
            assert_eq!(ended.status, 200, "{}", ended.body);
            assert_eq!(ended.headers["cache-control"], "no-store");
            let expected = json!({"key_id": id, "effective_within_seconds": 1.0});
            assert_eq!(ended.body, expected, "it says nothing else of the key");
        }
        service.get("/v1/whoami", &key).expect(401, "key_revoked");
        let audit = service.get(&format!("/v1/audit?key_id={id}"), &admin);
        let events = audit.body["events"].as_array().unwrap();
        let revoked = events.iter().find(|event| event["action"] == "revoked");
        assert_eq!(revoked.unwrap()["actor"], json!({"key": id}));
        assert_eq!(revoked.unwrap()["address"], "127.0.0.1");
    }
    let (_, other) = service.issue(&admin, json!({"owner": "org_42"}));
    end("").expect(401, "key_missing");
    end("nonsense").expect(401, "key_invalid");
    let in_url = format!("/v1/keys/self/revoke?key={other}");
    let in_url = service.call("POST", &in_url, &other, None);
    in_url.expect(400, "key_in_url");
    assert_eq!(service.get("/v1/whoami", &other).status, 200);
}

#[test]
fn a_key_rotates_itself_and_a_zero_overlap_ends_the_old_secret() {
    let (_directory, service, admin) = started();
    let (id, key) = service.issue(&admin, json!({"owner": "org_42", "scopes": []}));
    let rotated = service.call(
        "POST",
        "/v1/keys/self/rotate",
        &key,
        Some(json!({"overlap_seconds": 0})),
    );
    assert_eq!((rotated.status, rotated.text("key_id")), (200, id));
    service.get("/v1/whoami", &key).expect(401, "key_expired");
    assert_eq!(service.get("/v1/whoami", &rotated.text("key")).status, 200);
}

#[test]
fn a_hundred_rotations_at_once_make_one_secret() {
    let (_directory, service, admin) = started();
    let (id, _) = service.issue(&admin, json!({"owner": "org_42"}));
    let (won, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let answer = service.call("POST", &format!("/v1/keys/{id}/rotate"), &admin, None);
                let count = match answer.status {
                    200 => &won,
                    409 => &lost,
                    _ => panic!("{answer:?}"),
                };
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!((won.into_inner(), lost.into_inner()), (1, 99));
}

#[test]
fn nobody_reaches_beyond_their_own_key() {
    let (_directory, service, admin) = started();
    let bootstrap = service.get("/v1/whoami", &admin).text("key_id");
    let (own_id, writer) =
        service.issue(&admin, json!({"owner": "org_42", "scopes": ["keys:write"]}));
    let (strong_id, _) = service.issue(
        &admin,
        json!({"owner": "org_42", "scopes": ["orders:read"]}),
    );
    let (foreign_id, _) = service.issue(&admin, json!({"owner": "org_43", "scopes": []}));
    let (lasting_id, _) = service.issue(
        &admin,
        json!({"owner": "org_42", "scopes": [], "expires_in_days": null}),
    );

    let post = |path: &str, body: Value| service.call("POST", path, &writer, Some(body));
    let more = post(
        "/v1/keys",
        json!({"owner": "org_42", "scopes": ["keys:write", "orders:read"]}),
    );
    more.expect(403, "ceiling_exceeded");
    assert!(
        more.text("detail").contains("orders:read"),
        "it names what is too much"
    );
    post(
        "/v1/keys",
        json!({"owner": "org_42", "scopes": ["keys:**"]}),
    )
    .expect(403, "ceiling_exceeded");
    post("/v1/keys", json!({"owner": "org_43", "scopes": []})).expect(403, "ceiling_exceeded");
    post(
        "/v1/keys",
        json!({"owner": "admin", "scopes": ["keys:write"]}),
    )
    .expect(403, "ceiling_exceeded");
    post(
        "/v1/keys",
        json!({"owner": "org_42", "expires_in_days": null}),
    )
    .expect(403, "ceiling_exceeded");
    post(
        "/v1/keys",
        json!({"owner": "org_42", "expires_in_days": 91}),
    )
    .expect(403, "ceiling_exceeded");
    for (id, status) in [
        (&bootstrap, 404),
        (&foreign_id, 404),
        (&strong_id, 403),
        (&lasting_id, 403),
    ] {
        assert_eq!(
            post(&format!("/v1/keys/{id}/rotate"), json!({})).status,
            status
        );
    }
    for (id, status) in [(&bootstrap, 404), (&foreign_id, 404), (&strong_id, 403)] {
        assert_eq!(
            service
                .call("DELETE", &format!("/v1/keys/{id}"), &writer, None)
                .status,
            status
        );
    }
    service
        .get("/v1/keys", &writer)
        .expect(403, "scope_insufficient");

    let (_, reader) = service.issue(&admin, json!({"owner": "org_42", "scopes": ["keys:read"]}));
    service
        .get("/v1/keys?owner=org_43", &reader)
        .expect(404, "not_found");
    let owners: BTreeSet<String> = service.get("/v1/keys", &reader).body["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["owner"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(owners, BTreeSet::from(["org_42".to_owned()]));

    // The old secret of a rotation cannot make itself last.
    let rotated = post("/v1/keys/self/rotate", json!({"overlap_seconds": 600}));
    assert_eq!(rotated.status, 200);
    post("/v1/keys/self/rotate", json!({})).expect(409, "conflict");
    post("/v1/keys", json!({"owner": "org_42", "expires_in_days": 1}))
        .expect(403, "ceiling_exceeded");
    let (child, _) = service.issue(&writer, json!({"owner": "org_42"}));
    let listed = service.get("/v1/keys?owner=org_42", &admin);
    let child = listed.body["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["key_id"] == json!(child))
        .cloned();
    assert_eq!(
        child.unwrap()["expires_at"],
        rotated.body["previous_secret_ends_at"]
    );
    assert_ne!(own_id, strong_id);
}

#[test]
fn every_route_asks_for_a_key_and_for_its_own_scope() {
    let (_directory, service, admin) = started();
    let all = ["keys:read", "keys:write", "orders:read", "orders:write"];
    let (target, _) = service.issue(&admin, json!({"owner": "org_42"}));
    let routes = [
        ("GET", "/v1/whoami".to_owned(), None),
        ("GET", "/v1/orders".into(), Some("orders:read")),
        ("GET", "/v1/orders/live".into(), Some("orders:read")),
        ("POST", "/v1/orders".into(), Some("orders:write")),
        ("GET", "/v1/keys".into(), Some("keys:read")),
        ("GET", format!("/v1/keys/{target}"), Some("keys:read")),
        ("GET", "/v1/reports/expiring".into(), Some("keys:read")),
        (
            "GET",
            "/v1/reports/over-privileged".into(),
            Some("keys:read"),
        ),
        ("GET", "/v1/reports/would-refuse".into(), Some("keys:read")),
        ("POST", "/v1/keys".into(), Some("keys:write")),
        (
            "POST",
            format!("/v1/keys/{target}/narrow"),
            Some("keys:write"),
        ),
        ("POST", "/v1/keys/self/rotate".into(), None),
        (
            "POST",
            format!("/v1/keys/{target}/rotate"),
            Some("keys:write"),
        ),
        ("DELETE", format!("/v1/keys/{target}"), Some("keys:write")),
    ];
    for (method, path, scope) in routes {
        service
            .call(method, &path, "", None)
            .expect(401, "key_missing");
        let others: Vec<&str> = all.into_iter().filter(|s| Some(*s) != scope).collect();
        let (_, key) = service.issue(&admin, json!({"owner": "org_42", "scopes": others}));
        let answer = service.call(method, &path, &key, None);
        match scope {
            None => assert_eq!(answer.status, 200, "{method} {path}"),
            Some(scope) => {
                answer.expect(403, "scope_insufficient");
                assert_eq!(answer.body["missing_scopes"], json!([scope]));
            }
        }
    }
    let keys = service.get("/v1/keys?owner=org_42", &admin);
    let keys = keys.body["keys"].as_array().unwrap();
    let target = keys.iter().find(|key| key["key_id"] == json!(target));
    assert_eq!(target.unwrap()["version"], 1, "nothing happened to it");
}

#[test]
fn a_bundle_grants_its_scopes() {
    let (_directory, service, admin) = started();
    let (_, key) = service.issue(
        &admin,
        json!({"owner": "org_42", "scopes": ["orders:admin"]}),
    );
    let granted = service.get("/v1/whoami", &key).body["scopes"].clone();
    assert_eq!(granted, json!(["orders:read", "orders:write"]));
    assert_eq!(service.get("/v1/orders", &key).status, 200);
    assert_eq!(service.call("POST", "/v1/orders", &key, None).status, 201);
}

#[test]
fn a_wrong_request_is_told_what_is_wrong() {
    let (_directory, service, admin) = started();
    let raw = |text: &str| Value::String(text.into());
    let cases = [
        (raw("{"), "EOF"),
        (raw("[]"), "invalid length 0"),
        (json!({}), "missing field `owner`"),
        (
            json!({"owner": "x", "scope": ["a"]}),
            "unknown field `scope`",
        ),
        (json!({"owner": ""}), "owner is empty"),
        (json!({"owner": "a\nb"}), "control character"),
        (json!({"owner": "x".repeat(129)}), "longer than 128"),
        (json!({"owner": "x", "name": "\u{7f}"}), "control character"),
        (
            json!({"owner": "x", "scopes": ["a b"]}),
            "\"a b\" is not a scope",
        ),
        (json!({"owner": "x", "scopes": ["**"]}), "grant everything"),
        (
            json!({"owner": "x", "scopes": ["orders:read", "ordres:write"]}),
            "\"ordres:write\" is not a scope of this service: did you mean \"orders:write\"?",
        ),
        (
            json!({"owner": "x", "expires_in_days": 0}),
            "not in the future",
        ),
        (
            json!({"owner": "x", "expires_in_days": -1}),
            "invalid value",
        ),
        (json!({"owner": "x", "expires_in_days": u32::MAX}), "9999"),
    ];
    for (body, expected) in cases {
        let answer = service.call("POST", "/v1/keys", &admin, Some(body.clone()));
        answer.expect(400, "input_invalid");
        assert!(
            answer.text("detail").contains(expected),
            "{body}: {}",
            answer.body
        );
    }
    let rotate = |body| service.call("POST", "/v1/keys/self/rotate", &admin, Some(body));
    rotate(json!({"overlap_seconds": u64::MAX})).expect(400, "input_invalid");
    rotate(json!({"overlap_seconds": "1"})).expect(400, "input_invalid");
    service
        .get("/v1/keys?limit=0", &admin)
        .expect(400, "input_invalid");
    service
        .get("/v1/keys?ownr=x", &admin)
        .expect(400, "input_invalid");
    service
        .get("/v1/keys?after=short", &admin)
        .expect(400, "input_invalid");
    service
        .call("DELETE", "/v1/keys/short", &admin, None)
        .expect(404, "not_found");
    service
        .call("DELETE", "/v1/keys/%FF", &admin, None)
        .expect(400, "input_invalid");
    service
        .call("PATCH", "/v1/keys", &admin, None)
        .expect(405, "method_not_allowed");
    service.get("/nothing", &admin).expect(404, "not_found");
    assert_eq!(
        service.get("/v1/whoami", &admin).status,
        200,
        "nothing was rotated"
    );
}
