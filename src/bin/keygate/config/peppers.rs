//! Where the peppers are: in a file, or in a variable. Nowhere else: others can read arguments.

use std::path::{Path, PathBuf};

use keygate::{PepperError, PepperRing};

use crate::failure::Failure;

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
            (Some(_), true) => Err(Failure::usage(format!(
                "{VARIABLE} and {FILE_VARIABLE} are both set: unset one of them"
            ))),
            (Some(path), false) => Ok(Some(Self::File(path))),
            (None, true) => Ok(Some(Self::Variable)),
            (None, false) => Ok(setting.map(Self::File)),
        }
    }

    pub(crate) fn read(&self) -> Result<PepperRing, PepperError> {
        match self {
            Self::File(path) => PepperRing::from_file(path),
            Self::Variable => PepperRing::from_env(VARIABLE),
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Variable => None,
        }
    }
}
