//! A request through axum in process: the handler alone, behind the least middleware one would
//! write by hand, and behind the guard.

use std::hint::black_box;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header::AUTHORIZATION};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use criterion::Criterion;
use keygate::Principal;
use tower::ServiceExt;

use crate::floor::Floor;
use crate::keys::{self, Shuffled};

#[derive(Clone)]
struct Owner(Arc<str>);

async fn by_hand(State(floor): State<Arc<Floor>>, mut request: Request, next: Next) -> Response {
    let value = request.headers().get(AUTHORIZATION);
    let text = value.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let owner =
        text.and_then(|text| floor.verify(text, |entry| Owner(entry.owner.as_str().into())));
    match owner {
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
    let floor = Arc::new(Floor::new(&texts));

    let bare = Router::new().route("/", get(|| async { "ok" }));
    let hand = Router::new()
        .route(
            "/",
            get(|Extension(owner): Extension<Owner>| async move {
                black_box(owner.0.len()).to_string()
            }),
        )
        .layer(from_fn_with_state(floor, by_hand));
    let guarded = Router::new()
        .route(
            "/",
            get(|caller: Principal| async move { black_box(caller.owner().len()).to_string() }),
        )
        .layer(gate.require("orders:read"));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("axum in process");
    for (name, app) in [("bare", bare), ("by hand", hand), ("keygate", guarded)] {
        let mut shuffled = Shuffled::new(&texts);
        let mut request = || {
            let bearer = format!("Bearer {}", shuffled.next());
            Request::get("/")
                .header(AUTHORIZATION, bearer)
                .body(Body::empty())
                .unwrap()
        };
        group.bench_function(name, |b| {
            b.iter_batched(
                || (app.clone(), request()),
                |(app, request)| {
                    let response = runtime.block_on(app.oneshot(request)).unwrap();
                    assert_eq!(response.status(), StatusCode::OK);
                    response
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    Vec::new()
}
