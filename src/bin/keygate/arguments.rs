//! Reading the command line, without ever showing what may be a secret.

use std::ffi::OsString;

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue};
use keygate::PresentedKey;
use percent_encoding::percent_decode_str;

use crate::cli::Cli;
use crate::fail;
use crate::failure::Exit;
use crate::output::{note, note_lines, print};

const MASKED: &str = "[masked]";

/// What was typed, or how the program ends because of it.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Exit> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments
        .iter()
        .any(|argument| holds_key(&argument.to_string_lossy()))
    {
        note(
            "keygate: a whole key stands among the arguments, where other users of this machine and the \
             history of the shell see it. Take it out of the history, and give the 12 characters of its \
             id alone, or the key on standard input. Rotate it if others could see it: keygate rotate",
        );
        return Err(Exit::Usage);
    }
    Cli::try_parse_from(arguments).map_err(|answer| match answer.use_stderr() {
        false => match print(&answer.render().to_string()) {
            Ok(()) => Exit::Done,
            Err(failure) => fail(&failure),
        },
        true => {
            note_lines(shown(answer).trim_end());
            Exit::Usage
        }
    })
}

/// Whether a key stands anywhere in it, also percent-encoded, as in a URL within a URL.
fn holds_key(argument: &str) -> bool {
    let once = percent_decode_str(argument).decode_utf8_lossy();
    let twice = percent_decode_str(&once).decode_utf8_lossy();
    [argument, &once, &twice]
        .into_iter()
        .any(PresentedKey::stands_in)
}

/// What clap says of arguments that it refuses, without those that can be a secret.
fn shown(mut error: clap::Error) -> String {
    for typed in [
        ContextKind::InvalidArg,
        ContextKind::InvalidSubcommand,
        ContextKind::InvalidValue,
    ] {
        // Names of arguments are followed by what they take.
        let secret = match error.get(typed) {
            Some(ContextValue::String(text)) => {
                !is_harmless(text.split(" <").next().unwrap_or(text))
            }
            _ => false,
        };
        if secret {
            error.insert(typed, ContextValue::String(MASKED.into()));
            // It repeats what was typed.
            error.remove(ContextKind::Suggested);
        }
    }
    masked(&error.render().to_string())
}

/// Whether it can be a slip of the pen, but hardly a secret: no half of the secret of a key or of a pepper,
/// and no address with a password in it. And in one line.
fn is_harmless(text: &str) -> bool {
    const LONGEST: usize = 20;
    text.len() <= LONGEST
        && !text.contains(['@', '%'])
        && !text.contains("//")
        // It would begin a line of its own.
        && !text.contains(char::is_control)
}

/// `text` without words that are long enough for a secret, whoever has put them there.
pub(crate) fn masked(text: &str) -> String {
    const LONGEST: usize = 31;
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "+/_=-".contains(c);
    let mut shown = String::new();
    for piece in text.split_inclusive(|c| !is_of_word(c)) {
        let word = piece.trim_end_matches(|c| !is_of_word(c));
        shown.push_str(if word.len() <= LONGEST { word } else { MASKED });
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
        let pepper = pepper.trim_end_matches('=');
        let text = format!("unexpected argument '{pepper}' found, and '--{pepper}'");
        let expected = "unexpected argument '[masked]' found, and '[masked]'";
        assert_eq!(masked(&text), expected);
        assert_eq!(
            masked("error: '4KX9vQ2mB7tZ' is no id\n"),
            "error: '4KX9vQ2mB7tZ' is no id\n"
        );
    }

    #[test]
    fn slips_of_the_pen_are_shown_and_what_can_be_a_secret_is_not() {
        for slip in [
            "lsit",
            "--expiring-wihtin",
            "2027-01-31T12:00:00Z",
            "-x",
            "90 days",
        ] {
            assert!(is_harmless(slip), "{slip}");
        }
        for secret in [
            "postgres://u:pw@h/db",
            "u:pw@h",
            "//u:pw",
            "%41%42",
            "x\nkeygate: ok",
        ] {
            assert!(!is_harmless(secret), "{secret}");
        }
    }
}
