//! What is asked of whoever sits at the terminal, and read from standard input.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::output::plain_lines;

/// No key, and no line of an answer, is longer.
const MAX_LEN: u64 = 4_096;

/// A signal takes no longer to be heard.
const SIGNALLED: Duration = Duration::from_millis(200);

/// Asks whether to go on with what ends something. With `--yes` nobody is asked; where nobody would see
/// the question, or could answer, nobody can be.
pub(crate) async fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let told = format!("{question} Nobody can be asked here: say so by --yes");
        let mut lines = told.lines().map(str::trim);
        let failure = Failure::new(Exit::NotConfirmed, lines.next().unwrap_or_default());
        return Err(lines.fold(failure, Failure::line));
    }
    prompt(&format!("{} [y/N] ", plain_lines(question)));
    let answer = typed().await?;
    match answer.trim() {
        "y" | "Y" | "yes" | "Yes" => Ok(()),
        _ => Err(Failure::new(Exit::NotConfirmed, "nothing was done")),
    }
}

/// The text of a key: from a terminal, which does not show it, or else all of standard input.
pub(crate) async fn key_text() -> Result<Zeroizing<String>, Failure> {
    let text = match io::stdin().is_terminal() {
        true => {
            // Before anybody is told to type.
            let hidden = Hidden::begin();
            prompt("The key (it is not shown): ");
            let text = typed().await;
            drop(hidden);
            prompt("\n");
            text?
        }
        false => read(|| all(io::stdin().lock())).await?,
    };
    let text = Zeroizing::new(text.trim().to_owned());
    match text.is_empty() {
        true => Err(Failure::usage("no key came on standard input")),
        false => Ok(text),
    }
}

/// A line from a terminal.
async fn typed() -> Result<Zeroizing<String>, Failure> {
    let typed = read(|| line(&mut io::stdin().lock())).await;
    if typed.as_ref().map_or(true, |line| line.is_empty()) {
        // Where the terminal is gone, a signal is on its way that says so.
        sleep(SIGNALLED).await;
    }
    typed
}

async fn read(
    read: impl FnOnce() -> io::Result<Zeroizing<String>> + Send + 'static,
) -> Result<Zeroizing<String>, Failure> {
    let read = spawn_blocking(read).await.map_err(io::Error::other);
    read.flatten()
        .map_err(|error| Failure::usage("standard input cannot be read as text").because(error))
}

fn line(input: &mut impl io::BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    input.take(MAX_LEN).read_line(&mut line)?;
    Ok(line)
}

fn all(input: impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    input.take(MAX_LEN).read_to_string(&mut text)?;
    Ok(text)
}

fn prompt(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = write!(terminal, "{text}").and_then(|()| terminal.flush());
}

/// The terminal shows nothing of what is typed until this is dropped, also by a signal.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let shown = tcgetattr(io::stdin()).ok();
        if let Some(shown) = &shown {
            let mut hidden = shown.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &hidden);
        }
        Self(shown)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(shown) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, shown);
        }
    }
}
