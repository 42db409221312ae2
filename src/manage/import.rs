use super::{Conflict, KeyManager, ManageError, NewKey};
use crate::audit::AuditAction;
use crate::foreign::{ForeignFormat, StoredHash};
use crate::record::{KeyInfo, KeyRecord, SecretSlot};
use crate::store::{Expect, StoreErrorKind};

/// A key that was made elsewhere and is now kept here.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The key as it is now.
    pub info: KeyInfo,
    /// Whether it was imported by this call. Otherwise it was before, and nothing of it was changed.
    pub is_new: bool,
}

impl KeyManager {
    /// Takes over a key of another system, of which nothing is known but its hash: its old text opens
    /// from now on, as `new` has it. `format` names one of those that the gate
    /// [accepts](crate::Builder::accept_foreign).
    ///
    /// The same hash always leads to the same key id. So an import that was broken off can be run
    /// again: what is there stays as it is, a revoked key revoked and a rotated one rotated. The key gets a text
    /// of ours when it is rotated. Without a name it is named after its format and label. Its lifetime, and the
    /// age of its secret, count from now.
    ///
    /// ```
    /// # use keygate::*;
    /// # async fn run(manager: &KeyManager, column: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let hash = StoredHash::from_hex(column)?.labelled("17");
    /// let new = NewKey::for_owner("org_42").scopes(["orders:read"]);
    /// let imported = manager.import("laravel", &hash, new).await?;
    /// println!("{} is {}", imported.info.name, imported.info.key_id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ManageError::Invalid`] for an unknown format, one that was declared in another way when keys of it
    /// were imported, a hash that is none of it, another environment than the format's, and on behalf of a
    /// caller; [`Conflict::ImportedForAnother`]; what is wrong with `new`, as for [`issue`](Self::issue);
    /// [`ManageError::Store`].
    pub async fn import(
        &self,
        format: &str,
        hash: &StoredHash,
        new: NewKey,
    ) -> Result<Imported, ManageError> {
        let format = self.accepted_format(format)?;
        let record = self.record_of_import(format, hash, &new)?;
        // Before the key is there: an instance that lacks the format must not start from then on.
        self.note_format(format).await?;
        let written = self.commit(Expect::Absent, None, &record, AuditAction::Imported);
        match written.await {
            Ok(()) => Ok(Imported {
                info: self.info(&record),
                is_new: true,
            }),
            Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Taken => {
                let kept = self.stored(&record.id).await?;
                let kept = kept.ok_or(ManageError::Store(error))?;
                if kept.owner != record.owner {
                    return Err(Conflict::ImportedForAnother.into());
                }
                Ok(Imported {
                    info: self.info(&kept),
                    is_new: false,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The key that [`import`](Self::import) would make, where it was not imported before: to find out
    /// what is wrong with any row of a table, before the first one is imported. It asks no store, and
    /// changes nothing.
    ///
    /// ```
    /// # use keygate::*;
    /// # fn run(manager: &KeyManager, rows: &[(StoredHash, NewKey)]) -> Result<(), ManageError> {
    /// for (hash, new) in rows {
    ///     manager.check_import("laravel", hash, new)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`import`](Self::import), but for what only the store can tell.
    pub fn check_import(
        &self,
        format: &str,
        hash: &StoredHash,
        new: &NewKey,
    ) -> Result<KeyInfo, ManageError> {
        let record = self.record_of_import(self.accepted_format(format)?, hash, new)?;
        Ok(self.info(&record))
    }

    fn record_of_import(
        &self,
        format: &ForeignFormat,
        hash: &StoredHash,
        new: &NewKey,
    ) -> Result<KeyRecord, ManageError> {
        new.check_owner()?;
        let shared = &self.shared;
        let key = format.imported(hash)?;
        let environment = shared.environments.index_of_foreign(format);
        let prefix = shared.environments.prefix(environment);
        if let Some(named) = &new.environment
            && named != prefix.as_str()
        {
            return Err(ManageError::Invalid(format!(
                "keys of the format {:?} are of the environment {prefix}: leave the other one out",
                format.name()
            )));
        }
        let now = self.now();
        let sealed = shared.peppers.current().peppers().mac_of_imported(&key);
        let slot = SecretSlot {
            mac: sealed.mac,
            pepper: sealed.pepper,
            created_at: now,
            not_after: shared.policy.secret_end(now),
        };
        let mut record = self.record(new, None, *key.id(), prefix.clone(), slot)?;
        if record.name.is_empty() {
            record.name = key.title();
        }
        Ok(record)
    }

    fn accepted_format(&self, name: &str) -> Result<&ForeignFormat, ManageError> {
        if self.caller().is_some() {
            let problem = "an import is the host's: on behalf of a caller, issue a key";
            return Err(ManageError::Invalid(problem.into()));
        }
        let format = self.shared.environments.foreign().named(name);
        format.ok_or_else(|| ManageError::Invalid(self.unknown_format()))
    }

    fn unknown_format(&self) -> String {
        let formats = self.shared.environments.foreign();
        let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        match names.is_empty() {
            true => "no foreign format is accepted: declare it by Builder::accept_foreign".into(),
            false => format!(
                "no such foreign format is accepted: there is {}",
                names.join(", ")
            ),
        }
    }
}
