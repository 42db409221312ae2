//! What the reports have in common that judge keys by how they are used.

use keygate::store::KeyUsage;
use keygate::{
    ActivityList, Filter, KeyActivity, KeyId, KeyInfo, KeyManager, ManageError, Timestamp, Unproved,
};
use serde::{Serialize, Serializer};

use crate::commands::selection::{Selection, Unreadable, tell_rest};
use crate::failure::Failure;
use crate::output::{Output, Progress, Table, moment};

/// The keys that a report is about, and those of which it cannot be said.
#[derive(Serialize)]
pub(super) struct ByUse<K> {
    pub(super) keys: Vec<K>,
    unproved: Vec<Doubt>,
    /// Keys whose record is damaged, and why.
    unreadable: Vec<Unreadable>,
    /// What to pass to --after for the next page.
    next: Option<String>,
}

/// A key that was not watched for long enough.
#[derive(Serialize)]
struct Doubt {
    key_id: KeyId,
    owner: String,
    name: String,
    /// `null`: it is not, as long as one instance does not count.
    watched_since: Option<Timestamp>,
    /// From when on it can be said, if all instances go on to count.
    provable_at: Option<Timestamp>,
}

/// One of several keys: how it is used stands beside what it is.
pub(super) fn flat<S: Serializer>(key: &KeyActivity, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Flat<'a> {
        #[serde(flatten)]
        info: &'a KeyInfo,
        usage: &'a Option<KeyUsage>,
        counted_since: Option<Timestamp>,
        as_of: Timestamp,
    }
    let flat = Flat {
        info: &key.info,
        usage: &key.usage,
        counted_since: key.counted_since,
        as_of: key.as_of,
    };
    flat.serialize(serializer)
}

/// Reads what `report` says of as many keys as are to be shown; `doubt` tells why it may say nothing of one.
pub(super) async fn read(
    selection: &Selection,
    manager: &KeyManager,
    output: Output,
    report: impl AsyncFn(Filter) -> Result<ActivityList, ManageError>,
    doubt: impl Fn(&KeyActivity) -> Option<Unproved>,
) -> Result<ByUse<KeyActivity>, Failure> {
    let progress = Progress::spinner(output, "reading keys and their usage");
    let mut found = ByUse {
        keys: Vec::new(),
        unproved: Vec::new(),
        unreadable: Vec::new(),
        next: None,
    };
    let (mut filter, mut left) = (selection.filter()?, selection.limit);
    loop {
        let page = report(filter.clone().limit(left.min(Filter::MAX_LIMIT))).await?;
        let taken = page.keys.len() + page.unproved.len();
        progress.step(taken);
        left -= taken.min(left);
        found.keys.extend(page.keys);
        for id in &page.unproved {
            let key = manager.activity(id).await?;
            found
                .unproved
                .extend(doubt(&key).map(|why| Doubt::of(key, why)));
        }
        let unreadable = page.unreadable.iter().map(Unreadable::of);
        found.unreadable.extend(unreadable);
        match page.next {
            Some(next) if left > 0 => filter = filter.after(next),
            next => {
                found.next = next.map(|id| id.to_string());
                return Ok(found);
            }
        }
    }
}

impl Doubt {
    fn of(key: KeyActivity, why: Unproved) -> Self {
        Self {
            key_id: key.info.key_id,
            owner: key.info.owner,
            name: key.info.name,
            watched_since: why.watched_since,
            provable_at: why.provable_at,
        }
    }
}

impl<K: Serialize> ByUse<K> {
    /// The same, with more about each key.
    pub(super) fn map<M>(self, more: impl FnMut(K) -> M) -> ByUse<M> {
        ByUse {
            keys: self.keys.into_iter().map(more).collect(),
            unproved: self.unproved,
            unreadable: self.unreadable,
            next: self.next,
        }
    }

    /// Shows the keys as `draw` has them with `advice` what to do about them, and what else was met.
    pub(super) fn show(
        &self,
        output: Output,
        draw: impl FnOnce(&[K]) -> String,
        advice: &str,
    ) -> Result<(), Failure> {
        output.answer(self, || {
            let mut parts = vec![draw(&self.keys), drawn(&self.unproved)];
            parts.retain(|part| !part.is_empty());
            parts.join("\n")
        })?;
        match (self.keys.is_empty(), self.unproved.is_empty()) {
            (false, _) => output.tell(advice),
            (true, false) => output.tell("it can be said of no key yet"),
            (true, true) => output.tell("no such keys"),
        }
        let is_unwatched = |doubt: &Doubt| doubt.watched_since.is_none();
        if self.unproved.iter().any(is_unwatched) {
            output.tell(
                "no instance of the service has counted use yet, or not all of them do (Builder::record_usage), or one \
                 has lost what it had counted: once all do, it can be said after that time",
            );
        }
        tell_rest(output, &self.unreadable, self.next.as_deref());
        Ok(())
    }
}

fn drawn(doubts: &[Doubt]) -> String {
    if doubts.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        "key id",
        "owner",
        "name",
        "watched since",
        "can be said from",
    ]);
    for doubt in doubts {
        let told = |at: Option<Timestamp>| at.map_or_else(|| "unknown".into(), moment);
        table.row([
            doubt.key_id.as_str(),
            &doubt.owner,
            &doubt.name,
            &told(doubt.watched_since),
            &told(doubt.provable_at),
        ]);
    }
    format!(
        "Not watched for long enough to say it of:\n{}",
        table.draw()
    )
}
