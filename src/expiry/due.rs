//! Which thresholds of a key were passed, and which were told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Ends;
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::record::KeyRecord;

/// An end that comes near, and the smallest threshold before it that was passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Due {
    pub(super) ends: Ends,
    pub(super) at: Timestamp,
    pub(super) threshold: Duration,
}

impl Due {
    /// What of an active key comes near its end.
    pub(super) fn of(record: &KeyRecord, thresholds: &[Duration], now: Timestamp) -> Vec<Self> {
        let key = record.expires_at;
        let secret = record.secrets.current.not_after;
        // A secret ends with its key, and that is told of the key.
        let secret = secret.filter(|end| key.is_none_or(|key| *end < key));
        [(Ends::Key, key), (Ends::Secret, secret)]
            .into_iter()
            .filter_map(|(ends, at)| {
                let at = at.filter(|at| *at > now)?;
                let left = at.saturating_since(now);
                let passed = thresholds.iter().filter(|threshold| left <= **threshold);
                let threshold = *passed.min()?;
                Some(Self {
                    ends,
                    at,
                    threshold,
                })
            })
            .collect()
    }
}

/// What was told of a key, as it is kept in the settings.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    key: Option<Mark>,
    secret: Option<Mark>,
}

/// The smallest threshold that was told of an end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Mark {
    ends_at: Timestamp,
    threshold_ms: u64,
}

impl Told {
    /// Where it is kept.
    pub(super) fn name(id: &KeyId) -> String {
        format!("keygate/expiry_told/{id}")
    }

    /// What cannot be read counts as nothing: to tell it twice is better than never.
    pub(super) fn decode(kept: Option<&[u8]>) -> Self {
        kept.and_then(|kept| serde_json::from_slice(kept).ok())
            .unwrap_or_default()
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    pub(super) fn has(&self, due: &Due) -> bool {
        let mark = match due.ends {
            Ends::Key => self.key,
            Ends::Secret => self.secret,
        };
        mark.is_some_and(|mark| {
            mark.ends_at == due.at && mark.threshold_ms <= in_millis(due.threshold)
        })
    }

    pub(super) fn and(self, due: &Due) -> Self {
        let mark = Some(Mark {
            ends_at: due.at,
            threshold_ms: in_millis(due.threshold),
        });
        match due.ends {
            Ends::Key => Self { key: mark, ..self },
            Ends::Secret => Self {
                secret: mark,
                ..self
            },
        }
    }
}

fn in_millis(threshold: Duration) -> u64 {
    u64::try_from(threshold.as_millis()).unwrap_or(u64::MAX)
}
