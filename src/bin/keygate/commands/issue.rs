//! Making a key.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use keygate::{KeyInfo, NewKey};

use super::Context;
use super::traits::{Traits, parse_id};
use crate::failure::{Exit, Failure};
use crate::secret::{Handover, unmade};

#[derive(Args)]
pub(crate) struct Issue {
    /// Whom it acts for, such as a customer's id.
    #[arg(long, required_unless_present = "like")]
    owner: Option<String>,
    /// What it may do: orders:read,write stands for two scopes; can be repeated.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    #[command(flatten)]
    traits: Traits,
    /// The prefix that it begins with, if not the first.
    #[arg(long, value_name = "PREFIX")]
    environment: Option<String>,
    /// What is not said here is as with this key, but for its name and its end.
    #[arg(long, value_name = "KEY_ID")]
    like: Option<String>,
    /// It opens nothing, and tells of whoever presents it.
    #[arg(long)]
    canary: bool,
    /// Write its text to this new file, readable by you alone, instead of standard output.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

impl Issue {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let mut new = match &self.like {
            Some(id) => like(manager.inspect(&parse_id(id)?).await?, self.owner),
            None => NewKey::for_owner(self.owner.unwrap_or_default()),
        };
        new = self.traits.of_new(new);
        if !self.scope.is_empty() {
            new = new.scopes(self.scope);
        }
        if let Some(prefix) = self.environment {
            new = new.environment(prefix);
        }
        if self.canary {
            new = new.canary();
        }
        let handover = Handover::to(self.out)?;
        let issued = async {
            let issued = manager.issue(new).await.map_err(|error| {
                unmade(error, || {
                    "Nobody has the text of the key, if it was made: keygate list shows it, and keygate revoke ends it"
                        .into()
                })
            })?;
            handover.key(&issued, context.output)
        };
        context.interrupts.closed(issued).await?;
        Ok(Exit::Done)
    }
}

/// Another key that may do what this one may, for the same owner unless another is named.
fn like(key: KeyInfo, owner: Option<String>) -> NewKey {
    let new = NewKey::for_owner(owner.unwrap_or(key.owner))
        .environment(key.environment.to_string())
        .scopes(key.scopes.iter().map(ToString::to_string))
        .allowed_ips(key.allowed_ips.iter().map(ToString::to_string))
        .metadata(key.metadata);
    match key.rate_limit {
        Some(limit) => new.rate_limit(limit),
        None => new,
    }
}
