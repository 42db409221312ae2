//! A batch as the values of the statement that adds it: an array for each column.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sqlx::Arguments;
use sqlx::postgres::PgArguments;

use crate::clock::{Day, Timestamp};
use crate::key::KeyId;
use crate::store::postgres::error::unavailable;
use crate::store::postgres::moment::Moment;
use crate::store::{ScopeUsage, StoreError, UsageBatch, UsageEntry};

/// A batch by the rows that it adds to: no statement changes a row twice, and a key may have been
/// used on two days.
#[derive(Default)]
struct Counted<'a> {
    keys: BTreeMap<KeyId, (Count, Option<IpAddr>)>,
    days: BTreeMap<(KeyId, Day), (&'a str, u64)>,
    /// And whether the key lacked the scope.
    scopes: BTreeMap<(KeyId, &'a str, bool), Count>,
    secrets: BTreeMap<(KeyId, Timestamp), Count>,
}

/// How often, and when last.
#[derive(Clone, Copy)]
struct Count {
    requests: u64,
    last_at: Timestamp,
}

/// In the order in which `statements::add` numbers them.
pub(super) fn encode(batch: &UsageBatch) -> Result<PgArguments, StoreError> {
    let sequence = i64::try_from(batch.sequence).map_err(|_| {
        unavailable("PostgreSQL holds no number of a batch above 9223372036854775807")
    })?;
    let mut counted = Counted::default();
    for entry in &batch.entries {
        counted.add(entry);
    }
    let mut values = PgArguments::default();
    let mut all = || {
        values.add(format!("{:032x}", batch.instance))?;
        values.add(sequence)?;
        counted.encode(&mut values)
    };
    all().map_err(|_| unavailable("a batch is too large to send"))?;
    Ok(values)
}

/// As whole days since 1970.
pub(super) fn day_number(day: Day) -> i32 {
    i32::try_from(day.since_1970()).unwrap_or(i32::MAX)
}

impl<'a> Counted<'a> {
    fn add(&mut self, entry: &'a UsageEntry) {
        let (id, usage) = (entry.key_id, &entry.usage);
        let count = Count {
            requests: usage.requests,
            last_at: usage.last_used_at,
        };
        let of_key = self.keys.entry(id);
        let (of_key, from) = of_key.or_insert((Count::none(), None));
        // Of two at one moment, either is the last.
        if count.last_at >= of_key.last_at {
            *from = usage.last_used_from;
        }
        of_key.add(count);

        let of_day = self.days.entry((id, entry.day));
        let (_, requests) = of_day.or_insert((&entry.owner, 0));
        *requests = requests.saturating_add(usage.requests);

        self.add_scopes(id, &usage.scopes, false);
        self.add_scopes(id, &usage.lacked, true);
        for secret in &usage.secrets {
            let of_secret = self.secrets.entry((id, secret.created_at));
            of_secret.or_insert(Count::none()).add(Count {
                requests: secret.requests,
                last_at: secret.last_used_at,
            });
        }
    }

    fn add_scopes(&mut self, id: KeyId, scopes: &'a [ScopeUsage], lacked: bool) {
        for scope in scopes {
            let of_scope = self.scopes.entry((id, &scope.scope, lacked));
            of_scope.or_insert(Count::none()).add(Count {
                requests: scope.requests,
                last_at: scope.last_at,
            });
        }
    }

    fn encode(&self, values: &mut PgArguments) -> Result<(), sqlx::error::BoxDynError> {
        values.add(column(self.keys.keys(), KeyId::as_str))?;
        let of_keys = || self.keys.values();
        values.add(column(of_keys(), |(count, _)| count.number()))?;
        values.add(column(of_keys(), |(count, _)| count.moment()))?;
        values.add(column(of_keys(), |(_, from)| {
            from.map(|from| from.to_string())
        }))?;

        values.add(column(self.days.keys(), |(id, _)| id.as_str()))?;
        values.add(column(self.days.keys(), |(_, day)| day_number(*day)))?;
        values.add(column(self.days.values(), |(owner, _)| *owner))?;
        values.add(column(self.days.values(), |(_, requests)| {
            number(*requests)
        }))?;

        values.add(column(self.scopes.keys(), |(id, _, _)| id.as_str()))?;
        values.add(column(self.scopes.keys(), |(_, scope, _)| *scope))?;
        values.add(column(self.scopes.keys(), |(_, _, lacked)| *lacked))?;
        values.add(column(self.scopes.values(), Count::number))?;
        values.add(column(self.scopes.values(), Count::moment))?;

        values.add(column(self.secrets.keys(), |(id, _)| id.as_str()))?;
        values.add(column(self.secrets.keys(), |(_, made)| Moment::from(*made)))?;
        values.add(column(self.secrets.values(), Count::number))?;
        values.add(column(self.secrets.values(), Count::moment))
    }
}

impl Count {
    const fn none() -> Self {
        Self {
            requests: 0,
            last_at: Timestamp::MIN,
        }
    }

    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.last_at = self.last_at.max(other.last_at);
    }

    fn number(&self) -> i64 {
        number(self.requests)
    }

    fn moment(&self) -> Moment {
        self.last_at.into()
    }
}

/// No column holds more.
fn number(requests: u64) -> i64 {
    i64::try_from(requests).unwrap_or(i64::MAX)
}

fn column<T, V>(rows: impl Iterator<Item = T>, value: impl Fn(T) -> V) -> Vec<V> {
    rows.map(value).collect()
}
