use std::fmt;
use std::sync::Arc;

use super::{Issued, KeyManager, ManageError, NewKey};
use crate::audit::{AuditAction, AuditEvent, Events};
use crate::key::KeyText;
use crate::record::{KeyInfo, KeyRecord};
use crate::store::{Expect, Write};

/// A key that is made and not yet stored, for hosts that store it in a transaction of their own.
#[must_use = "the key opens nothing until its write is made and committed"]
pub struct Draft {
    key: KeyText,
    info: KeyInfo,
    record: KeyRecord,
    audit: [AuditEvent; 1],
    events: Arc<Events>,
}

impl KeyManager {
    /// Makes a key and leaves it to the host to store it, together with what else is to happen or
    /// not: `PostgresStore::write_in` makes the [write](Draft::write) in a transaction of the host.
    ///
    /// # Errors
    /// As [`issue`](Self::issue), and [`ManageError::Invalid`] on behalf of a caller: what that
    /// caller can do is judged once more after a write, which this manager does not see.
    pub fn draft(&self, new: NewKey) -> Result<Draft, ManageError> {
        if self.caller().is_some() {
            let problem = "a draft is the host's: on behalf of a caller, issue the key";
            return Err(ManageError::Invalid(problem.into()));
        }
        new.check_owner()?;
        let (key, record) = self.make(&new, None)?;
        Ok(Draft {
            info: self.info(&record),
            audit: [self.event(None, &record, AuditAction::Issued)?],
            events: Arc::clone(&self.shared.events),
            key,
            record,
        })
    }
}

impl Draft {
    /// What may be shown of the key.
    pub fn info(&self) -> &KeyInfo {
        &self.info
    }

    /// The one write that stores it.
    pub fn write(&self) -> Write<'_> {
        Write {
            expect: Expect::Absent,
            record: &self.record,
            audit: &self.audit,
        }
    }

    /// The key to hand out, once the transaction is committed: before, it opens nothing, and may
    /// never. This also tells the log and the [channel](crate::Builder::audit_channel) of it.
    pub fn committed(self) -> Issued {
        for event in &self.audit {
            self.events.changed(event);
        }
        Issued {
            key: self.key,
            info: self.info,
        }
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
