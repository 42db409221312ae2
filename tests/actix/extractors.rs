use actix_web::http::StatusCode;
use actix_web::{App, web};
use keygate::Authorized;

use crate::common::World;
use crate::support::{Log, get, key, owner, owner_if_any, run, with_key};

keygate::scopes! {
    SCOPES {
        /// See orders.
        ORDERS_READ = "orders:read",
        /// Create orders.
        ORDERS_WRITE = "orders:write",
    }
}

async fn write(caller: Authorized<(ORDERS_READ, ORDERS_WRITE)>) -> String {
    caller.owner().to_owned()
}

async fn may_write(caller: Option<Authorized<ORDERS_WRITE>>) -> String {
    caller.is_some().to_string()
}

#[actix_web::test]
async fn a_handler_without_a_guard_fails_and_says_so_once_in_the_log() {
    let log = Log::new();
    let app = App::new()
        .route("/principal", web::get().to(owner))
        .route("/authorized", web::get().to(write));
    let app = run(app).await;
    for path in ["/principal", "/authorized"] {
        let answer = app(get(path)).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.code(), "internal");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let logged = log.take();
        assert_eq!(
            logged.matches("no keygate layer guards").count(),
            1,
            "{logged}"
        );
    }
}

#[actix_web::test]
async fn an_authorized_caller_has_the_scopes_and_others_get_the_gates_own_answer() {
    let log = Log::new();
    let world = World::with(|builder| {
        builder
            .scopes(SCOPES)
            .realm("orders")
            .callers_page_url("/keys")
    });
    let keys = world.await.keys;
    let full = key(&keys, &["orders:read,write"]).await;
    let reader = key(&keys, &["orders:read"]).await;
    let app = App::new()
        .route(
            "/guarded",
            web::get().to(write).wrap(keys.require(ORDERS_WRITE)),
        )
        .route("/x", web::get().to(write));
    let app = run(app.wrap(keys.authenticate())).await;
    for _cold_then_cached in 0..2 {
        assert_eq!(app(with_key("/x", &full)).await.body, "org_42");
        log.take();
        let answer = app(with_key("/x", &reader)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::FORBIDDEN, "scope_insufficient")
        );
        assert_eq!(
            answer.header("www-authenticate"),
            Some(
                r#"Bearer realm="orders", error="insufficient_scope", scope="orders:read orders:write""#
            )
        );
        assert!(
            answer.body.contains("/keys#scope_insufficient"),
            "{}",
            answer.body
        );
        let logged = log.take();
        assert_eq!(logged.matches("scope_insufficient").count(), 1, "{logged}");
        assert!(!logged.contains(&reader), "{logged}");
    }
}

#[actix_web::test]
async fn an_optional_caller_is_none_without_an_error_in_the_log() {
    let keys = World::with(|builder| builder.scopes(SCOPES)).await.keys;
    let reader = key(&keys, &["orders:read"]).await;
    let full = key(&keys, &["orders:write"]).await;
    let app = App::new()
        .route("/who", web::get().to(owner_if_any))
        .route("/may_write", web::get().to(may_write));
    let app = run(app.wrap(keys.authenticate_optional())).await;
    let log = Log::new();
    assert_eq!(app(get("/who")).await.body, "nobody");
    assert_eq!(app(get("/may_write")).await.body, "false");
    assert_eq!(log.take(), "");
    assert_eq!(app(with_key("/may_write", &reader)).await.body, "false");
    assert_eq!(app(with_key("/may_write", &full)).await.body, "true");
    assert!(!log.take().contains("refused"));
}
