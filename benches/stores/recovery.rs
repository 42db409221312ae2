//! A server that is killed and started again while a service looks up keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keygate::{Attempt, ChangeFeedStatus, Keygate};

use crate::load::runtime;
use crate::options::Options;
use crate::subject::{Subject, gate, key};
use crate::table::Figure;
use crate::trial::{Distribution, show};

/// Long enough for whoever connects again to have grown slow about it.
const OUTAGE: Duration = Duration::from_secs(4);

/// How often a service looks.
const PAUSE: Duration = Duration::from_millis(1);

pub(crate) fn measure(subject: &mut Subject, options: &Options) -> Vec<Figure> {
    if !subject.is_server() {
        return Vec::new();
    }
    let runtime = runtime();
    let (keys, text) = runtime.block_on(async {
        let keys = gate(subject.open().await, 0).await;
        let issued = keys.manager().issue(key(0)).await.unwrap();
        (keys, Arc::<str>::from(issued.key.expose()))
    });
    let rounds: Vec<[Duration; 3]> = (0..options.count(1, 10))
        .map(|_| {
            runtime.block_on(live(keys.clone()));
            subject.kill();
            std::thread::sleep(OUTAGE);
            let answer = runtime.block_on(look_up(&keys, &text));
            assert!(!answer, "a server that was killed does not answer");
            let start = Instant::now();
            let first = runtime.spawn(first_lookup(keys.clone(), Arc::clone(&text)));
            let feed = runtime.spawn(live(keys.clone()));
            subject.restart();
            let ready = Instant::now();
            let (first, live) = runtime.block_on(async { (first.await, feed.await) });
            [ready, first.unwrap(), live.unwrap()].map(|moment| moment - start)
        })
        .collect();
    runtime.block_on(keys.shutdown());
    let line = |what: &str, n: usize| {
        let times: Distribution = rounds.iter().map(|round| round[n]).collect();
        let figure = format!("{} / {}", show(times.percentile(50)), show(times.max()));
        (format!("after a restart: {what}, p50 / max"), figure)
    };
    vec![
        line("the server answers", 0),
        line("a lookup succeeds", 1),
        line("the feed is live", 2),
    ]
}

async fn look_up(keys: &Keygate, text: &str) -> bool {
    let attempt = Attempt::new(text);
    keys.authenticator().authenticate(attempt).await.is_ok()
}

async fn first_lookup(keys: Keygate, text: Arc<str>) -> Instant {
    while !look_up(&keys, &text).await {
        tokio::time::sleep(PAUSE).await;
    }
    Instant::now()
}

async fn live(keys: Keygate) -> Instant {
    while !matches!(keys.change_feed(), ChangeFeedStatus::Live) {
        tokio::time::sleep(PAUSE).await;
    }
    Instant::now()
}
