//! A unary call through tonic in process, as on axum.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response, header::AUTHORIZATION};
use criterion::{BatchSize, Criterion};
use keygate::tonic::RequestExt;
use tonic::{Status, server};
use tonic_prost::ProstCodec;
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};

use crate::by_hand::{ByHand, Owner};
use crate::floor::Floor;
use crate::keys::{self, Shuffled};

type Method = BoxCloneService<Request<Body>, Response<tonic::body::Body>, Infallible>;
type Handler = fn(&tonic::Request<String>) -> Result<usize, Status>;

/// A unary method from text to text, as generated code would call it.
fn method<L>(layer: L, handler: Handler) -> Method
where
    L: Layer<Method>,
    L::Service: tower::Service<
            Request<Body>,
            Response = Response<tonic::body::Body>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    let handler = move |request: tonic::Request<String>| async move {
        let length = black_box(handler(&request)?);
        Ok(tonic::Response::new(length.to_string()))
    };
    let method = service_fn(move |request: Request<Body>| async move {
        let mut grpc = server::Grpc::new(ProstCodec::<String, String>::default());
        Ok(grpc.unary(service_fn(handler), request).await)
    });
    BoxCloneService::new(layer.layer(BoxCloneService::new(method)))
}

pub(crate) fn bench(criterion: &mut Criterion) -> Vec<String> {
    let (store, texts) = keys::store(10_000);
    let gate = keys::gate(store, texts.len());
    keys::warm(&gate, &texts);

    let bare = method(tower::layer::util::Identity::new(), |_| Ok(16));
    let hand = ByHand(Arc::new(Floor::new(&texts)));
    let hand = method(hand, |request| {
        let owner = request.extensions().get::<Owner>();
        Ok(owner.ok_or_else(|| Status::internal(""))?.0.len())
    });
    let guarded = method(gate.require("orders:read"), |request| {
        Ok(request.principal()?.owner().len())
    });

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("tonic in process");
    for (name, method) in [("bare", bare), ("by hand", hand), ("keygate", guarded)] {
        let mut shuffled = Shuffled::new(&texts);
        let mut request = || {
            let bearer = format!("Bearer {}", shuffled.next());
            let request = Request::post("/orders.v1.Orders/List").header(AUTHORIZATION, bearer);
            let request = request.header("content-type", "application/grpc");
            request.body(Body::from(vec![0; 5])).unwrap()
        };
        group.bench_function(name, |b| {
            b.iter_batched(
                || (method.clone(), request()),
                |(method, request)| {
                    let response = runtime.block_on(method.oneshot(request)).unwrap();
                    assert!(!response.headers().contains_key("grpc-status"));
                    response
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    Vec::new()
}
