//! Pausing keys, and ending that.

use clap::Args;
use keygate::{KeyActivity, KeyInfo, ManageError};

use super::{Context, keys};
use crate::ask;
use crate::failure::{Exit, Failure};
use crate::output::key_table;

#[derive(Args)]
pub(crate) struct Disable {
    /// The ids of the keys.
    #[arg(value_name = "KEY_ID", required = true)]
    keys: Vec<String>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Args)]
pub(crate) struct Enable {
    /// The ids of the keys.
    #[arg(value_name = "KEY_ID", required = true)]
    keys: Vec<String>,
}

impl Disable {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let keys = keys::find(&manager, &self.keys).await?;
        let question = keys::question("Disable", &keys);
        ask::confirm(&question, self.yes).await?;
        let disable = async |key: KeyInfo| manager.disable(&key.key_id).await;
        each(&context, keys, disable, "disabled").await
    }
}

impl Enable {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let keys = keys::find(&manager, &self.keys).await?;
        let enable = async |key: KeyInfo| manager.enable(&key.key_id).await;
        each(&context, keys, enable, "enabled").await
    }
}

async fn each(
    context: &Context<'_>,
    keys: Vec<KeyActivity>,
    act: impl AsyncFnMut(KeyInfo) -> Result<KeyInfo, ManageError>,
    done: &str,
) -> Result<Exit, Failure> {
    let paused = async {
        let outcome = keys::one_by_one(context, keys, act).await;
        let told = context.output.answer(&outcome, || key_table(&outcome.keys));
        let exit = outcome.exit(done, |key| key.key_id)?;
        told.map(|()| exit)
    };
    context.interrupts.closed(paused).await
}
