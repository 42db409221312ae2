//! What single guards write into operations.

use axum::Router;
use keygate::axum::RoutesExt;
use keygate::testing::RouteCheck;
use keygate::{Credentials, Guard, IntoRule, Keygate, Rule};
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Paths;
use utoipa::{Modify, OpenApi as _, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::support::*;

#[utoipa::path(get, path = "/a", security(("other" = ["x"])), responses(
    (status = 200, description = "fine"),
    (status = 403, description = "its own"),
))]
async fn read() {}

#[utoipa::path(put, path = "/a", responses((status = 200, description = "fine")))]
async fn write() {}

fn app(guard: Guard) -> (Router, Value) {
    let routes = routes!(read, write).guarded_by(guard);
    let (app, document) = OpenApiRouter::new().routes(routes).split_for_parts();
    (app, json(&document))
}

fn security(keys: Guard) -> Value {
    app(keys).1["paths"]["/a"]["get"]["security"].clone()
}

async fn default_gate() -> Keygate {
    gate(|builder| builder).await
}

#[tokio::test]
async fn guarded_by_guards_and_documents_all_operations() {
    let keys = default_gate().await;
    let (app, document) = app(keys.require("a:x"));
    for method in ["get", "put"] {
        let bare = call(&app, &method.to_uppercase(), "/a", &[]).await;
        assert_eq!(bare.status, 401, "{method}");
        let key = key(&keys, ["a:x"]).await;
        let answer = call(&app, &method.to_uppercase(), "/a", &[("x-api-key", &key)]).await;
        assert_eq!(answer.status, 200, "{method}");
        let said = &document["paths"]["/a"][method];
        let expected = json!([{ "bearer_key": ["a:x"] }, { "X-API-Key": ["a:x"] }]);
        assert_eq!(
            said["security"], expected,
            "also where it said otherwise: {method}"
        );
    }
}

#[tokio::test]
async fn responses_that_an_operation_declares_itself_stay() {
    let (_, document) = app(default_gate().await.authenticate());
    let responses = &document["paths"]["/a"]["get"]["responses"];
    assert_eq!(responses["403"], json!({ "description": "its own" }));
    let refused = json!({ "$ref": "#/components/responses/KeyRefused" });
    assert_eq!(responses["401"], refused);
    let forbidden = json!({ "$ref": "#/components/responses/KeyForbidden" });
    assert_eq!(
        document["paths"]["/a"]["put"]["responses"]["403"],
        forbidden
    );
}

#[tokio::test]
async fn each_kind_of_demand_has_its_alternatives() {
    let keys = gate(|builder| builder.credentials(Credentials::new().headers([""; 0]))).await;
    let all = keys.require(Rule::all(["a", "b"]));
    assert_eq!(security(all), json!([{ "bearer_key": ["a", "b"] }]));
    let any = keys.require(Rule::any(["a", "b"]));
    let either = json!([{ "bearer_key": ["a"] }, { "bearer_key": ["b"] }]);
    assert_eq!(security(any), either);
    assert_eq!(security(keys.authenticate()), json!([{ "bearer_key": [] }]));
    let or_nothing = json!([{ "bearer_key": [] }, {}]);
    assert_eq!(security(keys.authenticate_optional()), or_nothing);
}

#[tokio::test]
async fn each_way_to_send_a_key_is_a_scheme() {
    let ways = Credentials::new()
        .accept_basic()
        .headers(["X-One", "X-Two"]);
    let keys = gate(|builder| builder.credentials(ways)).await;
    let expected = json!([
        { "bearer_key": [] }, { "X-One": [] }, { "X-Two": [] }, { "basic_key": [] },
    ]);
    assert_eq!(security(keys.authenticate()), expected);
    let mut document = OpenApi::default();
    keys.modify(&mut document);
    let schemes = json(&document)["components"]["securitySchemes"].clone();
    let schemes = schemes.as_object().unwrap();
    assert_eq!(schemes.len(), 4);
    assert_eq!(schemes["basic_key"]["scheme"], "basic");
    assert_eq!(schemes["X-Two"]["name"], "X-Two");
}

#[tokio::test]
async fn a_problem_of_the_hosts_own_stays() {
    #[derive(ToSchema)]
    #[schema(description = "ours")]
    struct Problem;
    #[derive(utoipa::OpenApi)]
    #[openapi(components(schemas(Problem)))]
    struct Host;
    let mut document = Host::openapi();
    default_gate().await.modify(&mut document);
    let schemas = json(&document)["components"]["schemas"].clone();
    assert_eq!(schemas["Problem"]["description"], "ours");
}

