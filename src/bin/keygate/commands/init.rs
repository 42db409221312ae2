//! Setting a store up.

use std::path::{Path, PathBuf};

use clap::Args;
use keygate::{BuildError, KeyManager, Prefix};
use serde::Serialize;

use super::Context;
use crate::config::{Location, PepperSource, of_gate, seen_from};
use crate::failure::{Exit, Failure};
use crate::output::Table;
use crate::secret::{self, NewFile};

#[derive(Args)]
#[command(after_help = "Run again, it changes nothing but what is missing or out of date.")]
pub(crate) struct Init {}

/// Where the pepper goes where nobody has said it.
const PEPPER_FILE: &str = "pepper";

#[derive(Serialize)]
struct Done {
    prefix: String,
    /// Where the pepper is; `null`: in the environment.
    pepper_file: Option<PathBuf>,
    /// Whether it was made now.
    made_pepper: bool,
    config: PathBuf,
    /// Whether it was written now.
    wrote_config: bool,
}

impl Init {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        context.interrupts.closed(set_up(&context)).await
    }
}

async fn set_up(context: &Context<'_>) -> Result<Exit, Failure> {
    let config = &context.config;
    let prefix = config.prefix()?.to_owned();
    let flaw = prefix.parse::<Prefix>().err();
    flaw.map_or(Ok(()), |flaw| Err(Failure::usage(flaw.to_string())))?;
    let location = config.location()?;

    // Before there is a pepper: where the store cannot be used, none is left behind.
    let store = config.set_up().await?;
    let chosen = config.peppers_or(PEPPER_FILE);
    let new = match chosen.path() {
        Some(path) if !path.exists() => Some(new_pepper(path)?),
        _ => None,
    };
    let made_pepper = new.is_some();
    let built = config.builder_with(&chosen, store)?.build_manager().await;
    keep_if_right(built, new, &chosen)?;

    let wrote_config = write_settings(config.path(), &prefix, location, chosen.path())?;
    let done = Done {
        prefix,
        pepper_file: chosen.path().map(Into::into),
        made_pepper,
        config: config.path().into(),
        wrote_config,
    };
    context.output.answer(&done, || done.drawn())?;
    if !wrote_config && config.is_unlike_file()? {
        let shown = config.path().display();
        context.output.tell(format_args!(
            "{shown} names another store or another prefix, and was left as it is: without these flags, that is used"
        ));
    }
    if made_pepper {
        context.output.tell(
            "Keep the pepper apart from the database and its backups, and have a copy in a safe place: without it no \
             key opens.",
        );
    }
    if wrote_config && location.holds_password() {
        context.output.tell(
            "The address of the store holds a password, and was not written: set it as KEYGATE_STORE.",
        );
    }
    Ok(Exit::Done)
}

fn new_pepper(path: &Path) -> Result<NewFile, Failure> {
    let text = secret::new_pepper(None)?;
    let mut file = NewFile::create(path.into())?;
    file.write(&text)?;
    Ok(file)
}

/// Keeps a new pepper, if it is the right one for the store.
fn keep_if_right(
    built: Result<KeyManager, BuildError>,
    new: Option<NewFile>,
    chosen: &PepperSource,
) -> Result<(), Failure> {
    match (built, new) {
        (Ok(_), new) => {
            drop(new.map(NewFile::keep));
            Ok(())
        }
        (Err(error @ BuildError::Store(_)), new) => {
            // It may have been noted in the store.
            drop(new.map(NewFile::keep));
            Err(error.into())
        }
        (Err(BuildError::WrongPepper(_)), Some(_)) => Err(Failure::new(
            Exit::Pepper,
            "keys were made in this store under another pepper: name its file by --pepper-file, or set \
             KEYGATE_PEPPER. No pepper was made",
        )),
        (Err(error), _) => Err(of_gate(error, chosen)),
    }
}

/// Writes what was said to a file of settings that is not there yet; whether it was written.
fn write_settings(
    path: &Path,
    prefix: &str,
    location: &Location,
    pepper: Option<&Path>,
) -> Result<bool, Failure> {
    let mut file = match NewFile::create(path.into()) {
        Ok(file) => file,
        Err(_) if path.exists() => return Ok(false),
        Err(failure) => return Err(failure),
    };
    let store = location.written_in(path);
    let settings = Settings {
        prefix,
        store,
        pepper_file: pepper.map(|pepper| seen_from(path, pepper)),
    };
    let text = toml::to_string(&settings);
    let text =
        text.map_err(|error| Failure::new(Exit::Failed, "no TOML can be made").because(error))?;
    file.write(text.trim_end())?;
    file.keep();
    Ok(true)
}

/// What `init` writes of a file of settings.
#[derive(Serialize)]
struct Settings<'a> {
    prefix: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pepper_file: Option<PathBuf>,
}

impl Done {
    fn drawn(&self) -> String {
        let made = |made, what: &str| {
            if made {
                format!("{what} (new)")
            } else {
                what.to_owned()
            }
        };
        let pepper = self
            .pepper_file
            .as_ref()
            .map(|path| path.display().to_string());
        let pepper = pepper.unwrap_or_else(|| "in the environment".into());
        let mut table = Table::of_values();
        table.row(["prefix", &self.prefix]);
        table.row(["pepper", &made(self.made_pepper, &pepper)]);
        table.row([
            "settings",
            &made(self.wrote_config, &self.config.display().to_string()),
        ]);
        table.draw()
    }
}
