use criterion::Criterion;
use keygate::{Attempt, NewKey, SqliteStore};

use crate::keys;

/// A request whose key is not in the cache, on SQLite: nothing is kept, so each one is cold.
pub(crate) fn bench(criterion: &mut Criterion) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = runtime
        .block_on(SqliteStore::open(directory.path().join("keys.db")))
        .unwrap();
    let gate = keys::gate(store, 0);
    let issued = runtime
        .block_on(gate.manager().issue(NewKey::for_owner("org_42")))
        .unwrap();
    criterion.bench_function("cold lookup/sqlite", |b| {
        b.iter(|| {
            let attempt = Attempt::new(issued.key.expose());
            runtime
                .block_on(gate.authenticator().authenticate(attempt))
                .unwrap()
        });
    });
    Vec::new()
}
