//! The formats of other systems whose keys the service accepts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use keygate::{Alphabet, ForeignFormat, Hashing};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::file::beside;
use crate::failure::Failure;

/// Each format under the name that goes into all that is kept of its keys: `[foreign.shop]`.
pub(super) type ForeignFile = BTreeMap<String, FormatFile>;

/// Either a recipe, or the whole: hashing, alphabet and length.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FormatFile {
    recipe: Option<Recipe>,
    hashing: Option<HashingName>,
    /// The key of an HMAC, as the bytes of this file without a line end behind them.
    hash_key_file: Option<PathBuf>,
    alphabet: Option<AlphabetFile>,
    /// The shortest and the longest secret.
    length: Option<[usize; 2]>,
    prefix: Option<String>,
    label: Option<LabelFile>,
    secret_prefix: Option<String>,
    hashes_secret_alone: Option<bool>,
    /// The prefix of ours whose environment the keys belong to.
    environment: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelFile {
    alphabet: AlphabetFile,
    length: [usize; 2],
    separator: char,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Recipe {
    BetterAuth,
    #[serde(rename = "djangorestframework_api_key")]
    DjangoRestFrameworkApiKey,
    LaravelSanctum,
    PrefixedApiKey,
    Unkey,
}

#[derive(Clone, Copy, Deserialize)]
enum HashingName {
    #[serde(rename = "hmac_sha256")]
    HmacSha256,
    #[serde(rename = "hmac_sha512")]
    HmacSha512,
    #[serde(rename = "sha256")]
    Sha256,
    #[serde(rename = "sha512")]
    Sha512,
}

/// By its name, or as exactly these characters: `{ of = "0123456789ABCDEF" }`.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an alphabet is alphanumeric, base58, base64_url, digits, hex or letters, or { of = \"0123456789ABCDEF\" }"
)]
enum AlphabetFile {
    Named(AlphabetName),
    Exactly { of: String },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AlphabetName {
    Alphanumeric,
    Base58,
    #[serde(rename = "base64_url")]
    Base64Url,
    Digits,
    Hex,
    Letters,
}

/// What is wrong with one setting of a format.
struct Flaw {
    setting: &'static str,
    problem: String,
}

/// The formats, in the order of their names.
pub(super) fn formats(formats: &ForeignFile, file: &Path) -> Result<Vec<ForeignFormat>, Failure> {
    let read = |(name, format): (&String, &FormatFile)| {
        let format = format.format(name, file);
        format.map_err(|Flaw { setting, problem }| {
            Failure::usage(format!("[foreign.{name}] {setting}: {problem}"))
        })
    };
    formats.iter().map(read).collect()
}

impl FormatFile {
    fn format(&self, name: &str, file: &Path) -> Result<ForeignFormat, Flaw> {
        let mut format = match self.recipe {
            Some(recipe) => self.by(recipe, name)?,
            None => self.whole(name, file)?,
        };
        if let Some(prefix) = &self.prefix
            && self.recipe != Some(Recipe::PrefixedApiKey)
        {
            format = format.prefix(prefix);
        }
        if let Some(prefix) = &self.secret_prefix {
            format = format.secret_prefix(prefix);
        }
        if let Some(environment) = &self.environment {
            format = format.environment(environment);
        }
        Ok(format)
    }

    fn by(&self, recipe: Recipe, name: &str) -> Result<ForeignFormat, Flaw> {
        let settled = [
            ("hashing", self.hashing.is_some()),
            ("hash_key_file", self.hash_key_file.is_some()),
            ("alphabet", self.alphabet.is_some()),
            ("length", self.length.is_some()),
            ("label", self.label.is_some()),
            ("hashes_secret_alone", self.hashes_secret_alone.is_some()),
        ];
        if let Some((setting, _)) = settled.into_iter().find(|(_, is_said)| *is_said) {
            let problem = "the recipe says it: leave one of them out";
            return Err(flaw(setting, problem));
        }
        Ok(match recipe {
            Recipe::BetterAuth => ForeignFormat::better_auth(name),
            Recipe::DjangoRestFrameworkApiKey => ForeignFormat::djangorestframework_api_key(name),
            Recipe::LaravelSanctum => ForeignFormat::laravel_sanctum(name),
            Recipe::PrefixedApiKey => {
                let prefix = needed("prefix", self.prefix.as_ref())?;
                ForeignFormat::prefixed_api_key(name, prefix)
            }
            Recipe::Unkey => ForeignFormat::unkey(name),
        })
    }

