//! Ending a key whose text others could read.

use std::time::Duration;

use clap::Args;
use keygate::{
    Found, FoundSecret, KeyActivity, KeyInfo, KeyManager, LeakOutcome, LeakReport, ManageError,
    OnLeak,
};
use serde::Serialize;

use super::Context;
use super::keys::described;
use super::revoke::refused;
use crate::ask;
use crate::failure::{Exit, Failure};
use crate::output::{key_rows, which};

#[derive(Args)]
#[command(
    after_help = "Only the right secret counts: an id, which is public, ends nothing. The old secret of a rotation \
                  is ended by itself, and the key goes on with the new one."
)]
pub(crate) struct Leak {
    /// Where it was seen, for the audit log.
    #[arg(
        long,
        value_name = "URL",
        default_value = "not said",
        hide_default_value = true
    )]
    source: String,
    /// Only note it in the audit log, and end nothing.
    #[arg(long)]
    keep: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    info: &'a KeyInfo,
    /// Which secret has leaked: `current`, or the `previous` one of a rotation.
    secret: &'static str,
    outcome: &'static str,
    /// From now on the key is refused everywhere after this time at the latest.
    effective_within_ms: Option<u128>,
}

impl Leak {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let policy = match self.keep {
            true => OnLeak::Tell,
            false => OnLeak::Revoke,
        };
        let manager = context.config.manager_on_leak(policy).await?;
        let text = ask::key_text().await?;
        let found = match manager.find(&text).await {
            Err(ManageError::Invalid(problem)) => return Err(no_key().because(problem)),
            found => found?.ok_or_else(no_key)?,
        };
        let key = manager.activity(&found.info.key_id).await?;
        if let Some(end) = self.end(&found, &key) {
            ask::confirm(&end, self.yes).await?;
        }
        let reported = async {
            // What has leaked is ended only if it still is what opens the key.
            let report = manager.report_leak(&text, &self.source).await?;
            let report = report.ok_or_else(no_key)?;
            tell(&context, &manager, &report).await
        };
        context.interrupts.closed(reported).await
    }

    /// What is asked, if anything is to end.
    fn end(&self, found: &Found, key: &KeyActivity) -> Option<String> {
        if self.keep || found.info.revocation.is_some() {
            return None;
        }
        let described = described(key);
        match found.secret {
            FoundSecret::Current => {
                Some(format!("This is the key {described}. Revoke it for good?"))
            }
            // What a rotation has replaced for good opens nothing any more.
            _ => key.safe_to_end_old_secret(Duration::ZERO).map(|_| {
                format!("This is the old secret of the key {described}. End that secret?")
            }),
        }
    }
}

async fn tell(
    context: &Context<'_>,
    manager: &KeyManager,
    report: &LeakReport,
) -> Result<Exit, Failure> {
    let info = &report.info;
    let within = match report.outcome {
        // It changes nothing any more, and says within which time that is honoured.
        LeakOutcome::Revoked => Some(manager.revoke(&info.key_id, "").await?.effective_within),
        _ => None,
    };
    let shown = Shown {
        info,
        secret: which(report.secret),
        outcome: match report.outcome {
            LeakOutcome::Disabled => "disabled",
            LeakOutcome::OldSecretEnded => "old_secret_ended",
            LeakOutcome::Revoked => "revoked",
            LeakOutcome::Unchanged => "unchanged",
            _ => "unknown",
        },
        effective_within_ms: within.map(|within| within.as_millis()),
    };
    let told = context.output.answer(&shown, || key_rows(info).draw());
    context.output.tell("the leak is noted in the audit log");
    context.output.tell(match (report.outcome, within) {
        (_, Some(within)) => refused(within),
        (LeakOutcome::OldSecretEnded, _) => {
            "the old secret has ended, and the key goes on with the new one".into()
        }
        _ => "nothing was ended".into(),
    });
    told.map(|()| Exit::Done)
}

fn no_key() -> Failure {
    Failure::new(Exit::Refused, "no key here has this secret")
}
