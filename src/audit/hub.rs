//! Where events come together, and go from to all who want them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::channel::{AuditSender, Outcome, Weight};
use super::journal::{Journal, Tag};
use super::{AuditAction, AuditEvent};
use crate::clock::{Clock, Now, SystemClock, Timestamp};
use crate::exposure::Exposure;
use crate::principal::Identity;
use crate::refusal::{Refusal, Rejection};
use crate::telemetry::{self, Outcomes, Seldom};

/// Takes the events of one gate, and hands each to those who want it: the log, the metrics, the table of
/// the store, the host. It waits for none of them.
pub(crate) struct Events {
    clock: Arc<dyn Clock>,
    realm: String,
    /// For the table of the store, if it has one.
    journal: Option<Arc<Journal>>,
    host: Option<AuditSender>,
    /// When the log was told last of a key that a browser sent, and of one in plaintext.
    told_of_browser: Seldom,
    told_of_plaintext: Seldom,
    /// Whether whoever wants events also wants those of accepted requests.
    tells_accepted: bool,
    outcomes: Outcomes,
}

impl Events {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        realm: &str,
        journal: Option<Arc<Journal>>,
        host: Option<AuditSender>,
        audits_accepted: bool,
    ) -> Self {
        let has_audience = journal.is_some() || host.is_some();
        Self {
            clock,
            realm: realm.to_owned(),
            journal,
            host,
            told_of_browser: Seldom::default(),
            told_of_plaintext: Seldom::default(),
            tells_accepted: audits_accepted && has_audience,
            outcomes: Outcomes::new(realm),
        }
    }

    /// How requests are decided.
    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// What this process has not handed to the store's table yet, if it has one.
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.as_deref()
    }

    /// A key was changed, and that is committed.
    pub(crate) fn changed(&self, event: &AuditEvent) {
        telemetry::changed(event);
        self.tell_host(Weight::Change, || event.clone());
    }

    /// A request was let in.
    pub(crate) fn accepted(&self, identity: &Identity, address: Option<IpAddr>, at: Timestamp) {
        self.outcomes.accepted();
        if self.tells_accepted {
            self.note(AuditAction::Accepted, None, Some(identity), address, at);
        }
    }

    /// A request was refused. `proved` is whose key it is, where its secret proved right.
    pub(crate) fn refused(
        &self,
        refusal: &Refusal,
        proved: Option<&Identity>,
        address: Option<IpAddr>,
    ) {
        self.outcomes.refused(refusal);
        // What fails by our fault says nothing of a caller, and nobody tried a key where there is none.
        if let Refusal::Rejected(rejection) = refusal
            && !matches!(rejection, Rejection::KeyMissing)
        {
            let code = Some(rejection.code());
            let action = self.action_with(proved, AuditAction::Refused, address);
            self.note(action, code, proved, address, self.clock.wall());
        }
    }

    /// A key came by a way on which others may have read it; its secret proved right.
    pub(crate) fn exposed(&self, exposure: Exposure, identity: &Identity, address: Option<IpAddr>) {
        let (action, told) = match exposure {
            Exposure::ByBrowser => (AuditAction::SentByBrowser, &self.told_of_browser),
            Exposure::InPlaintext => (AuditAction::SentInPlaintext, &self.told_of_plaintext),
        };
        self.outcomes.exposed(exposure);
        let now = Now::of(&*self.clock);
        if told.is_due(now) {
            telemetry::exposed(&self.realm, &identity.key_id, exposure);
        }
        self.note(action, None, Some(identity), address, now.wall);
    }

    /// A key stands in a URL. `proved` is whose key it is, where its secret proved right.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn leaked(&self, proved: Option<&Identity>, address: Option<IpAddr>) {
        let rejection = Rejection::KeyInUrl;
        let code = Some(rejection.code());
        self.outcomes.refused(&rejection.into());
        self.outcomes.leaked();
        let action = self.action_with(proved, AuditAction::LeakedInUrl, address);
        self.note(action, code, proved, address, self.clock.wall());
    }

    /// A key was reported to have leaked, which the store keeps already.
    pub(crate) fn leak_reported(&self, event: &AuditEvent) {
        self.outcomes.leak_reported();
        telemetry::leak_reported(event);
        self.tell_host(Weight::Change, || event.clone());
    }

    /// What a request is that is not let in: with a canary something else than with other keys. Operators
    /// are told of it at once.
    fn action_with(
        &self,
        proved: Option<&Identity>,
        usually: AuditAction,
        address: Option<IpAddr>,
    ) -> AuditAction {
        let Some(canary) = proved.filter(|identity| identity.is_canary) else {
            return usually;
        };
        self.outcomes.canary_used();
        telemetry::canary_used(&canary.key_id, &canary.owner, address);
        AuditAction::CanaryUsed
    }

    fn note(
        &self,
        action: AuditAction,
        code: Option<&'static str>,
        identity: Option<&Identity>,
        address: Option<IpAddr>,
        at: Timestamp,
    ) {
        let tag = Tag {
            action,
            code,
            key_id: identity.map(|identity| identity.key_id),
            address,
        };
        if let Some(journal) = &self.journal {
            journal.note(tag, identity, at);
        }
        let owner = identity.map(|identity| &*identity.owner);
        let weight = match identity {
            Some(_) => Weight::Request,
            None => Weight::Stranger,
        };
        self.tell_host(weight, || tag.event(owner, 1, at, at));
    }

    fn tell_host(&self, weight: Weight, event: impl FnOnce() -> AuditEvent) {
        if let Some(host) = &self.host
            && host.send(weight, event) == Outcome::Dropped
        {
            telemetry::host_was_not_told(&self.realm);
        }
    }
}

/// Those of a gate that nobody listens to.
impl Default for Events {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            realm: String::new(),
            journal: None,
            host: None,
            told_of_browser: Seldom::default(),
            told_of_plaintext: Seldom::default(),
            tells_accepted: false,
            outcomes: Outcomes::default(),
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
