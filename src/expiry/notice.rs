use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::manage::KeyActivity;
use crate::record::KeyInfo;

/// A key that ends soon, or has to be rotated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExpiryNotice {
    /// The key, as it is now.
    pub key: KeyInfo,
    /// What of it ends.
    pub ends: Ends,
    /// When.
    pub ends_at: Timestamp,
    /// The smallest threshold that was passed.
    pub threshold: Duration,
    /// How the key is used: whether anybody would miss it, and by
    /// [`privileges`](KeyActivity::privileges) to what it could be narrowed when it is rotated. `None`
    /// where the store keeps no usage, or it cannot be read.
    pub activity: Option<KeyActivity>,
}

/// What of a key ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ends {
    /// The key: ask for a later end, or for another key.
    Key,
    /// Its current secret: rotate the key.
    Secret,
}

/// `the key`, or `the secret`.
impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "the key",
            Self::Secret => "the secret",
        })
    }
}
