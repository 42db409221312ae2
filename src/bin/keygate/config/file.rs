//! The file of settings, in TOML.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use keygate::{Catalogue, ForeignFormat, Policy};
use serde::{Deserialize, Deserializer};

use super::catalogue::{self, BundlesFile, ScopesFile};
use super::foreign::{self, ForeignFile};
use super::{location::Location, trust};
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

/// What a file that is not there is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Empty,
    Refused,
}

impl File {
    /// The file at `path`; one that nobody has named must be beyond doubt.
    pub(super) fn read(path: &Path, named: bool, missing: Missing) -> Result<Self, Failure> {
        let mut file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::Empty => {
                return Ok(Self::default());
            }
            Err(error) => return Err(Failure::unreadable(path, error)),
        };
        if !named {
            trust::check(path, &file)?;
        }
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|error| Failure::unreadable(path, error))?;
        let read: Result<Self, _> = toml::from_str(&text);
        let mut read = read.map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map(|before| before.matches('\n').count() + 1);
            let line = line.map_or_else(String::new, |line| format!(", line {line}"));
            Failure::usage(format!(
                "{}{line}: {}",
                path.display(),
                without_values(error.message())
            ))
        })?;
        let certificate = &mut read.redis.root_certificate;
        *certificate = certificate.take().map(|named| beside(path, &named));
        Ok(read)
    }

    /// The store, where it is a file with its path made good.
    pub(super) fn store(&self, path: &Path) -> Result<Option<Location>, Failure> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let location = Location::named(store)
            .map_err(|failure| Failure::usage(format!("{}: {failure}", path.display())))?;
        Ok(Some(match location {
            Location::Sqlite(store) => Location::Sqlite(beside(path, &store)),
            url => url,
        }))
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

/// What is wrong, without what TOML repeats of the text, names apart: that may be the password of a URL.
fn without_values(message: &str) -> String {
    let (problem, expected) = match message.rsplit_once(", expected ") {
        Some((problem, expected)) if expected.starts_with("struct ") => {
            (problem, ", expected a table".into())
        }
        Some((problem, expected)) => (problem, format!(", expected {expected}")),
        None => (message, String::new()),
    };
    let quote = ['`', '"'];
    let (problem, quoted) = problem.split_at(problem.find(quote).unwrap_or(problem.len()));
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let is_name = quoted.trim_matches(quote).chars().all(is_of_name);
    let is_value = problem.starts_with("invalid ") && !quoted.is_empty();
    let is_hidden = is_value || problem.starts_with("unknown ") && !is_name;
    let quoted = if is_hidden { "(not shown)" } else { quoted };
    format!("{problem}{quoted}{expected}")
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = humantime::parse_duration(&text);
    time.map(Some)
        .map_err(|_| serde::de::Error::custom("this is no time: write 90d or 12h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_settings_and_shows_no_value() {
        for (text, expected) in [
            (
                "stoer = 1",
                "unknown field `stoer`, expected one of `store`",
            ),
            (
                "store = [\"u:hidden\"]",
                "invalid type: sequence, expected a string",
            ),
            (
                "prefix = 7",
                "invalid type: integer (not shown), expected a string",
            ),
            (
                "postgres = \"u:hidden\"",
                "invalid type: string (not shown), expected a table",
            ),
            (
                "redis = \"u:hidden, expected `x`\"",
                "invalid type: string (not shown), expected a table",
            ),
            (
                "\"u:hidden@h\" = 1",
                "unknown field (not shown), expected one of",
            ),
            (
                "[policy]\nmax_lifetime = \"hidden\"",
                "this is no time: write 90d or 12h",
            ),
        ] {
            let read: Result<File, _> = toml::from_str(text);
            let shown = without_values(read.err().unwrap().message());
            assert!(shown.starts_with(expected), "{shown}");
            assert!(!shown.contains("hidden"), "{shown}");
        }
    }
}
