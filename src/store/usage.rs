use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::key::KeyId;

/// What one process counted since its last batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageBatch {
    /// Names the process that counted, at random for each start.
    pub instance: u128,
    /// Counts the batches of the process.
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
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// What was counted.
    pub usage: KeyUsage,
}

/// How a key was used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyUsage {
    /// Accepted requests.
    pub requests: u64,
    /// The last of them.
    pub last_used_at: Timestamp,
    /// Where it came from, if that is known.
    pub last_used_from: Option<IpAddr>,
    /// The scopes that were asked for.
    pub scopes: Vec<ScopeUsage>,
    /// The secrets that were used.
    pub secrets: Vec<SecretUsage>,
}

/// How often a scope was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScopeUsage {
    /// The scope of the route's rule.
    pub scope: String,
    /// Accepted requests that it was asked of.
    pub requests: u64,
}

/// When a secret was last used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SecretUsage {
    /// When the secret was made, which tells the secrets of a key apart.
    pub created_at: Timestamp,
    /// Its last use.
    pub last_used_at: Timestamp,
}
