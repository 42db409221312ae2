//! Keys of other systems.

use crate::imported::{import_ten_thousand, open_on_every_instance};
use crate::support::*;

#[tokio::test]
async fn ten_thousand_keys_are_imported_once_each() {
    let place = Place::in_memory();
    import_ten_thousand(async || place.open().await).await;
}

#[tokio::test]
async fn an_imported_key_opens_on_every_instance_until_it_is_revoked() {
    let place = Place::new();
    open_on_every_instance(async || place.open().await).await;
}
