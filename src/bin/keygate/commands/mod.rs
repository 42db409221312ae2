//! One file for each command: what can be typed for it, and what it does.

pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod issue;
pub(crate) mod list;
pub(crate) mod pepper;
pub(crate) mod rules;
pub(crate) mod scan;
mod traits;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::Output;

/// What every command has at hand.
pub(crate) struct Context<'a> {
    pub(crate) config: Config,
    pub(crate) output: Output,
    pub(crate) interrupts: &'a Interrupts,
}

pub(crate) async fn run(cli: Cli, interrupts: &Interrupts) -> Result<Exit, Failure> {
    let output = Output::new(cli.options.json);
    let context = Context {
        config: Config::load(cli.options)?,
        output,
        interrupts,
    };
    match cli.command {
        Command::Import(import) => import.run(context).await,
        Command::Init(init) => init.run(context).await,
        Command::Issue(issue) => issue.run(context).await,
        Command::List(list) => list.run(context).await,
        Command::Pepper(peppers) => peppers.run(context).await,
        Command::Rules(rules) => rules.run(context).await,
        Command::Scan(scan) => scan.run(context).await,
    }
}
