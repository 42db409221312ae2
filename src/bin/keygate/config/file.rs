//! The file of settings, in TOML.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keygate::{Catalogue, ForeignFormat, Policy};
use serde::{Deserialize, Deserializer};

use super::catalogue::{self, BundlesFile, ScopesFile};
use super::foreign::{self, ForeignFile};
use crate::failure::Failure;

/// All of it can be left out. Paths count from the directory of the file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// As `--store`.
    store: Option<String>,
    /// As `--prefix`.
    pub(super) prefix: Option<String>,
    /// More prefixes that the service accepts.
    #[serde(default)]
    pub(super) accept_prefixes: Vec<String>,
    /// As `--pepper-file`.
    pepper_file: Option<PathBuf>,
    /// The lifetimes that the service has.
    #[serde(default)]
    policy: PolicyFile,
    #[serde(default)]
    pub(super) postgres: PostgresFile,
    #[serde(default)]
    pub(super) redis: RedisFile,
    /// The scopes that the service declares.
    #[serde(default)]
    scopes: ScopesFile,
    #[serde(default)]
    bundles: BundlesFile,
    /// Other systems whose keys the service accepts.
    #[serde(default)]
    pub(super) foreign: ForeignFile,
}

/// As [`Policy`] has it, in times such as `90d`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default, deserialize_with = "time")]
    default_lifetime: Option<Duration>,
    #[serde(default, deserialize_with = "time")]
    max_lifetime: Option<Duration>,
    #[serde(default, deserialize_with = "time")]
    default_overlap: Option<Duration>,
    #[serde(default, deserialize_with = "time")]
    max_overlap: Option<Duration>,
    #[serde(default, deserialize_with = "time")]
    max_secret_age: Option<Duration>,
}

/// Where the tables are, if not where the crate has them.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct PostgresFile {
    pub(super) schema: Option<String>,
    pub(super) table_prefix: Option<String>,
    #[serde(default)]
    pub(super) through_transaction_pooler: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RedisFile {
    pub(super) namespace: Option<String>,
    pub(super) root_certificate: Option<PathBuf>,
    #[serde(default)]
    pub(super) assume_durable: bool,
    #[serde(default)]
    pub(super) assume_master: bool,
}

impl File {
    /// The file at `path`; one that nobody has named need not be there.
    pub(super) fn read(path: &Path, named: bool) -> Result<Self, Failure> {
        let shown = path.display();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !named => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(Failure::usage(format!("{shown} cannot be read")).because(error));
            }
        };
        toml::from_str(&text).map_err(|error| {
            // What TOML shows of its text may be the password of a URL.
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map(|before| before.matches('\n').count() + 1);
            let line = line.map_or_else(String::new, |line| format!(", line {line}"));
            Failure::usage(format!("{shown}{line}: {}", error.message()))
        })
    }

    /// The store, where it is a file with its path made good.
    pub(super) fn store(&self, path: &Path) -> Option<String> {
        let store = self.store.as_ref()?;
        match store.contains("://") {
            true => Some(store.clone()),
            false => Some(
                beside(path, Path::new(store))
                    .to_string_lossy()
                    .into_owned(),
            ),
        }
    }

    pub(super) fn pepper_file(&self, path: &Path) -> Option<PathBuf> {
        Some(beside(path, self.pepper_file.as_ref()?))
    }

    /// How long an old secret works where nobody says it, if that is set.
    pub(super) fn default_overlap(&self) -> Option<Duration> {
        self.policy.default_overlap
    }

    /// The scopes of the service, where they are declared.
    pub(super) fn catalogue(&self) -> Result<Option<Catalogue>, Failure> {
        catalogue::catalogue(&self.scopes, &self.bundles)
    }

    /// The formats of other systems.
    pub(super) fn formats(&self, path: &Path) -> Result<Vec<ForeignFormat>, Failure> {
        foreign::formats(&self.foreign, path)
    }

    pub(super) fn policy(&self) -> Policy {
        let file = &self.policy;
        let mut policy = Policy::new();
        if let Some(lifetime) = file.default_lifetime {
            policy = policy.default_lifetime(lifetime);
        }
        if let Some(lifetime) = file.max_lifetime {
            policy = policy.max_lifetime(lifetime);
        }
        if let Some(overlap) = file.default_overlap {
            policy = policy.default_overlap(overlap);
        }
        if let Some(overlap) = file.max_overlap {
            policy = policy.max_overlap(overlap);
        }
        if let Some(age) = file.max_secret_age {
            policy = policy.max_secret_age(age);
        }
        policy
    }
}

/// `path`, which counts from the current directory, as it is to be written in `file`.
pub(crate) fn seen_from(file: &Path, path: &Path) -> PathBuf {
    let is_here = file
        .parent()
        .is_none_or(|directory| directory.as_os_str().is_empty());
    match is_here {
        true => path.into(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.into()),
    }
}

/// `path` as counted from the directory of `file`.
pub(super) fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent()
        .map_or_else(|| path.into(), |directory| directory.join(path))
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = humantime::parse_duration(&text);
    time.map(Some)
        .map_err(|_| serde::de::Error::custom("this is no time: write 90d or 12h"))
}
