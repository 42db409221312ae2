//! Ending keys for good.

use std::ops::ControlFlow;
use std::time::Duration;

use clap::{ArgGroup, Args};
use keygate::{Filter, KeyInfo, KeyManager, KeyStatus, Revoked};
use serde::Serialize;

use super::Context;
use super::keys::{self, Failed, Outcome};
use super::selection::each_page;
use crate::ask;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Table, counted, moment, plain};

#[derive(Args)]
#[command(
    override_usage = "keygate revoke [OPTIONS] <KEY_ID>...\n       keygate revoke [OPTIONS] --owner <OWNER>"
)]
#[command(group = ArgGroup::new("which").required(true).args(["keys", "owner"]))]
pub(crate) struct Revoke {
    /// The ids of the keys.
    #[arg(value_name = "KEY_ID")]
    keys: Vec<String>,
    /// All keys of this owner, also those that are issued meanwhile.
    #[arg(long)]
    owner: Option<String>,
    /// Why, for whoever looks at the key later.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome<Ended>,
    /// From now on they are refused everywhere after this time at the latest.
    effective_within_ms: Option<u128>,
}

#[derive(Serialize)]
struct Ended {
    #[serde(flatten)]
    info: KeyInfo,
    /// `false`: it was revoked before.
    changed: bool,
    #[serde(skip)]
    effective_within: Duration,
}

#[derive(Serialize)]
struct OwnerShown<'a> {
    owner: &'a str,
    /// How many keys were revoked now.
    revoked: usize,
    failed: &'a [Failed],
    effective_within_ms: u128,
}

impl Revoke {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        match &self.owner {
            Some(owner) => self.owner(&context, &manager, owner).await,
            None => self.keys(&context, &manager).await,
        }
    }

    async fn keys(&self, context: &Context<'_>, manager: &KeyManager) -> Result<Exit, Failure> {
        let keys = keys::find(manager, &self.keys).await?;
        let question = keys::question("Revoke for good", &keys);
        ask::confirm(&question, self.yes).await?;
        let revoked = async {
            let revoke = async |key: KeyInfo| {
                let revoked = manager.revoke(&key.key_id, &self.reason).await?;
                Ok(Ended::from(revoked))
            };
            let outcome = keys::one_by_one(context, keys, revoke).await;
            let within = outcome.keys.iter().map(|key| key.effective_within).max();
            let shown = Shown {
                outcome: &outcome,
                effective_within_ms: within.map(|within| within.as_millis()),
            };
            let told = context.output.answer(&shown, || drawn(&outcome.keys));
            if let Some(within) = within {
                context.output.tell(refused(within));
            }
            // That a key still opens is worse than that nobody reads it.
            let exit = outcome.exit("revoked", |key| key.info.key_id)?;
            told.map(|()| exit)
        };
        context.interrupts.closed(revoked).await
    }

    async fn owner(
        &self,
        context: &Context<'_>,
        manager: &KeyManager,
        owner: &str,
    ) -> Result<Exit, Failure> {
        let (all, active) = count(manager, owner, context.output).await?;
        if all == 0 {
            let problem = format!("there is no key of the owner {owner:?}: see keygate list");
            return Err(Failure::new(Exit::NotFound, problem));
        }
        let question = format!(
            "Revoke all keys of {} for good: {}, {active} active?",
            plain(owner),
            counted(all, "key")
        );
        ask::confirm(&question, self.yes).await?;
        let revoked = async {
            let outcome = manager.revoke_owner(owner, &self.reason).await?;
            let failed = outcome.failed.into_iter();
            let failed: Vec<Failed> = failed.map(|key| Failed::new(key.id, key.error)).collect();
            let within = outcome.effective_within;
            let shown = OwnerShown {
                owner,
                revoked: outcome.revoked,
                failed: &failed,
                effective_within_ms: within.as_millis(),
            };
            let told = context.output.answer(&shown, || {
                let mut rows = Table::of_values();
                rows.row(["owner", owner]);
                rows.row(["revoked", &outcome.revoked.to_string()]);
                rows.draw()
            });
            // Where all failed, nothing is refused by it.
            if outcome.revoked > 0 || failed.is_empty() {
                context.output.tell(refused(within));
            }
            match failed.is_empty() {
                true => told.map(|()| Exit::Done),
                false => Err(keys::not_all(&failed, "revoked")),
            }
        };
        context.interrupts.closed(revoked).await
    }
}

/// How many keys an owner has, also such as cannot be read, and how many of them are active.
async fn count(
    manager: &KeyManager,
    owner: &str,
    output: Output,
) -> Result<(usize, usize), Failure> {
    let (mut all, mut active) = (0, 0);
    let filter = Filter::new().limit(Filter::MAX_LIMIT).owner(owner);
    let counted = each_page(manager, filter, output, |page| {
        all += page.keys.len() + page.unreadable.len();
        let is_active = |key: &&KeyInfo| key.status == KeyStatus::Active;
        active += page.keys.iter().filter(is_active).count();
        ControlFlow::Continue(())
    });
    counted.await?;
    Ok((all, active))
}

/// Within which time what was ended is refused.
pub(crate) fn refused(within: Duration) -> String {
    format!(
        "refused everywhere within {}",
        humantime::format_duration(within)
    )
}

fn drawn(keys: &[Ended]) -> String {
    let mut table = Table::new(&["key id", "owner", "name", "revoked"]);
    for Ended { info, changed, .. } in keys {
        let before = info.revocation.as_ref().filter(|_| !changed);
        let revoked = before.map(|before| format!("before, {}", moment(before.at)));
        table.row([
            info.key_id.as_str(),
            &info.owner,
            &info.name,
            &revoked.unwrap_or_else(|| "now".into()),
        ]);
    }
    table.draw()
}

impl From<Revoked> for Ended {
    fn from(revoked: Revoked) -> Self {
        Self {
            info: revoked.info,
            changed: revoked.changed,
            effective_within: revoked.effective_within,
        }
    }
}
