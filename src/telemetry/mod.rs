//! What operators see: outages in detail, refusals by their code, and never a key.

#[cfg(any(feature = "tower", feature = "actix-web"))]
mod log;
#[cfg(feature = "metrics")]
mod metrics;
mod outcomes;
mod seldom;

#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(crate) use log::{
    accepted, bound_keys_without_source, failed, no_peer, no_source, refused, request_span,
    url_leak_is_held_up, url_leak_was_given_up,
};
pub(crate) use outcomes::Outcomes;
pub(crate) use seldom::Seldom;

use std::error::Error as StdError;
use std::net::IpAddr;

use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::exposure::Exposure;
use crate::key::KeyId;
use crate::mac::PepperRing;
use crate::peppers::PeppersError;
use crate::principal::Principal;
use crate::scope::Rule;
use crate::store::StoreError;

/// A caller was let through. Where `rule` only reports, and would have refused it, that is told.
pub(crate) fn report(rule: &Rule, principal: &Principal) {
    if !rule.is_report_only() {
        return;
    }
    if let Err(missing) = rule.check(principal.scopes()) {
        #[cfg(any(feature = "tower", feature = "actix-web"))]
        log::would_refuse(principal, &missing);
        #[cfg(feature = "metrics")]
        metrics::would_refuse(&principal.gate().realm);
        let _ = missing;
    }
}

/// Something about keys that end went wrong, and is tried again.
pub(crate) fn expiry_trouble(what: &str, key_id: Option<&str>, error: &(dyn StdError + 'static)) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::expiry_trouble(what, key_id, error);
    let _ = (what, key_id, error);
}

/// The secret of a key was given an end: without a notifier, and headers, nobody else says so.
pub(crate) fn rotation_was_demanded(key_id: &KeyId, end: Timestamp) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::rotation_was_demanded(key_id, end);
    let _ = (key_id, end);
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

/// The store does not take what the gate named `realm` counted, which waits.
pub(crate) fn usage_is_held_up(realm: &str, error: &StoreError) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::usage_is_held_up(realm, error);
    let _ = (realm, error);
}

/// The gate named `realm` cannot say in the store whether it counts.
pub(crate) fn usage_is_not_vouched_for(realm: &str, error: &StoreError) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::usage_is_not_vouched_for(realm, error);
    let _ = (realm, error);
}

/// Nobody counts for all instances of the gate named `realm` how often keys are used.
pub(crate) fn limiter_is_away(realm: &str, error: &StoreError) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::limiter_is_away(realm, error);
    let _ = (realm, error);
}

/// So many requests were served and not counted: more waits than is kept.
pub(crate) fn usage_was_not_counted(realm: &str, requests: u64) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::usage_was_not_counted(realm, requests);
    #[cfg(feature = "metrics")]
    metrics::usage_was_not_counted(realm, requests);
    let _ = (realm, requests);
}

/// A key came by a way on which others may have read it, to the gate named `realm`.
pub(crate) fn exposed(realm: &str, key_id: &KeyId, exposure: Exposure) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::exposed(realm, key_id, exposure);
    let _ = (realm, key_id, exposure);
}

/// A key was changed, and that is committed.
pub(crate) fn changed(event: &AuditEvent) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::changed(event);
    let _ = event;
}

/// Somebody presented a canary.
pub(crate) fn canary_used(key_id: &KeyId, owner: &str, address: Option<IpAddr>) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::canary_used(key_id, owner, address);
    let _ = (key_id, owner, address);
}

/// Somebody reported a key to have leaked.
pub(crate) fn leak_reported(event: &AuditEvent) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::leak_reported(event);
    let _ = event;
}

/// So many requests are missing from the audit log of the gate named `realm`.
pub(crate) fn audit_is_dropped(realm: &str, requests: u64, why: &str) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::audit_is_dropped(realm, requests, why);
    #[cfg(feature = "metrics")]
    metrics::audit_is_dropped(realm, requests);
    let _ = (realm, requests, why);
}

/// The host does not receive events as fast as they come. It counts itself what it misses.
pub(crate) fn host_was_not_told(realm: &str) {
    #[cfg(feature = "metrics")]
    metrics::audit_is_dropped(realm, 1);
    let _ = realm;
}

/// The audit log of the store does not take what the gate named `realm` has seen.
pub(crate) fn audit_is_held_up(realm: &str, error: &StoreError) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::audit_is_held_up(realm, error);
    let _ = (realm, error);
}

/// The audit log of the store does not forget what is past its time.
pub(crate) fn audit_is_not_forgotten(realm: &str, error: &StoreError) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::audit_is_not_forgotten(realm, error);
    let _ = (realm, error);
}

/// The store does not take the MACs that the gate named `realm` made anew.
pub(crate) fn renewals_are_held_up(realm: &str, error: &StoreError) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::renewals_are_held_up(realm, error);
    let _ = (realm, error);
}

/// The record of a key is such that its MAC cannot be renewed.
pub(crate) fn renewal_is_set_aside(key_id: &KeyId, error: &StoreError) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::renewal_is_set_aside(key_id, error);
    let _ = (key_id, error);
}

/// Other peppers are in use in the gate named `realm` from now on.
pub(crate) fn peppers_are_reloaded(realm: &str, peppers: &PepperRing) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::peppers_are_reloaded(realm, peppers);
    let _ = (realm, peppers);
}

/// The peppers of before stay in use in the gate named `realm`.
pub(crate) fn peppers_are_not_reloaded(realm: &str, error: &PeppersError) {
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    log::peppers_are_not_reloaded(realm, error);
    #[cfg(feature = "metrics")]
    metrics::peppers_are_not_reloaded(realm);
    let _ = (realm, error);
}
