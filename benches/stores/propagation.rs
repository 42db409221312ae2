//! How fast a revocation reaches two other processes: see `tests/propagation/trial`.

use std::process::Command;

use crate::load::p50_p99_max;
use crate::options::Options;
use crate::subject::Subject;
use crate::table::Figure;
use crate::trial::{Feed, Plan, Trial};

pub(crate) fn measure(subject: &Subject, options: &Options) -> Vec<Figure> {
    let Some(place) = subject.place() else {
        return Vec::new();
    };
    let revocations = options.count(2, 500);
    let plan = match subject.is_server() {
        true => Plan::with_cuts(revocations, options.count(1, 50)),
        false => Plan::on_the_feed(revocations),
    };
    let member = || Command::new(std::env::current_exe().unwrap());
    let trial = Trial::run(&place, plan, member, |_| ());
    let mut figures = Vec::new();
    for feed in Feed::ALL {
        let refused = trial.from_acknowledgement(feed);
        if refused.count() == 0 {
            continue;
        }
        figures.extend([
            (
                format!("feed {feed}: revocations seen by other processes"),
                format!("{} ({} failed decisions)", refused.count(), trial.failures(feed)),
            ),
            (
                format!("feed {feed}: refused after the acknowledgement, p50 / p99 / max"),
                p50_p99_max(&refused),
            ),
            (
                format!("feed {feed}: refused after the call of revoke, p50 / p99 / max"),
                p50_p99_max(&trial.from_call(feed)),
            ),
            (
                format!("feed {feed}: let in by a decision begun after the acknowledgement, p50 / p99 / max"),
                p50_p99_max(&trial.last_accepted(feed)),
            ),
        ]);
    }
    figures.push((
        "scheduler stalls meanwhile, p50 / p99 / max".into(),
        p50_p99_max(&trial.stalls),
    ));
    figures
}
