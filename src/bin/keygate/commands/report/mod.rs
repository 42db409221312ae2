//! Reports: keys that want something done about them.

mod by_use;
mod expiring;
mod idle;
mod old;
mod over_privileged;
mod pepper;

use clap::{Args, Subcommand};

use super::Context;
use crate::failure::{Exit, Failure};

#[derive(Args)]
pub(crate) struct Report {
    #[command(subcommand)]
    about: About,
}

#[derive(Subcommand)]
enum About {
    /// Keys that nobody has used for some time: nobody would miss them.
    ///
    /// What is counted of use lags some seconds behind. Keys that have ended are no part of it.
    Idle(idle::Idle),
    /// Keys whose secret was made long ago: they are to be rotated.
    ///
    /// Keys that have ended are no part of it.
    Old(old::Old),
    /// Keys that may do more than they needed.
    ///
    /// Keys that were not used at all in that time are no part of it: see keygate report idle.
    OverPrivileged(over_privileged::OverPrivileged),
    /// Keys that end soon.
    ///
    /// Of each page, the next to end stands first.
    Expiring(expiring::Expiring),
    /// Which peppers keys still need, and whose keys.
    ///
    /// It reads the records of all keys. Those that have ended for good need no pepper.
    Pepper(pepper::Pepper),
}

impl Report {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        match self.about {
            About::Idle(idle) => idle.run(context).await,
            About::Old(old) => old.run(context).await,
            About::OverPrivileged(over_privileged) => over_privileged.run(context).await,
            About::Expiring(expiring) => expiring.run(context).await,
            About::Pepper(pepper) => pepper.run(context).await,
        }
    }
}
