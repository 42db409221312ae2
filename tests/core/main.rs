//! The decision and the management of keys, through the public API and on the default features.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that fails fails its test"
)]

#[path = "../common/mod.rs"]
mod common;

mod activity;
mod audit;
mod audit_channel;
mod audit_journal;
mod authenticate;
mod bearer_revocation;
mod canaries;
mod ceiling;
mod ceiling_histories;
mod client_address;
mod drafts;
mod ended_callers;
mod expiry;
mod expiry_instances;
mod expiry_trouble;
mod exposed_keys;
mod failed_attempts;
mod feed;
mod finding;
mod freshness;
mod herds;
mod import_formats;
mod import_recipes;
mod importing;
mod imports;
mod leak_reports;
#[path = "../common/leaked.rs"]
mod leaked;
mod limits;
mod lookups;
mod manage;
mod model;
mod narrowing;
#[path = "../common/notices.rs"]
mod notices;
mod outage_grace;
mod outcomes;
mod owners;
mod pepper_reload;
mod pepper_rotation;
mod peppers;
mod plaintext;
mod renewals;
mod reports;
mod revocation;
#[path = "../common/peppers.rs"]
mod rotated;
mod rotation;
mod secret_age;
mod secrets;
mod shared_limits;
mod standing;
mod unwatched;
mod usage;
mod usage_proof;
