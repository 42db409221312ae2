use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::dev::{Service, ServiceRequest};
use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use actix_web::{App, HttpMessage, HttpRequest, HttpResponse, Responder};
use keygate::{ClientAddress, Credentials, Keygate, NewKey, Principal, Rejection, Rule, ScopeSet};

use crate::common::World;
use crate::support::{Running, get, key, owner, owner_if_any, run, with_key};

/// How often the handler was called.
type Calls = Data<AtomicUsize>;

async fn counted(calls: Calls, caller: Principal) -> String {
    calls.fetch_add(1, Ordering::SeqCst);
    caller.owner().to_owned()
}

/// The same handler at `/v1/x`, guarded in each place that takes a guard.
async fn places(keys: &Keygate, calls: &Calls) -> Vec<(&'static str, Running)> {
    let guard = || keys.require("a");
    let app = || App::new().app_data(calls.clone());
    let handler = || web::get().to(counted);
    let resource = || web::resource("/v1/x");
    let scope = |route| web::scope("/v1").route("/x", route);
    let fallback = app().default_service(handler());
    let of_scope = web::scope("/v1").default_service(handler());
    vec![
        (
            "app",
            run(app().route("/v1/x", handler()).wrap(guard())).await,
        ),
        (
            "scope",
            run(app().service(scope(handler()).wrap(guard()))).await,
        ),
        (
            "resource",
            run(app().service(resource().route(handler()).wrap(guard()))).await,
        ),
        (
            "route",
            run(app().service(scope(handler().wrap(guard())))).await,
        ),
        ("app's default", run(fallback.wrap(guard())).await),
        (
            "scope's default",
            run(app().service(of_scope.wrap(guard()))).await,
        ),
    ]
}

#[actix_web::test]
async fn a_guard_stands_wherever_wrap_takes_one_and_what_it_refuses_is_not_called() {
    let keys = World::new().await.keys;
    let calls = Data::new(AtomicUsize::new(0));
    let lacking = Rule::all(["a"])
        .unwrap()
        .check(&ScopeSet::parse([] as [&str; 0]).unwrap());
    let lacking = Rejection::ScopeInsufficient(lacking.unwrap_err());
    for (place, app) in places(&keys, &calls).await {
        let (good, weak) = (key(&keys, &["a"]).await, key(&keys, &[]).await);
        let refused = [
            (get("/v1/x"), &Rejection::KeyMissing),
            (with_key("/v1/x", "nonsense"), &Rejection::KeyInvalid),
            (
                with_key(&format!("/v1/x?k={good}"), &good),
                &Rejection::KeyInUrl,
            ),
            (
                with_key("/v1/x", &good).append_header(("x-api-key", &*good)),
                &Rejection::KeyDuplicated,
            ),
            (with_key("/v1/x", &weak), &lacking),
            (with_key("/v1/x", &weak), &lacking),
        ];
        for (request, rejection) in refused {
            let expected = keys.answers().refuse(&rejection.clone().into());
            app(request).await.assert_is(&expected);
        }
        assert_eq!(calls.swap(0, Ordering::SeqCst), 0, "{place}");
        for _cold_then_cached in 0..2 {
            let answer = app(with_key("/v1/x", &good)).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (StatusCode::OK, "org_42"),
                "{place}"
            );
            answer.assert_private();
        }
        assert_eq!(calls.swap(0, Ordering::SeqCst), 2, "{place}");
    }
}

#[actix_web::test]
async fn a_miss_asks_the_store_once_and_a_hit_never() {
    let world = World::new().await;
    let good = key(&world.keys, &["a"]).await;
    let app = App::new().route("/x", web::get().to(owner).wrap(world.keys.require("a")));
    let app = run(app).await;
    let before = world.store.gets.count();
    for _cold_then_cached in 0..3 {
        assert_eq!(app(with_key("/x", &good)).await.body, "org_42");
        assert_eq!(world.store.gets.count(), before + 1);
    }
}

#[actix_web::test]
async fn what_is_not_found_behind_a_guard_is_shown_to_callers_alone() {
    let keys = World::new().await.keys;
    let good = key(&keys, &[]).await;
    let app = run(App::new().wrap(keys.authenticate())).await;
    assert_eq!(app(get("/nowhere")).await.code(), "key_missing");
    let answer = app(with_key("/nowhere", &good)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    answer.assert_private();
}

#[actix_web::test]
async fn an_inner_guard_reuses_the_principal_of_its_own_gate_alone() {
    let (keys, other) = (World::new().await.keys, World::new().await.keys);
    let (good, weak) = (key(&keys, &["a"]).await, key(&keys, &[]).await);
    let inside = |inner: keygate::Guard| {
        let app = App::new().route("/x", web::get().to(owner).wrap(inner));
        run(app.wrap(keys.authenticate()))
    };
    let app = inside(keys.require("a")).await;
    for _cold_then_cached in 0..2 {
        let answer = app(with_key("/x", &good)).await;
        assert_eq!(answer.body, "org_42");
        answer.assert_private();
        assert_eq!(
            app(with_key("/x", &weak)).await.code(),
            "scope_insufficient"
        );
    }
    let app = inside(other.authenticate()).await;
    assert_eq!(app(with_key("/x", &good)).await.code(), "key_invalid");
}

#[actix_web::test]
async fn an_inner_guard_takes_the_outer_ones_word_without_looking_at_the_headers() {
    let keys = World::new().await.keys;
    let good = key(&keys, &["a"]).await;
    let without_header = |mut request: ServiceRequest| {
        request.headers_mut().remove("authorization");
        request
    };
    let app = App::new()
        .route("/x", web::get().to(owner).wrap(keys.require("a")))
        .wrap_fn(move |request, next| next.call(without_header(request)))
        .wrap(keys.authenticate());
    let app = run(app).await;
    assert_eq!(app(with_key("/x", &good)).await.body, "org_42");
}

#[actix_web::test]
async fn the_optional_guard_lets_callers_without_a_key_through_and_no_bad_key() {
    let keys = World::new().await.keys;
    let good = key(&keys, &[]).await;
    let app = App::new().route("/x", web::get().to(owner_if_any));
    let app = run(app.wrap(keys.authenticate_optional())).await;
    let answer = app(get("/x")).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "nobody")
    );
    assert_eq!(answer.header("cache-control"), None);
    assert_eq!(answer.header("vary"), Some("Authorization, X-API-Key"));
    let answer = app(with_key("/x", &good)).await;
    assert_eq!(answer.body, "org_42");
    answer.assert_private();
    assert_eq!(app(with_key("/x", "bad")).await.code(), "key_invalid");
}

