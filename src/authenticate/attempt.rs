use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::exposure::Exposures;
use crate::key::KeyId;
use crate::limit::{Charge, LimitState};
use crate::principal::{Identity, Principal, Secret};
use crate::scope::{Rule, ScopeSet};

/// One request to decide.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    pub(super) text: &'a str,
    pub(super) address: Option<IpAddr>,
    pub(super) rule: Option<&'a Rule>,
    pub(super) charge: &'a Charge,
    pub(super) exposures: Exposures,
}

impl<'a> Attempt<'a> {
    /// The key text that the caller sent.
    pub const fn new(text: &'a str) -> Self {
        Self {
            text,
            address: None,
            rule: None,
            charge: &Charge::ONE,
            exposures: Exposures::NONE,
        }
    }

    /// Where the request came from. Without it, keys that are bound to networks are refused.
    pub const fn from_address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// What the route asks for. Without it any valid key is accepted.
    pub const fn requiring(self, rule: &'a Rule) -> Self {
        Self {
            rule: Some(rule),
            ..self
        }
    }

    /// What it takes of the limits of its key, [one](Charge::ONE) unless set. With a quota that cannot be
    /// used, or whose name has another limit elsewhere in the gate, it is refused as
    /// [`Error::QuotaFlawed`](crate::Error::QuotaFlawed).
    pub const fn charging(self, charge: &'a Charge) -> Self {
        Self { charge, ..self }
    }

    /// Whether a browser sent it, as
    /// [`Extracted::sent_by_browser`](crate::answer::Extracted::sent_by_browser) says. What comes of it,
    /// [`keys_from_browsers`](crate::Builder::keys_from_browsers) says.
    pub const fn sent_by_browser(mut self, sent: bool) -> Self {
        self.exposures.by_browser = sent;
        self
    }

    /// Whether it came in plaintext, as
    /// [`ClientAddress::sent_in_plaintext`](crate::ClientAddress::sent_in_plaintext) says. What comes of it,
    /// [`keys_in_plaintext`](crate::Builder::keys_in_plaintext) says.
    pub const fn sent_in_plaintext(mut self, sent: bool) -> Self {
        self.exposures.in_plaintext = sent;
        self
    }

    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) const fn exposed(self, exposures: Exposures) -> Self {
        Self { exposures, ..self }
    }
}

impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("address", &self.address)
            .field("rule", &self.rule)
            .field("charge", &self.charge)
            .field("exposures", &self.exposures)
            .finish_non_exhaustive()
    }
}

/// A verified caller, borrowed from the cache.
#[derive(Clone, Copy)]
pub struct Verified<'a> {
    pub(super) identity: &'a Arc<Identity>,
    pub(super) secret: Secret,
    pub(super) address: Option<IpAddr>,
}

impl Verified<'_> {
    /// The key that was presented.
    pub fn key_id(&self) -> &KeyId {
        &self.identity.key_id
    }

    /// Whom the key acts for.
    pub fn owner(&self) -> &str {
        &self.identity.owner
    }

    /// What the key may do.
    pub fn scopes(&self) -> &ScopeSet {
        &self.identity.scopes
    }

    /// The caller, to keep.
    pub fn to_principal(&self) -> Principal {
        Principal::new(Arc::clone(self.identity), self.secret, self.address)
    }
}

impl Verified<'_> {
    /// The caller, who is to be told how its limits stand.
    pub(crate) fn to_told(self, limits: Vec<LimitState>) -> Principal {
        self.to_principal().with_limits(limits)
    }
}

impl fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_principal().fmt(f)
    }
}
