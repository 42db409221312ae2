//! `keygate`, the program: what an operator does to keys from a shell, over every store of the crate.
//!
//! It is a user of the crate like any other, and does nothing to a key but by its
//! [`KeyManager`](keygate::KeyManager).
//!
//! | room | what is in it |
//! |---|---|
//! | `cli`, `arguments` | what can be typed, and reading it without showing a secret |
//! | `config` | flags, environment and file: whether the file is to be trusted, what it opens, and why it cannot |
//! | `commands` | a file or a folder for each command, and what several of them share |
//! | `output`, `secret`, `ask` | what is shown, handed over and asked |
//! | `manual` | what help and manual pages say beside the commands |
//! | `failure`, `interrupt` | how it ends, by itself and by a signal |

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod ask;
mod cli;
mod commands;
mod config;
mod failure;
mod interrupt;
mod manual;
mod output;
mod secret;

use std::process::ExitCode;

use cli::Cli;
use failure::{Exit, Failure};
use interrupt::Interrupts;
use output::note_lines;

fn main() -> ExitCode {
    let cli = match arguments::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(run(cli));
            // Whoever still waits for a line of the terminal is not waited for.
            runtime.shutdown_background();
            exit
        }
        Err(error) => fail(&Failure::new(Exit::Failed, "no runtime can be started").because(error)),
    };
    exit.into()
}

async fn run(cli: Cli) -> Exit {
    let interrupts = Interrupts::new();
    let done = interrupts.guard(commands::run(cli, &interrupts)).await;
    match done {
        Ok(exit) => exit,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> Exit {
    if failure.exit() != Exit::ClosedPipe {
        note_lines(&format!("keygate: {}", failure::chain(failure)));
    }
    failure.exit()
}
