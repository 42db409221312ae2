//! What must come of leaks and canaries on every store.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that fails fails its test"
)]

use std::net::IpAddr;

use keygate::audit::{Actor, AuditAction};
use keygate::store::AuditQuery;
use keygate::{
    Attempt, KeyId, KeyStatus, KeyStore, Keygate, LeakOutcome, NewKey, OnLeak, Pepper, Refusal,
    Rejection,
};

const SOURCE: &str = "https://paste.example/x7f3";

/// One process makes keys; another one is told of their leaks, and is presented them.
pub(crate) async fn ends_what_has_leaked_and_keeps_what_it_was_told<S: KeyStore>(
    open: impl AsyncFn() -> S,
) {
    let pepper = Pepper::generate_base64().unwrap();
    let gate = async || {
        let builder = Keygate::builder("acme_live").store(open().await);
        let builder = builder.pepper(Pepper::from_base64(&pepper).unwrap());
        builder.on_leak(OnLeak::Revoke).build().await.unwrap()
    };
    let (issuing, told) = (gate().await, gate().await);
    let issue = async |new: NewKey| issuing.manager().issue(new).await.unwrap();
    let canary = issue(NewKey::for_owner("a").canary()).await;
    let leaked = issue(NewKey::for_owner("a")).await;
    let lost = issue(NewKey::for_owner("a")).await;

    let from: IpAddr = "192.0.2.7".parse().unwrap();
    let attempt = |text| Attempt::new(text).from_address(Some(from));
    let refused = async |text| {
        let outcome = told.authenticator().authenticate(attempt(text)).await;
        match outcome {
            Err(Refusal::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(canary.key.expose()).await, Rejection::KeyRevoked);

    let ada = told.manager().as_user("ada").from_address(from);
    let report = ada.report_leak(leaked.key.expose(), SOURCE).await;
    assert_eq!(report.unwrap().unwrap().outcome, LeakOutcome::Revoked);
    assert_eq!(refused(leaked.key.expose()).await, Rejection::KeyRevoked);

    let ended = told.revoke_presented(attempt(lost.key.expose()), "lost");
    assert!(ended.await.unwrap().changed);
    assert_eq!(refused(lost.key.expose()).await, Rejection::KeyRevoked);
    told.shutdown().await;

    let status = async |id: &KeyId| issuing.manager().inspect(id).await.unwrap().status;
    assert_eq!(status(&canary.info.key_id).await, KeyStatus::Canary);
    assert_eq!(status(&leaked.info.key_id).await, KeyStatus::Revoked);
    assert_eq!(status(&lost.info.key_id).await, KeyStatus::Revoked);
    let event = async |id: KeyId, action| {
        let query = AuditQuery {
            key_id: Some(id),
            action: Some(action),
            ..AuditQuery::new()
        };
        let page = issuing.manager().audit(&query).await.unwrap();
        let [event] = &page.events[..] else {
            panic!("{action:?}: {page:?}")
        };
        assert_eq!(event.address, Some(from));
        event.clone()
    };
    let used = event(canary.info.key_id, AuditAction::CanaryUsed).await;
    assert_eq!(used.requests.unwrap().count, 1);
    let reported = event(leaked.info.key_id, AuditAction::LeakReported).await;
    assert_eq!(reported.actor, Actor::User("ada".into()));
    assert_eq!(reported.changes[0].after.as_deref(), Some(SOURCE));
    let revoked = event(leaked.info.key_id, AuditAction::Revoked).await;
    assert_eq!(revoked.actor, Actor::User("ada".into()));
    let revoked = event(lost.info.key_id, AuditAction::Revoked).await;
    assert_eq!(revoked.actor, Actor::Key(lost.info.key_id));
    issuing.shutdown().await;
}
