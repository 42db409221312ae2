//! What the texts of a record may hold.

use std::collections::BTreeMap;

use crate::key::PresentedKey;

/// What a reason begins with that no host gives.
const RESERVED: &str = "keygate:";

/// Why a canary is revoked.
pub(crate) const CANARY: &str = "keygate:canary";

const MAX_NAME_CHARS: usize = 128;
const MAX_REASON_CHARS: usize = 512;
const MAX_SOURCE_CHARS: usize = 480;
const MAX_METADATA_ENTRIES: usize = 32;
const MAX_METADATA_KEY_CHARS: usize = 64;
const MAX_METADATA_VALUE_CHARS: usize = 512;

pub(crate) fn check_owner(owner: &str) -> Result<(), TextError> {
    check_given("owner", owner, MAX_NAME_CHARS)
}

pub(crate) fn check_name(name: &str) -> Result<(), TextError> {
    check("name", name, MAX_NAME_CHARS)
}

pub(crate) fn check_user(name: &str) -> Result<(), TextError> {
    check_given("name that as_user was given", name, MAX_NAME_CHARS)
}

pub(crate) fn check_reason(reason: &str) -> Result<(), TextError> {
    if reason.starts_with(RESERVED) {
        return Err(TextError::Reserved { field: "reason" });
    }
    check("reason", reason, MAX_REASON_CHARS)
}

/// Where a leak was seen. Keys in it are for the caller to mask: the one that has leaked is to be ended,
/// also where its place has it in its name.
pub(crate) fn check_source(source: &str) -> Result<(), TextError> {
    check_printable("source", source)
}

/// As much of a source as is kept, which leaves room in a reason for the word that it was a leak. What was
/// masked only after that could have left a part of a secret.
pub(crate) fn cut_source(masked: &str) -> String {
    masked.chars().take(MAX_SOURCE_CHARS).collect()
}

pub(crate) fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), TextError> {
    if metadata.len() > MAX_METADATA_ENTRIES {
        return Err(TextError::TooMany {
            field: "metadata",
            max: MAX_METADATA_ENTRIES,
        });
    }
    for (key, value) in metadata {
        check_given("metadata key", key, MAX_METADATA_KEY_CHARS)?;
        check("metadata value", value, MAX_METADATA_VALUE_CHARS)?;
    }
    Ok(())
}

fn check_given(field: &'static str, text: &str, max: usize) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty { field });
    }
    check(field, text, max)
}

fn check(field: &'static str, text: &str, max: usize) -> Result<(), TextError> {
    check_form(field, text, max)?;
    match PresentedKey::stands_in(text) {
        true => Err(TextError::Key { field }),
        false => Ok(()),
    }
}

fn check_form(field: &'static str, text: &str, max: usize) -> Result<(), TextError> {
    if text.chars().count() > max {
        return Err(TextError::Long { field, max });
    }
    check_printable(field, text)
}

fn check_printable(field: &'static str, text: &str) -> Result<(), TextError> {
    if text.chars().any(char::is_control) {
        return Err(TextError::Control { field });
    }
    Ok(())
}

/// A text that a record does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// It holds a control character, such as a line break.
    #[error("the {field} holds a control character, such as a line break: leave it out")]
    Control {
        /// Which text.
        field: &'static str,
    },
    /// It must not be empty.
    #[error("the {field} is empty: it must name something")]
    Empty {
        /// Which text.
        field: &'static str,
    },
    /// It holds an API key, which would be stored and shown with it.
    #[error("the {field} holds an API key: leave it out, and consider the key leaked")]
    Key {
        /// Which text.
        field: &'static str,
    },
    /// It is too long.
    #[error("the {field} is longer than {max} characters")]
    Long {
        /// Which text.
        field: &'static str,
        /// The most characters it may have.
        max: usize,
    },
    /// It begins as those do that only keygate itself gives.
    #[error(
        "the {field} begins with {RESERVED:?}, which only keygate itself writes: say it differently"
    )]
    Reserved {
        /// Which text.
        field: &'static str,
    },
    /// There are too many entries.
    #[error("there are more than {max} entries of {field}")]
    TooMany {
        /// Which part.
        field: &'static str,
        /// The most entries there may be.
        max: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_characters_and_control_characters_are_named() {
        assert!(check_owner(&"é".repeat(128)).is_ok());
        assert_eq!(
            check_owner(&"é".repeat(129)),
            Err(TextError::Long {
                field: "owner",
                max: 128
            })
        );
        assert_eq!(check_owner(""), Err(TextError::Empty { field: "owner" }));
        assert!(check_name("").is_ok());
        assert_eq!(
            check_name("a\nb"),
            Err(TextError::Control { field: "name" })
        );
        assert_eq!(
            check_reason("\u{1b}[31m"),
            Err(TextError::Control { field: "reason" })
        );
    }

    #[test]
    fn no_host_gives_a_reason_that_only_keygate_gives() {
        let reserved = Err(TextError::Reserved { field: "reason" });
        assert_eq!(check_reason(CANARY), reserved);
        assert_eq!(check_reason("keygate:"), reserved);
        assert!(check_reason("keygate was too slow").is_ok());
    }

    #[test]
    fn metadata_is_bounded_in_every_direction() {
        let entry = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        assert!(check_metadata(&entry("plan", "")).is_ok());
        assert!(check_metadata(&entry("", "gold")).is_err());
        assert!(check_metadata(&entry(&"k".repeat(65), "")).is_err());
        assert!(check_metadata(&entry("k", &"v".repeat(513))).is_err());
        let many = (0..33).map(|n| (n.to_string(), String::new())).collect();
        assert!(check_metadata(&many).is_err());
    }
}
