//! One file for each command: what can be typed for it, and what it does.

pub(crate) mod audit;
pub(crate) mod change;
pub(crate) mod completions;
mod found;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod issue;
mod keys;
pub(crate) mod leak;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod pause;
pub(crate) mod pepper;
pub(crate) mod report;
mod revise;
pub(crate) mod revoke;
pub(crate) mod rotate;
pub(crate) mod rules;
pub(crate) mod scan;
pub(crate) mod scopes;
mod selection;
pub(crate) mod show;
mod traits;
mod usage;
pub(crate) mod verify;

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
        Asked::Command(command) => *command,
        Asked::Completions(completions) => return completions.run(),
        Asked::Man(man) => return man.run(output),
    };
    let context = Context {
        config: match &command {
            Command::Init(_) => Config::load_or_new(cli.options)?,
            _ => Config::load(cli.options)?,
        },
        output,
        interrupts,
    };
    match command {
        Command::Init(init) => init.run(context).await,
        Command::Issue(issue) => issue.run(context).await,
        Command::List(list) => list.run(context).await,
        Command::Show(show) => show.run(context).await,
        Command::Verify(verify) => verify.run(context).await,
        Command::Rotate(rotate) => rotate.run(context).await,
        Command::Revoke(revoke) => revoke.run(context).await,
        Command::Disable(disable) => disable.run(context).await,
        Command::Enable(enable) => enable.run(context).await,
        Command::Leak(leak) => leak.run(context).await,
        Command::Scopes(scopes) => scopes.run(context).await,
        Command::Change(change) => change.run(context).await,
        Command::Report(report) => report.run(context).await,
        Command::Audit(audit) => audit.run(context).await,
        Command::Scan(scan) => scan.run(context).await,
        Command::Rules(rules) => rules.run(context).await,
        Command::Pepper(peppers) => peppers.run(context).await,
        Command::Import(import) => import.run(context).await,
    }
}
