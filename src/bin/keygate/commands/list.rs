//! Listing keys, and finding some by what they are.

use std::time::Duration;

use clap::{Args, ValueEnum};
use keygate::{Filter, KeyInfo, KeyStatus};

use super::Context;
use super::selection::Selection;
use crate::failure::{Exit, Failure};
use crate::output::key_table;

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    selection: Selection,
    /// Only keys with this status.
    #[arg(long)]
    status: Option<Status>,
    /// Only keys with this text in their id, name, owner or metadata, in upper or lower case.
    #[arg(long = "match", value_name = "TEXT")]
    matching: Option<String>,
    /// Only keys that end within this time: 30d, 12h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expiring_within: Option<Duration>,
    /// Only keys that were issued at least so long ago.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Status {
    Active,
    Canary,
    Disabled,
    Expired,
    Revoked,
    RotationOverdue,
}

impl List {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let (filter, is_matched) = (self.filter()?, |key: &KeyInfo| self.is_matched(key));
        let read = self
            .selection
            .read(&manager, filter, is_matched, context.output);
        read.await?.show(context.output, key_table)?;
        Ok(Exit::Done)
    }

    fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = self.selection.filter()?;
        if let Some(status) = self.status {
            filter = filter.status(status.into());
        }
        if let Some(time) = self.expiring_within {
            filter = filter.expiring_within(time);
        }
        if let Some(age) = self.older_than {
            filter = filter.older_than(age);
        }
        Ok(filter)
    }

    fn is_matched(&self, key: &KeyInfo) -> bool {
        let Some(text) = self.matching.as_ref().map(|text| text.to_lowercase()) else {
            return true;
        };
        let metadata = key
            .metadata
            .iter()
            .flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let mut parts = [key.key_id.as_str(), &key.name, &key.owner]
            .into_iter()
            .chain(metadata);
        parts.any(|part| part.to_lowercase().contains(&text))
    }
}

impl From<Status> for KeyStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Canary => Self::Canary,
            Status::Disabled => Self::Disabled,
            Status::Expired => Self::Expired,
            Status::Revoked => Self::Revoked,
            Status::RotationOverdue => Self::RotationOverdue,
        }
    }
}
