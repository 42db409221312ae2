//! Keys whose secret is old.

use std::time::Duration;

use clap::Args;
use keygate::{Clock as _, KeyInfo, SystemClock};

use crate::commands::Context;
use crate::commands::selection::Selection;
use crate::failure::{Exit, Failure};
use crate::output::{Table, day, since, status, until};

#[derive(Args)]
pub(super) struct Old {
    /// How long ago the newest secret of them was made, at least.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = humantime::parse_duration)]
    age: Duration,
    #[command(flatten)]
    selection: Selection,
}

impl Old {
    pub(super) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let filter = self.selection.filter()?.secret_older_than(self.age);
        let found = self
            .selection
            .read(&manager, filter, |_| true, context.output);
        let found = found.await?;
        found.show(context.output, drawn)?;
        if !found.keys.is_empty() {
            context
                .output
                .tell("To give one a new secret, with time to change over: keygate rotate KEY_ID");
        }
        Ok(Exit::Done)
    }
}

fn drawn(keys: &[KeyInfo]) -> String {
    let now = SystemClock.wall();
    let mut table = Table::new(&[
        "key id",
        "status",
        "owner",
        "name",
        "secret made",
        "expires",
    ]);
    for key in keys {
        let made = key.secrets.first().map(|secret| {
            let made = secret.created_at;
            format!("{}, {}", day(made), since(made, now))
        });
        let expires = key.expires_at.map(|end| until(end, now));
        table.row([
            key.key_id.as_str(),
            status(key.status),
            &key.owner,
            &key.name,
            &made.unwrap_or_default(),
            &expires.unwrap_or_else(|| "never".into()),
        ]);
    }
    table.draw()
}
