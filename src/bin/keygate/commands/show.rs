//! All of one key, and how it is used.

use std::time::Duration;

use clap::Args;
use keygate::{KeyActivity, Safety};
use serde::Serialize;

use super::Context;
use super::traits::parse_id;
use super::usage::{need, needs, verdict};
use crate::failure::{Exit, Failure};
use crate::output::{Table, key_rows, moment, since};

#[derive(Args)]
pub(crate) struct Show {
    /// The id of the key.
    #[arg(value_name = "KEY_ID")]
    key: String,
    /// How long nobody must have used it to be safe to revoke: longer than any job waits for its turn.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = humantime::parse_duration)]
    idle_for: Duration,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    key: &'a KeyActivity,
    safe_to_revoke: bool,
    /// Why, or why not.
    safety: Safety,
    /// Of the older secret during a rotation, whether everybody has gone over to the newer one.
    safe_to_finish_rotation: Option<bool>,
}

impl Show {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let key = manager.activity(&parse_id(&self.key)?).await?;
        let safety = key.safe_to_revoke(self.idle_for);
        let old = key.safe_to_end_old_secret(self.idle_for);
        let shown = Shown {
            key: &key,
            safe_to_revoke: safety.is_safe(),
            safety,
            safe_to_finish_rotation: old.map(Safety::is_safe),
        };
        context.output.answer(&shown, || {
            let mut rows = key_rows(&key.info);
            add_usage(&mut rows, &key);
            let to_revoke = verdict(safety, &key);
            rows.row(["safe to revoke", &to_revoke]);
            if let Some(old) = old {
                let to_finish = verdict(old, &key);
                let to_finish = match to_finish == to_revoke && matches!(old, Safety::Unproved(_)) {
                    true => "not known, for the same reason".into(),
                    false => to_finish,
                };
                rows.row(["safe to finish", &to_finish]);
            }
            rows.draw()
        })?;
        Ok(Exit::Done)
    }
}

fn add_usage(rows: &mut Table, key: &KeyActivity) {
    let Some(usage) = &key.usage else {
        let seen = match key.counted_since {
            Some(_) => "never",
            None => "not known: not every instance on the store counts",
        };
        rows.row(["last used", seen]);
        return;
    };
    let from = usage.last_used_from.map(|from| format!(", from {from}"));
    let at = usage.last_used_at;
    let (at, ago) = (moment(at), since(at, key.as_of));
    rows.row([
        "last used",
        &format!("{at}, {ago}{}", from.unwrap_or_default()),
    ]);
    rows.row(["requests", &usage.requests.to_string()]);
    for scope in &usage.scopes {
        rows.row(["needed", &need(scope, key)]);
    }
    let unused = needs(key)
        .into_iter()
        .filter(|(_, needed)| needed.is_empty());
    let unused: Vec<&str> = unused.map(|(scope, _)| scope).collect();
    if !unused.is_empty() {
        rows.row(["never needed", &unused.join(" ")]);
    }
    for scope in &usage.lacked {
        rows.row(["lacked", &need(scope, key)]);
    }
}
