//! Finding out what the service would answer to a key.

mod advice;
mod untraced;

use std::net::IpAddr;
use std::sync::Arc;

use clap::Args;
use keygate::{Attempt, Error, Found, KeyInfo, Keygate, ManageError, Refusal, Rejection, Rule};
use serde::Serialize;

use super::Context;
use super::found::{has_ended, in_words};
use crate::ask;
use crate::config::of_gate;
use crate::failure::{Exit, Failure};
use crate::output::{key_rows, which};
use untraced::Untraced;

#[derive(Args)]
pub(crate) struct Verify {
    /// What the route asks for; can be repeated: all of them are asked for.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// Where the request comes from: keys that are bound to networks open from nowhere else.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
}

/// What the service would answer, and whose key it is, where its secret proves that.
#[derive(Serialize)]
struct Verdict<'a> {
    accepted: bool,
    /// Of the catalogue of refusals; `null`: it is accepted.
    code: Option<&'static str>,
    info: Option<&'a KeyInfo>,
    secret: Option<&'static str>,
    /// Whether that one opens nothing any more, whatever the key's status.
    secret_ended: Option<bool>,
}

impl Verify {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let rule = self.rule()?;
        let store = Arc::new(Untraced::over(context.config.store().await?));
        let peppers = context.config.peppers()?;
        let builder = context.config.builder_with(peppers, store)?;
        let built = builder.only_in_use().build().await;
        let keys = built.map_err(|error| of_gate(error, peppers))?;
        let text = ask::key_text().await?;
        let attempt = Attempt::new(&text).from_address(self.from);
        let attempt = rule
            .as_ref()
            .map_or(attempt, |rule| attempt.requiring(rule));
        let decision = keys.authenticator().authenticate(attempt).await;
        let found = found(&keys, &text).await;
        // Whatever was noted for the store would be handed to it here.
        keys.shutdown().await;

        let refusal = match decision {
            Ok(_) => None,
            Err(Refusal::Rejected(rejection)) => Some(rejection),
            Err(Refusal::Failed(error)) => return Err(undecided(error)),
        };
        self.show(refusal, found?, context)
    }

    fn rule(&self) -> Result<Option<Rule>, Failure> {
        if self.scope.is_empty() {
            return Ok(None);
        }
        let rule = Rule::all(&self.scope);
        rule.map(Some)
            .map_err(|error| Failure::usage(error.to_string()))
    }

    fn show(
        &self,
        refusal: Option<Rejection>,
        found: Option<Found>,
        context: Context<'_>,
    ) -> Result<Exit, Failure> {
        let found = found.as_ref();
        let verdict = Verdict {
            accepted: refusal.is_none(),
            code: refusal.as_ref().map(Rejection::code),
            info: found.map(|found| &found.info),
            secret: found.map(|found| which(found.secret)),
            secret_ended: found.map(has_ended),
        };
        context.output.answer(&verdict, || {
            let said = match &refusal {
                None => "accepted\n".to_owned(),
                Some(rejection) => {
                    let advice = advice::on(rejection, found, self.from);
                    format!("refused: {}\n{advice}\n", rejection.code())
                }
            };
            let rows = verdict.rows();
            format!(
                "{said}{}",
                rows.map_or_else(String::new, |rows| format!("\n{rows}"))
            )
        })?;
        Ok(match refusal {
            None => Exit::Done,
            Some(_) => Exit::Refused,
        })
    }
}

impl Verdict<'_> {
    fn rows(&self) -> Option<String> {
        let mut rows = key_rows(self.info?);
        if let Some(secret) = self.secret {
            let secret = in_words(secret, self.secret_ended == Some(true));
            rows.row(["presented", &format!("its {secret}")]);
        }
        Some(rows.draw())
    }
}

/// The key that the text is of, whatever its status.
async fn found(keys: &Keygate, text: &str) -> Result<Option<Found>, Failure> {
    match keys.manager().find(text).await {
        // What is no key is nobody's.
        Err(ManageError::Invalid(_)) => Ok(None),
        found => Ok(found?),
    }
}

fn undecided(error: Error) -> Failure {
    let exit = match error {
        Error::UnknownPepper { .. } => Exit::Pepper,
        _ => Exit::Store,
    };
    Failure::new(exit, "it cannot be decided").because(error)
}
