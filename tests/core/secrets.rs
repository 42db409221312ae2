//! Nothing that can be printed shows a secret, a pepper or a MAC.

use std::error::Error;
use std::fmt::Debug;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use keygate::store::AuditQuery;
use keygate::store::{AuditLog, Expect, Listed, Page, Write};
use keygate::{
    Attempt, Change, Filter, KeyRecord, KeyStore, Keygate, Mac, MemoryStore, NewKey, Pepper,
    PepperId, PepperRing, PresentedKey, Refusal, Rule, StoreError, StoreErrorKind,
};

use crate::common::*;

/// Printable, so that it would be seen in the raw.
const RAW_PEPPER: &str = "a-known-pepper-in-the-raw-0123456789";

/// Everything that was printed, and what none of it may hold.
#[derive(Default)]
struct Printed {
    texts: Vec<String>,
    forbidden: Vec<(&'static str, String)>,
}

impl Printed {
    fn debug(&mut self, value: &impl Debug) {
        self.texts.push(format!("{value:?}"));
        self.texts.push(format!("{value:#?}"));
    }

    fn error(&mut self, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.texts.push(format!("{error}"));
            self.debug(&error);
            next = error.source();
        }
    }

    fn forbid(&mut self, what: &'static str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = |separator: &str| {
            let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
            numbers.join(separator)
        };
        let unpadded = BASE64_STANDARD
            .encode(bytes)
            .trim_end_matches('=')
            .to_owned();
        self.forbidden.extend([
            (what, BASE64_URL_SAFE_NO_PAD.encode(bytes)),
            (what, unpadded),
            (what, hex.to_uppercase()),
            (what, hex),
            (what, list(", ")),
            (what, list(",")),
        ]);
        if let Ok(text) = std::str::from_utf8(bytes) {
            self.forbidden.push((what, text.to_owned()));
        }
    }

    fn forbid_macs(&mut self, record: &KeyRecord) {
        for slot in record.secrets.slots() {
            self.forbid("a MAC", slot.mac.as_bytes());
        }
    }

    #[track_caller]
    fn check(&self) {
        assert!(!self.texts.is_empty() && !self.forbidden.is_empty());
        for text in &self.texts {
            // What `{:#?}` puts on lines of its own counts as well.
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for (what, forbidden) in &self.forbidden {
                let shown = text.contains(forbidden) || flat.contains(forbidden);
                assert!(!shown, "{what} is shown in {text}");
            }
        }
    }
}

fn known_pepper() -> Pepper {
    Pepper::from_bytes(RAW_PEPPER).unwrap()
}

#[test]
fn the_check_sees_what_it_is_to_see() {
    let mac = Mac::from_bytes(std::array::from_fn(|n| n as u8 + 100));
    let leaks = [
        format!("{:?}", mac.as_bytes()),
        format!("{:#?}", mac.as_bytes()),
        serde_json::to_string(mac.as_bytes()).unwrap(),
    ];
    for leak in leaks {
        let mut printed = Printed::default();
        printed.forbid("a MAC", mac.as_bytes());
        printed.texts.push(leak);
        assert!(
            std::panic::catch_unwind(|| printed.check()).is_err(),
            "{:?}",
            printed.texts
        );
    }
}

