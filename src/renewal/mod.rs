//! MACs are made anew as keys are used: whoever presents a secret brings all that a new MAC needs.
//!
//! The MAC is made while the request is decided, and waits in a bounded queue, without the secret. The
//! background work writes it, by compare and swap: of two changes of one key none undoes the other.

mod queue;
mod renewer;

pub(crate) use queue::Renewals;
pub(crate) use renewer::Renewer;

use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::mac::PepperedMac;

/// What is to be kept of a secret from now on, in place of what is kept. How either was made is nobody's
/// business here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renewal {
    pub(crate) key_id: KeyId,
    /// When the secret was made, which tells the secrets of a key apart.
    pub(crate) secret: Timestamp,
    pub(crate) kept: PepperedMac,
    pub(crate) renewed: PepperedMac,
}

impl Renewal {
    fn name(&self) -> (KeyId, Timestamp) {
        (self.key_id, self.secret)
    }
}
