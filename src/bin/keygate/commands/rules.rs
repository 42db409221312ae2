//! Rules by which the scanners of others find the keys.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Context;
use crate::failure::{Exit, Failure};

#[derive(Args)]
pub(crate) struct Rules {
    /// Whose rules: a configuration of gitleaks, one of trufflehog, or what the form of a custom pattern on
    /// GitHub asks for.
    scanner: Scanner,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scanner {
    Gitleaks,
    Trufflehog,
    Github,
}

/// A configuration, as a text.
#[derive(Serialize)]
struct Configuration {
    rules: String,
}

/// What is typed into the form, field by field.
#[derive(Serialize)]
struct Form {
    name: String,
    secret_format: String,
    before_secret: String,
    after_secret: String,
}

impl Rules {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let rules = context.config.scanner()?.rules();
        match self.scanner {
            Scanner::Gitleaks => configuration(&context, rules.gitleaks())?,
            Scanner::Trufflehog => configuration(&context, rules.trufflehog())?,
            Scanner::Github => {
                let pattern = rules.github();
                let form = Form {
                    name: pattern.name,
                    secret_format: pattern.secret_format,
                    before_secret: pattern.before_secret,
                    after_secret: pattern.after_secret,
                };
                context.output.answer(&form, || form.drawn())?;
            }
        }
        Ok(Exit::Done)
    }
}

fn configuration(context: &Context<'_>, rules: String) -> Result<(), Failure> {
    let configuration = Configuration { rules };
    let text = || configuration.rules.clone();
    context.output.answer(&configuration, text)
}

impl Form {
    /// As lines and no table, which would break a pattern in two.
    fn drawn(&self) -> String {
        format!(
            "Pattern name   {}\nSecret format  {}\nBefore secret  {}\nAfter secret   {}\n",
            self.name, self.secret_format, self.before_secret, self.after_secret
        )
    }
}
