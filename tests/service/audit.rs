//! Who did what to a key, and with it, as the service shows it.

use serde_json::{Value, json};

use crate::support::*;

fn actions(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let events = answer.body["events"].as_array().unwrap();
    let action = |event: &Value| event["action"].as_str().unwrap().to_owned();
    events.iter().map(action).collect()
}

#[test]
fn the_audit_log_of_a_key_has_its_changes_and_its_requests() {
    let (_directory, service, admin) = started();
    let admins = service.get("/v1/whoami", &admin).body["key_id"].clone();
    let limit = json!({"requests": 2, "per_seconds": 3_600});
    let body = json!({"owner": "org_42", "scopes": ["orders:read"], "rate_limit": limit});
    let (id, key) = service.issue(&admin, body);
    for status in [200, 200, 429, 429] {
        assert_eq!(service.get("/v1/orders", &key).status, status);
    }
    let revoked = service.call("DELETE", &format!("/v1/keys/{id}"), &admin, None);
    assert_eq!(revoked.status, 200);
    assert_eq!(service.get("/v1/orders", &key).status, 401);

    let audit = service.get(&format!("/v1/audit?key_id={id}"), &admin);
    let mut seen = actions(&audit);
    seen.sort_unstable();
    assert_eq!(
        seen,
        ["accepted", "issued", "refused", "refused", "revoked"]
    );
    let events = audit.body["events"].as_array().unwrap();
    let of = |action: &str, code: Value| {
        let mut of = events.iter().filter(|event| event["action"] == action);
        let code = |event: &&Value| event["requests"]["code"] == code;
        of.find(code).unwrap()
    };
    for (action, code, count) in [
        ("accepted", Value::Null, 2),
        ("refused", json!("rate_limited"), 2),
        ("refused", json!("key_revoked"), 1),
    ] {
        let event = of(action, code);
        assert_eq!(event["requests"]["count"], count);
        assert_eq!(event["address"], "127.0.0.1");
        assert_eq!(event["actor"], json!({"key": id}));
        assert_eq!(event["owner"], "org_42");
    }
    let issued = of("issued", Value::Null);
    assert_eq!(issued["actor"], json!({"key": admins}));
    assert_eq!(issued["address"], "127.0.0.1");
    let changes = issued["changes"].as_array().unwrap();
    assert!(changes.contains(
        &json!({"field": "rate_limit", "before": null, "after": "2 per 3600 s, burst 2"})
    ));
    let text = audit.body.to_string();
    assert!(!text.contains(&key) && !text.contains(&admin));
}

#[test]
fn the_audit_log_is_asked_by_kind_and_action_in_pages() {
    let (_directory, service, admin) = started();
    let (id, key) = service.issue(&admin, json!({"owner": "org_42"}));
    assert_eq!(service.get("/v1/whoami", &key).status, 200);
    assert_eq!(service.get("/v1/orders", &key).status, 403);
    let ask = |asked: &str| service.get(&format!("/v1/audit?key_id={id}&{asked}"), &admin);
    assert_eq!(actions(&ask("kind=lifecycle")), ["issued"]);
    assert_eq!(actions(&ask("action=refused")), ["refused"]);
    assert_eq!(actions(&ask("kind=authentication")).len(), 2);
    assert!(actions(&ask("until=2020-01-01T00:00:00Z")).is_empty());
    let mut pages = Vec::new();
    let mut next = String::new();
    loop {
        let page = ask(&format!("limit=1{next}"));
        pages.extend(actions(&page));
        let Some(after) = page.body["next"].as_str() else {
            break;
        };
        next = format!("&after={after}");
    }
    assert_eq!(pages.len(), 3);
    for wrong in [
        "limit=0",
        "limit=1001",
        "after=x",
        "kind=x",
        "action=x",
        "from=x",
        "x=1",
    ] {
        assert_eq!(ask(wrong).status, 400, "{wrong}");
    }
}

#[test]
fn the_audit_log_shows_each_owner_its_own_keys_and_strangers_to_the_admin_alone() {
    let (_directory, service, admin) = started();
    let body = json!({"owner": "org_42", "scopes": ["keys:read"]});
    let (_, theirs) = service.issue(&admin, body);
    let (other, others) = service.issue(&admin, json!({"owner": "org_7"}));
    assert_eq!(service.get("/v1/whoami", &others).status, 200);
    assert_eq!(service.get("/v1/whoami", "nonsense").status, 401);

    let answer = service.get(&format!("/v1/audit?key_id={other}"), &theirs);
    answer.expect(404, "not_found");
    let answer = service.get("/v1/audit?owner=org_7", &theirs);
    answer.expect(404, "not_found");
    let seen = service.get("/v1/audit", &theirs);
    let events = seen.body["events"].as_array().unwrap();
    assert!(!events.is_empty() && events.iter().all(|event| event["owner"] == "org_42"));

    let seen = service.get("/v1/audit?action=refused", &admin);
    let events = seen.body["events"].as_array().unwrap();
    let stranger = events.iter().find(|event| event["actor"] == "stranger");
    let stranger = stranger.unwrap();
    assert_eq!(stranger["requests"]["code"], "key_invalid");
    assert!(stranger["key_id"].is_null() && stranger["owner"].is_null());
}
