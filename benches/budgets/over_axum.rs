//! A request through axum in process: the handler alone, behind the least middleware one would
//! write by hand, behind the same as axum's documentation shows how to write it, and behind the guard.

use std::hint::black_box;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header::AUTHORIZATION};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use criterion::{BatchSize, Criterion};
use keygate::Principal;
use tower::ServiceExt;

use crate::by_hand::{self, ByHand, Owner};
use crate::floor::Floor;
use crate::keys::{self, Shuffled};

async fn as_shown(State(floor): State<Arc<Floor>>, mut request: Request, next: Next) -> Response {
    let value = request.headers().get(AUTHORIZATION);
    match by_hand::owner(&floor, value.and_then(|value| value.to_str().ok())) {
        None => StatusCode::UNAUTHORIZED.into_response(),
        Some(owner) => {
            request.extensions_mut().insert(owner);
            next.run(request).await
        }
    }
}

pub(crate) fn bench(criterion: &mut Criterion) -> Vec<String> {
    let (store, texts) = keys::store(10_000);
    let gate = keys::gate(store, texts.len());
    keys::warm(&gate, &texts);

    let bare = Router::new().route("/", get(|| async { "16".to_owned() }));
    let hand = get(|Extension(owner): Extension<Owner>| async move {
        black_box(owner.0.len()).to_string()
    });
    let hand = Router::new()
        .route("/", hand)
        .layer(ByHand(Arc::new(Floor::new(&texts))));
    let shown = get(|Extension(owner): Extension<Owner>| async move {
        black_box(owner.0.len()).to_string()
    });
    let shown = Router::new()
        .route("/", shown)
        .layer(from_fn_with_state(Arc::new(Floor::new(&texts)), as_shown));
    let guarded =
        get(|caller: Principal| async move { black_box(caller.owner().len()).to_string() });
    let guarded = Router::new()
        .route("/", guarded)
        .layer(gate.require("orders:read"));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("axum in process");
    let apps = [
        ("bare", bare),
        ("by hand", hand),
        ("from_fn", shown),
        ("keygate", guarded),
    ];
    for (name, app) in apps {
        // As `axum::serve` does, so that layers are not applied for each request.
        let app = app.with_state::<()>(());
        let mut shuffled = Shuffled::new(&texts);
        let mut request = || {
            let bearer = format!("Bearer {}", shuffled.next());
            let request = Request::get("/").header(AUTHORIZATION, bearer);
            request.body(Body::empty()).unwrap()
        };
        group.bench_function(name, |b| {
            b.iter_batched(
                || (app.clone(), request()),
                |(app, request)| {
                    let response = runtime.block_on(app.oneshot(request)).unwrap();
                    assert_eq!(response.status(), StatusCode::OK);
                    response
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    Vec::new()
}
