//! Giving a key a new secret.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use keygate::{Clock as _, KeyActivity, KeyManager, ManageError, Rotation, Safety, SystemClock};

use super::Context;
use super::keys::{described, named};
use super::revise::{Revised, all_of};
use super::scopes::narrowed;
use super::traits::parse_id;
use crate::ask;
use crate::failure::{Exit, Failure};
use crate::output::{moment, since, span, until};
use crate::secret::{Handover, unmade};

/// In less than this nobody goes over to a new secret.
const CHANGE_OVER: Duration = Duration::from_secs(60);

#[derive(Args)]
#[command(
    after_help = "The old secret works for a while longer, so that everybody can go over to the new one: keygate \
                  show says whether it is still used, and --finish ends it."
)]
pub(crate) struct Rotate {
    /// The id of the key.
    #[arg(value_name = "KEY_ID")]
    key: String,
    /// How long the old secret works: 24h, or 0s to end it at once [default: as the service has it].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    overlap: Option<Duration>,
    /// It also loses the scopes that it did not need within this time, with both secrets.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    narrow: Option<Duration>,
    /// Replace the newer secret of a rotation that is under way, because its text was lost.
    #[arg(long, conflicts_with_all = ["overlap", "narrow"])]
    supersede: bool,
    /// End the older secret of a rotation now; there is no new text.
    #[arg(long, conflicts_with_all = ["overlap", "narrow", "supersede", "out"])]
    finish: bool,
    /// Write its text to this new file, readable by you alone, instead of standard output.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl Rotate {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let key = manager.activity(&parse_id(&self.key)?).await?;
        if self.finish {
            return self.finish(&context, &manager, &key).await;
        }
        let mut how = Rotation::new();
        if let Some(loss) = self.loss(&context, &key)? {
            let question = format!("Rotate {}: {loss}?", described(&key));
            ask::confirm(&question, self.yes).await?;
            // What is lost is what was asked about.
            how = how.of_version(key.info.version);
        }
        if let Some(overlap) = self.overlap {
            how = how.overlap(overlap);
        }
        if let Some(window) = self.narrow {
            how = how.narrow_to_used(window);
        }
        let handover = Handover::to(self.out)?;
        let id = &key.info.key_id;
        let rotated = async {
            let issued = match self.supersede {
                true => manager.supersede_of_version(id, key.info.version).await,
                false => manager.rotate_with(id, how).await,
            };
            let issued = issued.map_err(|error| not_rotated(error, &key))?;
            handover.key(&issued, context.output)?;
            context.output.tell(match issued.previous_ends_at() {
                Some(end) if end > SystemClock.wall() => {
                    let until = until(end, SystemClock.wall());
                    format!("the old secret works until {}, {until}", moment(end))
                }
                _ => "the old secret has ended".into(),
            });
            Ok(Exit::Done)
        };
        context.interrupts.closed(rotated).await
    }

    /// What ends at once or soon, if anything does.
    fn loss(&self, context: &Context<'_>, key: &KeyActivity) -> Result<Option<String>, Failure> {
        if self.supersede {
            return Ok(Some("its newer secret ends at once".into()));
        }
        let overlap = self.overlap.or(context.config.default_overlap());
        let ends = overlap.filter(|overlap| *overlap < CHANGE_OVER);
        let ends = ends.map(|overlap| match overlap.as_secs() {
            0 => "its old secret ends at once".to_owned(),
            _ => format!("its old secret ends in {}", span(overlap)),
        });
        let narrowed = match self.narrow {
            Some(window) => narrowed(key, window)?.loss,
            None => None,
        };
        Ok(all_of(ends.into_iter().chain(narrowed)))
    }

    async fn finish(
        &self,
        context: &Context<'_>,
        manager: &KeyManager,
        key: &KeyActivity,
    ) -> Result<Exit, Failure> {
        if let Some(use_of_old) = use_of_old(key) {
            let question = format!(
                "The old secret of {}{use_of_old}. End it now?",
                named(&key.info)
            );
            ask::confirm(&question, self.yes).await?;
        }
        let finished = async {
            let before = &key.info;
            let info = manager.finish_rotation_of_version(&before.key_id, before.version);
            let finished = Revised::of(before, info.await?);
            finished.show(context.output)?;
            context.output.tell(match finished.changed() {
                true => "the old secret has ended",
                false => "no rotation is under way: nothing was changed",
            });
            Ok(Exit::Done)
        };
        context.interrupts.closed(finished).await
    }
}

/// How the old secret is used, where it still opens.
fn use_of_old(key: &KeyActivity) -> Option<String> {
    Some(match key.safe_to_end_old_secret(Duration::MAX)? {
        Safety::InUse { last_used_at, .. } => {
            format!(" was last used {}", since(last_used_at, key.as_of))
        }
        _ => ": no use of it was counted".into(),
    })
}

/// Why there is no new secret, and how the two that are live already are told from each other.
fn not_rotated(error: ManageError, key: &KeyActivity) -> Failure {
    let id = &key.info.key_id;
    let is_of_two = matches!(error, ManageError::Conflict(_)) && use_of_old(key).is_some();
    match is_of_two {
        true => Failure::from(error).line(format!(
            "keygate rotate {id} --finish ends the older one, and --supersede replaces the newer one"
        )),
        false => unmade(error, || {
            format!(
                "Nobody has the text of the new secret, if it was made: keygate show {id} tells, and keygate rotate \
                 {id} --supersede makes another in its place"
            )
        }),
    }
}
