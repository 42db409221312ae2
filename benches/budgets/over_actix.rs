//! A request through actix-web in process, as on axum.

use std::future::ready;
use std::hint::black_box;
use std::sync::Arc;

use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::rt::{System, SystemRunner};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error, HttpMessage, HttpResponse, web};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion};
use futures_util::future::Either;
use keygate::Principal;

use crate::by_hand::{self, Owner};
use crate::floor::Floor;
use crate::keys::{self, Shuffled};

pub(crate) fn bench(criterion: &mut Criterion) -> Vec<String> {
    let (store, texts) = keys::store(10_000);
    let gate = keys::gate(store, texts.len());
    keys::warm(&gate, &texts);
    let floor = Arc::new(Floor::new(&texts));
    let system = System::new();

    let bare = App::new().route("/", web::get().to(async || "16".to_owned()));
    let bare = system.block_on(init_service(bare));
    let hand = App::new()
        .wrap_fn(move |request, inner| {
            let value = request.headers().get(AUTHORIZATION);
            match by_hand::owner(&floor, value.and_then(|value| value.to_str().ok())) {
                Some(owner) => {
                    request.extensions_mut().insert(owner);
                    Either::Left(inner.call(request))
                }
                None => {
                    let refusal = HttpResponse::Unauthorized().finish();
                    Either::Right(ready(Ok(request.into_response(refusal))))
                }
            }
        })
        .route(
            "/",
            web::get().to(async |owner: web::ReqData<Owner>| black_box(owner.0.len()).to_string()),
        );
    let hand = system.block_on(init_service(hand));
    let guarded = App::new().wrap(gate.require("orders:read")).route(
        "/",
        web::get().to(async |caller: Principal| black_box(caller.owner().len()).to_string()),
    );
    let guarded = system.block_on(init_service(guarded));

    let mut group = criterion.benchmark_group("actix-web in process");
    let mut measurement = Measurement {
        group: &mut group,
        system: &system,
        texts: &texts,
    };
    let request = |bearer: String| {
        let request = TestRequest::get().uri("/");
        request.insert_header((AUTHORIZATION, bearer)).to_request()
    };
    measurement.run("bare", &bare, request);
    measurement.run("by hand", &hand, request);
    measurement.run("keygate", &guarded, request);
    group.finish();
    Vec::new()
}

struct Measurement<'a, 'c> {
    group: &'a mut BenchmarkGroup<'c, WallTime>,
    system: &'a SystemRunner,
    texts: &'a [String],
}

impl Measurement<'_, '_> {
    fn run<S, R, B>(&mut self, name: &str, app: &S, request: impl Fn(String) -> R)
    where
        S: Service<R, Response = ServiceResponse<B>, Error = Error>,
    {
        let mut shuffled = Shuffled::new(self.texts);
        let system = self.system;
        self.group.bench_function(name, |b| {
            b.iter_batched(
                || request(format!("Bearer {}", shuffled.next())),
                |request| {
                    let response = system.block_on(app.call(request)).unwrap();
                    assert!(response.status().is_success());
                    response
                },
                BatchSize::SmallInput,
            );
        });
    }
}
