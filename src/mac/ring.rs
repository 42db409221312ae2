use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::{Mac, Pepper, PepperError, PepperId};
use crate::clock::Timestamp;
use crate::key::{KeyId, PresentedKey, SECRET_LEN};
use crate::record::{SecretSlot, Secrets};

/// One active pepper, which makes new MACs, and any number of others that only verify.
///
/// Bring a new pepper to every node as verify-only before any node makes it active.
///
/// ```
/// use keygate::{Pepper, PepperId, PepperRing};
/// # let (old, new) = (Pepper::from_base64(&Pepper::generate_base64()?)?, Pepper::from_base64(&Pepper::generate_base64()?)?);
/// let ring = PepperRing::new(PepperId(2), new).verify_only(PepperId(1), old)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PepperRing {
    /// The active pepper stands first.
    peppers: Vec<Keyed>,
}

impl PepperRing {
    /// A ring whose active pepper is `pepper`, known to the store as `id`.
    pub fn new(id: PepperId, pepper: Pepper) -> Self {
        Self {
            peppers: vec![Keyed::new(id, &pepper)],
        }
    }

    /// Adds a pepper that verifies keys and makes no new MAC.
    ///
    /// # Errors
    /// When the ring already has a pepper under `id`.
    pub fn verify_only(mut self, id: PepperId, pepper: Pepper) -> Result<Self, PepperError> {
        if self.peppers.iter().any(|keyed| keyed.id == id) {
            return Err(PepperError::DuplicateId(id));
        }
        self.peppers.push(Keyed::new(id, &pepper));
        Ok(self)
    }

    /// The MAC of a new secret under the active pepper.
    pub(crate) fn mac(&self, id: &KeyId, secret: &[u8; SECRET_LEN]) -> (PepperId, Mac) {
        let active = &self.peppers[0];
        (active.id, active.mac(id, secret))
    }

    /// Which of `secrets` the presented key holds.
    ///
    /// One MAC per pepper and every slot compared, whatever matches: the time tells nothing.
    pub(crate) fn find(&self, key: &PresentedKey<'_>, secrets: &Secrets, now: Timestamp) -> Match {
        let mut current = Choice::from(0);
        let mut previous = Choice::from(0);
        for pepper in &self.peppers {
            let mac = pepper.mac(key.id(), key.secret());
            current |=
                secrets.current.pepper.0.ct_eq(&pepper.id.0) & secrets.current.mac.ct_eq(&mac);
            if let Some(slot) = &secrets.previous {
                previous |= slot.pepper.0.ct_eq(&pepper.id.0) & slot.mac.ct_eq(&mac);
            }
        }
        if current.into() {
            Match::Current
        } else if previous.into() {
            Match::Previous
        } else {
            let uncheckable = |slot: &&SecretSlot| !slot.has_ended(now) && !self.knows(slot.pepper);
            match secrets.slots().find(uncheckable) {
                Some(slot) => Match::UnknownPepper(slot.pepper),
                None => Match::None,
            }
        }
    }

    /// What the store keeps of each pepper, so that a wrong one under a known id is noticed.
    pub(crate) fn checks(&self) -> impl Iterator<Item = PepperCheck> {
        self.peppers.iter().map(|pepper| PepperCheck {
            id: pepper.id,
            value: pepper.check,
        })
    }

    fn knows(&self, id: PepperId) -> bool {
        self.peppers.iter().any(|pepper| pepper.id == id)
    }
}

impl fmt::Debug for PepperRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.peppers.iter().map(|pepper| pepper.id))
            .finish()
    }
}

/// The outcome of holding a presented key against a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Current,
    Previous,
    /// No slot matches, and all that are live could be checked.
    None,
    /// No slot matches, and this ring cannot check a live one: nothing is proved either way.
    UnknownPepper(PepperId),
}

pub(crate) struct PepperCheck {
    pub(crate) id: PepperId,
    pub(crate) value: [u8; 32],
}

struct Keyed {
    id: PepperId,
    state: Hmac<Sha256>,
    check: [u8; 32],
}

impl Keyed {
    /// No key id begins with a hyphen, so this is the MAC of no key.
    const CHECK_INPUT: &'static [u8] = b"-keygate pepper check 1";

    fn new(id: PepperId, pepper: &Pepper) -> Self {
        let state = keyed_state(pepper.as_bytes());
        let check = state.clone().chain_update(Self::CHECK_INPUT).finalize();
        Self {
            id,
            check: check.into_bytes().into(),
            state,
        }
    }

