//! What the stores cost, on servers of this run's own with nothing asked of them but durability:
//! `cargo bench --all-features --bench stores`, or some of it, as `-- lookups propagation`.
//!
//! It prints one table, and what bounds its numbers: what the disk takes to keep a write, and for
//! how long the machine kept a thread waiting.

mod load;
mod lookups;
mod memory;
mod options;
mod propagation;
mod recovery;
#[path = "../../tests/common/servers/mod.rs"]
mod servers;
mod subject;
mod table;
#[path = "../../tests/propagation/trial/mod.rs"]
mod trial;
mod writes;

use options::{Options, Part};
use subject::Subject;
use table::Table;

fn main() {
    // A process of a trial is this program, run again.
    if std::env::var_os(trial::MEMBER).is_some() {
        return trial::member();
    }
    let options = Options::from_arguments();
    let mut notes = Vec::new();
    if options.has(Part::Memory) {
        // First, while nothing else was given back to the allocator.
        notes.extend(memory::of_cached_keys(&options));
    }
    if options.has(Part::Writes) {
        notes.push(writes::of_the_disk(&options));
    }
    let mut table = Table::default();
    for mut subject in Subject::all() {
        table.add_column(subject.name());
        if options.has(Part::Lookups) {
            table.fill(lookups::measure(&subject, &options));
        }
        if options.has(Part::Writes) {
            table.fill(writes::measure(&subject, &options));
        }
        if options.has(Part::Propagation) {
            table.fill(propagation::measure(&subject, &options));
        }
        if options.has(Part::Recovery) {
            table.fill(recovery::measure(&mut subject, &options));
        }
    }
    println!("\n{table}");
    notes.iter().for_each(|note| println!("{note}"));
}
