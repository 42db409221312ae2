use std::fs;
use std::path::Path;

/// What is compared, and what the budget allows.
const RATIOS: [(&str, &str, &str, &str); 18] = [
    (
        "hit of 10,000 keys / floor",
        "verify 10000 keys/hit",
        "verify 10000 keys/floor",
        "<= 1.25",
    ),
    (
        "hit of 1,000,000 keys / floor",
        "verify 1000000 keys/hit",
        "verify 1000000 keys/floor",
        "<= 1.25",
    ),
    (
        "counted hit of 10,000 keys / hit",
        "verify 10000 keys/hit, counted",
        "verify 10000 keys/hit",
        "50 ns more",
    ),
    (
        "counted hit of 1,000,000 keys / hit",
        "verify 1000000 keys/hit, counted",
        "verify 1000000 keys/hit",
        "50 ns more",
    ),
    (
        "hit of a key with a limit / hit",
        "verify 10000 keys/hit, limited",
        "verify 10000 keys/hit",
        "for orientation",
    ),
    (
        "junk / hit",
        "verify 10000 keys/junk",
        "verify 10000 keys/hit",
        "<= 0.25",
    ),
    (
        "two threads on one key: speed against private gates",
        "two threads on one key/two private gates",
        "two threads on one key/one gate",
        ">= 0.9",
    ),
    (
        "the same, counted",
        "two threads on one key/two private gates, counted",
        "two threads on one key/one gate, counted",
        ">= 0.9",
    ),
    (
        "axum guarded / by hand",
        "axum in process/keygate",
        "axum in process/by hand",
        "<= 1.15",
    ),
    (
        "axum guarded / by hand as axum shows it",
        "axum in process/keygate",
        "axum in process/from_fn",
        "for orientation",
    ),
    (
        "axum guarded / bare",
        "axum in process/keygate",
        "axum in process/bare",
        "for orientation",
    ),
    (
        "actix-web guarded / by hand",
        "actix-web in process/keygate",
        "actix-web in process/by hand",
        "<= 1.15",
    ),
    (
        "actix-web guarded / bare",
        "actix-web in process/keygate",
        "actix-web in process/bare",
        "for orientation",
    ),
    (
        "tonic guarded / by hand",
        "tonic in process/keygate",
        "tonic in process/by hand",
        "<= 1.15",
    ),
    (
        "tonic guarded / bare",
        "tonic in process/keygate",
        "tonic in process/bare",
        "for orientation",
    ),
    (
        "scan for the keys of one prefix / memchr for the prefix",
        "scan of 64 MB/one prefix",
        "scan of 64 MB/memchr",
        "<= 2",
    ),
    (
        "scan for two prefixes with the same first segment / memchr",
        "scan of 64 MB/two prefixes",
        "scan of 64 MB/memchr",
        "<= 2",
    ),
    (
        "the same for one prefix, in pieces / memchr",
        "scan of 64 MB/in pieces",
        "scan of 64 MB/memchr",
        "<= 2",
    ),
];

/// Prints the ratios of this run's medians. After `--test`, which measures nothing, there are none.
pub(crate) fn print(output: &Path, facts: &[String]) {
    for (what, case, base, budget) in RATIOS {
        if let (Some(case), Some(base)) = (median(output, case), median(output, base)) {
            println!(
                "{what}: {:.2} ({case:.0} ns / {base:.0} ns; budget {budget})",
                case / base
            );
        }
    }
    for fact in facts {
        println!("{fact}");
    }
}

fn median(output: &Path, case: &str) -> Option<f64> {
    let text = fs::read_to_string(output.join(case).join("new/estimates.json")).ok()?;
    let estimates: serde_json::Value = serde_json::from_str(&text).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}
