use std::net::IpAddr;

use serde::Serialize;

use crate::clock::{Day, Timestamp};
use crate::key::KeyId;

/// What one process counted since its last batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageBatch {
    /// Names the process that counted, at random for each start.
    pub instance: u128,
    /// Numbers the batches of the process, upwards. They are added one after another.
    pub sequence: u64,
    /// The counts, at most one entry for a key and day.
    pub entries: Vec<UsageEntry>,
}

/// How one key was used on one day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageEntry {
    /// The key.
    pub key_id: KeyId,
    /// Its owner, for totals.
    pub owner: String,
    /// The day of the requests.
    pub day: Day,
    /// What was counted.
    pub usage: KeyUsage,
}

/// How a key was used. Requests that were refused are no use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KeyUsage {
    /// Accepted requests.
    pub requests: u64,
    /// The last of them.
    pub last_used_at: Timestamp,
    /// Where the last one came from, if that is known.
    pub last_used_from: Option<IpAddr>,
    /// The scopes that were needed, in the order of their names.
    pub scopes: Vec<ScopeUsage>,
    /// The scopes that the key lacked where a rule only [reports](crate::Rule::report_only) that, in the
    /// order of their names.
    pub lacked: Vec<ScopeUsage>,
    /// The secrets that were used, the oldest first.
    pub secrets: Vec<SecretUsage>,
}

/// How often a scope was needed, or lacked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ScopeUsage {
    /// The scope, as a rule asks for it.
    pub scope: String,
    /// How often.
    pub requests: u64,
    /// When last.
    pub last_at: Timestamp,
}

/// How often a secret was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct SecretUsage {
    /// When the secret was made, which tells the secrets of a key apart.
    pub created_at: Timestamp,
    /// Accepted requests with it.
    pub requests: u64,
    /// The last of them.
    pub last_used_at: Timestamp,
}

/// How many requests were accepted on one day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct DayTotal {
    /// The day.
    pub day: Day,
    /// Accepted requests.
    pub requests: u64,
}

/// How many requests of an owner's keys were accepted on one day.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OwnerTotal {
    /// Whom the keys act for.
    pub owner: String,
    /// Accepted requests.
    pub requests: u64,
}

impl KeyUsage {
    /// Adds what was counted of the same key elsewhere, or at another time.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        // Of two at one moment, either is the last.
        if other.last_used_at >= self.last_used_at {
            self.last_used_at = other.last_used_at;
            self.last_used_from = other.last_used_from;
        }
        add_scopes(&mut self.scopes, &other.scopes);
        add_scopes(&mut self.lacked, &other.lacked);
        for theirs in &other.secrets {
            match self
                .secrets
                .binary_search_by_key(&theirs.created_at, |secret| secret.created_at)
            {
                Ok(place) => {
                    let ours = &mut self.secrets[place];
                    ours.requests = ours.requests.saturating_add(theirs.requests);
                    ours.last_used_at = ours.last_used_at.max(theirs.last_used_at);
                }
                Err(place) => self.secrets.insert(place, *theirs),
            }
        }
    }
}

fn add_scopes(ours: &mut Vec<ScopeUsage>, theirs: &[ScopeUsage]) {
    for theirs in theirs {
        match ours.binary_search_by(|ours| ours.scope.cmp(&theirs.scope)) {
            Ok(place) => {
                let ours = &mut ours[place];
                ours.requests = ours.requests.saturating_add(theirs.requests);
                ours.last_at = ours.last_at.max(theirs.last_at);
            }
            Err(place) => ours.insert(place, theirs.clone()),
        }
    }
}
