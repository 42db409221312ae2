use metrics::{counter, gauge};

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
