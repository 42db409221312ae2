//! The public suite on this store: alone, as two instances on one database, and with damaged rows.

use keygate::conformance::{self, Outcome, Report};
use keygate::{KeyId, PostgresStore};

use crate::support::*;

/// Nothing failed, and nothing was skipped for the want of an ability but usage.
#[track_caller]
fn assert_whole(report: &Report) {
    report.assert_ok();
    for case in report.cases() {
        let skipped = matches!(case.outcome, Outcome::Skipped(_));
        assert_eq!(skipped, case.clause == "Usage", "{case}");
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

#[tokio::test]
async fn a_damaged_row_fails_alone() {
    let Some(place) = Place::new().await else {
        return;
    };
    let open_empty = async || {
        let store = place.open().await;
        place
            .run("TRUNCATE keygate_keys, keygate_audit, keygate_settings")
            .await;
        store
    };
    let damage = async |_: &PostgresStore, id: &KeyId| {
        let spoil = format!("UPDATE keygate_keys SET scopes = '{{\"a  b\"}}' WHERE id = '{id}'");
        place.run(&spoil).await;
    };
    assert_whole(&conformance::check_damaged(open_empty, damage).await);
}
