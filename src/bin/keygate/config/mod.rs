//! The settings: from flags, then from the environment, then from a file. And what they open.

mod file;
mod location;
mod peppers;

pub(crate) use file::seen_from;
pub(crate) use location::Location;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keygate::{Builder, KeyManager, KeyStore, Keygate, Policy};

use crate::cli::Options;
use crate::failure::Failure;
use file::{File, beside};
use peppers::PepperSource;

/// The file that is looked for where none is named.
pub(crate) const FILE: &str = "keygate.toml";

/// What was said, wherever it was.
pub(crate) struct Config {
    store: Option<String>,
    prefix: Option<String>,
    accept_prefixes: Vec<String>,
    peppers: Option<PepperSource>,
    user: Option<String>,
    policy: Policy,
    /// As it is to be named in a file, or was.
    path: PathBuf,
    file: File,
}

impl Config {
    pub(crate) fn load(options: Options) -> Result<Self, Failure> {
        let named = options.config.is_some();
        let path = options.config.unwrap_or_else(|| FILE.into());
        let file = File::read(&path, named)?;
        Ok(Self {
            store: options.store.or_else(|| file.store(&path)),
            prefix: options.prefix.or_else(|| file.prefix.clone()),
            accept_prefixes: file.accept_prefixes.clone(),
            peppers: PepperSource::find(options.pepper_file, file.pepper_file(&path))?,
            user: options.user.or_else(login),
            policy: file.policy(),
            path,
            file,
        })
    }

    /// The file of settings, as it was named.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the peppers are; where nobody has said it, a file of this name beside the settings.
    pub(crate) fn peppers_or(&self, name: &str) -> PepperSource {
        let named = self.peppers.clone();
        named.unwrap_or_else(|| PepperSource::File(beside(&self.path, Path::new(name))))
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
        let others = self.accept_prefixes.iter().map(String::as_str);
        Ok(std::iter::once(self.prefix()?).chain(others))
    }

    pub(crate) fn location(&self) -> Result<Location, Failure> {
        let store = self.store.as_deref().ok_or_else(|| {
            unset(
                "where the keys are kept",
                "--store keys.db",
                "KEYGATE_STORE",
                "store",
            )
        })?;
        Location::named(store)
    }

    /// The store, as the service has left it.
    pub(crate) async fn store(&self) -> Result<Arc<dyn KeyStore>, Failure> {
        self.location()?.open(&self.file).await
    }

    /// The store, made and brought up to date.
    pub(crate) async fn set_up(&self) -> Result<Arc<dyn KeyStore>, Failure> {
        self.location()?.set_up(&self.file).await
    }

    /// A gate on `store`, not built yet.
    pub(crate) fn builder(&self, store: Arc<dyn KeyStore>) -> Result<Builder, Failure> {
        let peppers = self.peppers.as_ref().ok_or_else(|| {
            unset(
                "where the peppers are kept",
                "--pepper-file pepper",
                "KEYGATE_PEPPER_FILE",
                "pepper_file",
            )
        })?;
        self.builder_with(peppers, store)
    }

    /// The same, with peppers from elsewhere.
    pub(crate) fn builder_with(
        &self,
        peppers: &PepperSource,
        store: Arc<dyn KeyStore>,
    ) -> Result<Builder, Failure> {
        let mut builder = Keygate::builder(self.prefix()?)
            .peppers(peppers.read()?)
            .as_tool()
            .policy(self.policy)
            .store(store);
        for prefix in &self.accept_prefixes {
            builder = builder.accept_prefix(prefix);
        }
        Ok(builder)
    }

    /// Manages the keys of the store, in the name of whoever has typed the command.
    pub(crate) async fn manager(&self) -> Result<KeyManager, Failure> {
        let builder = self.builder(self.store().await?)?.only_in_use();
        Ok(self.named(builder.build_manager().await?))
    }

    /// The same manager, which names that person in the audit log.
    pub(crate) fn named(&self, manager: KeyManager) -> KeyManager {
        match &self.user {
            Some(user) => manager.as_user(user),
            None => manager,
        }
    }
}

/// The name with which somebody has logged in, also behind sudo.
fn login() -> Option<String> {
    let named = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(named)
}

fn unset(what: &str, flag: &str, variable: &str, setting: &str) -> Failure {
    Failure::usage(format!(
        "{what} is not said: give {flag}, set {variable}, or have {setting} in {FILE}, which keygate init writes"
    ))
}
