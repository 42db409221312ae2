use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use super::{ManageError, Policy};
use crate::clock::Timestamp;
use crate::record::{self, KeyRecord, RateLimit, check_metadata, check_name, check_owner};
use crate::scope::{Catalogue, ScopeSet};

/// What a key that is to be issued should be. Whatever is wrong with it is said when it is issued.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub(super) owner: String,
    pub(super) environment: Option<String>,
    pub(super) is_canary: bool,
    pub(super) traits: Traits,
}

/// What is to be different about a key. What is not named stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub(super) traits: Traits,
    pub(super) narrow: Option<Duration>,
    pub(super) version: Option<u64>,
}

/// What can be chosen of a key, both at first and later.
#[derive(Clone, Debug, Default)]
pub(super) struct Traits {
    name: Option<String>,
    scopes: Option<Vec<String>>,
    metadata: Option<BTreeMap<String, String>>,
    pub(super) lifetime: Option<Lifetime>,
    pub(super) allowed_ips: Option<Vec<String>>,
    pub(super) pace: Option<Pace>,
}

/// How often a key may be used.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    Within(RateLimit),
    Unlimited,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Lifetime {
    At(Timestamp),
    For(Duration),
    Never,
}

impl NewKey {
    /// A key that acts for `owner`, such as a customer's id. It lasts as long as the policy has
    /// it, is granted nothing, works from everywhere, and may be used without a limit.
    pub fn for_owner(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            environment: None,
            is_canary: false,
            traits: Traits::default(),
        }
    }

    /// The accepted prefix it is to have; without it the first.
    pub fn environment(mut self, prefix: impl Into<String>) -> Self {
        self.environment = Some(prefix.into());
        self
    }

    /// It opens nothing, and tells of whoever presents it: a canary, to be planted where a thief looks,
    /// as in a configuration file that nobody needs.
    ///
    /// It is born revoked, which nothing undoes: no instance lets it in, and it cannot be rotated, enabled
    /// or changed. Whoever presents it, or sends it in a URL, is answered as with any revoked key, byte by
    /// byte and by the same work: a thief cannot tell it from a key whose theft was noticed. Each such
    /// request is an event [`CanaryUsed`](crate::audit::AuditAction::CanaryUsed) with the address it came
    /// from, which the log tells at the level `warn`, and the metric `keygate_canary_used_total` counts. Like everything that is said of a key,
    /// it needs the right secret: the id of a canary alone raises nothing.
    ///
    /// It is never let in, so it gets no new MAC: without the pepper under which it was made, it is refused
    /// as no key, and tells of nobody. Plant others before that pepper goes.
    ///
    /// Its [status](crate::KeyStatus) is `Canary`. It is not among the active keys, nor among the revoked
    /// ones.
    ///
    /// ```
    /// # use keygate::{KeyManager, ManageError, NewKey};
    /// # async fn run(manager: &KeyManager) -> Result<(), ManageError> {
    /// let planted = NewKey::for_owner("security").name("in the old wiki").canary();
    /// println!("{}", manager.issue(planted).await?.key.expose());
    /// # Ok(())
    /// # }
    /// ```
    pub fn canary(mut self) -> Self {
        self.is_canary = true;
        self
    }
}

impl Change {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its scopes become those that it needed within `window`, in the place of wildcards too: see
    /// [`KeyActivity::privileges`](crate::KeyActivity::privileges). Nothing is added to them. What
    /// callers need while it is done, or did in the last seconds in other processes, may not be counted.
    ///
    /// It is refused where not all instances counted for so long
    /// ([`Conflict::Unproved`](crate::Conflict::Unproved)), and for a key that was not used in
    /// that time ([`Conflict::NotUsed`](crate::Conflict::NotUsed)).
    ///
    /// ```
    /// # use keygate::{Change, KeyId, KeyManager, ManageError};
    /// # use std::time::Duration;
    /// # async fn run(manager: &KeyManager, id: &KeyId) -> Result<(), ManageError> {
    /// let month = Duration::from_secs(31 * 24 * 60 * 60);
    /// let info = manager.change(id, Change::new().narrow_to_used(month)).await?;
    /// println!("it keeps {}", info.scopes);
    /// # Ok(())
    /// # }
    /// ```
    pub fn narrow_to_used(mut self, window: Duration) -> Self {
        self.narrow = Some(window);
        self
    }

