//! Listing keys, and finding some by what they are.

use std::time::Duration;

use clap::{Args, ValueEnum};
use keygate::{Filter, KeyInfo, KeyManager, KeyStatus};
use serde::Serialize;

use super::Context;
use super::traits::parse_id;
use crate::failure::{Exit, Failure, in_a_line};
use crate::output::{Output, Progress, key_table};

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

/// Which keys are looked at, and how many are shown.
#[derive(Args)]
pub(crate) struct Selection {
    /// Only keys of this owner.
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// Show so many at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// Only keys behind this one: what the page before named as the next.
    #[arg(long, value_name = "KEY_ID")]
    pub(crate) after: Option<String>,
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

/// Some keys, and what else was met on the way.
#[derive(Default, Serialize)]
pub(crate) struct Listed {
    pub(crate) keys: Vec<KeyInfo>,
    /// Keys whose record is damaged, and why.
    unreadable: Vec<Unreadable>,
    /// What to pass to --after for the next page.
    next: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Unreadable {
    id: String,
    problem: String,
}

impl List {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let (filter, is_matched) = (self.filter()?, |key: &KeyInfo| self.is_matched(key));
        let read = self
            .selection
            .read(&manager, filter, is_matched, context.output);
        read.await?.show(context.output, key_table)
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

impl Selection {
    /// The keys that are looked at, in pages of whatever size reads them well.
    pub(crate) fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = Filter::new().limit(Filter::MAX_LIMIT);
        if let Some(owner) = &self.owner {
            filter = filter.owner(owner);
        }
        if let Some(after) = &self.after {
            filter = filter.after(parse_id(after)?);
        }
        Ok(filter)
    }

    /// How many keys are shown at most.
    pub(crate) fn most(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// Reads keys that `filter` selects and that are wanted, as many as are to be shown.
    pub(crate) async fn read(
        &self,
        manager: &KeyManager,
        mut filter: Filter,
        is_wanted: impl Fn(&KeyInfo) -> bool,
        output: Output,
    ) -> Result<Listed, Failure> {
        let progress = Progress::spinner(output, "reading keys");
        let mut listed = Listed::default();
        loop {
            let page = manager.list(filter.clone()).await?;
            progress.step(page.keys.len() + page.unreadable.len());
            let unreadable = page.unreadable.iter().map(Unreadable::of);
            listed.unreadable.extend(unreadable);
            for key in page.keys.into_iter().filter(&is_wanted) {
                if listed.keys.len() == self.most() {
                    listed.end_here();
                    return Ok(listed);
                }
                listed.keys.push(key);
            }
            match page.next {
                Some(next) => filter = filter.after(next),
                None => return Ok(listed),
            }
        }
    }
}

impl Listed {
    /// What lies behind the last key is told with the next page.
    fn end_here(&mut self) {
        self.next = self.keys.last().map(|key| key.key_id.to_string());
        let next = self.next.as_ref();
        self.unreadable.retain(|key| Some(&key.id) <= next);
    }

    /// Shows the keys as `draw` has them, and says what else was met.
    pub(crate) fn show(
        &self,
        output: Output,
        draw: impl FnOnce(&[KeyInfo]) -> String,
    ) -> Result<Exit, Failure> {
        output.answer(self, || match self.keys.is_empty() {
            true => String::new(),
            false => draw(&self.keys),
        })?;
        if self.keys.is_empty() {
            output.tell("no such keys");
        }
        tell_rest(output, &self.unreadable, self.next.as_deref());
        Ok(Exit::without(self.unreadable.len()))
    }
}

impl Unreadable {
    pub(crate) fn of(key: &keygate::store::Unreadable) -> Self {
        Self {
            id: key.id.clone(),
            problem: in_a_line(&key.error.clone().into()),
        }
    }
}

/// Says which keys could not be judged, because their records are damaged, and where the next page begins.
pub(crate) fn tell_rest(output: Output, unreadable: &[Unreadable], next: Option<&str>) {
    for Unreadable { id, problem } in unreadable {
        output.tell(format_args!("{id} cannot be read: {problem}"));
    }
    if let Some(next) = next {
        output.tell(format_args!(
            "there are more: --after {next}, or a higher --limit"
        ));
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
