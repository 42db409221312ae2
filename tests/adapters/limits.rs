//! Limits through every adapter: what is let through, and what callers are told.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use keygate::testing::ManualClock;
use keygate::{Charge, Clock, KeyId, Level, Quota, RateLimit, SharedLimiter, StoreError, Take};
use tonic::Status;
use tonic_types::StatusExt;

use crate::answers::{GrpcAnswer, HttpAnswer};
use crate::cases::{Route, Setup};
use crate::common::millis;
use crate::world::{Sent, Stage};
use crate::{Grpc, Http};

pub(crate) const EXPORTS: Quota = Quota::new("exports", RateLimit::per_hour(10));

/// What a handler charges that its guard knows nothing of.
pub(crate) const LATER: Charge = Charge::of(0).and(EXPORTS, 5);

/// Keys of two requests a minute.
pub(crate) const KEYS: [&str; 6] = [
    "plain", "metered", "within", "charging", "untold", "optional",
];

struct Step {
    /// What passes before it.
    pass: Duration,
    setup: Setup,
    route: Route,
    key: &'static str,
    outcome: Outcome,
    /// What `RateLimit-Policy` and `RateLimit` say.
    told: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Copy)]
enum Outcome {
    Accepted,
    /// With this many seconds.
    Limited(u64),
    Invalid,
}

use Outcome::{Accepted, Invalid, Limited};

const OWN: &str = r#""key";q=2;w=60"#;
const QUOTA: &str = r#""exports";q=10;w=3600"#;
const BOTH: &str = r#""key";q=2;w=60, "exports";q=10;w=3600"#;

