//! Changing what a key is, but for its scopes.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use keygate::{Change, Clock as _, IpNet, KeyInfo, SystemClock, Timestamp};

use super::Context;
use super::revise::{Plan, all_of, revise};
use super::traits::Traits;
use crate::failure::{Exit, Failure};
use crate::output::moment;

#[derive(Args)]
#[command(
    after_help = "What is not said stays as it is, other notes too. --allow-ip names all networks anew. What a key \
                  may do is changed by keygate scopes."
)]
pub(crate) struct ChangeKey {
    /// The id of the key.
    #[arg(value_name = "KEY_ID")]
    key: String,
    #[command(flatten)]
    traits: Traits,
    /// It works from everywhere.
    #[arg(long, conflicts_with = "allow_ip")]
    from_everywhere: bool,
    /// It may be used as often as anybody likes.
    #[arg(long, conflicts_with = "rate_limit")]
    no_rate_limit: bool,
    /// It has no note of this name any more; can be repeated.
    #[arg(long, value_name = "NAME")]
    drop_metadata: Vec<String>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl ChangeKey {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let drops = self.from_everywhere || self.no_rate_limit || !self.drop_metadata.is_empty();
        if self.traits == Traits::default() && !drops {
            return Err(Failure::usage(
                "nothing is to be changed: keygate change --help lists what can be",
            ));
        }
        revise(&context, &self.key, self.yes, |key| self.plan(&key.info)).await
    }

    fn plan(&self, key: &KeyInfo) -> Result<Plan, Failure> {
        let mut traits = self.traits.clone();
        let notes = std::mem::take(&mut traits.metadata);
        let mut change = traits.of_change(Change::new());
        if self.from_everywhere {
            change = change.allowed_ips(Vec::<String>::new());
        }
        if self.no_rate_limit {
            change = change.no_rate_limit();
        }
        if !notes.is_empty() || !self.drop_metadata.is_empty() {
            change = change.metadata(self.metadata(key, notes)?);
        }
        let losses = [self.lost_time(key), self.lost_networks(key)];
        Ok(Plan {
            change,
            loss: all_of(losses.into_iter().flatten()),
        })
    }

    /// Its notes, without some and with others.
    fn metadata(
        &self,
        key: &KeyInfo,
        notes: Vec<(String, String)>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut metadata = key.metadata.clone();
        for name in &self.drop_metadata {
            if metadata.remove(name).is_none() {
                let problem = format!(
                    "the key has no metadata {name:?}: see keygate show {}",
                    key.key_id
                );
                return Err(Failure::new(Exit::Conflict, problem));
            }
        }
        metadata.extend(notes);
        Ok(metadata)
    }

    fn lost_time(&self, key: &KeyInfo) -> Option<String> {
        let traits = &self.traits;
        let lifetime = traits.expires_in;
        let later = |lifetime: Duration| SystemClock.wall().checked_add(lifetime);
        let end: Timestamp = traits.expires_at.or_else(|| lifetime.and_then(later))?;
        let is_earlier = key.expires_at.is_none_or(|before| end < before);
        is_earlier.then(|| {
            let before = key.expires_at.map_or_else(|| "never".into(), moment);
            format!("it ends {} instead of {before}", moment(end))
        })
    }

    fn lost_networks(&self, key: &KeyInfo) -> Option<String> {
        let networks = &self.traits.allow_ip;
        if networks.is_empty() {
            return None;
        }
        // What is no network is refused with the change.
        let kept: Option<Vec<IpNet>> = networks.iter().map(|text| network(text)).collect();
        let kept = kept?;
        if key.allowed_ips.is_empty() {
            return Some(format!("it works from {} alone", networks.join(" ")));
        }
        let is_lost = |before: &&IpNet| !kept.iter().any(|net| net.contains(*before));
        let lost: Vec<String> = key
            .allowed_ips
            .iter()
            .filter(is_lost)
            .map(IpNet::to_string)
            .collect();
        (!lost.is_empty()).then(|| format!("it does not work from {} any more", lost.join(" ")))
    }
}

/// A network, or an address as the network of it alone.
fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).ok()
}
