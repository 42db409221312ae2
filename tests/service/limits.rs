//! How often keys may be used, and where from.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::*;

#[test]
fn of_a_burst_as_many_pass_as_the_limit_says_and_the_next_is_told_when_to_come_back() {
    let (_directory, service, admin) = started();
    let limit = json!({"requests": 5, "per_seconds": 60});
    let body = json!({"owner": "org_42", "scopes": ["orders:read"], "rate_limit": limit});
    let (id, key) = service.issue(&admin, body);
    let begun = Instant::now();
    for left in (0..5).rev() {
        let answer = service.get("/v1/orders", &key);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["ratelimit-policy"], r#""key";q=5;w=60"#);
        let told = answer.headers["ratelimit"].to_str().unwrap();
        assert!(told.starts_with(&format!(r#""key";r={left};t="#)), "{told}");
    }
    let answer = service.get("/v1/orders", &key);
    answer.expect(429, "rate_limited");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let told = answer.headers["ratelimit"].to_str().unwrap();
    assert!(told.starts_with(r#""key";r=0;t="#), "{told}");
    let seconds = answer.headers["retry-after"].to_str().unwrap();
    let seconds: u64 = seconds.parse().unwrap();
    // 12, less what has passed since the first.
    let passed = begun.elapsed().as_secs();
    assert!(
        (12 - passed..=12).contains(&seconds),
        "{seconds} of {passed}"
    );
    let other = service.issue(
        &admin,
        json!({"owner": "org_42", "scopes": ["orders:read"]}),
    );
    let answer = service.get("/v1/orders", &other.1);
    assert_eq!(answer.status, 200, "other keys go on");
    assert!(!answer.headers.contains_key("ratelimit"));

    let shown = json!({"requests": 5, "per_seconds": 60, "burst": 5});
    let key = service.get(&format!("/v1/keys/{id}"), &admin);
    assert_eq!(key.body["rate_limit"], shown);
    let listed = service.get("/v1/keys?owner=org_42", &admin);
    let keys = listed.body["keys"].as_array().unwrap();
    let of_id = keys.iter().find(|key| key["key_id"] == json!(id));
    assert_eq!(of_id.unwrap()["rate_limit"], shown);
}

#[test]
fn a_burst_may_be_smaller_than_the_limit() {
    let (_directory, service, admin) = started();
    let limit = json!({"requests": 60, "per_seconds": 3_600, "burst": 1});
    let (_, key) = service.issue(&admin, json!({"owner": "org_42", "rate_limit": limit}));
    assert_eq!(service.get("/v1/whoami", &key).status, 200);
    let refused = service.get("/v1/whoami", &key);
    refused.expect(429, "rate_limited");
}

#[test]
fn a_key_that_works_from_elsewhere_alone_is_refused_here() {
    let (_directory, service, admin) = started();
    let issue = |networks: Value| {
        let body = json!({"owner": "org_42", "allowed_ips": networks});
        service.issue(&admin, body)
    };
    let (id, bound) = issue(json!(["10.0.0.0/8"]));
    let refused = service.get("/v1/whoami", &bound);
    refused.expect(403, "ip_denied");
    let shown = service.get(&format!("/v1/keys/{id}"), &admin);
    assert_eq!(shown.body["allowed_ips"], json!(["10.0.0.0/8"]));
    let (_, local) = issue(json!(["10.0.0.0/8", "127.0.0.1"]));
    assert_eq!(service.get("/v1/whoami", &local).status, 200);
    let (_, everywhere) = issue(json!([]));
    assert_eq!(service.get("/v1/whoami", &everywhere).status, 200);
}

#[test]
fn limits_and_networks_that_cannot_be_are_named() {
    let (_directory, service, admin) = started();
    let limit =
        |requests: i64, per_seconds: i64| json!({"requests": requests, "per_seconds": per_seconds});
    let mut burst = limit(5, 60);
    burst["burst"] = json!(0);
    let mut unknown = limit(5, 60);
    unknown["per_minute"] = json!(5);
    for (field, value, named) in [
        ("rate_limit", limit(0, 60), "requests"),
        ("rate_limit", limit(5, 0), "window"),
        ("rate_limit", limit(5, 366 * 86_400 + 1), "366 days"),
        ("rate_limit", limit(-1, 60), "-1"),
        ("rate_limit", burst, "burst"),
        ("rate_limit", unknown, "per_minute"),
        ("rate_limit", json!({"requests": 5}), "per_seconds"),
        ("rate_limit", json!(5), "expected struct Limit"),
        ("allowed_ips", json!(["10.0.0.0/33"]), "10.0.0.0/33"),
        ("allowed_ips", json!(["localhost"]), "localhost"),
        ("allowed_ips", json!("10.0.0.0/8"), "10.0.0.0/8"),
    ] {
        let mut body = json!({"owner": "org_42"});
        body[field] = value;
        let answer = service.call("POST", "/v1/keys", &admin, Some(body));
        answer.expect(400, "input_invalid");
        let detail = answer.text("detail");
        assert!(detail.contains(named), "{named}: {detail}");
    }
}

#[test]
fn no_key_is_issued_that_may_be_used_oftener_than_the_callers() {
    let (_directory, service, admin) = started();
    let limit = |requests: u32| json!({"requests": requests, "per_seconds": 60});
    let body = json!({"owner": "org_42", "scopes": ["keys:write"], "rate_limit": limit(20)});
    let (_, key) = service.issue(&admin, body);
    let more = json!({"owner": "org_42", "rate_limit": limit(21)});
    let answer = service.call("POST", "/v1/keys", &key, Some(more));
    answer.expect(403, "ceiling_exceeded");
    let silent = service.call("POST", "/v1/keys", &key, Some(json!({"owner": "org_42"})));
    assert_eq!(silent.status, 201);
    let expected = json!({"requests": 20, "per_seconds": 60, "burst": 20});
    assert_eq!(silent.body["rate_limit"], expected);
}

#[test]
fn reports_have_a_quota_of_which_an_expensive_one_takes_more() {
    let (_directory, service, admin) = started();
    let (_, key) = service.issue(&admin, json!({"owner": "org_42", "scopes": ["keys:read"]}));
    for (report, left) in [
        ("expiring", 29),
        ("over-privileged", 26),
        ("would-refuse", 25),
    ] {
        let answer = service.get(&format!("/v1/reports/{report}"), &key);
        assert_eq!(answer.status, 200);
        let policy = r#""reports";q=30;w=60"#;
        assert_eq!(answer.headers["ratelimit-policy"], policy);
        let told = answer.headers["ratelimit"].to_str().unwrap();
        let left_now = told.split(';').nth(1).unwrap();
        let left_now: u32 = left_now.strip_prefix("r=").unwrap().parse().unwrap();
        // One comes back each two seconds.
        assert!((left..=left + 5).contains(&left_now), "{report}: {told}");
    }
}
