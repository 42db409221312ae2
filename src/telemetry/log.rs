use std::error::Error as StdError;
use std::net::IpAddr;

use crate::audit::{Actor, AuditEvent};
use crate::clock::Timestamp;
use crate::exposure::Exposure;
use crate::key::KeyId;
use crate::mac::PepperRing;
use crate::peppers::PeppersError;
use crate::principal::Principal;
use crate::refusal::{Refusal, Rejection};
use crate::scope::{MissingScopes, Scope};
use crate::store::StoreError;

/// What hosts filter by.
const TARGET: &str = "keygate";

pub(crate) fn accepted(principal: &Principal) {
    tracing::debug!(target: TARGET, key_id = %principal.key_id(), owner = principal.owner(), "key accepted");
}

/// The id is the one that the request claims, which need not be proved; that of a key in a URL is.
pub(crate) fn refused(refusal: &Refusal, key_id: Option<&KeyId>) {
    match refusal {
        Refusal::Rejected(Rejection::KeyInUrl) => {
            let key_id = key_id.map(KeyId::as_str);
            tracing::warn!(target: TARGET, key_id,
                "request refused: it carries a key in its URL, which has leaked by that"
            );
        }
        Refusal::Rejected(_) => {
            let key_id = key_id.map(KeyId::as_str);
            tracing::debug!(target: TARGET, code = refusal.code(), key_id, "request refused");
        }
        Refusal::Failed(error) => failed("request not decided", error),
    }
}

/// What the handler logs of a request that was let in is of this span. Within an outer guard of the same
/// gate, it is of that one's.
pub(crate) fn request_span(principal: &Principal, is_within: bool) -> tracing::Span {
    if is_within {
        return tracing::Span::none();
    }
    tracing::info_span!(target: TARGET, "request", key_id = %principal.key_id(), owner = principal.owner())
}

pub(super) fn exposed(realm: &str, key_id: &KeyId, exposure: Exposure) {
    match exposure {
        Exposure::ByBrowser => tracing::warn!(target: TARGET, realm, %key_id,
            "a browser sent a key, which whoever uses that can read: call from a server, and rotate it. This is said once a minute at most"
        ),
        Exposure::InPlaintext => tracing::warn!(target: TARGET, realm, %key_id,
            "a key was sent in plaintext, where others can read it: close that way, and rotate it. This is said once a minute at most"
        ),
    }
}

pub(super) fn changed(event: &AuditEvent) {
    let (key_id, owner) = (event.key_id.as_ref(), event.owner.as_deref());
    let address = event.address.map(tracing::field::display);
    let (action, actor) = (event.action.as_str(), &event.actor);
    let key_id = key_id.map(KeyId::as_str);
    match actor {
        Actor::Key(by) => {
            tracing::info!(target: TARGET, action, key_id, owner, actor = "key", by = by.as_str(), address, "key changed");
        }
        Actor::User(by) => {
            tracing::info!(target: TARGET, action, key_id, owner, actor = "user", by, address, "key changed");
        }
        _ => {
            tracing::info!(target: TARGET, action, key_id, owner, actor = "host", address, "key changed");
        }
    }
}

pub(super) fn canary_used(key_id: &KeyId, owner: &str, address: Option<IpAddr>) {
    let address = address.map(tracing::field::display);
    tracing::warn!(target: TARGET, %key_id, owner, address,
        "somebody presented a canary: whoever did has read where it was planted"
    );
}

pub(super) fn leak_reported(event: &AuditEvent) {
    let key_id = event.key_id.as_ref().map(KeyId::as_str);
    let source = event
        .changes
        .first()
        .and_then(|change| change.after.as_deref());
    tracing::warn!(target: TARGET, key_id, owner = event.owner.as_deref(), source,
        "a key was reported to have leaked"
    );
}

