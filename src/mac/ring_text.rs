//! Rings as they are written in files and environment variables.

use std::path::Path;

use super::pepper::{text_of_file, text_of_variable};
use super::{Pepper, PepperError, PepperId, PepperRing};

impl PepperRing {
    /// The ring that `text` holds: its peppers between white space, each as `2:` and base64, the active
    /// one first. A pepper without an id is pepper 1, so the text of a single pepper is a ring.
    ///
    /// ```
    /// # use keygate::{Pepper, PepperRing};
    /// # let (new, old) = (Pepper::generate_base64()?, Pepper::generate_base64()?);
    /// let ring = PepperRing::parse(&format!("2:{} 1:{}", *new, *old))?;
    /// assert_eq!(format!("{ring:?}"), "[PepperId(2), PepperId(1)]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Names the place of a pepper that cannot be used, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PepperError> {
        let mut ring: Option<Self> = None;
        for (n, word) in text.split_ascii_whitespace().enumerate() {
            let in_ring = |error| PepperError::InRing {
                place: n + 1,
                error: Box::new(error),
            };
            let (id, pepper) = pepper(word).map_err(in_ring)?;
            ring = Some(match ring {
                None => Self::new(id, pepper),
                Some(ring) => ring.verify_only(id, pepper).map_err(in_ring)?,
            });
        }
        ring.ok_or(PepperError::Empty)
    }

    /// The ring written in the file `path`, as by [`parse`](Self::parse).
    ///
    /// # Errors
    /// A file that cannot be read, and as [`parse`](Self::parse).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, PepperError> {
        Self::parse(&text_of_file(path.as_ref())?)
    }

    /// The ring written in the environment variable `name`, as by [`parse`](Self::parse).
    ///
    /// # Errors
    /// A variable that is not set, and as [`parse`](Self::parse).
    pub fn from_env(name: &str) -> Result<Self, PepperError> {
        Self::parse(&text_of_variable(name)?)
    }
}

fn pepper(word: &str) -> Result<(PepperId, Pepper), PepperError> {
    let (id, base64) = match word.split_once(':') {
        Some((id, base64)) => (number(id).ok_or(PepperError::NoId)?, base64),
        None => (PepperId(1), word),
    };
    Ok((id, Pepper::from_base64(base64)?))
}

fn number(text: &str) -> Option<PepperId> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).map(PepperId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> String {
        Pepper::generate_base64().unwrap().to_string()
    }

    #[test]
    fn a_pepper_of_its_own_is_the_ring_of_pepper_1() {
        let pepper = fresh();
        let alone = PepperRing::new(PepperId(1), Pepper::from_base64(&pepper).unwrap());
        for text in [
            pepper.clone(),
            format!(" {pepper}\n"),
            format!("1:{pepper}"),
        ] {
            assert!(PepperRing::parse(&text).unwrap().is_same(&alone));
        }
    }

    #[test]
    fn the_first_pepper_is_the_active_one() {
        let (new, old) = (fresh(), fresh());
        let pepper = |text: &str| Pepper::from_base64(text).unwrap();
        let ring = PepperRing::new(PepperId(7), pepper(&new));
        let ring = ring.verify_only(PepperId(1), pepper(&old)).unwrap();
        let parsed = PepperRing::parse(&format!("7:{new}\n\t{old}\r\n")).unwrap();
        assert!(parsed.is_same(&ring));
        let ids: Vec<PepperId> = parsed.ids().collect();
        assert_eq!(
            (parsed.active_id(), ids),
            (PepperId(7), vec![PepperId(7), PepperId(1)])
        );
        let turned = PepperRing::parse(&format!("1:{old} 7:{new}")).unwrap();
        assert!(!turned.is_same(&ring));
    }

    #[test]
    fn what_is_no_ring_is_refused_by_place_and_without_a_byte_of_it() {
        let (good, other) = (fresh(), fresh());
        let cases = [
            (String::new(), "there is no pepper"),
            (" \n ".into(), "there is no pepper"),
            (
                format!("2:{good} 2:{other}"),
                "place 2 cannot be used: the pepper id 2 is used twice",
            ),
            (
                format!("{good} {other}"),
                "place 2 cannot be used: the pepper id 1 is used twice",
            ),
            (
                format!("2:{good} 1:c2hvcnQ="),
                "place 2 cannot be used: a pepper needs at least 32",
            ),
            (
                format!("2:{good} 1:not-base64!"),
                "place 2 cannot be used: a pepper is written as",
            ),
            (
                format!("two:{good}"),
                "place 1 cannot be used: a pepper of a ring is written",
            ),
            (
                format!("+2:{good}"),
                "place 1 cannot be used: a pepper of a ring is written",
            ),
            (
                format!(":{good}"),
                "place 1 cannot be used: a pepper of a ring is written",
            ),
            (
                format!("4294967296:{good}"),
                "place 1 cannot be used: a pepper of a ring is",
            ),
            (
                format!("{good}:2"),
                "place 1 cannot be used: a pepper of a ring is written",
            ),
        ];
        for (text, expected) in cases {
            let error = PepperRing::parse(&text).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            let shown = format!("{error} {error:?}");
            let is_shown = |word: &str| word.len() > 9 && shown.contains(word);
            assert!(!text.split([' ', ':']).any(is_shown), "{shown}");
        }
    }
}
