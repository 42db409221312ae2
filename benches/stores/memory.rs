use std::fs;
use std::sync::Arc;

use keygate::{Attempt, MemoryStore};

use crate::options::Options;
use crate::subject::{gate, key};

/// What an authenticator holds for a million keys: what it allocates, and by how much the process
/// grows. It is the same whichever store the records came from.
pub(crate) fn of_cached_keys(options: &Options) -> Vec<String> {
    let count = options.count(1_000, 1_000_000);
    // In one thread, whose allocations are counted.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = Arc::new(MemoryStore::new());
    let keys = runtime.block_on(gate(Arc::clone(&store), count));
    let texts: Vec<String> = runtime.block_on(async {
        let mut texts = Vec::with_capacity(count);
        for number in 0..count {
            let issued = keys.manager().issue(key(number)).await.unwrap();
            texts.push(issued.key.expose().to_owned());
        }
        texts
    });
    let before = resident();
    let filled = allocation_counter::measure(|| {
        runtime.block_on(async {
            for text in &texts {
                let attempt = Attempt::new(text);
                keys.authenticator().authenticate(attempt).await.unwrap();
            }
        });
    });
    let grown = resident().zip(before).map(|(now, then)| {
        format!(
            "; the process grew by {} MiB",
            now.saturating_sub(then) / 1_024
        )
    });
    vec![format!(
        "{count} cached keys: {} MiB, {} bytes each{}.",
        filled.bytes_current >> 20,
        filled.bytes_current / count as i64,
        grown.unwrap_or_default()
    )]
}

/// In KiB, where the system tells.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
