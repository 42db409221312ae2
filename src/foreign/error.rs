use super::format::{MAX_LABEL_LEN, MAX_LITERAL_LEN, MAX_SECRET_LEN, MIN_BITS};

/// Why keys of another system cannot be accepted as they were declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignFormatError {
    /// A text could be a key of either of two formats.
    #[error(
        "a text can be a key of the format {one:?} and of {other:?} alike: give one of them a narrower alphabet, length or prefix"
    )]
    Ambiguous {
        /// The one that was declared first.
        one: String,
        /// The other.
        other: String,
    },
    /// A character that no key can hold.
    #[error(
        "{0:?} cannot stand in a key: use visible ASCII without double quotes, commas, colons and backslashes"
    )]
    Character(char),
    /// The key of an HMAC is empty.
    #[error("the key of the HMAC is empty: give the one that the other system hashed with")]
    EmptyHashKey,
    /// The keys belong to an environment that is not served.
    #[error(
        "the format {name:?} is of the environment {environment:?}, which is not accepted: name an accepted prefix"
    )]
    Environment {
        /// The name of the format.
        name: String,
        /// The prefix that it names.
        environment: String,
    },
    /// What stands before the secret is too long, or holds what no key can.
    #[error(
        "the format {0:?} has a prefix that no key can begin with: use up to {MAX_LITERAL_LEN} visible ASCII characters without double quotes, commas, colons and backslashes"
    )]
    Literal(String),
    /// The label cannot be told from what follows it.
    #[error(
        "the format {0:?} has a label of no or more than {MAX_LABEL_LEN} characters, or a separator that can stand in the label"
    )]
    Label(String),
    /// The name cannot name a format.
    #[error("{0:?} does not name a format: use up to 32 lower-case letters, digits and hyphens")]
    Name(String),
    /// Two formats have one name.
    #[error("the format {0:?} is declared twice: names tell their keys apart")]
    NameTwice(String),
    /// Its texts could be keys of our own.
    #[error(
        "a text can be a key of the format {name:?} and one of our own under {prefix}: choose another prefix for this service"
    )]
    OwnKeys {
        /// The name of the format.
        name: String,
        /// The declared prefix of ours.
        prefix: String,
    },
    /// The lengths of the secret are no lengths.
    #[error(
        "the format {0:?} has a secret of impossible length: name the shortest and the longest, at most {MAX_SECRET_LEN}"
    )]
    SecretLength(String),
    /// A secret could be guessed, once its hash is known.
    #[error(
        "the shortest secret of the format {name:?} has {bits} bits of entropy, and needs {MIN_BITS}: such a key has to be replaced, not imported"
    )]
    Weak {
        /// The name of the format.
        name: String,
        /// The entropy of its shortest secret.
        bits: u32,
    },
}
