//! Changing a key as it was read.

use keygate::{Change, Conflict, KeyActivity, KeyInfo, ManageError};
use serde::Serialize;

use super::Context;
use super::keys::described;
use super::traits::parse_id;
use crate::ask;
use crate::failure::{Exit, Failure};
use crate::output::{Output, key_rows};

/// How often it gives way to others; each time another one has changed the key.
const ATTEMPTS: usize = 16;

/// What is to become of a key.
pub(crate) struct Plan {
    pub(crate) change: Change,
    /// What its bearers lose by that, if it is anything.
    pub(crate) loss: Option<String>,
}

/// A key after what was to be done to it.
#[derive(Serialize)]
pub(crate) struct Revised {
    info: KeyInfo,
    /// `false`: it was so before.
    changed: bool,
}

/// Reads a key, plans its change, and makes it to the key as it was read. Where others have changed it
/// meanwhile it begins again, and asks again if more is lost or something else: what they did stays.
pub(crate) async fn revise(
    context: &Context<'_>,
    id: &str,
    yes: bool,
    plan: impl Fn(&KeyActivity) -> Result<Plan, Failure>,
) -> Result<Exit, Failure> {
    let id = parse_id(id)?;
    let manager = context.config.manager().await?;
    let mut confirmed = None;
    for _ in 0..ATTEMPTS {
        let key = manager.activity(&id).await?;
        let Plan { change, loss } = plan(&key)?;
        if let Some(loss) = loss.filter(|loss| confirmed.as_ref() != Some(loss)) {
            let question = format!("{}: {loss}. Go on?", described(&key));
            ask::confirm(&question, yes).await?;
            confirmed = Some(loss);
        }
        let change = change.of_version(key.info.version);
        let revised = async {
            let info = match manager.change(&id, change).await {
                Err(ManageError::Conflict(Conflict::ChangedMeanwhile)) => return Ok(None),
                info => info?,
            };
            let revised = Revised::of(&key.info, info);
            revised.show(context.output)?;
            if !revised.changed {
                context.output.tell("nothing was changed: it was so before");
            }
            Ok::<_, Failure>(Some(Exit::Done))
        };
        if let Some(exit) = context.interrupts.closed(revised).await? {
            return Ok(exit);
        }
    }
    Err(ManageError::from(Conflict::Busy).into())
}

impl Revised {
    pub(crate) fn of(before: &KeyInfo, info: KeyInfo) -> Self {
        let changed = info.version != before.version;
        Self { info, changed }
    }

    pub(crate) fn changed(&self) -> bool {
        self.changed
    }

    pub(crate) fn show(&self, output: Output) -> Result<(), Failure> {
        output.answer(self, || key_rows(&self.info).draw())
    }
}

/// What is lost, in one sentence, if anything is.
pub(crate) fn all_of(losses: impl IntoIterator<Item = String>) -> Option<String> {
    losses
        .into_iter()
        .reduce(|losses, loss| format!("{losses}, and {loss}"))
}
