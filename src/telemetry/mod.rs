//! What operators see: outages in detail, refusals by their code, and never a key.

#[cfg(any(feature = "tower", feature = "actix-web"))]
mod log;
#[cfg(feature = "metrics")]
mod metrics;

#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(crate) use log::{accepted, failed, refused};

use std::error::Error as StdError;

use crate::store::StoreError;

/// Something about keys that end went wrong, and is tried again.
pub(crate) fn expiry_trouble(what: &str, key_id: Option<&str>, error: &(dyn StdError + 'static)) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::expiry_trouble(what, key_id, error);
    let _ = (what, key_id, error);
}

/// The change feed of the gate named `realm` is heard of.
pub(crate) fn feed_came_alive(realm: &str) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::feed_came_alive(realm);
    #[cfg(feature = "metrics")]
    metrics::feed_came_alive(realm);
    let _ = realm;
}

/// It broke, or could not be connected.
pub(crate) fn feed_broke(realm: &str, error: &StoreError) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::feed_broke(realm, error);
    #[cfg(feature = "metrics")]
    metrics::feed_broke(realm);
    let _ = (realm, error);
}

/// Nobody follows it any more.
pub(crate) fn feed_is_left(realm: &str) {
    #[cfg(feature = "metrics")]
    metrics::feed_is_left(realm);
    let _ = realm;
}
