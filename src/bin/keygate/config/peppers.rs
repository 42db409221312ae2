//! Where the peppers are: in a file, or in a variable. Nowhere else: others can read arguments.

use std::fmt;
use std::path::{Path, PathBuf};

use keygate::{PepperError, PepperRing};

use crate::failure::{Exit, Failure};

const VARIABLE: &str = "KEYGATE_PEPPER";
const FILE_VARIABLE: &str = "KEYGATE_PEPPER_FILE";

#[derive(Clone)]
pub(crate) enum PepperSource {
    File(PathBuf),
    Variable,
}

impl PepperSource {
    /// What the flag says, or else the environment, or else the file of settings.
    pub(super) fn find(
        flag: Option<PathBuf>,
        setting: Option<PathBuf>,
    ) -> Result<Option<Self>, Failure> {
        if let Some(path) = flag {
            return Ok(Some(Self::File(path)));
        }
        let file = std::env::var_os(FILE_VARIABLE).map(PathBuf::from);
        let is_set = std::env::var_os(VARIABLE).is_some();
        match (file, is_set) {
            (Some(path), _) if path.as_os_str().is_empty() => Err(Failure::usage(format!(
                "{FILE_VARIABLE} is empty: set it to the path of the file with the peppers, or unset it"
            ))),
            (Some(_), true) => Err(Failure::usage(format!(
                "{VARIABLE} and {FILE_VARIABLE} are both set: unset one of them"
            ))),
            (Some(path), false) => Ok(Some(Self::File(path))),
            (None, true) => Ok(Some(Self::Variable)),
            (None, false) => Ok(setting.map(Self::File)),
        }
    }

    pub(crate) fn read(&self) -> Result<PepperRing, Failure> {
        let read = match self {
            Self::File(path) => PepperRing::from_file(path),
            Self::Variable => PepperRing::from_env(VARIABLE),
        };
        read.map_err(|error| match error {
            // These name it.
            PepperError::Unreadable { .. } | PepperError::NotSet { .. } => error.into(),
            error => Failure::new(
                Exit::Pepper,
                format!("{self} holds no peppers that can be used"),
            )
            .line("Where keys were made already, put back the peppers that they were made with: new ones open none of them")
            .because(error),
        })
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Variable => None,
        }
    }
}

impl fmt::Display for PepperSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the pepper file {}", path.display()),
            Self::Variable => write!(f, "the variable {VARIABLE}"),
        }
    }
}
