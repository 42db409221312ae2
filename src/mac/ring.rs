use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::{Claim, Mac, Pepper, PepperError, PepperId, PepperedMac, Proof, Proofs};
use crate::clock::Timestamp;
use crate::foreign::ImportedKey;
use crate::key::{KeyId, SECRET_LEN};

/// One active pepper, which makes new MACs, and any number of others that only verify.
///
/// Bring a new pepper to every node as verify-only before any node makes it active, and give it a
/// higher id than all before: the MACs of keys are made anew, as they are used, from a lower id to a
/// higher one and never back.
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
    pub(crate) fn mac(&self, id: &KeyId, secret: &[u8; SECRET_LEN]) -> PepperedMac {
        self.active().seal(&[id.as_bytes(), secret])
    }

    /// The MAC of a key that was made elsewhere, under the active pepper, until its text is seen.
    pub(crate) fn mac_of_imported(&self, key: &ImportedKey<'_>) -> PepperedMac {
        self.active().seal(&key.mac_input())
    }

    /// Which of `proofs` the presented key fits.
    ///
    /// The same MACs for each pepper, and every proof compared, whatever fits: the time tells nothing.
    pub(crate) fn find<'a>(
        &self,
        key: &Claim<'_>,
        proofs: &'a Proofs,
        now: Timestamp,
    ) -> Match<'a> {
        let active = self.active().seals_of(key);
        let others = self.peppers.iter().skip(1);
        let others = others.map(|pepper| pepper.seals_of(key));
        let mut current = Choice::from(0);
        let mut previous = Choice::from(0);
        for seals in std::iter::once(active).chain(others) {
            current |= seals.fit(&proofs.current);
            if let Some(proof) = &proofs.previous {
                previous |= seals.fit(proof);
            }
        }
        if current.into() {
            return Match::Current(Fit::new(&proofs.current, active));
        }
        if let Some(proof) = proofs.previous.as_deref().filter(|_| previous.into()) {
            return Match::Previous(Fit::new(proof, active));
        }
        let uncheckable =
            |proof: &&Proof| !proof.has_ended(now) && !self.knows(proof.sealed.pepper);
        match proofs.iter().find(uncheckable) {
            Some(proof) => Match::UnknownPepper(proof.sealed.pepper),
            None => Match::None,
        }
    }

    /// What the store keeps of each pepper, so that a wrong one under a known id is noticed.
    pub(crate) fn checks(&self) -> impl Iterator<Item = PepperCheck> {
        self.peppers.iter().map(|pepper| PepperCheck {
            id: pepper.id,
            value: pepper.check,
        })
    }

    pub(crate) fn active_id(&self) -> PepperId {
        self.active().id
    }

    pub(crate) fn knows(&self, id: PepperId) -> bool {
        self.peppers.iter().any(|pepper| pepper.id == id)
    }

    /// Whether both have the same peppers under the same ids in the same order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_same =
            |(a, b): (&Keyed, &Keyed)| a.id == b.id && bool::from(a.check.ct_eq(&b.check));
        self.peppers.len() == other.peppers.len()
            && self.peppers.iter().zip(&other.peppers).all(is_same)
    }

    fn active(&self) -> &Keyed {
        &self.peppers[0]
    }
}

impl fmt::Debug for PepperRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.peppers.iter().map(|pepper| pepper.id))
            .finish()
    }
}

/// The outcome of holding a presented key against what is kept of it.
#[derive(Debug)]
pub(crate) enum Match<'a> {
    Current(Fit<'a>),
    Previous(Fit<'a>),
    /// Nothing fits, and all that is live could be checked.
    None,
    /// Nothing fits, and this ring cannot check something live: nothing is proved either way.
    UnknownPepper(PepperId),
}

/// The proof that a presented key fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fit<'a> {
    pub(crate) proof: &'a Proof,
    /// What is to be kept in place of the proof's MAC, where that is of an older pepper, or of a key that
    /// was made elsewhere, from before its text was seen.
    ///
    /// Only from a lower id to a higher one: while an active pepper is being rolled out, two instances
    /// would else renew each other's MACs back and forth.
    pub(crate) renewed: Option<PepperedMac>,
}

