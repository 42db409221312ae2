use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::clock::Timestamp;
use crate::key::{KeyId, Prefix};
use crate::manage::ManageError;
use crate::principal::{Principal, allows};
use crate::record::{KeyRecord, RateLimit};
use crate::scope::{ScopeSet, covers};
use crate::usage::Needs;

/// Who asks. What it can do is read from the store each time: a principal may be older than the
/// end of its key.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    principal: Principal,
    pub(super) key_id: KeyId,
    pub(super) address: Option<IpAddr>,
    environment: Prefix,
    secret_created_at: Timestamp,
    across_owners: bool,
}

impl Caller {
    pub(super) fn of(principal: &Principal) -> Self {
        Self {
            principal: principal.clone(),
            key_id: *principal.key_id(),
            address: principal.client_address(),
            environment: principal.environment().clone(),
            secret_created_at: principal.secret().created_at,
            across_owners: false,
        }
    }

    pub(super) fn across_owners(self) -> Self {
        Self {
            across_owners: true,
            ..self
        }
    }

    /// Counts that the caller's scopes were needed for another key that has or had these.
    pub(super) fn count_held<'a>(&self, scopes: impl Iterator<Item = &'a ScopeSet> + Clone) {
        // By the caller's own: whoever may give everything could make up any number of others.
        let own = self.principal.scopes();
        let held = || scopes.clone().flat_map(ScopeSet::iter);
        let needed = own.only(|own| held().any(|held| covers(own, held)));
        self.principal.count(Needs::Given(&needed));
    }

    /// What the caller can do, by its own record as it is stored now.
    pub(super) fn ceiling(
        &self,
        own: Option<&KeyRecord>,
        now: Timestamp,
    ) -> Result<Ceiling, ManageError> {
        let opens = |own: &&KeyRecord| {
            own.revocation.is_none()
                && own.disabled_at.is_none()
                && own.prefix == self.environment
                && allows(&own.allowed_ips, self.address)
        };
        let own = own.filter(opens).ok_or(ManageError::CallerEnded)?;
        let proofs = own.proofs();
        let mut live = proofs.iter().filter(|proof| !proof.has_ended(now));
        let presented = live.find(|proof| proof.created_at == self.secret_created_at);
        let presented = presented.ok_or(ManageError::CallerEnded)?;
        let holds_newest_secret = presented.created_at == proofs.current.created_at;
        Ok(Ceiling {
            key_id: own.id,
            holds_newest_secret,
            owner: (!self.across_owners).then(|| own.owner.clone()),
            environment: own.prefix.clone(),
            scopes: own.scopes.clone(),
            ends_at: presented.end(),
            own_ends_at: match holds_newest_secret {
                true => own.expires_at,
                false => presented.end(),
            },
            allowed_ips: own.allowed_ips.clone(),
            rate_limit: own.rate_limit,
        })
    }
}

/// The most that can be done on behalf of a caller.
pub(super) struct Ceiling {
    key_id: KeyId,
    holds_newest_secret: bool,
    /// `None`: the host lets this caller act for every owner.
    owner: Option<String>,
    pub(super) environment: Prefix,
    scopes: ScopeSet,
    /// The end of what was presented: it must not be traded for another key that lasts longer.
    pub(super) ends_at: Option<Timestamp>,
    /// For the caller's own key, that of the key where the newest secret was presented: rotating the
    /// key is what the end of its secret asks for.
    own_ends_at: Option<Timestamp>,
    pub(super) allowed_ips: Vec<IpNet>,
    pub(super) rate_limit: Option<RateLimit>,
}

impl Ceiling {
    pub(super) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Keys of other owners and environments do not exist for the caller.
    pub(super) fn sees(&self, record: &KeyRecord) -> bool {
        record.prefix == self.environment
            && self
                .owner
                .as_ref()
                .is_none_or(|owner| *owner == record.owner)
    }

    /// By how much the scopes of `record` go beyond the caller's. A caller may end, and otherwise
    /// weaken, keys without such an excess, as its own is.
    pub(super) fn excess_to_weaken(&self, record: &KeyRecord) -> Vec<Excess> {
        self.lacking(record).into_iter().collect()
    }

