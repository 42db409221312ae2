//! Settings as rows.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};

use super::SqliteStore;
use super::error::store_error;
use crate::store::{Settings, StoreError, StoreErrorKind};

#[async_trait]
impl Settings for SqliteStore {
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let name = name.to_owned();
        self.query(move |connection| setting(connection, &name))
            .await
    }

    async fn compare_and_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        let (expected, value) = (expected.map(<[u8]>::to_vec), value.to_vec());
        self.change(move |transaction| {
            if setting(transaction, &name).map_err(store_error)? != expected {
                return Err(StoreErrorKind::Stale.into());
            }
            let put = "INSERT INTO keygate_settings (name, value) VALUES (?1, ?2)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            transaction
                .execute(put, (&name, &value))
                .map_err(store_error)?;
            Ok(())
        })
        .await
    }
}

fn setting(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM keygate_settings WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}
