//! Completions for shells.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::{Exit, Failure};
use crate::output::print;

#[derive(Args)]
#[command(
    after_help = "In bash, for this shell alone: source <(keygate completions bash). For good, write them to where \
    the shell looks for completions, such as ~/.local/share/bash-completion/completions/keygate."
)]
pub(crate) struct Completions {
    /// The shell that is to know them.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "keygate", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
