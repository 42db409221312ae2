//! How fast a revocation reaches two other processes: see `tests/propagation/trial`.

use std::process::Command;

use crate::load::p50_p99_max;
use crate::options::Options;
use crate::subject::Subject;
use crate::table::Figure;
use crate::trial::{Distribution, Feed, Plan, Trial};

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
    let mut figures = vec![(
        "scheduler stalls during the following, p50 / p99 / max".into(),
        p50_p99_max(&trial.stalls),
    )];
    for feed in Feed::ALL {
        let refused = trial.after_acknowledgement(feed);
        if refused.count() == 0 {
            continue;
        }
        let line = |what: &str, times: &Distribution| {
            let what = format!("feed {feed}: {what}, p50 / p99 / max");
            (what, p50_p99_max(times))
        };
        figures.extend([
            (
                format!("feed {feed}: refusals, and failures meanwhile"),
                format!("{}, {}", refused.count(), trial.failures(feed)),
            ),
            line("refused after the acknowledgement", &refused),
            line("refused after the call of revoke", &trial.after_call(feed)),
            line(
                "last let in after the acknowledgement",
                &trial.last_accepted(feed),
            ),
        ]);
    }
    figures
}
