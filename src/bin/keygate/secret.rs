//! Handing over the text of a new key, or a new pepper: to standard output, or to a file of its owner's alone. Once, and
//! nowhere else.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use keygate::{Clock as _, Issued, KeyInfo, KeyStatus, ManageError, Pepper, PepperId};
use keygate::{StoreErrorKind, SystemClock};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::output::{Output, document, key_rows, moment, plain, print};

/// Where a text goes. It is opened before there is one, so that no key is made in vain.
pub(crate) enum Handover {
    StandardOutput,
    File(NewFile),
}

/// A file that was not there before, and is not there afterwards unless a text was written to it.
pub(crate) struct NewFile {
    path: PathBuf,
    file: File,
    is_kept: bool,
}

/// What is shown of a new key as JSON; `key` is its text, where it goes to standard output.
#[derive(Serialize)]
struct Shown<'a> {
    key: Option<&'a str>,
    out: Option<Cow<'a, str>>,
    info: &'a KeyInfo,
}

/// The same of a new pepper.
#[derive(Serialize)]
struct ShownPepper<'a> {
    pepper: Option<&'a str>,
    out: Option<Cow<'a, str>>,
}

/// A fresh pepper as it is written to a file, with its number among several.
pub(crate) fn new_pepper(id: Option<PepperId>) -> Result<Zeroizing<String>, Failure> {
    let text = Pepper::generate_base64();
    let text = text.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    Ok(match id {
        Some(id) => Zeroizing::new(format!("{id}:{}", *text)),
        None => text,
    })
}

impl Handover {
    /// To the file that `--out` names, or to standard output.
    pub(crate) fn to(out: Option<PathBuf>) -> Result<Self, Failure> {
        Ok(match out {
            Some(path) => Self::File(NewFile::create(path)?),
            None if is_void(io::stdout().as_fd()) => {
                return Err(Failure::usage(
                    "standard output is closed, or /dev/null, and nobody would have the text: name a file by --out",
                ));
            }
            None => Self::StandardOutput,
        })
    }

    /// Hands the text of a key over, and shows the rest: with the text on standard output, beside it on
    /// standard error.
    pub(crate) fn key(self, issued: &Issued, output: Output) -> Result<(), Failure> {
        let lost = |failure| lost(issued, failure);
        let (text, info) = (issued.key.expose(), &issued.info);
        match self {
            Self::StandardOutput if output.is_json() => {
                let shown = Shown {
                    key: Some(text),
                    out: None,
                    info,
                };
                print(&Zeroizing::new(document(&shown)?)).map_err(lost)
            }
            Self::StandardOutput => {
                output.tell_table(key_rows(info));
                output.tell("This is the only time that the key is shown:");
                print(&Zeroizing::new(format!("{text}\n"))).map_err(lost)
            }
            Self::File(mut file) => {
                file.write(text).map_err(lost)?;
                let path = file.keep();
                let shown = Shown {
                    key: None,
                    out: Some(path.to_string_lossy()),
                    info,
                };
                output.answer(&shown, || {
                    let mut rows = key_rows(info);
                    rows.row(["written to", &path.display().to_string()]);
                    rows.draw()
                })
            }
        }
    }

    /// Hands a pepper over.
    pub(crate) fn pepper(self, text: &str, output: Output) -> Result<(), Failure> {
        match self {
            Self::StandardOutput if output.is_json() => {
                let shown = ShownPepper {
                    pepper: Some(text),
                    out: None,
                };
                print(&Zeroizing::new(document(&shown)?))
            }
            Self::StandardOutput => print(&Zeroizing::new(format!("{text}\n"))),
            Self::File(mut file) => {
                file.write(text)?;
                let path = file.keep();
                let shown = ShownPepper {
                    pepper: None,
                    out: Some(path.to_string_lossy()),
                };
                let written = || format!("written to {}\n", plain(&path.to_string_lossy()));
                output.answer(&shown, written)
            }
        }
    }
}

/// Whether what is written there is gone. In place of a standard output that is closed there is this too.
fn is_void(out: BorrowedFd<'_>) -> bool {
    let device = |file: File| file.metadata().map(|about| about.rdev());
    let out = out.try_clone_to_owned().map(File::from).and_then(device);
    let void = fs::metadata("/dev/null").map(|about| about.rdev());
    matches!((out, void), (Ok(out), Ok(void)) if out == void && out != 0)
}

/// A secret was not made, or the store does not say whether it was: then nobody has its text.
pub(crate) fn unmade(error: ManageError, advice: impl FnOnce() -> String) -> Failure {
    let is_unknown = matches!(&error, ManageError::Store(error) if error.kind() == StoreErrorKind::OutcomeUnknown);
    let failure = Failure::from(error);
    match is_unknown {
        true => failure.line(advice()),
        false => failure,
    }
}

/// What is to be done about a secret whose text nobody has.
fn lost(issued: &Issued, failure: Failure) -> Failure {
    let id = &issued.info.key_id;
    let is_canary = issued.info.status == KeyStatus::Canary;
    let problem = match issued.previous_ends_at() {
        Some(end) if end > SystemClock.wall() => format!(
            "the key {id} has a new secret, and its text is lost; the old one works until {}. Make another in \
             its place by keygate rotate {id} --supersede",
            moment(end)
        ),
        Some(_) => format!(
            "the key {id} has a new secret, and its text is lost; the old one has ended, so nobody can use the \
             key. Make another by keygate rotate {id} --overlap 0s"
        ),
        None if is_canary => {
            format!("the canary {id} was made, and its text is lost: make another")
        }
        None => format!(
            "the key {id} was made, and its text is lost: make another by keygate rotate {id} --overlap 0s, or \
             end it by keygate revoke {id}"
        ),
    };
    Failure::new(Exit::Failed, problem).because(failure)
}

impl NewFile {
    pub(crate) fn create(path: PathBuf) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| {
            let shown = path.display();
            let problem = match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    format!("{shown} is there already, and is not written over: name another file")
                }
                _ => format!("{shown} cannot be made"),
            };
            Failure::usage(problem).because(error)
        })?;
        Ok(Self {
            path,
            file,
            is_kept: false,
        })
    }

    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        let line = Zeroizing::new(format!("{text}\n"));
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_all())
            .and_then(|()| sync_directory(&self.path));
        written.map_err(|error| Failure::unwritten(&self.path, error))
    }

    /// The file stays, at this path.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.is_kept = true;
        self.path.clone()
    }
}

/// Without it a file that is on the disk may have no name there.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}
