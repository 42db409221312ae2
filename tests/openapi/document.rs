//! The document of the service example, against the service.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::routes::SCOPES;
use crate::support::*;

const REFUSALS: [(&str, &str); 5] = [
    ("400", "WWW-Authenticate"),
    ("401", "WWW-Authenticate"),
    ("403", "WWW-Authenticate"),
    ("429", "Retry-After"),
    ("503", "Retry-After"),
];

#[tokio::test]
async fn the_served_document_is_the_routers_and_parses_as_openapi_3_1() {
    let (_, app, document) = service().await;
    let served = call(&app, "GET", "/openapi.json", &[]).await;
    assert_eq!(served.status, 200, "it is open");
    assert_eq!(served.body, json(&document));
    let parsed = oas3::from_json(served.body.to_string()).unwrap();
    assert_eq!(parsed.openapi, "3.1.0");
    assert_eq!(parsed.operations().count(), 17);
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn follow(document: &Value, value: &Value) -> usize {
        match value {
            Value::Array(items) => items.iter().map(|item| follow(document, item)).sum(),
            Value::Object(fields) => {
                resolve(document, value);
                let inner: usize = fields.values().map(|field| follow(document, field)).sum();
                inner + usize::from(fields.contains_key("$ref"))
            }
            _ => 0,
        }
    }
    let (_, _, document) = service().await;
    let document = json(&document);
    assert!(follow(&document, &document) > 8 * REFUSALS.len());
}

/// Each operation is called with a key that has all scopes but one: the answer tells what the route
/// asks for.
#[tokio::test]
async fn the_scopes_of_each_operation_are_those_that_its_route_asks_for() {
    let (keys, app, document) = service().await;
    let mut without_key = 0;
    for (method, path, said) in operations(&json(&document)) {
        let path = path.replace("{id}", "000000000000");
        let Some(security) = said.get("security") else {
            assert_eq!(path, "/healthz");
            assert_eq!(call(&app, &method, &path, &[]).await.status, 200);
            without_key += 1;
            continue;
        };
        assert_eq!(call(&app, &method, &path, &[]).await.status, 401);
        let scopes = security[0]["bearer_key"].as_array().unwrap();
        let expected = json!([{ "bearer_key": scopes }, { "X-API-Key": scopes }]);
        assert_eq!(security, &expected, "{method} {path}");
        for missing in SCOPES.scopes() {
            let others = SCOPES.scopes().iter().filter(|scope| *scope != missing);
            let key = key(&keys, others.copied()).await;
            let answer = call(&app, &method, &path, &[("x-api-key", &key)]).await;
            let is_asked_for = scopes.contains(&json!(missing.name()));
            assert_eq!(answer.status == 403, is_asked_for, "{method} {path}");
            if is_asked_for {
                assert_eq!(&answer.body["required_scopes"], &security[0]["bearer_key"]);
                assert_eq!(answer.body["missing_scopes"], json!([missing.name()]));
            }
        }
    }
    assert_eq!(without_key, 1);
}

#[tokio::test]
async fn every_guarded_operation_declares_all_refusals_as_problems() {
    let (_, _, document) = service().await;
    let document = json(&document);
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    for (method, path, said) in operations(&document) {
        let responses = said["responses"].as_object().unwrap();
        if path == "/healthz" {
            assert_eq!(responses.keys().collect::<Vec<_>>(), ["200"]);
            continue;
        }
        for (status, header) in REFUSALS {
            let response = resolve(&document, &responses[status]);
            let schema = &response["content"]["application/problem+json"]["schema"];
            assert_eq!(schema, &problem, "{method} {path}: {status}");
            assert!(response["headers"][header].is_object(), "{status}");
        }
    }
}

#[tokio::test]
async fn real_refusals_are_as_the_schema_of_problems_has_them() {
    let (keys, app, document) = service().await;
    let document = json(&document);
    let schema = &document["components"]["schemas"]["Problem"];
    let key = key(&keys, ["keys:read"]).await;
    let bearer = format!("Bearer {key}");
    let cases: [(&str, Lines<'_>, u16); 7] = [
        ("/v1/orders", &[], 401),
        ("/v1/orders", &[("authorization", "Bearer ")], 400),
        ("/v1/orders", &[("x-api-key", "nothing")], 401),
        ("/v1/orders", &[("x-api-key", &key)], 403),
        (
            "/v1/whoami",
            &[("x-api-key", &key), ("authorization", &bearer)],
            400,
        ),
        ("/v1/keys?owner=x", &[("x-api-key", &key)], 404),
        ("/v1/keys?limit=0", &[("x-api-key", &key)], 400),
    ];
    for (path, headers, status) in cases {
        let answer = call(&app, "GET", path, headers).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        is_of_schema(&answer.body, schema);
        if status == 401 {
            assert!(answer.headers.contains_key("www-authenticate"));
        }
    }
}

/// As far as the schema of problems goes.
fn is_of_schema(body: &Value, schema: &Value) {
    let body = body.as_object().unwrap();
    let required = schema["required"].as_array().unwrap();
    assert_eq!(required.len(), 5);
    for name in required {
        assert!(
            body.contains_key(name.as_str().unwrap()),
            "{name}: {body:?}"
        );
    }
    for (name, value) in body {
        let property = &schema["properties"][name];
        let is_of_type = match property["type"].as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64(),
            Some("array") => value.as_array().unwrap().iter().all(Value::is_string),
            other => panic!("{name} is not in the schema: {other:?}"),
        };
        assert!(is_of_type, "{name}: {value}");
        if let Some(values) = property["examples"].as_array() {
            assert!(values.contains(value), "{value} is not listed");
        }
    }
}

#[tokio::test]
async fn the_codes_of_problems_are_the_whole_catalogue() {
    let (_, _, document) = service().await;
    let codes =
        &json(&document)["components"]["schemas"]["Problem"]["properties"]["code"]["examples"];
    let codes: BTreeSet<&str> = codes
        .as_array()
        .unwrap()
        .iter()
        .flat_map(Value::as_str)
        .collect();
    let catalogue = [
        "key_missing",
        "request_malformed",
        "key_duplicated",
        "key_exposed",
        "key_in_url",
        "key_invalid",
        "wrong_environment",
        "key_expired",
        "key_revoked",
        "key_disabled",
        "scope_insufficient",
        "ip_denied",
        "method_denied",
        "rate_limited",
        "store_unavailable",
        "internal",
        "input_invalid",
        "ceiling_exceeded",
        "caller_ended",
        "not_found",
        "conflict",
    ];
    assert_eq!(codes, BTreeSet::from(catalogue));
}

#[tokio::test]
async fn schemes_tell_how_keys_are_sent_and_what_scopes_allow() {
    let (_, _, document) = service().await;
    let schemes = json(&document)["components"]["securitySchemes"].clone();
    assert_eq!(schemes.as_object().unwrap().len(), 2);
    let bearer = &schemes["bearer_key"];
    assert_eq!(
        (&bearer["type"], &bearer["scheme"]),
        (&json!("http"), &json!("bearer"))
    );
    let header = &schemes["X-API-Key"];
    assert_eq!(
        (&header["type"], &header["in"], &header["name"]),
        (&json!("apiKey"), &json!("header"), &json!("X-API-Key"))
    );
    for scheme in [bearer, header] {
        let description = scheme["description"].as_str().unwrap();
        assert!(
            description.contains("`orders:write`: Create orders."),
            "{description}"
        );
    }
}