    fn whole(&self, name: &str, file: &Path) -> Result<ForeignFormat, Flaw> {
        let alphabet = needed("alphabet", self.alphabet.as_ref())?.alphabet("alphabet")?;
        let [shortest, longest] = *needed("length", self.length.as_ref())?;
        let hashing = self.hashing(file)?;
        let mut format = ForeignFormat::new(name, hashing, alphabet, shortest..=longest);
        if let Some(label) = &self.label {
            let [shortest, longest] = label.length;
            let alphabet = label.alphabet.alphabet("label.alphabet")?;
            format = format.label(alphabet, shortest..=longest, label.separator);
        }
        match self.hashes_secret_alone {
            Some(true) => Ok(format.hashes_secret_alone()),
            Some(false) | None => Ok(format),
        }
    }

    fn hashing(&self, file: &Path) -> Result<Hashing, Flaw> {
        let keyed = match needed("hashing", self.hashing.as_ref())? {
            HashingName::Sha256 if self.hash_key_file.is_none() => return Ok(Hashing::sha256()),
            HashingName::Sha512 if self.hash_key_file.is_none() => return Ok(Hashing::sha512()),
            HashingName::HmacSha256 => Hashing::hmac_sha256,
            HashingName::HmacSha512 => Hashing::hmac_sha512,
            HashingName::Sha256 | HashingName::Sha512 => {
                let problem = "this hashing has no key: leave it out, or name an HMAC";
                return Err(flaw("hash_key_file", problem));
            }
        };
        let path = beside(file, needed("hash_key_file", self.hash_key_file.as_ref())?);
        let key = fs::read(&path).map(Zeroizing::new).map_err(|error| {
            let problem = format!("{} cannot be read: {error}", path.display());
            flaw("hash_key_file", problem)
        })?;
        keyed(without_line_end(&key)).map_err(|error| flaw("hash_key_file", error.to_string()))
    }
}

impl AlphabetFile {
    fn alphabet(&self, setting: &'static str) -> Result<Alphabet, Flaw> {
        Ok(match self {
            Self::Exactly { of } => {
                Alphabet::of(of).map_err(|error| flaw(setting, error.to_string()))?
            }
            Self::Named(AlphabetName::Alphanumeric) => Alphabet::ALPHANUMERIC,
            Self::Named(AlphabetName::Base58) => Alphabet::BASE58,
            Self::Named(AlphabetName::Base64Url) => Alphabet::BASE64_URL,
            Self::Named(AlphabetName::Digits) => Alphabet::DIGITS,
            Self::Named(AlphabetName::Hex) => Alphabet::HEX,
            Self::Named(AlphabetName::Letters) => Alphabet::LETTERS,
        })
    }
}

/// Whoever writes a key with an editor, ends its line.
fn without_line_end(key: &[u8]) -> &[u8] {
    let key = key.strip_suffix(b"\n").unwrap_or(key);
    key.strip_suffix(b"\r").unwrap_or(key)
}

fn needed<'a, T: ?Sized>(setting: &'static str, said: Option<&'a T>) -> Result<&'a T, Flaw> {
    said.ok_or_else(|| flaw(setting, "it is missing, and nothing else says it"))
}

fn flaw(setting: &'static str, problem: impl Into<String>) -> Flaw {
    Flaw {
        setting,
        problem: problem.into(),
    }
}
