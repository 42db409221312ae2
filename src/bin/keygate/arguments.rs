//! Reading the command line, without ever showing what may be a secret.

use std::ffi::OsString;

use clap::Parser as _;
use keygate::PresentedKey;

use crate::cli::Cli;
use crate::failure::Exit;
use crate::output::{note, print};

/// What was typed, or how the program ends because of it.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Exit> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.iter().any(is_key) {
        note(
            "keygate: a whole key stands among the arguments, where other users of this machine and the \
             history of the shell see it. Take it out of the history, and give the 12 characters of its \
             id alone, or the key on standard input. Rotate it if others could see it: keygate rotate",
        );
        return Err(Exit::Usage);
    }
    Cli::try_parse_from(arguments).map_err(|answer| {
        let text = answer.render().to_string();
        match answer.use_stderr() {
            false => match print(&text) {
                Ok(()) => Exit::Done,
                Err(failure) => failure.exit(),
            },
            true => {
                note(masked(&text).trim_end());
                Exit::Usage
            }
        }
    })
}

fn is_key(argument: &OsString) -> bool {
    let Some(text) = argument.to_str() else {
        return false;
    };
    let value = text.split_once('=').map_or(text, |(_, value)| value);
    [text, value]
        .iter()
        .any(|text| PresentedKey::parse(text.trim()).is_ok())
}

/// `text` without words that are long enough for the secret of a key, or a pepper: an error names the
/// argument that it is about.
pub(crate) fn masked(text: &str) -> String {
    const LONGEST: usize = 31;
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "+/_=-".contains(c);
    let mut shown = String::new();
    for piece in text.split_inclusive(|c| !is_of_word(c)) {
        let word = piece.trim_end_matches(|c| !is_of_word(c));
        let is_shown = word.len() <= LONGEST || word.starts_with("--") && !word.contains('=');
        shown.push_str(if is_shown { word } else { "[masked]" });
        shown.push_str(&piece[word.len()..]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_no_word_that_can_be_a_secret() {
        let pepper = keygate::Pepper::generate_base64().unwrap();
        let text = format!(
            "unexpected argument '{}' found, and '--{}'",
            *pepper, *pepper
        );
        let shown = masked(&text);
        assert!(!shown.contains(&pepper[..20]), "{shown}");
        assert!(
            shown.starts_with("unexpected argument '[masked]"),
            "{shown}"
        );
        assert_eq!(
            masked("error: '4KX9vQ2mB7tZ' is no id\n"),
            "error: '4KX9vQ2mB7tZ' is no id\n"
        );
    }
}