#[rustfmt::skip]
fn steps() -> Vec<Step> {
    let step = |setup, route, key, outcome, told| Step { pass: Duration::ZERO, setup, route, key, outcome, told };
    let usual = |route, key, outcome, policy, left| step(Setup::Usual, route, key, outcome, Some((policy, left)));
    let own = |route, key, outcome| step(Setup::OwnField, route, key, outcome, None);
    let after = |pass, step| Step { pass, ..step };
    vec![
        // The key's own limit: exactly as many, and then not before the second that is told.
        usual(Route::Orders, "plain", Accepted, OWN, r#""key";r=1;t=30"#),
        usual(Route::Orders, "plain", Accepted, OWN, r#""key";r=0;t=60"#),
        usual(Route::Orders, "plain", Limited(30), OWN, r#""key";r=0;t=60"#),
        after(millis(500), usual(Route::Nested, "plain", Limited(30), OWN, r#""key";r=0;t=60"#)),
        after(millis(28_500), usual(Route::Extracted, "plain", Limited(1), OWN, r#""key";r=0;t=31"#)),
        after(millis(1_000), usual(Route::Nested, "plain", Accepted, OWN, r#""key";r=0;t=60"#)),
        usual(Route::Nested, "plain", Limited(30), OWN, r#""key";r=0;t=60"#),
        // A quota, for a key without a limit of its own.
        step(Setup::Usual, Route::Orders, "good", Accepted, None),
        usual(Route::Metered, "good", Accepted, QUOTA, r#""exports";r=5;t=1800"#),
        usual(Route::MeteredWithin, "good", Accepted, QUOTA, r#""exports";r=0;t=3600"#),
        usual(Route::Metered, "good", Limited(1_800), QUOTA, r#""exports";r=0;t=3600"#),
        usual(Route::MeteredWithin, "good", Limited(1_800), QUOTA, r#""exports";r=0;t=3600"#),
        step(Setup::Usual, Route::Orders, "good", Accepted, None),
        // A quota beside it: both or neither.
        usual(Route::Metered, "metered", Accepted, BOTH, r#""key";r=1;t=30, "exports";r=5;t=1800"#),
        usual(Route::Metered, "metered", Accepted, BOTH, r#""key";r=0;t=60, "exports";r=0;t=3600"#),
        usual(Route::Metered, "metered", Limited(1_800), BOTH, r#""key";r=0;t=60, "exports";r=0;t=3600"#),
        after(millis(30_000), usual(Route::Metered, "metered", Limited(1_770), BOTH, r#""key";r=1;t=30, "exports";r=0;t=3570"#)),
        usual(Route::Orders, "metered", Accepted, OWN, r#""key";r=0;t=60"#),
        // Two guards: each takes its own, and one field tells of both.
        usual(Route::MeteredWithin, "within", Accepted, BOTH, r#""key";r=1;t=30, "exports";r=5;t=1800"#),
        usual(Route::MeteredWithin, "within", Accepted, BOTH, r#""key";r=0;t=60, "exports";r=0;t=3600"#),
        usual(Route::MeteredWithin, "within", Limited(30), OWN, r#""key";r=0;t=60"#),
        after(millis(60_000), usual(Route::MeteredWithin, "within", Limited(1_740), BOTH, r#""key";r=1;t=30, "exports";r=0;t=3540"#)),
        // A handler that charges.
        usual(Route::Charging, "charging", Accepted, BOTH, r#""key";r=1;t=30, "exports";r=5;t=1800"#),
        usual(Route::Charging, "charging", Accepted, BOTH, r#""key";r=0;t=60, "exports";r=0;t=3600"#),
        after(millis(60_000), usual(Route::Charging, "charging", Limited(1_740), BOTH, r#""key";r=1;t=30, "exports";r=0;t=3540"#)),
        // Where a key is optional.
        usual(Route::Optional, "optional", Accepted, OWN, r#""key";r=1;t=30"#),
        usual(Route::Optional, "optional", Accepted, OWN, r#""key";r=0;t=60"#),
        usual(Route::Optional, "optional", Limited(30), OWN, r#""key";r=0;t=60"#),
        // Where callers are not told.
        step(Setup::Basic, Route::Metered, "untold", Accepted, None),
        step(Setup::Basic, Route::MeteredWithin, "untold", Accepted, None),
        step(Setup::Basic, Route::Metered, "untold", Limited(1_800), None),
        step(Setup::Basic, Route::Orders, "untold", Limited(30), None),
        // What is no key, by address: keys that were seen go on.
        own(Route::Orders, "good", Accepted),
        own(Route::Orders, "wrong_secret", Invalid),
        own(Route::Orders, "unknown", Invalid),
        own(Route::Orders, "wrong_secret", Limited(30)),
        own(Route::Optional, "bad_checksum", Limited(30)),
        own(Route::Orders, "unknown", Limited(30)),
        own(Route::Orders, "other", Limited(30)),
        own(Route::Orders, "good", Accepted),
        after(millis(29_999), own(Route::Orders, "unknown", Limited(1))),
        after(millis(1), own(Route::Orders, "other", Accepted)),
        own(Route::Orders, "bad_checksum", Invalid),
        own(Route::Orders, "bad_checksum", Limited(30)),
    ]
}

impl Step {
    fn prepare(&self, stage: &Stage) -> Sent {
        stage.pass(self.pass);
        let field = match self.setup {
            Setup::OwnField => "x-acme-key",
            _ => "x-api-key",
        };
        stage.bearing(self.setup, self.route, field, self.key)
    }

    fn name(&self, n: usize) -> String {
        format!("step {n}: {} at {}", self.key, self.route.path())
    }
}

pub(crate) async fn play_http(stage: &Stage, adapter: &mut impl Http) {
    stage.pass(millis(3_600_000));
    for (n, step) in steps().iter().enumerate() {
        let answer = adapter.ask(&step.prepare(stage)).await;
        check_http(&step.name(n), step, &answer);
    }
}

fn check_http(name: &str, step: &Step, answer: &HttpAnswer) {
    let field = |wanted: &str| {
        let of_name = answer.headers.iter().filter(|(name, _)| name == wanted);
        let values: Vec<&str> = of_name.map(|(_, value)| value.as_str()).collect();
        assert!(values.len() <= 1, "{name}: {values:?}");
        values.first().copied()
    };
    let told = field("ratelimit-policy").zip(field("ratelimit"));
    assert_eq!(told, step.told, "{name}");
    let (status, code, retry_after) = match step.outcome {
        Accepted => (200, None, None),
        Limited(seconds) => (429, Some("rate_limited"), Some(seconds.to_string())),
        Invalid => (401, Some("key_invalid"), None),
    };
    assert_eq!(answer.status, status, "{name}");
    assert_eq!(field("retry-after"), retry_after.as_deref(), "{name}");
    if let Some(code) = code {
        assert_eq!(field("cache-control"), Some("no-store"), "{name}");
        assert_eq!(
            field("content-type"),
            Some("application/problem+json"),
            "{name}"
        );
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["code"], code, "{name}");
    }
}

pub(crate) async fn play_grpc(stage: &Stage, adapter: &mut impl Grpc) {
    stage.pass(millis(3_600_000));
    for (n, step) in steps().iter().enumerate() {
        let answer = adapter.ask(&step.prepare(stage)).await;
        check_grpc(&step.name(n), step, &answer);
    }
}

fn check_grpc(name: &str, step: &Step, answer: &GrpcAnswer) {
    let field = |wanted: &str| {
        let values: Vec<_> = answer.headers.get_all(wanted).iter().collect();
        assert!(values.len() <= 1, "{name}: {values:?}");
        values.first().map(|value| value.to_str().unwrap())
    };
    let told = field("ratelimit-policy").zip(field("ratelimit"));
    assert_eq!(told, step.told, "{name}");
    let (code, reason, seconds) = match step.outcome {
        Accepted => {
            let trailers = answer.trailers.as_ref();
            assert_eq!(trailers.unwrap()["grpc-status"], "0", "{name}");
            return;
        }
        Limited(seconds) => (8, "RATE_LIMITED", Some(seconds)),
        Invalid => (16, "KEY_INVALID", None),
    };
    let status = Status::from_header_map(&answer.headers).unwrap();
    assert_eq!(status.code() as i32, code, "{name}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, reason, "{name}");
    let delay = details.retry_info().and_then(|retry| retry.retry_delay);
    assert_eq!(delay, seconds.map(Duration::from_secs), "{name}");
    let pushback = seconds.map(|seconds| (seconds * 1_000).to_string());
    assert_eq!(
        field("grpc-retry-pushback-ms"),
        pushback.as_deref(),
        "{name}"
    );
}

/// Where the gates of a stage count.
#[derive(Clone, Copy)]
pub(crate) enum Counted {
    Here,
    Elsewhere,
}

/// Counts as a limiter that all instances share does.
pub(crate) struct Elsewhere {
    clock: ManualClock,
    since: Instant,
    /// How far ahead each limit is paid for.
    paid: Mutex<HashMap<(KeyId, &'static str), Duration>>,
}

impl Elsewhere {
    pub(crate) fn new(clock: ManualClock) -> Self {
        Self {
            since: clock.monotonic(),
            clock,
            paid: Mutex::default(),
        }
    }
}

#[async_trait::async_trait]
impl SharedLimiter for Elsewhere {
    async fn take(&self, takes: &[Take<'_>]) -> Result<Vec<Level>, StoreError> {
        tokio::task::yield_now().await;
        let now = self.clock.monotonic() - self.since;
        let mut paid = self.paid.lock().unwrap();
        let level = |take: &Take<'_>, paid: Duration, cost: u32| {
            let each = Duration::from_secs(take.limit.per_seconds.into()) / take.limit.requests;
            let debt = paid.saturating_sub(now);
            let free = (each * take.limit.burst).saturating_sub(debt);
            Level {
                retry_after: (each * cost).saturating_sub(free),
                remaining: (free.as_nanos() / each.as_nanos()) as u32,
                full_after: debt,
            }
        };
        let mut of = |take: &Take<'_>| *paid.entry((*take.key_id, take.name)).or_default();
        let before: Vec<Duration> = takes.iter().map(&mut of).collect();
        let asked = takes.iter().zip(&before);
        let asked: Vec<Level> = asked
            .map(|(take, paid)| level(take, *paid, take.cost))
            .collect();
        if asked.iter().any(Level::is_over) {
            return Ok(asked);
        }
        let taken = takes.iter().zip(before).map(|(take, before)| {
            let each = Duration::from_secs(take.limit.per_seconds.into()) / take.limit.requests;
            let after = before.max(now) + each * take.cost;
            paid.insert((*take.key_id, take.name), after);
            level(take, after, 0)
        });
        Ok(taken.collect())
    }
}
