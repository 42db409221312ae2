//! The public suite on this store: alone, as two instances on one database, and with damaged rows.

use keygate::conformance::{self, Outcome, Report};
use keygate::{KeyId, PostgresStore};

use crate::support::*;

/// Nothing failed, and nothing was skipped for the want of an ability.
#[track_caller]
pub(crate) fn assert_whole(report: &Report) {
    report.assert_ok();
    for case in report.cases() {
        assert!(!matches!(case.outcome, Outcome::Skipped(_)), "{case}");
    }
}

#[tokio::test]
async fn it_keeps_every_clause() {
    let Some(place) = Place::new().await else {
        return;
    };
    let open = async || place.another_schema().open().await;
    assert_whole(&conformance::check(open).await);
}

#[tokio::test]
async fn it_keeps_every_clause_between_two_instances_on_one_database() {
    let Some(place) = Place::new().await else {
        return;
    };
    let open_two = async || {
        let place = place.another_schema();
        (place.open().await, place.open_with_own_pool().await)
    };
    assert_whole(&conformance::check_shared(open_two).await);
}

/// A store on the tables of `place`, in which nothing is left.
async fn emptied(place: &Place) -> PostgresStore {
    let store = place.open().await;
    place
        .run(
            "TRUNCATE keygate_keys, keygate_audit, keygate_settings, keygate_usage,
                keygate_usage_days, keygate_usage_scopes, keygate_usage_secrets,
                keygate_usage_batches",
        )
        .await;
    store
}

#[tokio::test]
async fn a_damaged_row_fails_alone() {
    let Some(place) = Place::new().await else {
        return;
    };
    let damage = async |_: &PostgresStore, id: &KeyId| {
        let spoil = format!("UPDATE keygate_keys SET scopes = '{{\"a  b\"}}' WHERE id = '{id}'");
        place.run(&spoil).await;
    };
    assert_whole(&conformance::check_damaged(async || emptied(&place).await, damage).await);
}

#[tokio::test]
async fn an_update_typed_by_hand_is_a_change_like_any_other() {
    let Some(place) = Place::new().await else {
        return;
    };
    let change = async |_: &PostgresStore, id: &KeyId| {
        let rename = format!("UPDATE keygate_keys SET name = 'by hand' WHERE id = '{id}'");
        place.run(&rename).await;
    };
    assert_whole(&conformance::check_by_hand(async || emptied(&place).await, change).await);
}

#[tokio::test]
async fn a_revocation_is_not_taken_back_by_hand() {
    let Some(place) = Place::new().await else {
        return;
    };
    for set in [
        "revoked_at = NULL, revocation_reason = ''",
        "revoked_at = revoked_at + interval '1 second'",
        "revocation_reason = '', version = 9",
    ] {
        let unrevoke = async |_: &PostgresStore, id: &KeyId| {
            let sql = format!("UPDATE keygate_keys SET {set} WHERE id = '{id}'");
            let refusal = place.refusal(&sql).await;
            assert!(refusal.contains("final"), "{refusal}");
        };
        let report = conformance::check_final_by_hand(async || emptied(&place).await, unrevoke);
        assert_whole(&report.await);
    }
}
