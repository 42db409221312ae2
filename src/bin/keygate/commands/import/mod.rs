//! Taking over keys of another system.

mod columns;
mod rows;

use std::fs::File;
use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use keygate::{KeyManager, StoredHash, StoredHashError};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::Context;
use super::traits::Traits;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Progress, counted};
use rows::{Defaults, Row};

const AGAIN: &str = "run it again as it is: what is there stays as it is";

#[derive(Args)]
#[command(after_help = COLUMNS)]
pub(crate) struct Import {
    /// A CSV file with headings; -: standard input.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Which keys they are: one of those that [foreign.NAME] of the file of settings declares.
    #[arg(long, value_name = "NAME")]
    format: String,
    /// How the hashes are written.
    #[arg(long, value_name = "ENCODING", value_enum, default_value_t = HashEncoding::Hex)]
    hash_encoding: HashEncoding,
    /// Read and check all rows, and import none.
    #[arg(long)]
    dry_run: bool,
    /// Whom they act for, where a row does not say it.
    #[arg(long)]
    owner: Option<String>,
    /// What they may do, where a row does not say it; can be repeated.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    #[command(flatten)]
    traits: Traits,
}

const COLUMNS: &str = "\
Columns, of which only hash is needed:
  hash           what the other system has stored
  label          what stands before the secret, where that alone is hashed
  owner, name    whom it acts for, and a name for people
  scopes         separated by blanks
  environment    the prefix whose environment it belongs to
  expires_at     2027-01-31, or 2027-01-31T12:00:00Z
  never_expires  true or false
  allowed_ips    networks, separated by blanks
  metadata.NAME  a note of your own
An empty cell says nothing: then the flags hold.";

#[derive(Clone, Copy, ValueEnum)]
enum HashEncoding {
    Hex,
    Base64,
    /// As djangorestframework-api-key has them: sha512$$ and hex.
    Django,
}

#[derive(Default, Serialize)]
struct Done {
    rows: usize,
    imported: usize,
    /// They were imported before.
    known: usize,
    dry_run: bool,
    /// A signal has ended it before the last row.
    interrupted: bool,
}

impl Import {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        context.config.check_format(&self.format)?;
        let manager = context.config.manager().await?;
        let (format, dry_run) = (self.format.clone(), self.dry_run);
        let checking = manager.clone();
        let progress = Progress::spinner(context.output, "checking rows");
        let step = progress.stepper();
        let read = spawn_blocking(move || self.rows(&checking, step)).await;
        drop(progress);
        let rows = read.map_err(|error| {
            Failure::new(Exit::Failed, "the rows could not be read").because(error)
        })??;
        let mut done = Done {
            rows: rows.len(),
            dry_run,
            ..Done::default()
        };
        if !dry_run {
            import(&context, &manager, &format, rows, &mut done).await?;
        }
        done.tell(context.output)
    }

    /// All rows, checked.
    fn rows(self, manager: &KeyManager, step: impl Fn()) -> Result<Vec<Row>, Failure> {
        let defaults = Defaults {
            owner: self.owner,
            scopes: self.scope,
            traits: self.traits,
            hash: self.hash_encoding.reader(),
        };
        let check = |hash: &_, new: &_| {
            step();
            let checked = manager.check_import(&self.format, hash, new);
            checked.map(|info| info.key_id)
        };
        if self.file.as_os_str() == "-" {
            return rows::read("standard input", io::stdin().lock(), &defaults, check);
        }
        let name = self.file.display().to_string();
        let file =
            File::open(&self.file).map_err(|error| Failure::unreadable(&self.file, error))?;
        rows::read(&name, file, &defaults, check)
    }
}

/// Imports row after row. Each is brought to its end before a signal ends all of it.
async fn import(
    context: &Context<'_>,
    manager: &KeyManager,
    format: &str,
    rows: Vec<Row>,
    done: &mut Done,
) -> Result<(), Failure> {
    let progress = Progress::bar(context.output, rows.len(), "importing");
    for Row { line, hash, new } in rows {
        if context.interrupts.is_pending() {
            done.interrupted = true;
            return Ok(());
        }
        let imported = manager.import(format, &hash, new);
        match context.interrupts.closed(imported).await {
            Ok(imported) if imported.is_new => done.imported += 1,
            Ok(_) => done.known += 1,
            Err(error) => {
                let failure = Failure::from(error);
                let problem = format!(
                    "line {line} was not imported (before it: {}). When that is mended, {AGAIN}",
                    done.counts()
                );
                return Err(Failure::new(failure.exit(), problem).because(failure));
            }
        }
        progress.step(1);
    }
    Ok(())
}

impl Done {
    fn tell(&self, output: Output) -> Result<Exit, Failure> {
        output.answer(self, || match self.dry_run {
            true => format!("{} can be imported\n", counted(self.rows, "row")),
            false => format!("{}\n", self.counts()),
        })?;
        if self.interrupted {
            output.tell(format_args!("It was ended before the last row: {AGAIN}"));
            return Ok(Exit::Interrupted);
        }
        Ok(Exit::Done)
    }

    fn counts(&self) -> String {
        let Self {
            imported, known, ..
        } = self;
        format!("{imported} imported, {known} there already")
    }
}

impl HashEncoding {
    fn reader(self) -> fn(&str) -> Result<StoredHash, StoredHashError> {
        match self {
            Self::Hex => StoredHash::from_hex,
            Self::Base64 => StoredHash::from_base64,
            Self::Django => StoredHash::from_django,
        }
    }
}
