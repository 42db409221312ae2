//! Keys that end soon.

use std::time::Duration;

use clap::Args;
use keygate::{Clock as _, KeyInfo, SystemClock};

use crate::commands::Context;
use crate::commands::selection::Selection;
use crate::failure::{Exit, Failure};
use crate::output::{Table, moment, status, until};

#[derive(Args)]
pub(super) struct Expiring {
    /// Within what time they end.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = humantime::parse_duration)]
    within: Duration,
    #[command(flatten)]
    selection: Selection,
}

impl Expiring {
    pub(super) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let filter = self.selection.filter()?.expiring_within(self.within);
        let found = self
            .selection
            .read(&manager, filter, |_| true, context.output);
        let mut found = found.await?;
        found.keys.sort_by_key(|key| key.expires_at);
        found.show(context.output, drawn)?;
        if !found.keys.is_empty() {
            context.output.tell(
                "To let one go on: keygate change KEY_ID --expires-in 90d. To make another like it: keygate issue --like \
                 KEY_ID",
            );
        }
        Ok(Exit::Done)
    }
}

fn drawn(keys: &[KeyInfo]) -> String {
    let now = SystemClock.wall();
    let mut table = Table::new(&["key id", "status", "owner", "name", "ends"]);
    for key in keys {
        let ends = key
            .expires_at
            .map(|end| format!("{}, {}", moment(end), until(end, now)));
        table.row([
            key.key_id.as_str(),
            status(key.status),
            &key.owner,
            &key.name,
            &ends.unwrap_or_default(),
        ]);
    }
    table.draw()
}
