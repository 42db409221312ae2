//! Keys that nobody uses.

use std::time::Duration;

use clap::Args;
use keygate::{KeyActivity, Safety, Timestamp};
use serde::Serialize;

use super::by_use::{self, flat};
use crate::commands::Context;
use crate::commands::selection::Selection;
use crate::commands::usage::last_use;
use crate::failure::{Exit, Failure};
use crate::output::{Table, day, since, status};

#[derive(Args)]
pub(super) struct Idle {
    /// How long nobody has used them, at least. For a monthly job that is more than a month.
    #[arg(long = "for", value_name = "TIME", default_value = "90d", value_parser = humantime::parse_duration)]
    idle_for: Duration,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Serialize)]
struct IdleKey {
    #[serde(flatten, serialize_with = "flat")]
    activity: KeyActivity,
    idle_since: Option<Timestamp>,
}

impl Idle {
    pub(super) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let found = by_use::read(
            &self.selection,
            &manager,
            context.output,
            async |filter| manager.idle(filter, self.idle_for).await,
            |key| match key.safe_to_revoke(self.idle_for) {
                Safety::Unproved(why) => Some(why),
                _ => None,
            },
        );
        let found = found.await?.map(|activity| IdleKey {
            idle_since: activity.idle_since(),
            activity,
        });
        found.show(
            context.output,
            drawn,
            "To end one for good: keygate revoke KEY_ID. To pause it first, and see who misses it: keygate disable \
             KEY_ID.",
        )?;
        Ok(Exit::Done)
    }
}

fn drawn(keys: &[IdleKey]) -> String {
    let mut table = Table::new(&[
        "key id",
        "status",
        "owner",
        "name",
        "idle since",
        "last used",
    ]);
    for IdleKey {
        activity,
        idle_since,
    } in keys
    {
        let used = match &activity.usage {
            Some(usage) => since(usage.last_used_at, activity.as_of),
            None => last_use(activity),
        };
        let info = &activity.info;
        table.row([
            info.key_id.as_str(),
            status(info.status),
            &info.owner,
            &info.name,
            &idle_since.map_or_else(String::new, day),
            &used,
        ]);
    }
    table.draw()
}
