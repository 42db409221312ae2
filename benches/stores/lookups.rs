//! Requests whose key is not in the cache: each asks the store, once unless its key was changed
//! meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use keygate::store::{Abilities, Listed, Page, StoreError, Write};
use keygate::{Attempt, KeyId, KeyRecord, KeyStore, Keygate};

use crate::load::{Load, p50_p99, runtime};
use crate::options::Options;
use crate::subject::{Subject, gate, key, settle};
use crate::table::Figure;

pub(crate) fn measure(subject: &Subject, options: &Options) -> Vec<Figure> {
    runtime().block_on(async {
        let store = Arc::new(Counted {
            inner: subject.open().await,
            reads: AtomicUsize::new(0),
        });
        let keys = gate(Arc::clone(&store), 0).await;
        let texts = issue(&keys, options.count(64, 2_048)).await;
        // A change of a key that is told while it is looked up makes for a second lookup.
        settle(&keys).await;
        let mut figures = Vec::new();
        for concurrency in [1, 64] {
            let before = store.reads.load(Ordering::SeqCst);
            let load = look_up(&keys, &texts, concurrency, options).await;
            let reads = store.reads.load(Ordering::SeqCst) - before;
            let reads_a_lookup = reads as f64 / load.times.count() as f64;
            figures.extend([
                (
                    format!("cold lookups a second, {concurrency} at once"),
                    load.a_second(),
                ),
                (
                    format!("cold lookup, {concurrency} at once, p50 / p99"),
                    p50_p99(&load.times),
                ),
                (
                    format!("store calls a cold lookup, {concurrency} at once"),
                    format!("{reads_a_lookup:.4}"),
                ),
            ]);
        }
        keys.shutdown().await;
        figures
    })
}

/// No key is looked up twice at once, for that would be one lookup.
async fn look_up(
    keys: &Keygate,
    texts: &Arc<[String]>,
    concurrency: usize,
    options: &Options,
) -> Load {
    assert_eq!(texts.len() % concurrency, 0);
    let (keys, texts) = (keys.clone(), Arc::clone(texts));
    Load::run(concurrency, options.time(), move |number| {
        let (keys, texts) = (keys.clone(), Arc::clone(&texts));
        async move {
            let attempt = Attempt::new(&texts[number % texts.len()]);
            keys.authenticator().authenticate(attempt).await.unwrap();
        }
    })
    .await
}

/// Issues so many keys, and no more at once than a store lets wait.
async fn issue(keys: &Keygate, count: usize) -> Arc<[String]> {
    let issued = stream::iter(0..count)
        .map(async |number| keys.manager().issue(key(number)).await.unwrap())
        .buffer_unordered(16)
        .map(|issued| issued.key.expose().to_owned());
    issued.collect::<Vec<String>>().await.into()
}

/// Counts what is asked of a store.
struct Counted {
    inner: Arc<dyn KeyStore>,
    reads: AtomicUsize,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KeyStore for Counted {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.get(id).await
    }

    async fn write(&self, change: Write<'_>) -> Result<(), StoreError> {
        self.inner.write(change).await
    }

    async fn list(&self, page: &Page<'_>) -> Result<Listed, StoreError> {
        self.inner.list(page).await
    }

    fn abilities(&self) -> Abilities<'_> {
        self.inner.abilities()
    }
}
