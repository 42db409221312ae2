//! What a decision costs, beside a hand-written floor in the same run: `cargo bench --all-features`.
//!
//! Each group is one line of the budget. The summary at the end gives the ratios of the medians,
//! the allocations of a hit, and the memory of a key.

mod by_hand;
mod cold;
mod floor;
mod keys;
mod leaks;
mod over_actix;
mod over_axum;
mod over_tonic;
mod summary;
mod threads;
mod verify;

use std::fs;
use std::path::Path;

use criterion::Criterion;

fn main() {
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    // So that the summary speaks of this run alone.
    let _ = fs::remove_dir_all(&output);
    let mut criterion = Criterion::default()
        .output_directory(&output)
        .configure_from_args();
    let facts = [
        verify::bench(&mut criterion),
        threads::bench(&mut criterion),
        over_axum::bench(&mut criterion),
        over_actix::bench(&mut criterion),
        over_tonic::bench(&mut criterion),
        cold::bench(&mut criterion),
        leaks::bench(&mut criterion),
    ];
    criterion.final_summary();
    summary::print(&output, &facts.concat());
}
