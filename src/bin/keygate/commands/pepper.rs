//! Making a pepper, and the end of one.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use keygate::PepperId;
use serde::Serialize;

use super::Context;
use crate::ask;
use crate::failure::{Exit, Failure};
use crate::secret::{Handover, new_pepper};

#[derive(Args)]
pub(crate) struct Peppers {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make a pepper, and show it: the only time. Nothing of the store is changed.
    New(New),
    /// Note that no key needs a pepper any more, so that it can be taken out of all instances.
    Retire(Retire),
}

#[derive(Args)]
struct New {
    /// The number of its own that it has among several: higher than all before.
    #[arg(long, value_name = "N")]
    id: Option<u32>,
    /// Write it to this new file, readable by you alone, instead of standard output.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct Retire {
    /// The number of the pepper.
    #[arg(value_name = "N")]
    id: u32,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Serialize)]
struct Retired {
    retired: PepperId,
}

impl Peppers {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        match self.what {
            What::New(new) => new.run(&context),
            What::Retire(retire) => retire.run(&context).await,
        }
    }
}

impl New {
    fn run(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let id = self.id.map(PepperId);
        let handover = Handover::to(self.out)?;
        handover.pepper(&new_pepper(id)?, context.output)?;
        if id.is_some() {
            context.output.tell(
                "Put it behind the other peppers of every instance, and in front of them when all instances have it.",
            );
        }
        Ok(Exit::Done)
    }
}

impl Retire {
    async fn run(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let id = PepperId(self.id);
        // The active one is refused below, and nobody has to be asked for that.
        if context.config.peppers()?.read()?.active_id() != id {
            let question = format!("Retire pepper {id}, for good?");
            ask::confirm(&question, self.yes).await?;
        }
        let retired = async {
            if !manager.retire_pepper(id).await? {
                let problem = format!(
                    "pepper {id} was never active in this store, and was not retired: keygate report pepper lists \
                     those that keys need"
                );
                return Err(Failure::new(Exit::Pepper, problem));
            }
            context.output.answer(&Retired { retired: id }, || {
                format!("pepper {id} is retired\n")
            })
        };
        context.interrupts.closed(retired).await?;
        context.output.tell(format_args!(
            "Take pepper {id} out of all instances, and out of what keygate reads. Give its number to no other."
        ));
        Ok(Exit::Done)
    }
}
