use std::fmt;

use super::ForeignFormatError;

/// The characters that a part of a foreign key consists of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Alphabet {
    /// The bit of each ASCII character that is one of them.
    characters: u128,
}

impl Alphabet {
    /// `0-9`, `A-Z` and `a-z`.
    pub const ALPHANUMERIC: Self = Self::DIGITS.and(Self::LETTERS);
    /// As Bitcoin has it: letters and digits without `0`, `O`, `I` and `l`.
    pub const BASE58: Self =
        Self::from_ascii(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz");
    /// Letters, digits, `-` and `_` (RFC 4648, section 5), without padding.
    pub const BASE64_URL: Self = Self::ALPHANUMERIC.and(Self::from_ascii(b"-_"));
    /// `0-9`.
    pub const DIGITS: Self = Self::from_ascii(b"0123456789");
    /// `0-9` and `a-f`.
    pub const HEX: Self = Self::from_ascii(b"0123456789abcdef");
    /// `A-Z` and `a-z`.
    pub const LETTERS: Self =
        Self::from_ascii(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// Exactly these characters.
    ///
    /// # Errors
    /// Characters that cannot stand in a header field as part of a key: what is not visible ASCII, and
    /// `"`, `,`, `:` and `\`, at which lists, quoted strings and Basic credentials are taken apart.
    pub fn of(characters: &str) -> Result<Self, ForeignFormatError> {
        match characters.chars().find(|c| !can_stand_in_keys(*c)) {
            Some(character) => Err(ForeignFormatError::Character(character)),
            None => Ok(Self::from_ascii(characters.as_bytes())),
        }
    }

    const fn from_ascii(mut bytes: &[u8]) -> Self {
        let mut characters = 0;
        while let [first, rest @ ..] = bytes {
            characters |= 1 << *first;
            bytes = rest;
        }
        Self { characters }
    }

    const fn and(self, other: Self) -> Self {
        Self {
            characters: self.characters | other.characters,
        }
    }

    pub(super) fn of_one(character: u8) -> Self {
        Self::from_ascii(&[character])
    }

    pub(super) fn contains(self, byte: u8) -> bool {
        byte.is_ascii() && self.characters >> byte & 1 == 1
    }

    pub(super) fn shares_any_with(self, other: Self) -> bool {
        self.characters & other.characters != 0
    }

    /// The entropy of so many characters, each of which is uniform.
    pub(super) fn bits_of(self, len: usize) -> f64 {
        f64::from(self.characters.count_ones()).log2().max(0.0) * len as f64
    }
}

/// Whether a header field can carry it as part of a key, also in a list or as a Basic user name.
pub(super) fn can_stand_in_keys(character: char) -> bool {
    character.is_ascii_graphic() && !matches!(character, '"' | ',' | ':' | '\\')
}

impl fmt::Debug for Alphabet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let characters = (0..128).filter(|byte| self.contains(*byte));
        let text: String = characters.map(char::from).collect();
        write!(f, "Alphabet({text})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabets_hold_what_they_are_named_after_and_nothing_else() {
        for (alphabet, size, inside, outside) in [
            (Alphabet::ALPHANUMERIC, 62, "09AZaz", "-_|é"),
            (Alphabet::BASE58, 58, "19AZaz", "0OIl_"),
            (Alphabet::BASE64_URL, 64, "09AZaz-_", "+/="),
            (Alphabet::DIGITS, 10, "09", "aZ"),
            (Alphabet::HEX, 16, "09af", "gAF"),
            (Alphabet::LETTERS, 52, "AZaz", "09"),
            (Alphabet::of("ab|").unwrap(), 3, "ab|", "cA"),
        ] {
            assert_eq!(alphabet.characters.count_ones(), size, "{alphabet:?}");
            assert!(inside.bytes().all(|c| alphabet.contains(c)), "{alphabet:?}");
            assert!(
                !outside.bytes().any(|c| alphabet.contains(c)),
                "{alphabet:?}"
            );
        }
    }

    #[test]
    fn what_cannot_travel_in_a_header_field_is_no_part_of_an_alphabet() {
        for character in [' ', '\t', '\n', '\0', '\u{7f}', 'é', '"', ',', ':', '\\'] {
            let refused = Alphabet::of(&format!("ab{character}"));
            assert_eq!(refused, Err(ForeignFormatError::Character(character)));
        }
    }
}
