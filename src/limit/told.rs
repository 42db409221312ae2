use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::LimitState;
use super::quota::OWN;
use crate::waiters::lock;

/// How the limits of one request's key stand, as its response is to tell: what all took that stand
/// between the first guard and the handler.
#[derive(Clone, Debug)]
pub(crate) struct Told(Arc<Mutex<Vec<LimitState>>>);

/// The name of the field that tells what limits allow, in lower case.
pub(crate) const POLICY: &str = "ratelimit-policy";

/// The name of the field that tells what is left of them.
pub(crate) const LEFT: &str = "ratelimit";

impl Told {
    /// `None`: there is nothing to tell, and nothing is allocated.
    pub(crate) fn of(limits: Vec<LimitState>) -> Option<Self> {
        (!limits.is_empty()).then(|| Self(Arc::new(Mutex::new(limits))))
    }

    /// Adds what was taken later; of limits that are known, in the place of what was known. All of it.
    pub(crate) fn add(&self, later: &[LimitState]) -> Vec<LimitState> {
        let mut known = lock(&self.0);
        for state in later {
            match known.iter_mut().find(|known| known.name == state.name) {
                Some(known) => known.clone_from(state),
                None => known.push(state.clone()),
            }
        }
        known.clone()
    }

    /// The fields of a response.
    pub(crate) fn fields(&self) -> [(&'static str, String); 2] {
        fields(&lock(&self.0))
    }
}

/// The header fields of draft-ietf-httpapi-ratelimit-headers: lists of structured fields (RFC 9651). `w`
/// is the window and `t` how long until the whole burst is there again, in seconds, and `r` what is left.
pub(crate) fn fields(limits: &[LimitState]) -> [(&'static str, String); 2] {
    let (mut policies, mut left) = (String::new(), String::new());
    // The key's own first, whoever took what before.
    let (own, quotas): (Vec<_>, Vec<_>) = limits.iter().partition(|state| state.name == OWN);
    for state in own.into_iter().chain(quotas) {
        let comma = if policies.is_empty() { "" } else { ", " };
        let (name, limit) = (state.name, state.limit);
        // Names are of letters, digits, `_` and `-`, and no writing to a string fails.
        let _ = write!(
            policies,
            "{comma}\"{name}\";q={};w={}",
            limit.requests, limit.per_seconds
        );
        let _ = write!(
            left,
            "{comma}\"{name}\";r={};t={}",
            state.remaining,
            whole_seconds(state.full_after)
        );
    }
    [(POLICY, policies), (LEFT, left)]
}

/// A part of a second counts as a whole one: coming back earlier would be in vain.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RateLimit;

    fn state(name: &'static str, remaining: u32, full_after: Duration) -> LimitState {
        LimitState {
            name,
            limit: RateLimit::per_minute(5),
            remaining,
            full_after,
        }
    }

    #[test]
    fn what_is_left_is_told_of_each_limit_once_and_in_whole_seconds() {
        let seconds = Duration::from_secs;
        assert!(Told::of(Vec::new()).is_none());
        let exports = state("exports", 0, Duration::from_nanos(60_000_000_001));
        let told = Told::of(vec![exports]).unwrap();
        told.add(&[state("key", 4, seconds(12))]);
        let all = told.add(&[state("key", 3, Duration::ZERO)]);
        assert_eq!(all.len(), 2);
        let policies = r#""key";q=5;w=60, "exports";q=5;w=60"#;
        let left = r#""key";r=3;t=0, "exports";r=0;t=61"#;
        let expected = [(POLICY, policies.to_owned()), (LEFT, left.to_owned())];
        assert_eq!(fields(&all), expected);
    }
}
