//! How a change of a key reaches the store, and all who need to know of it.

use crate::audit::{AuditEvent, Events};
use crate::changes::Changes;
use crate::record::KeyRecord;
use crate::store::{Expect, KeyStore, StoreError, StoreErrorKind, Write, get_checked};

/// Writes one change. Whatever the store answers, what is cached of the key ends here.
pub(crate) async fn commit(
    store: &dyn KeyStore,
    changes: &Changes,
    events: &Events,
    expect: Expect,
    record: &KeyRecord,
    event: &AuditEvent,
) -> Result<(), StoreError> {
    let _invalidate = changes.invalidate_on_drop(&record.id);
    let change = Write {
        expect,
        record,
        audit: std::slice::from_ref(event),
    };
    match store.write(change).await {
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
            match get_checked(store, &record.id).await {
                Ok(Some(stored)) if stored == *record => {}
                _ => return Err(error),
            }
        }
        outcome => outcome?,
    }
    events.changed(event);
    Ok(())
}
