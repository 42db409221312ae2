//! The manual pages.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _, ValueHint};
use serde::Serialize;

use crate::cli::Cli;
use crate::failure::{Exit, Failure};
use crate::manual::{self, Page};
use crate::output::{Output, Table, print};

#[derive(Args)]
#[command(after_help = "To read it: keygate man | man -l -")]
pub(crate) struct Man {
    /// Write the pages of all commands to this directory, such as ~/.local/share/man/man1.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written {
    pages: Vec<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, output: Output) -> Result<Exit, Failure> {
        let pages = manual::pages(Cli::command()).map_err(|error| {
            Failure::new(Exit::Failed, "the manual cannot be made").because(error)
        })?;
        match self.out {
            Some(directory) => {
                let written = Written::to(&directory, pages)?;
                output.answer(&written, || written.drawn())?;
            }
            None => print(pages.first().map_or("", |page| &page.text))?,
        }
        Ok(Exit::Done)
    }
}

impl Written {
    fn to(directory: &Path, pages: Vec<Page>) -> Result<Self, Failure> {
        fs::create_dir_all(directory).map_err(|error| Failure::unwritten(directory, error))?;
        let mut written = Self { pages: Vec::new() };
        for page in pages {
            let path = directory.join(page.file_name);
            fs::write(&path, page.text).map_err(|error| Failure::unwritten(&path, error))?;
            written.pages.push(path);
        }
        Ok(written)
    }

    fn drawn(&self) -> String {
        let mut table = Table::of_values();
        for page in &self.pages {
            table.row([page.display().to_string()]);
        }
        table.draw()
    }
}
