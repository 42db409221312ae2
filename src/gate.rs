//! What a gate is known by: to its principals, and to those whom it answers.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use crate::audit::Events;
use crate::clock::{Clock, Timestamp};
use crate::credentials::Credentials;
use crate::exposure::ExposurePolicy;
use crate::foreign::Formats;
use crate::key::Prefix;
use crate::limit::{Limiter, Quota};
use crate::principal::Principal;
use crate::record::RateLimit;
use crate::refusal::Refusal;
use crate::scope::Catalogue;
#[cfg(any(feature = "tower", feature = "actix-web"))]
use crate::url_leaks::Leaks;
use crate::usage::Meter;
use crate::waiters::lock;

/// One for each gate that was built. Its principals hold it too, and by that it knows them.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) realm: String,
    pub(crate) credentials: Credentials,
    /// The keys of other systems that are accepted.
    pub(crate) foreign: Formats,
    /// Where the page for callers stands, whose sections are the types of problems.
    pub(crate) page: Option<String>,
    /// The scopes that the service declares, if it does.
    pub(crate) catalogue: Option<Catalogue>,
    /// Whether responses tell callers when their keys end.
    pub(crate) end_notice: Option<EndNotice>,
    pub(crate) standing: StandingSource,
    /// How the limits of keys are counted.
    pub(crate) limiter: Limiter,
    /// Those that are charged: one name is one limit.
    pub(crate) quotas: Mutex<BTreeMap<&'static str, RateLimit>>,
    /// Counts how keys are used, if that is done.
    pub(crate) meter: Option<Meter>,
    /// What becomes of keys that were exposed on their way.
    pub(crate) exposure: ExposurePolicy,
    /// Who is told of what happens.
    pub(crate) events: Arc<Events>,
    /// Keys in URLs that the policy is to be applied to, if it does more than to tell.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) url_leaks: Option<Leaks>,
}

impl Gate {
    /// What is wrong with a quota that is to be charged, if anything is. From then on, no other limit can
    /// have its name.
    pub(crate) fn flaw_of(&self, quota: Quota) -> Option<String> {
        if let Some(flaw) = quota.flaw() {
            return Some(flaw.to_string());
        }
        let mut quotas = lock(&self.quotas);
        let known = quotas.entry(quota.name()).or_insert(quota.limit());
        (*known != quota.limit()).then(|| {
            "another quota of this gate has the same name and another limit: name it differently"
                .to_owned()
        })
    }
}

/// How long before the end of what they presented callers are told of it.
#[derive(Clone, Debug)]
pub(crate) struct EndNotice {
    pub(crate) within: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl EndNotice {
    /// Whether it is time to tell of an end.
    pub(crate) fn is_due(&self, end: Timestamp) -> bool {
        end.saturating_since(self.clock.wall()) <= self.within
    }
}

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Knows whether callers that were let in still stand.
pub(crate) trait Standing: Send + Sync {
    /// Returns once `caller` does not stand any more, or nobody can say so any more.
    fn ended(self: Arc<Self>, caller: Principal) -> BoxFuture<Refusal>;
}

/// Where the principals of a gate learn whether they still stand: its authenticator, which holds the
/// gate itself.
#[derive(Default)]
pub(crate) struct StandingSource(OnceLock<Weak<dyn Standing>>);

impl StandingSource {
    pub(crate) fn set(&self, source: Weak<dyn Standing>) {
        let _ = self.0.set(source);
    }

    /// `None`: there never was one. `Some(None)`: it is gone.
    pub(crate) fn get(&self) -> Option<Option<Arc<dyn Standing>>> {
        self.0.get().map(Weak::upgrade)
    }
}

impl fmt::Debug for StandingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StandingSource")
    }
}

/// Whether `page` can stand before a fragment in a URI, and in HTML and JSON as it is.
pub(crate) fn is_page(page: &str) -> bool {
    let of_uri = |c: u8| c.is_ascii_alphanumeric() || b"-._~:/?[]@!$()*+,;=%".contains(&c);
    !page.is_empty() && page.bytes().all(of_uri)
}

/// Whether `realm` can stand in a quoted string as it is.
pub(crate) fn is_realm(realm: &str) -> bool {
    !realm.is_empty()
        && realm
            .bytes()
            .all(|c| matches!(c, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// The realm of a service that names none.
pub(crate) fn default_realm(prefix: &Prefix) -> String {
    prefix.to_string()
}
