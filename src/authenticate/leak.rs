//! Keys that stand in a URL: whose they are, if they are anybody's, and what is to be done about it.

use std::net::IpAddr;
use std::sync::Arc;

use super::prove::Proved;
use super::{Attempt, Authenticator, Shared};
use crate::key::KeyId;
use crate::refusal::Refusal;

impl Authenticator {
    /// Tells operators of a key that stands in a URL. Its id, if its secret proves right, whatever has
    /// become of the key: only then it is known that this key has leaked.
    pub(crate) async fn tell_leak(&self, text: &str, address: Option<IpAddr>) -> Option<KeyId> {
        let shared = &self.shared;
        // Text that is no part of it may stand around it.
        let found = shared.scanner.scan(text).next();
        let own = found.and_then(|found| text.get(found.range()));
        let foreign = || shared.environments.foreign().find_in(text);
        let text = own.or_else(foreign).unwrap_or(text);
        let attempt = Attempt::new(text).from_address(address);
        let mut leak = Leak {
            shared,
            attempt,
            outcome: Outcome::Unknown,
        };
        leak.outcome = match shared.prove(attempt).await {
            Ok(proved) => Outcome::Proved(proved),
            Err(refused) => match refused.refusal {
                Refusal::Rejected(rejection) => {
                    shared.count_failure(&rejection, attempt);
                    Outcome::OfNobody
                }
                Refusal::Failed(_) => Outcome::Unknown,
            },
        };
        leak.proved().map(|proved| proved.identity.key_id)
    }
}

/// Told when it is dropped: also where the caller went away before it was known whose key it is.
struct Leak<'a> {
    shared: &'a Arc<Shared>,
    attempt: Attempt<'a>,
    outcome: Outcome,
}

enum Outcome {
    Proved(Proved),
    OfNobody,
    /// The store did not say it, or has not yet.
    Unknown,
}

impl Leak<'_> {
    fn proved(&self) -> Option<&Proved> {
        match &self.outcome {
            Outcome::Proved(proved) => Some(proved),
            _ => None,
        }
    }

    /// Has the key ended, where the policy says so. What is not proved yet is proved before that.
    fn hand_on(&self) {
        let Some(leaks) = &self.shared.gate.url_leaks else {
            return;
        };
        let (text, address) = (self.attempt.text, self.attempt.address);
        let now = self.shared.clock.monotonic();
        match &self.outcome {
            Outcome::Proved(proved) if !proved.is_revoked && !proved.is_replaced => {
                leaks.add(text, address, Some(proved.identity.key_id), now);
            }
            Outcome::Unknown => leaks.add(text, address, None, now),
            _ => {}
        }
    }
}

impl Drop for Leak<'_> {
    fn drop(&mut self) {
        let identity = self.proved().map(|proved| &*proved.identity);
        let events = &self.shared.gate.events;
        events.leaked(identity, self.attempt.address);
        self.hand_on();
    }
}
