//! A batch as the script takes it: what belongs together is added up before it is sent.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::layout::Layout;
use super::super::script::{ADD_USAGE, Call};
use super::fields::parts;
use crate::clock::{Day, Timestamp};
use crate::key::KeyId;
use crate::store::{KeyUsage, UsageBatch};

/// How the names of a day's hashes end, and that of the index beside one.
pub(super) const KEYS: &str = ":keys";
pub(super) const OWNERS: &str = ":owners";
pub(super) const INDEX: &str = ":index";

/// Twice what must be kept at least, since the clock of a server may be set.
const KEPT_FOR_SECONDS: u64 = 60 * 24 * 60 * 60;

pub(super) fn add(layout: &Layout, batch: &UsageBatch) -> Call {
    let mut keys: BTreeMap<KeyId, Sum> = BTreeMap::new();
    let mut days: BTreeMap<Day, Counts<'_>> = BTreeMap::new();
    for entry in &batch.entries {
        keys.entry(entry.key_id).or_default().add(&entry.usage);
        if entry.usage.requests > 0 {
            let of_day = days.entry(entry.day).or_default();
            of_day.add(entry.key_id, &entry.owner, entry.usage.requests);
        }
    }
    let call = ADD_USAGE
        .call(&[layout.usage_instance(batch.instance), layout.usage_days()])
        .with(layout.usage())
        .with(batch.sequence.to_string())
        .with(KEPT_FOR_SECONDS.to_string())
        .with(keys.len().to_string());
    let call = keys
        .into_iter()
        .fold(call, |call, (id, sum)| sum.append(call.with(id.as_str())));
    let call = call.with(days.len().to_string());
    days.into_iter().fold(call, |call, (day, counts)| {
        let call = call
            .with(day.to_string())
            .with(day.since_1970().to_string());
        counts.append(call)
    })
}

/// What a batch says of one key.
struct Sum {
    requests: u64,
    last_used_at: Timestamp,
    last_used_from: Option<IpAddr>,
    parts: BTreeMap<String, (u64, Timestamp)>,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            requests: 0,
            last_used_at: Timestamp::MIN,
            last_used_from: None,
            parts: BTreeMap::new(),
        }
    }
}

impl Sum {
    fn add(&mut self, usage: &KeyUsage) {
        self.requests = self.requests.saturating_add(usage.requests);
        if usage.last_used_at >= self.last_used_at {
            self.last_used_at = usage.last_used_at;
            self.last_used_from = usage.last_used_from;
        }
        for (name, requests, at) in parts(usage) {
            let (sum, last) = self.parts.entry(name).or_insert((0, at));
            *sum = sum.saturating_add(requests);
            *last = at.max(*last);
        }
    }

    fn append(self, call: Call) -> Call {
        let from = self.last_used_from.map(|from| from.to_string());
        let call = call
            .with(self.requests.to_string())
            .with(self.last_used_at.as_unix_millis().to_string())
            .with(from.unwrap_or_default())
            .with(self.parts.len().to_string());
        self.parts
            .into_iter()
            .fold(call, |call, (name, (requests, at))| {
                call.with(name)
                    .with(requests.to_string())
                    .with(at.as_unix_millis().to_string())
            })
    }
}

/// What a batch says of one day.
#[derive(Default)]
struct Counts<'a> {
    keys: BTreeMap<KeyId, u64>,
    owners: BTreeMap<&'a str, u64>,
}

impl<'a> Counts<'a> {
    fn add(&mut self, id: KeyId, owner: &'a str, requests: u64) {
        let of_key = self.keys.entry(id).or_default();
        *of_key = of_key.saturating_add(requests);
        let of_owner = self.owners.entry(owner).or_default();
        *of_owner = of_owner.saturating_add(requests);
    }

    fn append(&self, call: Call) -> Call {
        let call = call.with(self.keys.len().to_string());
        let call = self.keys.iter().fold(call, |call, (id, requests)| {
            call.with(id.as_str()).with(requests.to_string())
        });
        let call = call.with(self.owners.len().to_string());
        self.owners.iter().fold(call, |call, (owner, requests)| {
            call.with(*owner).with(requests.to_string())
        })
    }
}
