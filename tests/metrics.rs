//! What the guards count. A recorder of the test's own takes the place of the process's.

#![cfg(all(feature = "axum", feature = "metrics"))]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use common::World;
use keygate::{IntoRule, NewKey};
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use tower::ServiceExt;

/// Counters by their name and labels.
#[derive(Default)]
struct Counters(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counters {
    fn read(&self) -> Vec<(String, u64)> {
        let counters = self.0.lock().unwrap();
        let read = |(name, count): (&String, &Arc<AtomicU64>)| {
            (name.clone(), count.load(Ordering::SeqCst))
        };
        counters.iter().map(read).collect()
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels = key.labels();
        let labels: Vec<_> = labels.map(|label| (label.key(), label.value())).collect();
        let name = format!("{} {labels:?}", key.name());
        let mut counters = self.0.lock().unwrap();
        Counter::from_arc(Arc::clone(counters.entry(name).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn every_request_that_a_tried_rule_would_refuse_is_counted_by_realm() {
    let counters = Counters::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    with_local_recorder(&counters, || {
        runtime.block_on(async {
            let keys = World::with(|builder| builder.realm("orders")).await.keys;
            let tried = || keys.require("a".report_only());
            let handler = || get(|| async {});
            let within = Router::new().route("/within", handler().layer(tried()));
            let app = within
                .layer(keys.authenticate())
                .route("/first", handler().layer(tried()))
                .route("/enforced", handler().layer(keys.require("a")));
            let weak = keys.manager().issue(NewKey::for_owner("org_42")).await;
            let good = NewKey::for_owner("org_42").scopes(["a"]);
            let good = keys.manager().issue(good).await.unwrap();
            let call = async |path: &str, key: &str| {
                let request = Request::get(path).header("x-api-key", key);
                let request = request.body(Body::empty()).unwrap();
                app.clone().oneshot(request).await.unwrap().status()
            };
            let weak = weak.unwrap();
            for (key, enforced) in [
                (weak.key.expose(), StatusCode::FORBIDDEN),
                (good.key.expose(), StatusCode::OK),
            ] {
                for _cold_then_cached in 0..2 {
                    assert_eq!(call("/first", key).await, StatusCode::OK);
                }
                assert_eq!(call("/within", key).await, StatusCode::OK);
                assert_eq!(call("/enforced", key).await, enforced);
            }
            assert_eq!(call("/first", "nonsense").await, StatusCode::UNAUTHORIZED);
        });
    });
    let expected = r#"keygate_would_refuse_total [("realm", "orders")]"#.to_owned();
    let mut counted = counters.read();
    counted.retain(|(name, _)| name.starts_with("keygate_would_refuse"));
    assert_eq!(counted, [(expected, 3)]);
}