#[tokio::test]
async fn values_show_no_secret_no_pepper_and_no_mac() {
    let mut printed = Printed::default();
    printed.forbid("the pepper", RAW_PEPPER.as_bytes());
    let (clock, store) = (ManualClock::new(), std::sync::Arc::new(MemoryStore::new()));
    let ring = || PepperRing::new(PepperId(1), known_pepper());
    printed.debug(&known_pepper());
    printed.debug(&ring());
    let builder = || builder(store.clone(), &clock).peppers(ring());
    printed.debug(&builder());
    let keys = builder().build().await.unwrap();
    let new = || NewKey::for_owner("a").scopes(["x"]);
    printed.debug(&new());
    printed.debug(&Change::new().name("b"));
    let old = keys.manager().issue(new()).await.unwrap();
    let id = old.info.key_id;
    let rotated = keys.manager().rotate(&id).await.unwrap();
    let record = store.get(&id).await.unwrap().unwrap();
    printed.forbid_macs(&record);
    for issued in [&old, &rotated] {
        let text = issued.key.expose();
        printed.forbid("a secret", secret_of(text).as_bytes());
        printed.debug(issued);
        printed.debug(&issued.key.hint());
        printed
            .texts
            .push(serde_json::to_string(&issued.info).unwrap());
        let presented = PresentedKey::parse(text).unwrap();
        printed.debug(&presented);
        let attempt = Attempt::new(text);
        printed.debug(&attempt);
        let caller = keys.authenticator().authenticate(attempt).await.unwrap();
        printed.debug(&caller);
        printed.debug(&keys.manager().on_behalf_of(&caller));
        let shown = keys
            .authenticator()
            .authenticate_cached(attempt, |caller| format!("{caller:?}"));
        printed.texts.push(shown.unwrap().unwrap());
        printed.debug(&keys.manager().find(text).await.unwrap());
        let header = format!("Bearer {text}");
        let headers = [("authorization", header.as_bytes())];
        let extracted = keys.answers().extract(headers, None, |_| false);
        printed.debug(&extracted.unwrap());
    }
    let write = Write {
        expect: Expect::Absent,
        record: &record,
        audit: &[],
    };
    printed.debug(&write);
    printed.debug(&record);
    printed.debug(&record.secrets.current.mac);
    let page = Page {
        owner: None,
        after: None,
        limit: 9,
    };
    let listed: Listed = store.list(&page).await.unwrap();
    printed.debug(&listed);
    printed.debug(&keys.manager().list(Filter::new()).await.unwrap());
    printed.debug(&keys.manager().finish_rotation(&id).await.unwrap());
    printed.debug(&keys.manager().revoke(&id, "r").await.unwrap());
    printed.debug(&keys.manager().revoke_owner("a", "r").await.unwrap());
    let events = store.events(&AuditQuery::new()).await.unwrap();
    assert_eq!(events.events.len(), 4);
    printed
        .texts
        .push(serde_json::to_string(&events.events).unwrap());
    printed.debug(&events);
    printed.debug(&store);
    printed.debug(&keys);
    printed.debug(&keys.answers());
    printed.check();
}