    fn mac(&self, id: &KeyId, secret: &[u8; SECRET_LEN]) -> Mac {
        let mut mac = self.state.clone();
        mac.update(id.as_bytes());
        mac.update(secret);
        Mac::from_bytes(mac.finalize().into_bytes().into())
    }
}

/// HMAC takes a key of any length (RFC 2104, section 2), so the error cannot occur.
#[expect(clippy::expect_used, reason = "HMAC accepts keys of every length")]
fn keyed_state(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC accepts keys of every length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> Vec<(String, Vec<u8>, [u8; 32])> {
        let data: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/vectors.json")).unwrap();
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len() / 2)
                .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
                .collect()
        };
        data["valid"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| {
                let field = |name: &str| v[name].as_str().unwrap();
                let mac = hex(field("mac_hex")).try_into().unwrap();
                (field("text").to_owned(), hex(field("pepper_hex")), mac)
            })
            .collect()
    }

    fn slot(pepper: u32, mac: [u8; 32]) -> SecretSlot {
        SecretSlot {
            mac: Mac::from_bytes(mac),
            pepper: PepperId(pepper),
            created_at: Timestamp::MIN,
            not_after: None,
        }
    }

    fn one(slot: SecretSlot) -> Secrets {
        Secrets {
            current: slot,
            previous: None,
        }
    }

    #[test]
    fn the_mac_agrees_with_every_vector() {
        for (text, pepper, expected) in vectors() {
            let ring = PepperRing::new(PepperId(1), Pepper::from_bytes(pepper).unwrap());
            let key = PresentedKey::parse(&text).unwrap();
            let (_, mac) = ring.mac(key.id(), key.secret());
            assert_eq!(mac.as_bytes(), &expected, "{text}");
        }
    }

    #[test]
    fn a_key_is_found_in_either_slot_and_under_any_pepper_of_the_ring() {
        let (text, pepper, mac) = vectors().swap_remove(0);
        let key = PresentedKey::parse(&text).unwrap();
        let fresh = || Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
        let ring = PepperRing::new(PepperId(2), fresh())
            .verify_only(PepperId(1), Pepper::from_bytes(pepper).unwrap())
            .unwrap();
        let now = Timestamp::from_unix_millis(1_000).unwrap();
        let find = |secrets: Secrets| ring.find(&key, &secrets, now);
        let with_previous = |previous| Secrets {
            current: slot(1, [9; 32]),
            previous: Some(previous),
        };
        assert_eq!(find(one(slot(1, mac))), Match::Current);
        assert_eq!(find(with_previous(slot(1, mac))), Match::Previous);
        assert_eq!(find(one(slot(1, [9; 32]))), Match::None);
        let under_another_id = find(one(slot(2, mac)));
        assert_eq!(under_another_id, Match::None, "its pepper is another");
        let unknown = Match::UnknownPepper(PepperId(3));
        assert_eq!(find(one(slot(3, mac))), unknown);
        assert_eq!(find(with_previous(slot(3, mac))), unknown);
        let ended = SecretSlot {
            not_after: Some(now),
            ..slot(3, mac)
        };
        let retired = find(with_previous(ended));
        assert_eq!(retired, Match::None, "an ended secret opens nothing anyway");
    }

    #[test]
    fn peppers_that_protect_nothing_are_refused() {
        assert!(matches!(
            Pepper::from_bytes([]),
            Err(PepperError::Short { len: 0 })
        ));
        assert!(matches!(
            Pepper::from_bytes([1; 31]),
            Err(PepperError::Short { len: 31 })
        ));
        assert!(matches!(
            Pepper::from_bytes([1; 32]),
            Err(PepperError::NotRandom)
        ));
        assert!(matches!(
            Pepper::from_base64("not base64!"),
            Err(PepperError::NotBase64)
        ));
    }

    #[test]
    fn every_byte_of_a_long_pepper_counts() {
        let (text, mut pepper, mac) = vectors().swap_remove(0);
        let last = pepper.len() - 1;
        assert!(last > 32);
        pepper[last] ^= 1;
        let ring = PepperRing::new(PepperId(1), Pepper::from_bytes(pepper).unwrap());
        let key = PresentedKey::parse(&text).unwrap();
        assert!(ring.mac(key.id(), key.secret()).1 != Mac::from_bytes(mac));
    }
}
