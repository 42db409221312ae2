//! Which keys are looked at, read page by page, and how a list of them is shown.

use std::ops::ControlFlow;

use clap::Args;
use keygate::{Filter, KeyInfo, KeyList, KeyManager};
use serde::Serialize;

use super::traits::{at_least_one, parse_id};
use crate::failure::{Failure, in_a_line};
use crate::output::{Output, Progress};

/// Which keys are looked at, and how many are shown.
#[derive(Args)]
pub(crate) struct Selection {
    /// Only keys of this owner.
    #[arg(long)]
    owner: Option<String>,
    /// Show so many at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one())]
    pub(crate) limit: usize,
    /// Only keys behind this one: what the page before named as the next.
    #[arg(long, value_name = "KEY_ID")]
    after: Option<String>,
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
    key_id: String,
    problem: String,
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

    /// Reads keys that `filter` selects and that are wanted, as many as are to be shown.
    pub(crate) async fn read(
        &self,
        manager: &KeyManager,
        filter: Filter,
        is_wanted: impl Fn(&KeyInfo) -> bool,
        output: Output,
    ) -> Result<Listed, Failure> {
        let mut listed = Listed::default();
        let read = each_page(manager, filter, output, |page| {
            let unreadable = page.unreadable.iter().map(Unreadable::of);
            listed.unreadable.extend(unreadable);
            for key in page.keys.into_iter().filter(&is_wanted) {
                if listed.keys.len() == self.limit {
                    listed.end_here();
                    return ControlFlow::Break(());
                }
                listed.keys.push(key);
            }
            ControlFlow::Continue(())
        });
        read.await?;
        Ok(listed)
    }
}

/// Reads the keys that `filter` selects, page by page for as long as `take` goes on.
pub(crate) async fn each_page(
    manager: &KeyManager,
    mut filter: Filter,
    output: Output,
    mut take: impl FnMut(KeyList) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let progress = Progress::spinner(output, "reading keys");
    loop {
        let page = manager.list(filter.clone()).await?;
        progress.step(page.keys.len() + page.unreadable.len());
        let next = page.next;
        match (take(page), next) {
            (ControlFlow::Continue(()), Some(next)) => filter = filter.after(next),
            _ => return Ok(()),
        }
    }
}

impl Listed {
    /// What lies behind the last key is told with the next page.
    fn end_here(&mut self) {
        self.next = self.keys.last().map(|key| key.key_id.to_string());
        let next = self.next.as_ref();
        self.unreadable.retain(|key| Some(&key.key_id) <= next);
    }

    /// Shows the keys as `draw` has them, and says what else was met.
    pub(crate) fn show(
        &self,
        output: Output,
        draw: impl FnOnce(&[KeyInfo]) -> String,
    ) -> Result<(), Failure> {
        output.answer(self, || draw(&self.keys))?;
        if self.keys.is_empty() {
            output.tell("no such keys");
        }
        tell_rest(output, &self.unreadable, self.next.as_deref());
        Ok(())
    }
}

impl Unreadable {
    pub(crate) fn of(key: &keygate::store::Unreadable) -> Self {
        Self {
            key_id: key.id.clone(),
            problem: in_a_line(&key.error.clone().into()),
        }
    }
}

/// Says which keys could not be judged, because their records are damaged, and where the next page begins.
pub(crate) fn tell_rest(output: Output, unreadable: &[Unreadable], next: Option<&str>) {
    for Unreadable { key_id, problem } in unreadable {
        output.tell(format_args!("{key_id} cannot be read: {problem}"));
    }
    if let Some(next) = next {
        output.tell(format_args!(
            "there are more: --after {next}, or a higher --limit"
        ));
    }
}