impl<'a> Fit<'a> {
    fn new(proof: &'a Proof, active: Seals) -> Self {
        let is_older = proof.sealed.pepper < active.own.pepper;
        let is_imported = active.imported.is_some_and(|mac| mac == proof.sealed);
        Self {
            proof,
            renewed: (is_older || is_imported).then_some(active.own),
        }
    }
}

/// What may be kept of a presented key, under one pepper.
#[derive(Clone, Copy)]
struct Seals {
    own: PepperedMac,
    /// Of a key that was made elsewhere, from before its text was seen.
    imported: Option<PepperedMac>,
}

impl Seals {
    fn fit(&self, proof: &Proof) -> Choice {
        let mut fits = proof.sealed.ct_eq(&self.own);
        if let Some(imported) = &self.imported {
            fits |= proof.sealed.ct_eq(imported);
        }
        fits
    }
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

    fn seals_of(&self, key: &Claim<'_>) -> Seals {
        match key {
            Claim::Foreign(text) => Seals {
                own: self.seal(&text.mac_input()),
                imported: Some(self.seal(&text.as_imported().mac_input())),
            },
            Claim::Own(key) => Seals {
                own: self.seal(&[key.id().as_bytes(), key.secret()]),
                imported: None,
            },
        }
    }

    fn seal(&self, input: &[&[u8]]) -> PepperedMac {
        let mut mac = self.state.clone();
        for piece in input {
            mac.update(piece);
        }
        PepperedMac {
            mac: Mac::from_bytes(mac.finalize().into_bytes().into()),
            pepper: self.id,
        }
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
    use crate::foreign::{Alphabet, ForeignFormat, Formats, Hashing};
    use crate::key::PresentedKey;

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

    fn proof(pepper: u32, mac: [u8; 32]) -> Proof {
        Proof {
            sealed: PepperedMac {
                mac: Mac::from_bytes(mac),
                pepper: PepperId(pepper),
            },
            created_at: Timestamp::MIN,
            ends_at: Timestamp::MAX,
        }
    }

    #[test]
    fn the_mac_agrees_with_every_vector() {
        for (text, pepper, expected) in vectors() {
            let ring = PepperRing::new(PepperId(1), Pepper::from_bytes(pepper).unwrap());
            let key = PresentedKey::parse(&text).unwrap();
            let sealed = ring.mac(key.id(), key.secret());
            assert_eq!(sealed.mac.as_bytes(), &expected, "{text}");
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
        let find = |current: Proof, previous: Option<Proof>| {
            let previous = previous.map(Box::new);
            match ring.find(&Claim::Own(key), &Proofs { current, previous }, now) {
                Match::Current(_) => "current",
                Match::Previous(_) => "previous",
                Match::None => "none",
                Match::UnknownPepper(PepperId(3)) => "pepper 3 is unknown",
                Match::UnknownPepper(_) => "another pepper is unknown",
            }
        };
        let other = || proof(1, [9; 32]);
        assert_eq!(find(proof(1, mac), Some(other())), "current");
        assert_eq!(find(other(), Some(proof(1, mac))), "previous");
        assert_eq!(find(other(), None), "none");
        assert_eq!(find(proof(2, mac), None), "none", "its pepper is another");
        assert_eq!(find(proof(3, mac), None), "pepper 3 is unknown");
        assert_eq!(find(other(), Some(proof(3, mac))), "pepper 3 is unknown");
        let ended = Proof {
            ends_at: now,
            ..proof(3, mac)
        };
        assert_eq!(
            find(other(), Some(ended)),
            "none",
            "what has ended opens nothing anyway"
        );
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
        assert!(ring.mac(key.id(), key.secret()).mac != Mac::from_bytes(mac));
    }

    /// Held against an independent implementation (Python's hashlib and hmac).
    #[test]
    fn the_macs_of_a_key_of_another_system_never_change() {
        let characters = Alphabet::ALPHANUMERIC;
        let format = ForeignFormat::new("laravel", Hashing::sha256(), characters, 48..=48)
            .label(Alphabet::DIGITS, 1..=3, '|')
            .hashes_secret_alone();
        let formats = Formats::new(vec![format], [].into_iter()).unwrap();
        let text = "17|iZ4aWCYmNZ4zY5xin7pADjrCQPubjBohedBAG6KI482e1e0a";
        let key = Claim::Foreign(formats.read(text).unwrap());
        assert_eq!(key.id().as_str(), "L5jd8xScUMda");
        let pepper: Vec<u8> = (0..32).collect();
        let ring = PepperRing::new(PepperId(1), Pepper::from_bytes(pepper).unwrap());
        let hex = |sealed: PepperedMac| -> String {
            let bytes = sealed.mac.as_bytes().iter();
            bytes.map(|byte| format!("{byte:02x}")).collect()
        };
        let seals = ring.active().seals_of(&key);
        assert_eq!(
            hex(seals.imported.unwrap()),
            "bd0f80f347ceb432dc86463066bc9f5b118c27ec0f5907217dafa1baeb44ee49"
        );
        assert_eq!(
            hex(seals.own),
            "8290ddea3aa68abd19591c45a85024e343e98d68e072e30044e0a272c9fac38b"
        );
    }

    #[test]
    fn a_mac_of_a_key_of_another_system_is_renewed_unless_by_an_older_pepper() {
        let characters = Alphabet::HEX;
        let format = ForeignFormat::new("old", Hashing::sha256(), characters, 28..=28);
        let formats = Formats::new(vec![format], [].into_iter()).unwrap();
        let key = Claim::Foreign(formats.read("0123456789abcdef0123456789ab").unwrap());
        let fresh = || Pepper::from_base64(&Pepper::generate_base64().unwrap()).unwrap();
        let ring = PepperRing::new(PepperId(2), fresh())
            .verify_only(PepperId(1), fresh())
            .unwrap()
            .verify_only(PepperId(3), fresh())
            .unwrap();
        let own = ring.active().seals_of(&key).own;
        for (pepper, renewed) in ring.peppers.iter().zip([true, true, false]) {
            let seals = pepper.seals_of(&key);
            let fit = |sealed| {
                let current = Proof {
                    sealed,
                    ..proof(1, [0; 32])
                };
                let previous = None;
                match ring.find(&key, &Proofs { current, previous }, Timestamp::MIN) {
                    Match::Current(fit) => fit.renewed,
                    other => panic!("{other:?}"),
                }
            };
            let expected = renewed.then_some(own);
            assert_eq!(fit(seals.imported.unwrap()), expected, "{}", pepper.id);
            let older = pepper.id < PepperId(2);
            assert_eq!(fit(seals.own), older.then_some(own), "{}", pepper.id);
        }
    }

    #[test]
    fn no_key_of_ours_has_the_mac_of_one_that_was_made_elsewhere() {
        let format = ForeignFormat::new("old", Hashing::sha256(), Alphabet::HEX, 28..=28);
        let formats = Formats::new(vec![format], [].into_iter()).unwrap();
        let text = formats.read("0123456789abcdef0123456789ab").unwrap();
        let begins = [text.mac_input()[0], text.as_imported().mac_input()[0]];
        assert_ne!(begins[0][..12], begins[1][..12]);
        for begin in begins {
            let begin = std::str::from_utf8(&begin[..12]).unwrap();
            assert!(begin.parse::<KeyId>().is_err(), "{begin}");
        }
    }
}
