//! The usage that the mutants count.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use keygate::store::{DayTotal, KeyUsage, OwnerTotal, UsageBatch};
use keygate::{Day, KeyId};

#[derive(Clone, Default)]
pub(crate) struct Counted {
    /// The last batch of each instance.
    pub(crate) batches: BTreeMap<u128, u64>,
    pub(crate) keys: BTreeMap<KeyId, KeyUsage>,
    pub(crate) days: BTreeMap<(Day, KeyId), OwnerTotal>,
}

/// What a sound store does.
impl Counted {
    pub(crate) fn mark(&mut self, batch: &UsageBatch) {
        self.batches.insert(batch.instance, batch.sequence);
    }

    pub(crate) fn add(&mut self, batch: &UsageBatch, merge: impl Fn(&mut KeyUsage, &KeyUsage)) {
        for entry in &batch.entries {
            let sum = self.keys.entry(entry.key_id);
            sum.and_modify(|sum| merge(sum, &entry.usage))
                .or_insert_with(|| entry.usage.clone());
            let total = self.days.entry((entry.day, entry.key_id));
            let total = total.or_insert_with(|| OwnerTotal {
                owner: entry.owner.clone(),
                requests: 0,
            });
            total.requests = total.requests.saturating_add(entry.usage.requests);
        }
    }

    pub(crate) fn days(
        &self,
        days: RangeInclusive<Day>,
        is_of: impl Fn(&KeyId, &str) -> bool,
    ) -> Vec<DayTotal> {
        let mut sums: BTreeMap<Day, u64> = BTreeMap::new();
        for ((day, key), total) in &self.days {
            if days.contains(day) && is_of(key, &total.owner) {
                let sum = sums.entry(*day).or_default();
                *sum = sum.saturating_add(total.requests);
            }
        }
        let used = sums.into_iter().filter(|(_, requests)| *requests > 0);
        used.map(|(day, requests)| DayTotal { day, requests })
            .collect()
    }

    pub(crate) fn owners_on(&self, day: Day, after: Option<&str>, limit: usize) -> Vec<OwnerTotal> {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for ((of, _), total) in &self.days {
            if *of == day && after.is_none_or(|after| total.owner.as_str() > after) {
                let sum = sums.entry(&total.owner).or_default();
                *sum = sum.saturating_add(total.requests);
            }
        }
        let used = sums.into_iter().filter(|(_, requests)| *requests > 0);
        let total = |(owner, requests): (&str, u64)| OwnerTotal {
            owner: owner.into(),
            requests,
        };
        used.take(limit).map(total).collect()
    }
}