    /// By how much a credential for `record` would go beyond the caller's own.
    pub(super) fn excess_to_hold(&self, record: &KeyRecord) -> Vec<Excess> {
        let mut excesses = Vec::new();
        if let Some(owner) = &self.owner
            && *owner != record.owner
        {
            excesses.push(Excess::Owner(record.owner.clone()));
        }
        if self.environment != record.prefix {
            excesses.push(Excess::Environment(record.prefix.clone()));
        }
        excesses.extend(self.lacking(record));
        let most = match record.id == self.key_id {
            true => self.own_ends_at,
            false => self.ends_at,
        };
        if let Some(most) = most
            && record.expires_at.is_none_or(|end| end > most)
        {
            excesses.push(Excess::Expiry { most });
        }
        if record.id == self.key_id && !self.holds_newest_secret {
            excesses.push(Excess::NewerSecret);
        }
        if !within_networks(&self.allowed_ips, &record.allowed_ips) {
            excesses.push(Excess::Addresses);
        }
        if !within_limit(self.rate_limit, record.rate_limit) {
            excesses.push(Excess::RateLimit);
        }
        excesses
    }

    fn lacking(&self, record: &KeyRecord) -> Option<Excess> {
        let lacking = self.scopes.lacking(&record.scopes).map(Into::into);
        let lacking: Vec<String> = lacking.collect();
        (!lacking.is_empty()).then_some(Excess::Scopes(lacking))
    }
}

fn within_networks(mine: &[IpNet], theirs: &[IpNet]) -> bool {
    let covered = |net: &IpNet| mine.iter().any(|own| own.contains(net));
    mine.is_empty() || (!theirs.is_empty() && theirs.iter().all(covered))
}

fn within_limit(mine: Option<RateLimit>, theirs: Option<RateLimit>) -> bool {
    let Some(mine) = mine else { return true };
    theirs.is_some_and(|theirs| {
        let per_second =
            |a: RateLimit, b: RateLimit| u64::from(a.requests) * u64::from(b.per_seconds);
        per_second(theirs, mine) <= per_second(mine, theirs) && theirs.burst <= mine.burst
    })
}

/// One way in which something goes beyond what the caller can do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Excess {
    /// It would work from more addresses.
    Addresses,
    /// It belongs to another environment.
    Environment(Prefix),
    /// It would last longer.
    Expiry {
        /// When the caller's own credential ends.
        most: Timestamp,
    },
    /// It is the caller's own key, and the caller presented its older secret.
    NewerSecret,
    /// It belongs to another owner.
    Owner(String),
    /// It could be used more often.
    RateLimit,
    /// It has scopes that the caller lacks.
    Scopes(Vec<String>),
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses => {
                f.write_str("it would work from addresses that the caller's key does not work from")
            }
            Self::Environment(prefix) => write!(f, "it belongs to the environment {prefix}"),
            Self::Expiry { most } => write!(
                f,
                "it would last beyond {most}, when what the caller presented ends"
            ),
            Self::NewerSecret => {
                f.write_str("the caller presented the older secret of its key: use the newer one")
            }
            Self::Owner(owner) => write!(f, "it belongs to the owner {owner:?}"),
            Self::RateLimit => f.write_str("it could be used more often than the caller's key"),
            Self::Scopes(scopes) => write!(f, "the caller lacks the scopes {}", scopes.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn networks_lie_within_others_only_if_each_of_them_does() {
        let cases: [(&[&str], &[&str], bool); 7] = [
            (&[], &[], true),
            (&[], &["10.0.0.0/8"], true),
            (&["10.0.0.0/8"], &[], false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], true),
            (&["10.1.0.0/16"], &["10.0.0.0/8"], false),
            (
                &["10.0.0.0/8", "2001:db8::/32"],
                &["2001:db8:1::/48", "10.0.0.1/32"],
                true,
            ),
            (&["10.0.0.0/8"], &["10.0.0.0/9", "0.0.0.0/0"], false),
        ];
        for (mine, theirs, expected) in cases {
            assert_eq!(
                within_networks(&nets(mine), &nets(theirs)),
                expected,
                "{theirs:?} in {mine:?}"
            );
        }
    }

    #[test]
    fn a_limit_lies_within_another_if_neither_rate_nor_burst_is_higher() {
        let limit = |requests, per_seconds, burst| {
            Some(RateLimit {
                requests,
                per_seconds,
                burst,
            })
        };
        assert!(within_limit(None, None));
        assert!(within_limit(None, limit(u32::MAX, 1, u32::MAX)));
        assert!(!within_limit(limit(5, 60, 5), None));
        assert!(within_limit(limit(60, 60, 5), limit(1, 1, 5)));
        assert!(!within_limit(limit(60, 60, 5), limit(61, 60, 5)));
        assert!(!within_limit(limit(60, 60, 5), limit(60, 60, 6)));
    }
}
