//! Scopes that are declared once, and what guards, extractors and the issue of keys make of them.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use keygate::{Authorized, Keygate, ManageError, NewKey, Rule};

use crate::{call, gate, gate_with, key, with_key};

keygate::scopes! {
    SCOPES {
        /// See orders.
        ORDERS_READ = "orders:read",
        /// Create orders.
        ORDERS_WRITE = "orders:write",
    }
    bundles {
        /// Everything about orders.
        ORDERS_ADMIN = "orders:admin" => [ORDERS_READ, ORDERS_WRITE],
    }
}

async fn declaring_gate() -> Keygate {
    gate_with(|builder| builder.scopes(SCOPES)).await
}

#[tokio::test]
async fn a_key_with_a_bundle_opens_what_each_of_its_scopes_opens() {
    let keys = declaring_gate().await;
    let admin = key(&keys, &[ORDERS_ADMIN.name()]).await;
    let reader = key(&keys, &[ORDERS_READ.name()]).await;
    let app = Router::new()
        .route("/read", get(|| async {}).layer(keys.require(ORDERS_READ)))
        .route(
            "/both",
            get(|| async {}).layer(keys.require([ORDERS_READ, ORDERS_WRITE])),
        );
    for (path, text, status) in [
        ("/read", &admin, StatusCode::OK),
        ("/both", &admin, StatusCode::OK),
        ("/read", &reader, StatusCode::OK),
        ("/both", &reader, StatusCode::FORBIDDEN),
    ] {
        assert_eq!(
            call(&app, with_key(path, text)).await.status,
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_extractor_asks_for_all_of_its_scopes_and_names_what_is_missing() {
    async fn handler(caller: Authorized<(ORDERS_READ, ORDERS_WRITE)>) -> String {
        caller.owner().to_owned()
    }
    let keys = declaring_gate().await;
    let app = Router::new()
        .route("/", get(handler))
        .layer(keys.authenticate());
    let admin = key(&keys, &["orders:admin"]).await;
    assert_eq!(call(&app, with_key("/", &admin)).await.body, "org_42");
    let reader = key(&keys, &["orders:read"]).await;
    let answer = call(&app, with_key("/", &reader)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        problem["missing_scopes"],
        serde_json::json!(["orders:write"])
    );
    let required = serde_json::json!(["orders:read", "orders:write"]);
    assert_eq!(problem["required_scopes"], required);
}

mod elsewhere {
    keygate::scopes! {
        pub(super) SCOPES {
            /// Delete orders.
            ORDERS_PURGE = "orders:purge",
        }
    }
}

#[tokio::test]
async fn an_extractor_for_a_scope_that_the_gate_does_not_declare_opens_to_nobody() {
    async fn handler(_: Authorized<elsewhere::ORDERS_PURGE>) {}
    let keys = declaring_gate().await;
    let wide = key(&keys, &["orders:*"]).await;
    let app = Router::new()
        .route("/", get(handler))
        .layer(keys.authenticate());
    let answer = call(&app, with_key("/", &wide)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (500, "internal")
    );

    let undeclaring = gate().await;
    let wide = key(&undeclaring, &["orders:*"]).await;
    let app = Router::new()
        .route("/", get(handler))
        .layer(undeclaring.authenticate());
    assert_eq!(
        call(&app, with_key("/", &wide)).await.status,
        StatusCode::OK
    );
    assert_eq!(elsewhere::SCOPES.scopes(), [elsewhere::ORDERS_PURGE]);
}

mod with_other_words {
    keygate::scopes! {
        pub(super) SCOPES {
            /// Look at orders.
            ORDERS_READ = "orders:read",
        }
    }
}

#[tokio::test]
async fn a_scope_is_known_by_its_name_alone() {
    async fn handler(_: Authorized<with_other_words::ORDERS_READ>) {}
    let keys = declaring_gate().await;
    let reader = key(&keys, &["orders:read"]).await;
    let guarded = get(handler).layer(keys.require(with_other_words::ORDERS_READ));
    let app = Router::new().route("/", guarded);
    assert_eq!(
        call(&app, with_key("/", &reader)).await.status,
        StatusCode::OK
    );
    assert_eq!(with_other_words::SCOPES.scopes().len(), 1);
}

#[tokio::test]
async fn what_is_not_declared_cannot_be_issued_nor_changed_to() {
    let keys = declaring_gate().await;
    let new = NewKey::for_owner("org_42").scopes(["orders:raed"]);
    let refused = keys.manager().issue(new).await.unwrap_err();
    let said = r#""orders:raed" is not a scope of this service: did you mean "orders:read"?"#;
    assert_eq!(refused.to_string(), said);

    let issued = keys
        .manager()
        .issue(NewKey::for_owner("org_42"))
        .await
        .unwrap();
    let change = keygate::Change::new().scopes(["orders:void"]);
    let outcome = keys.manager().change(&issued.info.key_id, change).await;
    assert!(matches!(outcome, Err(ManageError::UndeclaredScope(_))));
}

#[tokio::test]
async fn without_a_catalogue_any_scope_can_be_issued() {
    let keys = gate().await;
    key(&keys, &["whatever:else"]).await;
}

#[tokio::test]
#[should_panic(expected = r#"did you mean "orders:write"?"#)]
async fn a_guard_for_a_misspelt_literal_stops_the_start_of_the_service() {
    let _ = declaring_gate().await.require("orders:wirte");
}

#[tokio::test]
#[should_panic(expected = "is not a scope of this service")]
async fn a_guard_for_any_of_several_is_held_against_the_catalogue_too() {
    let _ = declaring_gate()
        .await
        .require(Rule::any(["orders:read", "orders:void"]));
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_the_page_for_callers() {
    let keys = gate_with(|builder| builder.callers_page_url("https://api.example/keys")).await;
    let app = Router::new().route("/", get(|| async {}).layer(keys.authenticate()));
    let answer = call(&app, with_key("/", "junk")).await;
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["type"], "https://api.example/keys#key_invalid");
    assert_eq!(problem["title"], "Key not valid");
}

#[tokio::test]
async fn a_place_that_cannot_stand_in_a_uri_is_refused_when_the_gate_is_built() {
    for page in [
        "",
        "/docs keys",
        "/docs#keys",
        "/docs\"",
        "/d\u{e9}",
        "/<b>",
        "/a&b",
        "/a\n",
    ] {
        let pepper = crate::common::fresh_pepper();
        let builder = Keygate::builder("acme_live").pepper(pepper);
        let builder = builder
            .store(keygate::MemoryStore::new())
            .callers_page_url(page);
        let error = builder.build().await.unwrap_err();
        assert!(
            matches!(error, keygate::BuildError::CallersPageUrl(_)),
            "{page:?}"
        );
    }
}
