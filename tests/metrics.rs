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
use common::{Fault, SECOND, World};
use keygate::{IntoRule, NewKey};
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
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

    /// How often something was recorded counts.
    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Records(self.register_counter(key, metadata))))
    }
}

struct Records(Counter);

impl HistogramFn for Records {
    fn record(&self, _: f64) {
        self.0.increment(1);
    }
}

fn within(counters: &Counters, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    with_local_recorder(counters, || runtime.block_on(test));
}

/// What was counted more than zero times, of the names that begin so.
fn counted(counters: &Counters, name: &str) -> Vec<(String, u64)> {
    let mut counted = counters.read();
    counted.retain(|(of, count)| of.starts_with(name) && *count > 0);
    counted
}

#[test]
fn every_decision_is_counted_by_its_outcome_and_those_that_wait_for_the_store_are_timed() {
    let counters = Counters::default();
    within(&counters, async {
        let world = World::with(|builder| builder.realm("orders")).await;
        let keys = &world.keys;
        let app = Router::new().route("/x", get(|| async {}).layer(keys.require("a")));
        let good = keys.manager().issue(NewKey::for_owner("b").scopes(["a"]));
        let good = good.await.unwrap().key.expose().to_owned();
        let weak = keys.manager().issue(NewKey::for_owner("b")).await.unwrap();
        let call = async |path: &str, key: Option<&str>| {
            let request = Request::get(path);
            let request = match key {
                Some(key) => request.header("x-api-key", key),
                None => request,
            };
            let request = request.body(Body::empty()).unwrap();
            app.clone().oneshot(request).await.unwrap().status()
        };
        for _cold_then_cached in 0..3 {
            assert_eq!(call("/x", Some(&good)).await, StatusCode::OK);
        }
        let weak = Some(weak.key.expose());
        assert_eq!(call("/x", weak).await, StatusCode::FORBIDDEN);
        assert_eq!(call("/x", None).await, StatusCode::UNAUTHORIZED);
        assert_eq!(call("/x", Some("junk")).await, StatusCode::UNAUTHORIZED);
        let leak = call(&format!("/x?{good}"), None).await;
        assert_eq!(leak, StatusCode::BAD_REQUEST);
        let unavailable = Fault::Fail(keygate::StoreErrorKind::Unavailable);
        world.store.gets.always(unavailable);
        world.clock.advance_monotonic(SECOND);
        let away = call("/x", Some(&good)).await;
        assert_eq!(away, StatusCode::SERVICE_UNAVAILABLE);
    });
    let outcomes = [
        ("accepted", 3),
        ("key_in_url", 1),
        ("key_invalid", 1),
        ("key_missing", 1),
        ("scope_insufficient", 1),
        ("store_unavailable", 1),
    ];
    let expected = outcomes.map(|(outcome, count)| {
        let labels = format!(r#"[("realm", "orders"), ("outcome", "{outcome}")]"#);
        (format!("keygate_requests_total {labels}"), count)
    });
    assert_eq!(counted(&counters, "keygate_requests_total"), expected);
    let of_realm = |name: &str, count| vec![(format!(r#"{name} [("realm", "orders")]"#), count)];
    let leaked = "keygate_leaked_in_url_total";
    assert_eq!(counted(&counters, leaked), of_realm(leaked, 1));
    let lookup = "keygate_lookup_seconds";
    assert_eq!(counted(&counters, lookup), of_realm(lookup, 3));
}

#[test]
fn requests_with_canaries_and_reported_leaks_are_counted() {
    let counters = Counters::default();
    within(&counters, async {
        let world = World::with(|builder| builder.realm("orders")).await;
        let manager = world.keys.manager();
        let canary = manager.issue(NewKey::for_owner("a").canary()).await;
        let (canary, key) = (canary.unwrap(), manager.issue(NewKey::for_owner("a")).await);
        for _ in 0..2 {
            let outcome = common::present(&world.keys, canary.key.expose()).await;
            outcome.unwrap_err();
        }
        let wrong = common::with_wrong_secret(canary.key.expose());
        common::present(&world.keys, &wrong).await.unwrap_err();
        let key = key.unwrap();
        let report = manager.report_leak(key.key.expose(), "a wiki").await;
        report.unwrap().unwrap();
        assert_eq!(manager.report_leak(&wrong, "a wiki").await.unwrap(), None);
    });
    for (name, count) in [
        ("keygate_canary_used_total", 2),
        ("keygate_leak_reported_total", 1),
    ] {
        let expected = format!(r#"{name} [("realm", "orders")]"#);
        assert_eq!(counted(&counters, name), [(expected, count)]);
    }
}

#[test]
fn exposed_keys_are_counted_by_how_they_came_once_they_prove_right() {
    let counters = Counters::default();
    within(&counters, async {
        let world = World::with(|builder| builder.realm("orders")).await;
        let keys = &world.keys;
        let issued = keys.manager().issue(NewKey::for_owner("b")).await.unwrap();
        let wrong = common::with_wrong_secret(issued.key.expose());
        for (text, by_browser, in_plaintext) in [
            (issued.key.expose(), true, false),
            (issued.key.expose(), true, true),
            (issued.key.expose(), false, false),
            (&wrong, true, true),
        ] {
            let attempt = keygate::Attempt::new(text)
                .sent_by_browser(by_browser)
                .sent_in_plaintext(in_plaintext);
            let _ = keys.authenticator().authenticate(attempt).await;
        }
    });
    let expected = [("browser", 2), ("plaintext", 1)].map(|(by, count)| {
        let labels = format!(r#"[("realm", "orders"), ("by", "{by}")]"#);
        (format!("keygate_exposed_total {labels}"), count)
    });
    assert_eq!(counted(&counters, "keygate_exposed_total"), expected);
}

#[test]
fn what_is_missing_from_an_audit_log_and_from_the_channel_is_counted() {
    let counters = Counters::default();
    within(&counters, async {
        let (sender, _receiver) = keygate::audit::channel(1);
        let configure = |builder: keygate::Builder| {
            let builder = builder.realm("orders").failed_attempts(None);
            builder.audit_channel(sender)
        };
        let world = World::with(configure).await;
        for number in 0..1_003_u32 {
            let from = std::net::Ipv4Addr::from(number).into();
            let attempt = keygate::Attempt::new("junk").from_address(Some(from));
            let outcome = world.keys.authenticator().authenticate(attempt).await;
            outcome.unwrap_err();
        }
        world.keys.shutdown().await;
    });
    let expected = r#"keygate_audit_dropped_total [("realm", "orders")]"#.to_owned();
    let dropped = counted(&counters, "keygate_audit_dropped_total");
    assert_eq!(dropped, [(expected, 3 + 1_002)]);
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
