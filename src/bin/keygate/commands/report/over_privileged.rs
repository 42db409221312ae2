//! Keys that may do more than they needed.

use clap::Args;
use keygate::{KeyActivity, Privileges};
use serde::Serialize;

use super::{Span, by_use};
use crate::commands::Context;
use crate::commands::list::Selection;
use crate::failure::{Exit, Failure};
use crate::output::Table;

#[derive(Args)]
pub(super) struct OverPrivileged {
    /// What was needed within this time is needed.
    #[arg(long, value_name = "TIME", default_value = "90d")]
    within: Span,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Serialize)]
struct PrivilegedKey {
    #[serde(flatten)]
    activity: KeyActivity,
    privileges: Option<Privileges>,
}

impl OverPrivileged {
    pub(super) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let window = self.within.time;
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
            self.within
        );
        found.show(context.output, drawn, &advice)
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