    /// It is made only to the key as it was read: refused by
    /// [`Conflict::ChangedMeanwhile`](crate::Conflict::ChangedMeanwhile) where the key has another
    /// [version](crate::KeyInfo::version) by now. Scopes, metadata and networks are named as a whole, so
    /// whoever adds one to those that it read would otherwise undo what others changed meanwhile.
    ///
    /// ```
    /// # use keygate::{Change, KeyId, KeyManager, ManageError};
    /// # async fn run(manager: &KeyManager, id: &KeyId) -> Result<(), ManageError> {
    /// let read = manager.inspect(id).await?;
    /// let scopes = read.scopes.iter().chain(["orders:write"]);
    /// manager.change(id, Change::new().scopes(scopes).of_version(read.version)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn of_version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// It may be used as often as anybody likes.
    pub fn no_rate_limit(mut self) -> Self {
        self.traits.pace = Some(Pace::Unlimited);
        self
    }

    /// What is contradictory about it, if anything is.
    pub(super) fn check(&self) -> Result<(), ManageError> {
        match self.narrow.is_some() && self.traits.scopes.is_some() {
            true => Err(ManageError::Invalid(
                "scopes are either named or narrowed to those that were used: choose one".into(),
            )),
            false => Ok(()),
        }
    }
}

macro_rules! choices {
    ($type:ident) => {
        impl $type {
            /// A name for people.
            pub fn name(mut self, name: impl Into<String>) -> Self {
                self.traits.name = Some(name.into());
                self
            }

            /// What it may do. `orders:read,write` abbreviates two scopes. Where the service
            /// has a [catalogue](crate::Catalogue), bundles can be named too, and nothing that it
            /// does not declare.
            pub fn scopes<I>(mut self, scopes: I) -> Self
            where
                I: IntoIterator,
                I::Item: Into<String>,
            {
                self.traits.scopes = Some(scopes.into_iter().map(Into::into).collect());
                self
            }

            /// All of the host's own notes.
            pub fn metadata<K, V>(mut self, entries: impl IntoIterator<Item = (K, V)>) -> Self
            where
                K: Into<String>,
                V: Into<String>,
            {
                let entries = entries.into_iter().map(|(k, v)| (k.into(), v.into()));
                self.traits.metadata = Some(entries.collect());
                self
            }

            /// It expires at `end`.
            pub fn expires_at(mut self, end: SystemTime) -> Self {
                self.traits.lifetime = Some(Lifetime::At(end.into()));
                self
            }

            /// It expires `lifetime` from now.
            pub fn expires_in(mut self, lifetime: Duration) -> Self {
                self.traits.lifetime = Some(Lifetime::For(lifetime));
                self
            }

            /// It never expires.
            pub fn never_expires(mut self) -> Self {
                self.traits.lifetime = Some(Lifetime::Never);
                self
            }

            /// The only networks it works from, like `10.0.0.0/8`, or single addresses. None: it
            /// works from everywhere. Where the [address](crate::ClientAddress) of its caller is
            /// not known, it does not work.
            pub fn allowed_ips<I>(mut self, networks: I) -> Self
            where
                I: IntoIterator,
                I::Item: Into<String>,
            {
                self.traits.allowed_ips = Some(networks.into_iter().map(Into::into).collect());
                self
            }

            /// How often it may be used. Each key has the whole of its limit. What a key has used counts on
            /// when its limit is changed, but for no more than the whole burst of the new one.
            pub fn rate_limit(mut self, limit: RateLimit) -> Self {
                self.traits.pace = Some(Pace::Within(limit));
                self
            }
        }
    };
}

