//! Keys of other systems.

use crate::imported::{import_ten_thousand, open_on_every_instance};
use crate::support::*;

#[tokio::test]
async fn ten_thousand_keys_are_imported_once_each() {
    let Some(place) = Place::new().await else {
        return;
    };
    import_ten_thousand(async || place.open().await).await;
}

#[tokio::test]
async fn an_imported_key_opens_on_every_instance_until_it_is_revoked() {
    let Some(place) = Place::new().await else {
        return;
    };
    open_on_every_instance(async || place.open_with_own_pool().await).await;
}
