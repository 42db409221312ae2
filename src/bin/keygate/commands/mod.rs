//! One file for each command: what can be typed for it, and what it does.

pub(crate) mod completions;
pub(crate) mod init;
pub(crate) mod issue;
pub(crate) mod list;
pub(crate) mod man;
mod traits;

use crate::cli::{Asked, Cli, Command};
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
    let command = match cli.asked {
        Asked::Command(command) => command,
        Asked::Completions(completions) => return completions.run(),
        Asked::Man(man) => return man.run(output),
    };
    let context = Context {
        config: Config::load(cli.options)?,
        output,
        interrupts,
    };
    match command {
        Command::Init(init) => init.run(context).await,
        Command::Issue(issue) => issue.run(context).await,
        Command::List(list) => list.run(context).await,
    }
}