choices!(NewKey);
choices!(Change);

impl NewKey {
    pub(super) fn check_owner(&self) -> Result<(), ManageError> {
        Ok(check_owner(&self.owner)?)
    }
}

impl Traits {
    /// Puts everything that was chosen into `record`.
    pub(super) fn apply(
        &self,
        record: &mut KeyRecord,
        policy: &Policy,
        catalogue: Option<&Catalogue>,
        now: Timestamp,
    ) -> Result<(), ManageError> {
        if let Some(name) = &self.name {
            check_name(name)?;
            record.name.clone_from(name);
        }
        if let Some(scopes) = &self.scopes {
            record.scopes = match catalogue {
                Some(catalogue) => catalogue.grant(scopes)?,
                None => ScopeSet::parse(scopes)?,
            };
        }
        if let Some(metadata) = &self.metadata {
            check_metadata(metadata)?;
            record.metadata.clone_from(metadata);
        }
        if let Some(networks) = &self.allowed_ips {
            record.allowed_ips = parse_networks(networks)?;
        }
        if let Some(pace) = self.pace {
            record.rate_limit = pace.limit()?;
        }
        if let Some(lifetime) = self.lifetime {
            record.expires_at = lifetime.end(now)?;
            check_lifetime(record, policy, now)?;
        }
        Ok(())
    }
}

impl Pace {
    fn limit(self) -> Result<Option<RateLimit>, ManageError> {
        match self {
            Self::Within(limit) => match limit.check() {
                Ok(()) => Ok(Some(limit)),
                Err(flaw) => Err(ManageError::Invalid(flaw.to_string())),
            },
            Self::Unlimited => Ok(None),
        }
    }
}

impl Lifetime {
    fn end(self, now: Timestamp) -> Result<Option<Timestamp>, ManageError> {
        match self {
            Self::At(end) => Ok(Some(end)),
            Self::For(lifetime) => match now.checked_add(lifetime) {
                Some(end) => Ok(Some(end)),
                None => Err(ManageError::Invalid(
                    "the key would last beyond the year 9999: say that it never expires, or choose less".into(),
                )),
            },
            Self::Never => Ok(None),
        }
    }
}

fn check_lifetime(record: &KeyRecord, policy: &Policy, now: Timestamp) -> Result<(), ManageError> {
    let invalid = |problem: String| Err(ManageError::Invalid(problem));
    let Some(end) = record.expires_at else {
        return match policy.max_lifetime {
            None => Ok(()),
            Some(max) => invalid(format!(
                "a key may last at most {}: it cannot be issued for ever",
                humantime::format_duration(max)
            )),
        };
    };
    if end <= now {
        return invalid(format!(
            "the key would end at {end}, which is not in the future"
        ));
    }
    match policy.max_lifetime {
        Some(max) if end.saturating_since(record.created_at) > max => invalid(format!(
            "the key would end at {end}, and a key may last at most {}",
            humantime::format_duration(max)
        )),
        _ => Ok(()),
    }
}

const MAX_NETWORKS: usize = 64;

fn parse_networks(texts: &[String]) -> Result<Vec<IpNet>, ManageError> {
    if texts.len() > MAX_NETWORKS {
        return Err(ManageError::Invalid(format!(
            "a key can be bound to at most {MAX_NETWORKS} networks"
        )));
    }
    let mut networks = texts
        .iter()
        .map(|text| parse_network(text))
        .collect::<Result<Vec<IpNet>, _>>()?;
    networks.sort_unstable();
    networks.dedup();
    Ok(networks)
}

fn parse_network(text: &str) -> Result<IpNet, ManageError> {
    record::parse_network(text).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        ManageError::Invalid(format!(
            "{shown:?} is not a network: write 10.0.0.0/8, 2001:db8::/32 or a single address"
        ))
    })
}
