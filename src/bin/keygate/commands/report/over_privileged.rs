//! Keys that may do more than they needed.

use std::time::Duration;

use clap::Args;
use keygate::{KeyActivity, Privileges};
use serde::Serialize;

use super::by_use::{self, flat};
use crate::commands::Context;
use crate::commands::selection::Selection;
use crate::failure::{Exit, Failure};
use crate::output::{Table, typed};

#[derive(Args)]
pub(super) struct OverPrivileged {
    /// What was needed within this time is needed.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = humantime::parse_duration)]
    within: Duration,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Serialize)]
struct PrivilegedKey {
    #[serde(flatten, serialize_with = "flat")]
    activity: KeyActivity,
    privileges: Option<Privileges>,
}

impl OverPrivileged {
    pub(super) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let window = self.within;
        let found = by_use::read(
            &self.selection,
            &manager,
            context.output,
            async |filter| manager.over_privileged(filter, window).await,
            |key| key.privileges(window).err(),
        );
        let found = found.await?.map(|activity| PrivilegedKey {
            privileges: activity.privileges(window).ok(),
            activity,
        });
        let advice = format!(
            "To take from one what it did not need: keygate scopes KEY_ID --narrow {}",
            typed(window)
        );
        found.show(context.output, drawn, &advice)?;
        Ok(Exit::Done)
    }
}

fn drawn(keys: &[PrivilegedKey]) -> String {
    let mut table = Table::new(&["key id", "owner", "name", "needed", "narrowing drops"]);
    for PrivilegedKey {
        activity,
        privileges,
    } in keys
    {
        let needed = privileges
            .as_ref()
            .and_then(|privileges| privileges.narrowed.as_ref());
        let dropped = privileges.as_ref().map(|privileges| &privileges.dropped);
        table.row([
            activity.info.key_id.as_str(),
            &activity.info.owner,
            &activity.info.name,
            &needed.map(ToString::to_string).unwrap_or_default(),
            &dropped.map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    table.draw()
}
