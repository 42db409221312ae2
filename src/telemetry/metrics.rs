use std::time::Duration;

use metrics::{Counter, Histogram, counter, gauge, histogram};

use crate::exposure::Exposure;

/// How requests were decided.
const REQUESTS: &str = "keygate_requests_total";

/// Keys that stood in a URL.
#[cfg(any(feature = "tower", feature = "actix-web"))]
const LEAKED: &str = "keygate_leaked_in_url_total";

/// Requests with canaries.
const CANARY_USED: &str = "keygate_canary_used_total";

/// Keys that somebody reported to have leaked.
const LEAK_REPORTED: &str = "keygate_leak_reported_total";

/// Keys that came by a way on which others may have read them.
const EXPOSED: &str = "keygate_exposed_total";

/// How long requests waited for the store.
const LOOKUP: &str = "keygate_lookup_seconds";

/// Requests that are missing from an audit log, or from the channel to the host.
const AUDIT_DROPPED: &str = "keygate_audit_dropped_total";

/// All codes of refusals.
const CODES: [&str; 16] = [
    "internal",
    "ip_denied",
    "key_disabled",
    "key_duplicated",
    "key_expired",
    "key_exposed",
    "key_in_url",
    "key_invalid",
    "key_missing",
    "key_revoked",
    "method_denied",
    "rate_limited",
    "request_malformed",
    "scope_insufficient",
    "store_unavailable",
    "wrong_environment",
];

/// What counts the decisions of one gate, looked up once.
pub(super) struct Decisions {
    realm: String,
    accepted: Counter,
    refused: Vec<(&'static str, Counter)>,
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    leaked: Counter,
    canary_used: Counter,
    leak_reported: Counter,
    by_browser: Counter,
    in_plaintext: Counter,
    lookup: Histogram,
}

impl Decisions {
    pub(super) fn new(realm: &str) -> Self {
        let refused = CODES.map(|code| (code, decided(realm, code)));
        Self {
            realm: realm.to_owned(),
            accepted: decided(realm, "accepted"),
            refused: refused.into(),
            #[cfg(any(feature = "tower", feature = "actix-web"))]
            leaked: counter!(LEAKED, "realm" => realm.to_owned()),
            canary_used: counter!(CANARY_USED, "realm" => realm.to_owned()),
            leak_reported: counter!(LEAK_REPORTED, "realm" => realm.to_owned()),
            by_browser: exposed(realm, "browser"),
            in_plaintext: exposed(realm, "plaintext"),
            lookup: histogram!(LOOKUP, "realm" => realm.to_owned()),
        }
    }

    pub(super) fn accepted(&self) {
        self.accepted.increment(1);
    }

    pub(super) fn refused(&self, code: &'static str) {
        match self.refused.iter().find(|(of, _)| *of == code) {
            Some((_, counter)) => counter.increment(1),
            None => decided(&self.realm, code).increment(1),
        }
    }

    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(super) fn leaked(&self) {
        self.leaked.increment(1);
    }

    pub(super) fn canary_used(&self) {
        self.canary_used.increment(1);
    }

    pub(super) fn leak_reported(&self) {
        self.leak_reported.increment(1);
    }

    pub(super) fn exposed(&self, exposure: Exposure) {
        match exposure {
            Exposure::ByBrowser => self.by_browser.increment(1),
            Exposure::InPlaintext => self.in_plaintext.increment(1),
        }
    }

    pub(super) fn looked_up(&self, took: Duration) {
        self.lookup.record(took);
    }
}

fn decided(realm: &str, outcome: &'static str) -> Counter {
    counter!(REQUESTS, "realm" => realm.to_owned(), "outcome" => outcome)
}

fn exposed(realm: &str, by: &'static str) -> Counter {
    counter!(EXPOSED, "realm" => realm.to_owned(), "by" => by)
}

pub(super) fn audit_is_dropped(realm: &str, requests: u64) {
    counter!(AUDIT_DROPPED, "realm" => realm.to_owned()).increment(requests);
}

/// 1 while changes are told as they happen, 0 while records are used for a second alone.
const UP: &str = "keygate_change_feed_up";

/// How often the feed broke, or could not be connected.
const BREAKS: &str = "keygate_change_feed_breaks_total";

/// Requests that were served and are missing from the counts of usage.
const UNCOUNTED: &str = "keygate_usage_uncounted_total";

pub(super) fn usage_was_not_counted(realm: &str, requests: u64) {
    counter!(UNCOUNTED, "realm" => realm.to_owned()).increment(requests);
}

/// How many requests rules that only report would have refused.
const WOULD_REFUSE: &str = "keygate_would_refuse_total";

pub(super) fn would_refuse(realm: &str) {
    counter!(WOULD_REFUSE, "realm" => realm.to_owned()).increment(1);
}

pub(super) fn feed_came_alive(realm: &str) {
    gauge!(UP, "realm" => realm.to_owned()).set(1.0);
}

pub(super) fn feed_is_left(realm: &str) {
    gauge!(UP, "realm" => realm.to_owned()).set(0.0);
}

pub(super) fn feed_broke(realm: &str) {
    feed_is_left(realm);
    counter!(BREAKS, "realm" => realm.to_owned()).increment(1);
}

/// How often the peppers of a provider were refused, or it had none.
const NOT_RELOADED: &str = "keygate_pepper_reload_failures_total";

pub(super) fn peppers_are_not_reloaded(realm: &str) {
    counter!(NOT_RELOADED, "realm" => realm.to_owned()).increment(1);
}
