use super::*;
use crate::foreign::{Alphabet, ForeignFormat, Formats, Hashing};
use crate::key::PresentedKey;

fn vectors() -> Vec<(String, Vec<u8>, [u8; 32])> {
    let data: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/data/vectors.json")).unwrap();
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

/// What is kept of a text of another system: once it was seen, and before.
fn seals_of(pepper: &Keyed, key: &Claim<'_>) -> (PepperedMac, PepperedMac) {
    let Claim::Foreign(text) = key else {
        panic!("{key:?}")
    };
    let imported = pepper.seal(&text.as_imported().mac_input());
    (pepper.seal(&text.mac_input()), imported)
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
    let (own, imported) = seals_of(ring.active(), &key);
    assert_eq!(
        hex(imported),
        "bd0f80f347ceb432dc86463066bc9f5b118c27ec0f5907217dafa1baeb44ee49"
    );
    assert_eq!(
        hex(own),
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
    let (to_keep, _) = seals_of(ring.active(), &key);
    for (pepper, renewed) in ring.peppers.iter().zip([true, true, false]) {
        let (own, imported) = seals_of(pepper, &key);
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
        let expected = renewed.then_some(to_keep);
        assert_eq!(fit(imported), expected, "{}", pepper.id);
        let older = pepper.id < PepperId(2);
        assert_eq!(fit(own), older.then_some(to_keep), "{}", pepper.id);
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