#[tokio::test]
async fn refusals_and_errors_show_no_secret_and_no_mac() {
    let mut printed = Printed::default();
    let world = World::new().await;
    let (keys, manager) = (&world.keys, world.keys.manager());
    let new = || {
        NewKey::for_owner("a")
            .scopes(["x"])
            .allowed_ips(["10.0.0.0/8"])
    };
    let issued = manager.issue(new()).await.unwrap();
    let (id, text) = (issued.info.key_id, issued.key.expose());
    printed.forbid("a secret", secret_of(text).as_bytes());
    printed.forbid_macs(&world.record(&id).await);
    let wrong = with_wrong_secret(text);
    printed.forbid("a secret", secret_of(&wrong).as_bytes());
    let rule = Rule::all(["y"]).unwrap();
    let from = Some("10.1.1.1".parse().unwrap());
    let mut refusals: Vec<Refusal> = Vec::new();
    let mut refuse = async |text: &str| {
        for address in [None, from] {
            let attempt = Attempt::new(text).requiring(&rule).from_address(address);
            refusals.push(
                keys.authenticator()
                    .authenticate(attempt)
                    .await
                    .unwrap_err(),
            );
        }
    };
    let junk = [
        &text[1..],
        &text[..text.len() - 1],
        &with_prefix(text, DECLINED),
        &with_prefix(text, "other"),
        &wrong,
        text,
    ];
    for text in junk {
        refuse(text).await;
        if let Err(error) = PresentedKey::parse(text) {
            printed.error(&error);
        }
        if let Err(error) = manager.find(text).await {
            printed.error(&error);
        }
    }
    world.clock.advance_monotonic(SECOND);
    let cause = StoreError::new(StoreErrorKind::Unavailable, "connection refused");
    printed.error(&cause);
    world
        .store
        .gets
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    refuse(text).await;
    printed.error(&manager.rotate(&id).await.unwrap_err());
    printed.error(&manager.find(text).await.unwrap_err());
    world.store.gets.always(Fault::Hang);
    refuse(text).await;
    world.store.gets.heal();
    for fault in [
        Fault::NotDoneUnknown,
        Fault::Fail(StoreErrorKind::Unavailable),
    ] {
        world.store.writes.always(fault);
        printed.error(&manager.rotate(&id).await.unwrap_err());
        printed.error(&manager.issue(new()).await.unwrap_err());
        printed.debug(&manager.revoke_owner("a", "").await.unwrap());
    }
    world.store.writes.heal();
    printed.error(&manager.supersede(&id).await.unwrap_err());
    manager.disable(&id).await.unwrap();
    refuse(text).await;
    manager.revoke(&id, "").await.unwrap();
    refuse(text).await;
    printed.error(&manager.rotate(&id).await.unwrap_err());
    assert!(refusals.len() >= 16);
    for refusal in &refusals {
        printed.error(refusal);
        let answer = keys.answers().refuse(refusal);
        printed
            .texts
            .push(String::from_utf8(answer.body.clone()).unwrap());
        printed.debug(&answer);
    }
    let other = builder(world.store.clone(), &world.clock).pepper(fresh_pepper());
    printed.error(&other.build().await.unwrap_err());
    printed.check();
}

#[tokio::test]
async fn errors_about_peppers_show_no_byte_of_them() {
    let mut printed = Printed::default();
    let base64 = BASE64_STANDARD.encode(RAW_PEPPER);
    printed.forbid("the pepper", RAW_PEPPER.as_bytes());
    printed.forbid("the pepper", &RAW_PEPPER.as_bytes()[..31]);
    printed.error(&Pepper::from_base64(&format!("{base64}!")).unwrap_err());
    printed.error(&Pepper::from_base64(&BASE64_STANDARD.encode(&RAW_PEPPER[..31])).unwrap_err());
    printed.error(&Pepper::from_bytes(&RAW_PEPPER.as_bytes()[..31]).unwrap_err());
    let ring = PepperRing::new(PepperId(1), known_pepper());
    printed.error(&ring.verify_only(PepperId(1), known_pepper()).unwrap_err());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pepper");
    printed.error(&Pepper::from_file(&path).unwrap_err());
    std::fs::write(&path, format!("{base64}?")).unwrap();
    printed.error(&Pepper::from_file(&path).unwrap_err());
    std::fs::write(&path, [RAW_PEPPER.as_bytes(), &[0xff]].concat()).unwrap();
    printed.error(&Pepper::from_file(&path).unwrap_err());
    let world = World::new().await;
    let built = Keygate::builder(LIVE)
        .store(world.store.clone())
        .pepper(known_pepper());
    printed.error(&built.build().await.unwrap_err());
    printed.check();
}

#[tokio::test]
async fn errors_about_damaged_records_show_no_mac() {
    let world = World::new().await;
    let issued = world
        .keys
        .manager()
        .issue(NewKey::for_owner("a"))
        .await
        .unwrap();
    let record = world.record(&issued.info.key_id).await;
    let mut printed = Printed::default();
    printed.forbid_macs(&record);
    let bytes = record.to_bytes();
    for at in 0..bytes.len() {
        for byte in *b"\"x0{" {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            if let Err(error) = KeyRecord::from_bytes(&damaged) {
                printed.error(&error);
            }
        }
        if let Err(error) = KeyRecord::from_bytes(&bytes[..at]) {
            printed.error(&error);
        }
    }
    printed.check();
}
