//! A pepper is rotated on instances that share a store, one after another, while requests run.

#![allow(
    dead_code,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that fails fails its test, and every test binary uses its own part of it"
)]

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use keygate::{
    Attempt, BuildError, Builder, Error, KeyStore, Keygate, ManageError, NewKey, Pepper, PepperId,
    PepperProvider, PepperRing, PeppersError, Refusal, Rotation,
};

/// Peppers that a test lays out, as a secrets manager would hold them.
#[derive(Clone)]
pub(crate) struct Shelf(Arc<Mutex<String>>);

impl Shelf {
    pub(crate) fn new(text: &str) -> Self {
        Self(Arc::new(Mutex::new(text.to_owned())))
    }

    pub(crate) fn put(&self, text: &str) {
        text.clone_into(&mut self.0.lock().unwrap());
    }
}

#[async_trait]
impl PepperProvider for Shelf {
    async fn peppers(&self) -> Result<PepperRing, Box<dyn StdError + Send + Sync>> {
        let text = self.0.lock().unwrap().clone();
        Ok(PepperRing::parse(&text)?)
    }
}

/// A pepper in base64 that is no other test's.
pub(crate) fn fresh() -> String {
    Pepper::generate_base64().unwrap().to_string()
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Instance {
    keys: Keygate,
    shelf: Shelf,
}

/// Requests with all keys to all instances, for as long as it is kept.
struct Traffic {
    accepted: Arc<[AtomicUsize]>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    fn begin(instances: &[Instance], texts: &[String]) -> Self {
        let accepted: Arc<[AtomicUsize]> = instances.iter().map(|_| AtomicUsize::new(0)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = instances.iter().enumerate().map(|(n, instance)| {
            let (keys, texts) = (instance.keys.clone(), texts.to_vec());
            let (accepted, stop) = (Arc::clone(&accepted), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    for text in &texts {
                        let attempt = Attempt::new(text);
                        match keys.authenticator().authenticate(attempt).await {
                            Ok(_) => {
                                accepted[n].fetch_add(1, Ordering::SeqCst);
                            }
                            Err(refusal @ Refusal::Rejected(_))
                            | Err(refusal @ Refusal::Failed(Error::UnknownPepper { .. })) => {
                                panic!("refused by instance {n}: {refusal:?}")
                            }
                            // A busy machine may be too slow.
                            Err(Refusal::Failed(_)) => {}
                        }
                        tokio::task::yield_now().await;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        });
        let tasks = tasks.collect();
        Self {
            accepted,
            stop,
            tasks,
        }
    }

    /// Returns once every instance has let many requests in since.
    async fn flows(&self, keys: usize) {
        let counts = || self.accepted.iter().map(|n| n.load(Ordering::SeqCst));
        let before: Vec<usize> = counts().collect();
        eventually("all instances let requests in", async || {
            let is_refused = self.tasks.iter().any(|task| task.is_finished());
            let mut both = counts().zip(&before);
            is_refused || both.all(|(now, before)| now >= before + 3 * keys)
        })
        .await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

fn builder(store: impl KeyStore) -> Builder {
    Keygate::builder("acme_live")
        .store(store)
        .pepper_reload_interval(Duration::from_secs(3_600))
}

/// A new pepper is added everywhere, made active on one instance after another, brings all keys to new
/// MACs as they are used, and the old one is retired and taken away, while no request is refused.
pub(crate) async fn rotate_a_pepper_while_requests_run<S: KeyStore>(open: impl AsyncFn() -> S) {
    let (old, new) = (fresh(), fresh());
    let mut instances = Vec::new();
    for _ in 0..3 {
        let shelf = Shelf::new(&old);
        let builder = builder(open().await).pepper_provider(shelf.clone());
        let keys = builder.build().await.unwrap();
        tokio::spawn(keys.run());
        instances.push(Instance { keys, shelf });
    }
    let manager = instances[0].keys.manager();
    let issue = async |owner: &str| manager.issue(NewKey::for_owner(owner)).await.unwrap();
    let mut texts = Vec::new();
    for n in 0..6 {
        let issued = issue(&format!("org_{n}")).await;
        texts.push(issued.key.expose().to_owned());
    }
    let rotating = issue("org_rotating").await;
    let how = Rotation::new().overlap(Duration::from_secs(3_600));
    let id = rotating.info.key_id;
    let rotated = manager.rotate_with(&id, how).await.unwrap();
    texts.extend([&rotating.key, &rotated.key].map(|text| text.expose().to_owned()));
    let rarely_used = issue("org_rare").await;
    let revoked = issue("org_gone").await.info.key_id;
    manager.revoke(&revoked, "unused").await.unwrap();
    let under = async |pepper: u32| {
        let mut found = manager.pepper_use().await.unwrap();
        found.peppers.remove(&PepperId(pepper)).unwrap_or_default()
    };
    assert_eq!((under(1).await.keys, under(2).await.keys), (8, 0));

    let traffic = Traffic::begin(&instances, &texts);
    traffic.flows(texts.len()).await;
    for ring in [format!("1:{old} 2:{new}"), format!("2:{new} 1:{old}")] {
        for instance in &instances {
            instance.shelf.put(&ring);
            assert!(instance.keys.reload_peppers().await.unwrap());
            traffic.flows(texts.len()).await;
        }
    }
    eventually("what is used is under the new pepper", async || {
        under(1).await.keys == 1
    })
    .await;
    assert_eq!(under(2).await.keys, 7);
    let refused = manager.retire_pepper(PepperId(1)).await;
    assert!(matches!(
        refused,
        Err(ManageError::PepperInUse { pepper: PepperId(1), keys: 1, ref owners, unreadable: 0 })
            if owners == &["org_rare"]
    ));
    let early = builder(open().await).peppers(PepperRing::parse(&format!("2:{new}")).unwrap());
    assert!(matches!(
        early.build().await,
        Err(BuildError::MissingPepper(PepperId(1)))
    ));
    let used = Attempt::new(rarely_used.key.expose());
    let caller = instances[1].keys.authenticator().authenticate(used).await;
    assert_eq!(caller.unwrap().owner(), "org_rare");
    eventually("no key is under the old pepper", async || {
        under(1).await.keys == 0
    })
    .await;
    manager.retire_pepper(PepperId(1)).await.unwrap();
    for instance in &instances {
        instance.shelf.put(&format!("2:{new}"));
        assert!(instance.keys.reload_peppers().await.unwrap());
        traffic.flows(texts.len()).await;
    }
    traffic.end().await;

    let late = builder(open().await).peppers(PepperRing::parse(&format!("2:{new}")).unwrap());
    let late = late.build().await.unwrap();
    for text in texts
        .iter()
        .map(String::as_str)
        .chain([rarely_used.key.expose()])
    {
        let verified = late.authenticator().authenticate(Attempt::new(text)).await;
        verified.unwrap();
    }
    let behind = builder(open().await).peppers(PepperRing::parse(&old).unwrap());
    assert!(matches!(
        behind.build().await,
        Err(BuildError::MissingPepper(PepperId(2)))
    ));
    let again = format!("1:{old} 2:{new}");
    let rolled_back = || async {
        let ring = PepperRing::parse(&again).unwrap();
        builder(open().await).peppers(ring)
    };
    for refused in [
        rolled_back().await.build().await.err(),
        rolled_back().await.build_manager().await.err(),
    ] {
        let refused = refused.unwrap();
        assert!(
            matches!(refused, BuildError::RetiredPepper(PepperId(1))),
            "{refused}"
        );
    }
    instances[0].shelf.put(&again);
    let refused = instances[0].keys.reload_peppers().await;
    assert!(matches!(refused, Err(PeppersError::Retired(PepperId(1)))));
    for keys in instances.into_iter().map(|instance| instance.keys) {
        keys.shutdown().await;
    }
    late.shutdown().await;
}
