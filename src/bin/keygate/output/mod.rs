//! What is shown: answers on standard output, everything else on standard error.

mod key;
mod moment;
mod progress;
mod table;
mod text;

pub(crate) use key::{key_rows, key_table, rate_limit, status, which};
pub(crate) use moment::{day, moment, since, span, to_the_second, typed, until};
pub(crate) use progress::Progress;
pub(crate) use table::Table;
use text::escaped;
pub(crate) use text::{counted, plain, plain_lines};

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::failure::{Exit, Failure};

/// How answers are to look.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Writes the answer of a command: for people, or as one JSON document.
    pub(crate) fn answer(
        self,
        json: &impl Serialize,
        human: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.json {
            true => print(&document(json)?),
            false => print(&human()),
        }
    }

    /// Tells people beside the answer, in one line; whoever reads JSON has it in there.
    pub(crate) fn tell(self, text: impl fmt::Display) {
        if !self.json {
            note(text);
        }
    }

    /// Tells people beside the answer what stands in a table.
    pub(crate) fn tell_table(self, table: Table) {
        if !self.json {
            note_lines(&table.draw());
        }
    }
}

/// One JSON document, with a line end.
pub(crate) fn document(json: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(json);
    let mut text = escaped(
        &text.map_err(|error| Failure::new(Exit::Failed, "no JSON can be made").because(error))?,
    );
    text.push('\n');
    Ok(text)
}

/// Writes to standard output, whole.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Exit::ClosedPipe, "nobody reads the output"),
        _ => Failure::new(Exit::Failed, "standard output cannot be written").because(error),
    })
}

/// Writes a line to standard error; where nobody reads that, there is nobody to tell.
pub(crate) fn note(text: impl fmt::Display) {
    note_lines(&plain(&text.to_string()));
}

/// The same for lines that were put together here: the text of others in them was made plain before.
pub(crate) fn note_lines(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", plain_lines(text));
}

/// How many columns there are to fill, where a person looks at them.
fn width() -> Option<u16> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}