#[tokio::test]
async fn a_tried_rule_is_documented_as_a_valid_key_with_a_note_and_is_a_guard_to_the_check() {
    let keys = gate(|builder| builder.credentials(Credentials::new().headers([""; 0]))).await;
    let tried = || keys.require(Rule::any(["a", "b"]).unwrap().report_only());
    assert_eq!(security(tried()), json!([{ "bearer_key": [] }]));
    let (app, document) = app(tried());
    let description = &document["paths"]["/a"]["get"]["description"];
    let note =
        "A rule that asks for any of the scopes a b is being tried: a key without is let through.";
    assert_eq!(description, note);
    let responses = &document["paths"]["/a"]["put"]["responses"];
    let refused = json!({ "$ref": "#/components/responses/KeyRefused" });
    assert_eq!(responses["401"], refused);
    RouteCheck::new(&keys).assert(&app).await;
}

#[tokio::test]
async fn a_tried_rule_within_an_enforced_one_leaves_the_scopes_of_that_and_its_own_note_once() {
    /// What is there.
    #[utoipa::path(get, path = "/a", responses((status = 200, description = "fine")))]
    async fn described() {}

    let keys = default_gate().await;
    let tried = || keys.require("a:y".report_only());
    let routes = routes!(described).guarded_by(tried());
    let routes = routes.guarded_by(tried()).guarded_by(keys.require("a:x"));
    let (_, document) = OpenApiRouter::<()>::new().routes(routes).split_for_parts();
    let said = &json(&document)["paths"]["/a"]["get"];
    let expected = json!([{ "bearer_key": ["a:x"] }, { "X-API-Key": ["a:x"] }]);
    assert_eq!(said["security"], expected);
    let texts = format!("{} {}", said["summary"], said["description"]);
    assert!(texts.contains("What is there."), "{texts}");
    assert_eq!(
        texts.matches("the scope a:y is being tried").count(),
        1,
        "{texts}"
    );
}

#[tokio::test]
async fn the_headers_that_tell_of_an_end_are_documented_where_that_is_set() {
    let within = std::time::Duration::from_secs(7);
    let keys = gate(|builder| builder.tell_callers_of_end(within)).await;
    let (_, document) = app(keys.authenticate());
    let responses = &document["paths"]["/a"]["get"]["responses"];
    for name in ["x-api-key-expires", "x-api-key-rotate-by"] {
        let header = &responses["200"]["headers"][name];
        assert_eq!(header["schema"]["format"], "date-time", "{name}");
        assert!(header["description"].is_string(), "{name}");
    }
    assert_eq!(responses["403"], json!({ "description": "its own" }));
    let (_, document) = app(default_gate().await.authenticate());
    let response = &document["paths"]["/a"]["get"]["responses"]["200"];
    assert_eq!(response, &json!({ "description": "fine" }));
}

#[tokio::test]
async fn the_headers_that_tell_of_limits_are_documented_where_that_is_set() {
    for tells in [true, false] {
        let keys = gate(|builder| match tells {
            true => builder.tell_rate_limits(),
            false => builder,
        })
        .await;
        let (_, mut document) = app(keys.authenticate());
        let own = document["paths"]["/a"]["get"]["responses"]["200"].take();
        let mut described = utoipa::openapi::OpenApiBuilder::new().build();
        utoipa::Modify::modify(&keys, &mut described);
        let limited = json(&described)["components"]["responses"]["KeyLimited"].take();
        assert!(limited["headers"]["Retry-After"].is_object());
        for response in [own, limited] {
            for name in ["ratelimit-policy", "ratelimit"] {
                let header = &response["headers"][name];
                assert_eq!(header["schema"]["type"] == "string", tells, "{name}");
                assert_eq!(header["description"].is_string(), tells, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_header_that_an_operation_declares_itself_stays() {
    #[utoipa::path(get, path = "/a", responses((
        status = 200,
        description = "fine",
        headers(("X-API-Key-Expires" = String, description = "its own")),
    )))]
    async fn declares() {}

    let keys = gate(|builder| builder.tell_callers_of_end(std::time::Duration::MAX)).await;
    let routes = routes!(declares).guarded_by(keys.authenticate());
    let (_, document) = OpenApiRouter::<()>::new().routes(routes).split_for_parts();
    let headers = &json(&document)["paths"]["/a"]["get"]["responses"]["200"]["headers"];
    let headers = headers.as_object().unwrap();
    let names: Vec<_> = headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["X-API-Key-Expires", "x-api-key-rotate-by"]);
    assert_eq!(headers["X-API-Key-Expires"]["description"], "its own");
}

#[tokio::test]
async fn without_paths_nothing_is_written() {
    let mut paths = Paths::new();
    default_gate().await.authenticate().document(&mut paths);
    assert!(paths.paths.is_empty());
}
