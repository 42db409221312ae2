//! Why a command did not do what it was asked, and the code with which the program ends.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use keygate::{BuildError, ManageError, PepperError, StoreError, StoreErrorKind};

use crate::output::plain;

/// How the program ends: what each means stands in [`EXIT_CODES`]. The numbers stay as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Conflict = 4,
    Refused = 5,
    Store = 6,
    Pepper = 7,
    NotConfirmed = 8,
    HungUp = 129,
    Interrupted = 130,
    ClosedPipe = 141,
    Terminated = 143,
}

/// What stands in the help and in the manual page.
pub(crate) const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "done"),
    ("1", "failed, by what is not below"),
    (
        "2",
        "arguments, environment or configuration cannot be used",
    ),
    ("3", "there is no such key or owner"),
    ("4", "the state of the key stands against it"),
    (
        "5",
        "the answer is no: the key does not open, or keys were found",
    ),
    (
        "6",
        "the store cannot be used, or did not say whether it was done",
    ),
    ("7", "a pepper is missing or wrong"),
    ("8", "it was not confirmed"),
    ("129", "hung up"),
    ("130", "interrupted, as by Ctrl-C"),
    ("141", "nobody reads the output any more"),
    ("143", "terminated"),
];

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why something was not done, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    problem: String,
    /// What more there is to say of it, in lines of its own.
    lines: Vec<String>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, problem: impl Into<String>) -> Self {
        Self {
            exit,
            problem: plain(&problem.into()),
            lines: Vec::new(),
            cause: None,
        }
    }

    pub(crate) fn usage(problem: impl Into<String>) -> Self {
        Self::new(Exit::Usage, problem)
    }

    /// A file that somebody has named, and that cannot be read.
    pub(crate) fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::usage(format!("{} cannot be read", path.display())).because(error)
    }

    pub(crate) fn unwritten(path: &Path, error: io::Error) -> Self {
        let problem = format!("{} cannot be written", path.display());
        Self::new(Exit::Failed, problem).because(error)
    }

    #[must_use]
    pub(crate) fn because(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..self
        }
    }

    /// One line more.
    #[must_use]
    pub(crate) fn line(mut self, line: impl AsRef<str>) -> Self {
        self.lines.push(plain(line.as_ref()));
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        self.lines
            .iter()
            .try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let cause = self.cause.as_deref();
        cause.map(|cause| cause as &(dyn Error + 'static))
    }
}

/// A failure with all its causes, a line for each. Line ends within what they say were written out, also those
/// in texts of others.
pub(crate) fn chain(failure: &Failure) -> String {
    let causes = causes(failure).into_iter();
    let causes = causes.map(|cause| format!("\n  because: {cause}"));
    std::iter::once(failure.to_string()).chain(causes).collect()
}

/// The same in one line, where it is one of several.
pub(crate) fn in_a_line(failure: &Failure) -> String {
    let mut said = vec![failure.problem.clone()];
    said.extend(causes(failure));
    said.join(": ")
}

/// What is behind it. Some say the same again, with more or less beside it.
fn causes(failure: &Failure) -> Vec<String> {
    let mut causes = Vec::new();
    let mut last = failure.problem.clone();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let said = plain(&error.to_string());
        if !last.contains(&said) && !said.contains(&last) {
            causes.push(said.clone());
        }
        last = said;
        cause = error.source();
    }
    causes
}

/// What an error of the crate says, with its causes behind it.
fn of(exit: Exit, error: impl Error + Send + Sync + 'static) -> Failure {
    let failure = Failure::new(exit, error.to_string());
    match error.source() {
        Some(_) => failure.because(Beneath(error)),
        None => failure,
    }
}

/// What an error is caused by.
#[derive(Debug)]
struct Beneath<E>(E);

impl<E: Error> fmt::Display for Beneath<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .source()
            .map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl<E: Error> Error for Beneath<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source().and_then(Error::source)
    }
}

impl From<ManageError> for Failure {
    fn from(error: ManageError) -> Self {
        let exit = match error {
            ManageError::Store(error) => return error.into(),
            ManageError::NotFound(_) | ManageError::OwnerNotFound(_) => Exit::NotFound,
            ManageError::Conflict(_) | ManageError::PepperInUse { .. } => Exit::Conflict,
            ManageError::UnknownPepper(_) => Exit::Pepper,
            ManageError::Invalid(_)
            | ManageError::Scope(_)
            | ManageError::Text(_)
            | ManageError::UndeclaredScope(_) => Exit::Usage,
            _ => Exit::Failed,
        };
        of(exit, error)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let exit = match error {
            BuildError::Store(error) => return error.into(),
            BuildError::MissingPepper(_)
            | BuildError::NoPepper
            | BuildError::Peppers(_)
            | BuildError::RetiredPepper(_)
            | BuildError::WrongPepper(_) => Exit::Pepper,
            BuildError::StoreNotInUse => {
                return Self::usage(
                    "nothing was ever kept in this store: is it the right one? To set it up: keygate init",
                );
            }
            _ => Exit::Usage,
        };
        of(exit, error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let problem = match error.kind() {
            StoreErrorKind::OutcomeUnknown => {
                "the store did not say whether it was done: see how it is, by keygate list and keygate show, before \
                 you do it again"
            }
            StoreErrorKind::Unavailable => {
                "the store did not do it: see that it runs and answers, that nobody holds it, and that this user may \
                 do that there, and try again"
            }
            _ => return of(Exit::Store, error),
        };
        let failure = Self::new(Exit::Store, problem);
        match error.source() {
            Some(_) => failure.because(Beneath(error)),
            None => failure,
        }
    }
}

impl From<PepperError> for Failure {
    fn from(error: PepperError) -> Self {
        of(Exit::Pepper, error)
    }
}
