//! Changes, each of which the store has made durable when it is counted.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use keygate::KeyId;

use crate::load::{Load, p50_p99, p50_p99_max, runtime};
use crate::options::Options;
use crate::subject::{Subject, gate, key};
use crate::table::Figure;

pub(crate) fn measure(subject: &Subject, options: &Options) -> Vec<Figure> {
    runtime().block_on(async {
        let keys = gate(subject.open().await, 0).await;
        let issued: Arc<Mutex<Vec<KeyId>>> = Arc::default();
        let mut figures = Vec::new();
        for concurrency in [1, 16] {
            let (keys, issued) = (keys.clone(), Arc::clone(&issued));
            let load = Load::run(concurrency, options.time(), move |number| {
                let (keys, issued) = (keys.clone(), Arc::clone(&issued));
                async move {
                    let key = keys.manager().issue(key(number)).await.unwrap();
                    issued.lock().unwrap().push(key.info.key_id);
                }
            })
            .await;
            figures.extend([
                (
                    format!("keys issued a second, {concurrency} at once"),
                    load.a_second(),
                ),
                (
                    format!("issuing a key, {concurrency} at once, p50 / p99"),
                    p50_p99(&load.times),
                ),
            ]);
        }
        let mut revocations = Vec::new();
        let ids = std::mem::take(&mut *issued.lock().unwrap());
        let start = Instant::now();
        let in_time = ids.iter().take_while(|_| start.elapsed() < options.time());
        for id in in_time {
            let begun = Instant::now();
            keys.manager().revoke(id, "a bench").await.unwrap();
            revocations.push(begun.elapsed());
        }
        figures.push((
            "revoking a key, p50 / p99".into(),
            p50_p99(&revocations.into_iter().collect()),
        ));
        keys.shutdown().await;
        figures
    })
}

/// What the disk takes to keep a page, below which no durable write can come.
pub(crate) fn of_the_disk(options: &Options) -> String {
    let mut file: File = tempfile::tempfile().unwrap();
    let times = (0..options.count(5, 500))
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[1; 4_096]).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    format!(
        "The disk keeps an appended page in {} (p50 / p99 / max).",
        p50_p99_max(&times)
    )
}
