//! The settings: from flags, then from the environment, then from a file. And what they open.

mod catalogue;
mod file;
mod foreign;
mod location;
mod peppers;
mod trouble;
mod trust;

pub(crate) use file::seen_from;
pub(crate) use location::Location;
pub(crate) use peppers::PepperSource;
pub(crate) use trouble::of_gate;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keygate::leak::Scanner;
use keygate::{Builder, Catalogue, KeyManager, KeyStore, Keygate, OnLeak};
use rustix::process::getuid;

use crate::cli::Options;
use crate::failure::Failure;
use file::{File, Missing, beside};

/// The file that is looked for where none is named.
pub(crate) const FILE: &str = "keygate.toml";

/// What was said, wherever it was.
pub(crate) struct Config {
    store: Option<Location>,
    prefix: Option<String>,
    peppers: Option<PepperSource>,
    user: String,
    /// As it is to be named in a file, or was.
    path: PathBuf,
    file: File,
}

impl Config {
    pub(crate) fn load(options: Options) -> Result<Self, Failure> {
        let missing = match options.config {
            Some(_) => Missing::Refused,
            None => Missing::Empty,
        };
        Self::read(options, missing)
    }

    /// The same, where the file that is named may be one that is yet to be written.
    pub(crate) fn load_or_new(options: Options) -> Result<Self, Failure> {
        Self::read(options, Missing::Empty)
    }

    fn read(options: Options, missing: Missing) -> Result<Self, Failure> {
        let named = options.config.is_some();
        let path = options.config.unwrap_or_else(|| FILE.into());
        let file = File::read(&path, named, missing)?;
        Ok(Self {
            store: match &options.store {
                Some(name) => Some(Location::named(name)?),
                None => file.store(&path)?,
            },
            prefix: options.prefix.or_else(|| file.prefix.clone()),
            peppers: PepperSource::find(options.pepper_file, file.pepper_file(&path))?,
            user: options
                .user
                .filter(|user| !user.is_empty())
                .unwrap_or_else(login),
            path,
            file,
        })
    }

    /// The scopes that the service declares, if it does.
    pub(crate) fn catalogue(&self) -> Result<Option<Catalogue>, Failure> {
        self.file.catalogue()
    }

    /// How long an old secret works where nobody says it, if that is set.
    pub(crate) fn default_overlap(&self) -> Option<Duration> {
        self.file.default_overlap()
    }

    /// The file of settings, as it was named.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file of settings names another store or another prefix than what holds now.
    pub(crate) fn is_unlike_file(&self) -> Result<bool, Failure> {
        let store = self.file.store(&self.path)?;
        let prefix = &self.file.prefix;
        Ok(store.is_some() && store != self.store || prefix.is_some() && *prefix != self.prefix)
    }

    /// Where the peppers are; where nobody has said it, a file of this name beside the settings.
    pub(crate) fn peppers_or(&self, name: &str) -> PepperSource {
        let named = self.peppers.clone();
        named.unwrap_or_else(|| PepperSource::File(beside(&self.path, Path::new(name))))
    }

    /// Where the peppers are.
    pub(crate) fn peppers(&self) -> Result<&PepperSource, Failure> {
        self.peppers.as_ref().ok_or_else(|| {
            unset(
                "where the peppers are kept",
                "--pepper-file pepper",
                "KEYGATE_PEPPER_FILE",
                "pepper_file",
            )
        })
    }

    pub(crate) fn prefix(&self) -> Result<&str, Failure> {
        self.prefix.as_deref().ok_or_else(|| {
            unset(
                "the prefix of the keys",
                "--prefix acme_live",
                "KEYGATE_PREFIX",
                "prefix",
            )
        })
    }

    /// All prefixes, the one of new keys first.
    pub(crate) fn prefixes(&self) -> Result<impl Iterator<Item = &str>, Failure> {
        let others = self.file.accept_prefixes.iter().map(String::as_str);
        Ok(std::iter::once(self.prefix()?).chain(others))
    }

    /// What finds the keys of these settings in texts.
    pub(crate) fn scanner(&self) -> Result<Scanner, Failure> {
        let unfit = |error: keygate::PrefixError| Failure::usage(error.to_string());
        let mut scanner = Scanner::new(self.prefix()?).map_err(unfit)?;
        for prefix in self.prefixes()? {
            scanner = scanner.also(prefix).map_err(unfit)?;
        }
        Ok(scanner)
    }

    /// Whether keys of this format are accepted; as an error, which ones are.
    pub(crate) fn check_format(&self, name: &str) -> Result<(), Failure> {
        let formats = &self.file.foreign;
        if formats.contains_key(name) {
            return Ok(());
        }
        let names: Vec<&str> = formats.keys().map(String::as_str).collect();
        let shown = self.path.display();
        Err(Failure::usage(match names.is_empty() {
            true => format!(
                "{shown} declares no keys of other systems: write [foreign.{name}], and under it \
                 recipe = \"laravel_sanctum\" or another"
            ),
            false => format!(
                "{shown} declares no [foreign.{name}]: there is {}",
                names.join(", ")
            ),
        }))
    }

    pub(crate) fn location(&self) -> Result<&Location, Failure> {
        self.store.as_ref().ok_or_else(|| {
            unset(
                "where the keys are kept",
                "--store keys.db",
                "KEYGATE_STORE",
                "store",
            )
        })
    }

    /// The store, as the service has left it.
    pub(crate) async fn store(&self) -> Result<Arc<dyn KeyStore>, Failure> {
        self.location()?.open(&self.file, false).await
    }

    /// The store, made and brought up to date.
    pub(crate) async fn set_up(&self) -> Result<Arc<dyn KeyStore>, Failure> {
        self.location()?.open(&self.file, true).await
    }

    /// A gate on `store`, with these peppers, not built yet.
    pub(crate) fn builder_with(
        &self,
        peppers: &PepperSource,
        store: Arc<dyn KeyStore>,
    ) -> Result<Builder, Failure> {
        let mut builder = Keygate::builder(self.prefix()?)
            .peppers(peppers.read()?)
            .as_tool()
            .policy(self.file.policy())
            .store(store);
        for prefix in &self.file.accept_prefixes {
            builder = builder.accept_prefix(prefix);
        }
        if let Some(catalogue) = self.catalogue()? {
            builder = builder.scopes(catalogue);
        }
        for format in self.file.formats(&self.path)? {
            builder = builder.accept_foreign(format);
        }
        Ok(builder)
    }

    /// Manages the keys of the store, in the name of whoever has typed the command.
    pub(crate) async fn manager(&self) -> Result<KeyManager, Failure> {
        self.manager_on_leak(OnLeak::Tell).await
    }

    /// The same manager, which does this about the keys that are reported to it.
    pub(crate) async fn manager_on_leak(&self, policy: OnLeak) -> Result<KeyManager, Failure> {
        let peppers = self.peppers()?;
        let builder = self.builder_with(peppers, self.store().await?)?;
        let built = builder.only_in_use().on_leak(policy).build_manager().await;
        let manager = built.map_err(|error| of_gate(error, peppers))?;
        Ok(manager.as_user(&self.user))
    }
}

/// The name with which somebody has logged in, also behind sudo; where there is none, as in a job, the
/// number.
fn login() -> String {
    let named = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(named);
    name.unwrap_or_else(|| format!("uid {}", getuid().as_raw()))
}

fn unset(what: &str, flag: &str, variable: &str, setting: &str) -> Failure {
    Failure::usage(format!(
        "{what} is not said: give {flag}, set {variable}, or have {setting} in {FILE}, which keygate init writes"
    ))
}
