//! Who did what to a key, and with it, by HTTP.

use serde_json::{Value, json};

use crate::support::*;

fn told(answer: &Answer) -> Vec<(&str, &Value)> {
    let events = answer.body["events"].as_array().unwrap();
    let told = events
        .iter()
        .map(|e| (e["action"].as_str().unwrap(), &e["actor"]));
    told.collect()
}

#[test]
fn the_life_of_a_key_is_told_with_who_did_what_from_where_and_never_its_text() {
    let (_directory, service, admin) = started();
    let admin_id = service.get("/v1/whoami", &admin).text("key_id");
    let body = json!({"owner": "org_42", "scopes": ["orders:read"]});
    let (id, key) = service.issue(&admin, body);
    let (_, other) = service.issue(&admin, json!({"owner": "org_7", "scopes": ["keys:read"]}));
    assert_eq!(service.get("/v1/orders", &key).status, 200);
    service
        .get(&format!("/v1/orders?key={key}"), "")
        .expect(400, "key_in_url");
    let revoked = service.call("DELETE", &format!("/v1/keys/{id}"), &admin, None);
    assert!(revoked.status < 300, "{}", revoked.body);
    // What was believed of it is read again by then.
    let refused = service.get("/v1/orders", &key);
    refused.expect(401, "key_revoked");

    let path = format!("/v1/audit?key_id={id}");
    let answer = service.get(&path, &admin);
    assert_eq!(answer.status, 200);
    let (by_admin, by_key) = (json!({"key": admin_id}), json!({"key": id}));
    let mut actual = told(&answer);
    // Requests are handed on in no order.
    actual.sort_by_key(|(action, _)| *action);
    let expected = [
        ("accepted", &by_key),
        ("issued", &by_admin),
        ("leaked_in_url", &by_key),
        ("refused", &by_key),
        ("revoked", &by_admin),
    ];
    assert_eq!(actual, expected);
    for event in answer.body["events"].as_array().unwrap() {
        assert_eq!(event["owner"], "org_42");
        assert_eq!(event["address"], "127.0.0.1");
    }
    let text = answer.body.to_string();
    let secret = &key[key.len() - 49..key.len() - 6];
    assert!(!text.contains(secret));

    let lifecycle = service.get(&format!("{path}&kind=lifecycle&limit=1"), &admin);
    assert_eq!(told(&lifecycle), [("issued", &by_admin)]);
    let next = lifecycle.text("next");
    let rest = service.get(&format!("{path}&kind=lifecycle&after={next}"), &admin);
    assert_eq!(told(&rest), [("revoked", &by_admin)]);

    service.get(&path, &other).expect(404, "not_found");
    let own = service.get("/v1/audit", &other);
    let of_others = |event: &&Value| event["owner"] != "org_7";
    let events = own.body["events"].as_array().unwrap();
    assert_eq!(events.iter().find(of_others), None);
    assert!(!events.is_empty());
}

#[test]
fn a_question_that_makes_no_sense_is_the_callers_fault() {
    let (_directory, service, admin) = started();
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "after=x",
        "key_id=x",
        "kind=x",
        "action=x",
        "from=yesterday",
        "since=1",
    ] {
        let answer = service.get(&format!("/v1/audit?{query}"), &admin);
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
    }
    service.get("/v1/audit", "").expect(401, "key_missing");
}