pub(crate) fn url_leak_is_held_up(error: &(dyn StdError + 'static)) {
    tracing::warn!(target: TARGET, error = chain(error),
        "a key that leaked in a URL is not ended yet: it is tried again"
    );
}

pub(crate) fn url_leak_was_given_up(key_id: Option<&KeyId>, why: &str) {
    let key_id = key_id.map(KeyId::as_str);
    tracing::error!(target: TARGET, key_id, why,
        "a key that leaked in a URL was not ended, if it is one of ours: look at it, and revoke it"
    );
}

pub(super) fn audit_is_dropped(realm: &str, requests: u64, why: &str) {
    tracing::warn!(target: TARGET, realm, requests, why,
        "requests are missing from the audit log, of accepted and refused ones"
    );
}

pub(super) fn audit_is_held_up(realm: &str, error: &StoreError) {
    tracing::warn!(target: TARGET, realm, error = chain(error),
        "the audit log does not take what happened to requests: what it cannot take now waits in memory"
    );
}

pub(super) fn audit_is_not_forgotten(realm: &str, error: &StoreError) {
    tracing::warn!(target: TARGET, realm, error = chain(error),
        "requests are kept in the audit log for longer than audit_retention: it is tried again in an hour"
    );
}

/// By a rule that only reports. It is told of each request, and at a level that is on by default:
/// whoever tries a rule wants to know of it.
pub(super) fn would_refuse(principal: &Principal, missing: &MissingScopes) {
    let missing: Vec<&str> = missing.missing().iter().map(Scope::as_str).collect();
    tracing::info!(target: TARGET,
        key_id = %principal.key_id(), owner = principal.owner(), missing_scopes = missing.join(" "),
        "key accepted, and would be refused if its rule were enforced"
    );
}

pub(crate) fn failed(what: &str, error: &(dyn StdError + 'static)) {
    tracing::error!(target: TARGET, error = chain(error), "{what}");
}

/// How to mend that no address of a client is known.
const SET_A_SOURCE: &str = "set Builder::client_address, to ClientAddress::peer() or to ClientAddress::behind(your proxies)";

pub(crate) fn bound_keys_without_source(realm: &str, keys: usize) {
    tracing::warn!(target: TARGET, realm, keys,
        "keys are bound to networks, and will be refused, because no source of client addresses is configured: {SET_A_SOURCE}"
    );
}

pub(crate) fn no_source() {
    tracing::warn!(target: TARGET,
        "a key that is bound to networks was refused, because no source of client addresses is configured: {SET_A_SOURCE}. This is said once"
    );
}

pub(crate) fn no_peer() {
    tracing::warn!(target: TARGET,
        "a request came without the address of its peer, so keys that are bound to networks are refused: on axum, serve with into_make_service_with_connect_info::<SocketAddr>(); elsewhere, say by ClientAddress::peer_from where the server keeps it. This is said once"
    );
}

pub(super) fn feed_came_alive(realm: &str) {
    tracing::info!(target: TARGET, realm, "the change feed is live");
}

pub(super) fn feed_broke(realm: &str, error: &StoreError) {
    tracing::warn!(target: TARGET, realm, error = chain(error),
        "the change feed is down: records are used for a second until it is back"
    );
}

/// Of peppers, their ids alone.
pub(super) fn peppers_are_reloaded(realm: &str, peppers: &PepperRing) {
    tracing::info!(target: TARGET, realm, ?peppers, "other peppers are in use");
}

pub(super) fn peppers_are_not_reloaded(realm: &str, error: &PeppersError) {
    tracing::warn!(target: TARGET, realm, error = chain(error),
        "the peppers are not read anew: those of before stay in use"
    );
}

pub(super) fn renewals_are_held_up(realm: &str, error: &StoreError) {
    tracing::warn!(target: TARGET, realm, error = chain(error),
        "MACs of keys are not renewed under the active pepper: they wait in memory and are tried again"
    );
}

pub(super) fn renewal_is_set_aside(key_id: &KeyId, error: &StoreError) {
    tracing::warn!(target: TARGET, key_id = %key_id, error = chain(error),
        "the MAC of a key cannot be renewed under the active pepper: it is tried again when the key is used in some minutes"
    );
}

pub(super) fn usage_is_held_up(realm: &str, error: &StoreError) {
    tracing::warn!(target: TARGET, realm, error = chain(error),
        "usage is not stored: it waits in memory and is tried again"
    );
}

pub(super) fn usage_is_not_vouched_for(realm: &str, error: &StoreError) {
    tracing::warn!(target: TARGET, realm, error = chain(error),
        "the store was not told whether usage is counted: it is told again"
    );
}

pub(super) fn limiter_is_away(realm: &str, error: &StoreError) {
    tracing::warn!(target: TARGET, realm, error = chain(error),
        "the shared rate limiter does not answer: its policy for outages holds until it does"
    );
}

pub(super) fn usage_was_not_counted(realm: &str, requests: u64) {
    tracing::warn!(target: TARGET, realm, requests,
        "requests were served and not counted: more usage waits than usage_capacity allows"
    );
}

pub(super) fn expiry_trouble(what: &str, key_id: Option<&str>, error: &(dyn StdError + 'static)) {
    tracing::error!(target: TARGET, key_id, error = chain(error), "{what}");
}

pub(super) fn rotation_was_demanded(key_id: &KeyId, end: Timestamp) {
    tracing::warn!(target: TARGET, %key_id, %end,
        "the secret of a key is older than the policy allows, and was given an end: rotate the key by then"
    );
}

/// An error with all its causes.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (**error).source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
