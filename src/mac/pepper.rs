use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::key::RandomError;

/// The name of one pepper of a ring. Every stored MAC carries the id of the pepper it was made with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PepperId(pub u32);

impl fmt::Display for PepperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The server-side key of every MAC. Keep it apart from the database: with it and the database
/// together a thief can still not recover a secret, but can forge records.
///
/// It has no `Display`, `Clone` or `Serialize` on purpose, and is wiped on drop.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("pepper");
/// use keygate::Pepper;
/// std::fs::write(&path, Pepper::generate_base64()?.as_str())?;    // or: openssl rand -base64 32
/// let pepper = Pepper::from_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pepper(Zeroizing<Vec<u8>>);

impl Pepper {
    /// A pepper shorter than this many bytes is refused.
    pub const MIN_LEN: usize = 32;

    /// The pepper with exactly these bytes, all of which are used.
    ///
    /// # Errors
    /// Under 32 bytes, or one byte repeated: take them from a random number generator.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, PepperError> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() < Self::MIN_LEN {
            return Err(PepperError::Short { len: bytes.len() });
        }
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(PepperError::NotRandom);
        }
        Ok(Self(bytes))
    }

    /// The pepper written in `text` as standard base64; white space around it is ignored.
    ///
    /// # Errors
    /// Text that is not base64, and whatever [`from_bytes`](Self::from_bytes) refuses.
    pub fn from_base64(text: &str) -> Result<Self, PepperError> {
        let bytes = BASE64_STANDARD
            .decode(text.trim())
            .map_err(|_| PepperError::NotBase64)?;
        Self::from_bytes(bytes)
    }

    /// The pepper written in the file `path` as base64.
    ///
    /// # Errors
    /// A file that cannot be read, and whatever [`from_base64`](Self::from_base64) refuses.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, PepperError> {
        Self::from_base64(&text_of_file(path.as_ref())?)
    }

    /// The pepper written in the environment variable `name` as base64.
    ///
    /// # Errors
    /// A variable that is not set, and whatever [`from_base64`](Self::from_base64) refuses.
    pub fn from_env(name: &str) -> Result<Self, PepperError> {
        Self::from_base64(&text_of_variable(name)?)
    }

    /// A fresh random pepper as base64, to be written to a file or a secrets manager.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate_base64() -> Result<Zeroizing<String>, RandomError> {
        let mut bytes = Zeroizing::new([0; Self::MIN_LEN]);
        getrandom::fill(&mut bytes[..]).map_err(RandomError::new)?;
        Ok(Zeroizing::new(BASE64_STANDARD.encode(&bytes[..])))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper([redacted])")
    }
}

pub(super) fn text_of_file(path: &Path) -> Result<Zeroizing<String>, PepperError> {
    let read = fs::read_to_string(path).map(Zeroizing::new);
    read.map_err(|error| PepperError::Unreadable {
        path: path.into(),
        error,
    })
}

pub(super) fn text_of_variable(name: &str) -> Result<Zeroizing<String>, PepperError> {
    match std::env::var(name) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(std::env::VarError::NotUnicode(_)) => Err(PepperError::NotBase64),
        Err(std::env::VarError::NotPresent) => Err(PepperError::NotSet { name: name.into() }),
    }
}

/// Why there is no pepper. No error holds a byte of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PepperError {
    /// Two peppers of one ring under one id.
    #[error("the pepper id {0} is used twice: give each pepper of a ring an id of its own")]
    DuplicateId(PepperId),
    /// No pepper stands where a ring of them should.
    #[error("there is no pepper: write `1:` and the output of `openssl rand -base64 32`")]
    Empty,
    /// One of the peppers of a ring.
    #[error("the pepper in place {place} cannot be used: {error}")]
    InRing {
        /// Its place in the text, from 1.
        place: usize,
        /// What is wrong with it.
        error: Box<PepperError>,
    },
    /// What stands before the colon is no id.
    #[error("a pepper of a ring is written as `2:` and base64, with a number of its own as its id")]
    NoId,
    /// Not base64.
    #[error("a pepper is written as standard base64: make one with `openssl rand -base64 32`")]
    NotBase64,
    /// The same byte over and over.
    #[error("this pepper is not random: make one with `openssl rand -base64 32`")]
    NotRandom,
    /// The environment variable is missing.
    #[error("the environment variable {name} is not set: it must hold the pepper in base64")]
    NotSet {
        /// The variable's name.
        name: String,
    },
    /// Too few bytes.
    #[error(
        "a pepper needs at least 32 bytes, this one has {len}: make one with `openssl rand -base64 32`"
    )]
    Short {
        /// How many bytes there are.
        len: usize,
    },
    /// The file cannot be read.
    #[error("the pepper file {} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file's path.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}
