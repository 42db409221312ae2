//! Keys that are pasted where a text belongs.

use std::fmt::Debug;

use keygate::{ManageError, NewKey, OnLeak};

use crate::common::World;
use crate::corpus::Corpus;

#[track_caller]
fn assert_refused<T: Debug>(outcome: Result<T, ManageError>, place: &str, key: &str) {
    let error = outcome.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains(place) && shown.contains("holds an API key"),
        "{shown}"
    );
    assert!(!shown.contains(&key[key.len() - 12..]), "{shown}");
}

#[tokio::test]
async fn no_text_of_a_record_or_of_the_audit_log_takes_a_key_whatever_its_prefix() {
    let world = World::new().await;
    let manager = world.keys.manager();
    let kept = manager.issue(NewKey::for_owner("a")).await.unwrap();
    let id = kept.info.key_id;
    for prefix in ["acme_live", "of_somebody_else", "q"] {
        let key = Corpus::new().key(prefix);
        let pasted = format!("my_{key}!");
        let new = || NewKey::for_owner("a");
        let refused = [
            ("owner", NewKey::for_owner(&pasted)),
            ("name", new().name(&pasted)),
            (
                "metadata value",
                new().metadata([("note", pasted.as_str())]),
            ),
        ];
        for (place, new) in refused {
            assert_refused(manager.issue(new).await, place, &key);
        }
        assert_refused(manager.revoke(&id, &pasted).await, "reason", &key);
        let outcome = manager.revoke_owner("a", &pasted).await;
        assert_refused(outcome, "reason", &key);
        let outcome = manager.as_user(&pasted).revoke(&id, "").await;
        assert_refused(outcome, "as_user", &key);
    }
    let short = Corpus::new().key("q");
    let new = NewKey::for_owner("a").metadata([(short.as_str(), "")]);
    assert_refused(manager.issue(new).await, "metadata key", &short);
    assert!(world.record(&id).await.revocation.is_none());
}

#[tokio::test]
async fn a_leak_is_reported_also_from_a_place_with_keys_in_its_name_and_they_are_masked() {
    let world = World::with(|builder| builder.on_leak(OnLeak::Revoke)).await;
    let manager = world.keys.manager();
    let leaked = manager.issue(NewKey::for_owner("a")).await.unwrap();
    let other = manager.issue(NewKey::for_owner("a")).await.unwrap();
    let (leaked_text, other_text) = (leaked.key.expose(), other.key.expose());
    let source = format!("https://example.com/{leaked_text}/{other_text}");
    let report = manager.report_leak(leaked_text, &source).await.unwrap();
    assert!(report.is_some());
    let revocation = world.record(&leaked.info.key_id).await.revocation.unwrap();
    let shown = format!("/acme_live_{}_[redacted]", other.info.key_id);
    assert!(revocation.reason.ends_with(&shown), "{}", revocation.reason);
    let secret = &leaked_text[leaked_text.len() - 49..][..43];
    assert!(!revocation.reason.contains(secret), "{}", revocation.reason);
}

#[tokio::test]
async fn a_text_with_what_is_nearly_a_key_is_taken() {
    let world = World::new().await;
    let mut key = Corpus::new().key("acme_live");
    key.pop();
    let new = NewKey::for_owner("a").name(&key);
    let issued = world.keys.manager().issue(new).await.unwrap();
    assert_eq!(issued.info.name, key);
}