#[actix_web::test]
async fn an_optional_guard_hides_the_principal_of_another_gate() {
    let outer = World::new().await.keys;
    let elsewhere = |b: keygate::Builder| b.credentials(Credentials::new().without_bearer());
    let inner = World::with(elsewhere).await.keys;
    let of_outer = key(&outer, &[]).await;
    let app = App::new()
        .route(
            "/x",
            web::get()
                .to(owner_if_any)
                .wrap(inner.authenticate_optional()),
        )
        .wrap(outer.authenticate());
    let app = run(app).await;
    assert_eq!(app(with_key("/x", &of_outer)).await.body, "nobody");
}

#[actix_web::test]
async fn what_is_printed_of_a_request_does_not_show_its_key() {
    async fn print(request: HttpRequest) -> String {
        format!("{request:?} {:?}", request.headers())
    }
    let keys = World::new().await.keys;
    let good = key(&keys, &[]).await;
    let app = App::new().route("/x", web::get().to(print).wrap(keys.authenticate()));
    let app = run(app).await;
    for _cold_then_cached in 0..2 {
        let own_header = get("/x").insert_header(("x-api-key", &*good));
        for request in [with_key("/x", &good), own_header] {
            let printed = app(request).await.body;
            assert!(
                printed.contains("Sensitive") && !printed.contains(&good),
                "{printed}"
            );
        }
    }
}

#[actix_web::test]
async fn the_handler_may_say_itself_what_caches_are_to_do() {
    async fn stored() -> impl Responder {
        let mut response = HttpResponse::Ok();
        response.insert_header(("cache-control", "no-store"));
        response.insert_header(("vary", "accept"));
        response
    }
    let keys = World::new().await.keys;
    let good = key(&keys, &[]).await;
    let app = App::new().route("/x", web::get().to(stored).wrap(keys.authenticate()));
    let answer = run(app).await(with_key("/x", &good)).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let vary: Vec<_> = answer.headers.get_all("vary").collect();
    assert_eq!(vary, ["accept", "Authorization, X-API-Key"]);
}

#[actix_web::test]
async fn a_key_that_is_bound_to_a_network_works_only_where_the_client_address_is_configured() {
    let peer = "10.1.2.3:4000".parse().unwrap();
    let stranger = "192.0.2.1:4000".parse().unwrap();
    let unset = World::new().await;
    let set = World::with(|builder| {
        builder.client_address(ClientAddress::peer().actix_peer_from(|request| {
            // What a source may do with a request, the guard must not stand in the way of.
            request.extensions_mut().insert(Arc::new(1));
            Some(request.peer_addr()?.ip())
        }))
    })
    .await;
    let cases = [
        (&unset, peer, Some("ip_denied")),
        (&set, stranger, Some("ip_denied")),
        (&set, peer, None),
    ];
    for (world, address, refused) in cases {
        let new = NewKey::for_owner("org_42").allowed_ips(["10.0.0.0/8"]);
        let bound = world.keys.manager().issue(new).await.unwrap();
        let guarded = web::get().to(owner).wrap(world.keys.authenticate());
        let app = run(App::new().route("/x", guarded)).await;
        for _cold_then_cached in 0..2 {
            let request = with_key("/x", bound.key.expose()).peer_addr(address);
            let answer = app(request).await;
            match refused {
                Some(code) => assert_eq!(answer.code(), code),
                None => assert_eq!(answer.body, "org_42"),
            }
        }
    }
}

#[actix_web::test]
async fn a_response_to_a_caller_whom_the_host_has_verified_by_itself_is_private_too() {
    let keys = World::new().await.keys;
    let good = key(&keys, &["a"]).await;
    let attempt = keygate::Attempt::new(&good);
    let caller = keys.authenticator().authenticate(attempt).await.unwrap();
    let resource = web::resource("/x").route(web::get().to(owner));
    let app = App::new()
        .service(resource.wrap(keys.require("a")))
        .wrap_fn(move |request, inner| {
            request.extensions_mut().insert(caller.clone());
            inner.call(request)
        });
    let answer = run(app).await(get("/x")).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "org_42")
    );
    answer.assert_private();
}
