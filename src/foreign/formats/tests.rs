use std::ops::RangeInclusive;

use super::super::{Alphabet, Hashing, StoredHash};
use super::*;

const SECRET: &str = "0123456789abcdefghijABCDEFGHIJ0123456789";

/// 40 letters and digits, of which the whole text is hashed.
fn plain(name: &str) -> ForeignFormat {
    ForeignFormat::new(name, Hashing::sha256(), Alphabet::ALPHANUMERIC, 40..=40)
}

/// `17|` and 40 to 48 letters and digits, of which the secret is hashed.
fn labelled(name: &str) -> ForeignFormat {
    ForeignFormat::new(name, Hashing::sha256(), Alphabet::ALPHANUMERIC, 40..=48)
        .label(Alphabet::DIGITS, 1..=3, '|')
        .hashes_secret_alone()
}

fn formats<const N: usize>(formats: [ForeignFormat; N]) -> Result<Formats, ForeignFormatError> {
    let own: Prefix = "acme_live".parse().unwrap();
    Formats::new(Vec::from(formats), [&own].into_iter())
}

fn id_of(formats: &Formats, text: &str) -> String {
    formats.read(text).unwrap().as_imported().id().to_string()
}

#[test]
fn only_what_fits_exactly_is_a_key() {
    let formats = formats([
        labelled("laravel"),
        plain("old").prefix("old_").secret_prefix("s."),
    ])
    .unwrap();
    let long = format!("{SECRET}12345678");
    for text in [
        format!("1|{SECRET}"),
        format!("123|{long}"),
        format!("old_s.{SECRET}"),
    ] {
        assert!(
            formats.fit(&text) && formats.read(&text).is_some(),
            "{text}"
        );
    }
    for text in [
        SECRET.to_owned(),
        format!("|{SECRET}"),
        format!("1234|{SECRET}"),
        format!("a|{SECRET}"),
        format!("1|1|{SECRET}"),
        format!("1:{SECRET}"),
        format!("1|{}", &SECRET[1..]),
        format!("1|{long}9"),
        format!("1|{}-", &SECRET[1..]),
        format!("1|{}é", &SECRET[2..]),
        format!("1|{SECRET} "),
        format!(" 1|{SECRET}"),
        format!("old_{SECRET}"),
        format!("s.{SECRET}"),
        format!("Old_s.{SECRET}"),
        format!("old_s.{SECRET}1"),
        String::new(),
        "é".into(),
    ] {
        assert!(
            !formats.fit(&text) && formats.read(&text).is_none(),
            "{text}"
        );
    }
}

#[test]
fn a_text_and_what_was_stored_of_it_lead_to_one_id() {
    let formats = formats([labelled("laravel"), plain("old").prefix("old_")]).unwrap();
    let (laravel, old) = (
        formats.named("laravel").unwrap(),
        formats.named("old").unwrap(),
    );
    let hash = |format: &ForeignFormat, text: &str| {
        let hash = match format.name() {
            "laravel" => Hashing::sha256().hash(text),
            _ => Hashing::sha256().hash(&format!("old_{text}")),
        };
        StoredHash::from_bytes(hash.as_bytes())
    };
    let of_laravel = hash(laravel, SECRET).labelled("17");
    let stored = laravel.imported(&of_laravel).unwrap();
    assert_eq!(
        id_of(&formats, &format!("17|{SECRET}")),
        stored.id().to_string()
    );
    assert_ne!(
        id_of(&formats, &format!("18|{SECRET}")),
        stored.id().to_string()
    );
    let of_old = hash(old, SECRET);
    let stored = old.imported(&of_old).unwrap();
    assert_eq!(
        id_of(&formats, &format!("old_{SECRET}")),
        stored.id().to_string()
    );
}

#[test]
fn the_id_depends_on_format_label_and_hash() {
    let with = |name: &str| formats([labelled(name)]).unwrap();
    let (one, other) = (with("one"), with("other"));
    let reversed: String = SECRET.chars().rev().collect();
    let mut ids = vec![
        id_of(&one, &format!("1|{SECRET}")),
        id_of(&one, &format!("2|{SECRET}")),
        id_of(&one, &format!("1|{reversed}")),
        id_of(&other, &format!("1|{SECRET}")),
    ];
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn secrets_of_less_than_112_bits_are_refused() {
    let hex = |lengths| {
        let format = ForeignFormat::new("hex", Hashing::sha256(), Alphabet::HEX, lengths);
        formats([format]).err()
    };
    assert_eq!(hex(28..=28), None);
    let name = || "hex".to_owned();
    let weak = |bits| Some(ForeignFormatError::Weak { name: name(), bits });
    assert_eq!(hex(27..=27), weak(108));
    assert_eq!(hex(27..=64), weak(108), "the shortest counts");
    let one = Alphabet::of("a").unwrap();
    let constant = ForeignFormat::new("hex", Hashing::sha256(), one, 128..=128);
    assert_eq!(formats([constant]).err(), weak(0));
}

#[test]
fn formats_of_which_a_text_fits_two_are_refused() {
    let ambiguous = |one, other| match formats([one, other]) {
        Ok(_) => false,
        Err(ForeignFormatError::Ambiguous { one, other }) => one == "one" && other == "other",
        Err(error) => panic!("{error}"),
    };
    let longer = ForeignFormat::new("other", Hashing::sha512(), Alphabet::HEX, 28..=40);
    assert!(ambiguous(plain("one"), longer));
    assert!(ambiguous(labelled("one"), labelled("other")));
    assert!(ambiguous(plain("one").prefix("a"), {
        ForeignFormat::new("other", Hashing::sha256(), Alphabet::ALPHANUMERIC, 41..=41)
    }));
    assert!(!ambiguous(
        plain("one").prefix("a"),
        plain("other").prefix("b")
    ));
    assert!(!ambiguous(plain("one"), labelled("other")));
    let exact = ForeignFormat::new("other", Hashing::sha256(), Alphabet::HEX, 39..=39);
    assert!(!ambiguous(plain("one"), exact));
}

#[test]
fn a_format_whose_texts_could_be_our_own_keys_is_refused() {
    let body = |prefix: &str| {
        ForeignFormat::new("old", Hashing::sha256(), Alphabet::ALPHANUMERIC, 49..=49)
            .prefix(prefix)
            .label(Alphabet::ALPHANUMERIC, 12..=12, '_')
    };
    let refused = ForeignFormatError::OwnKeys {
        name: "old".into(),
        prefix: "acme_live".into(),
    };
    assert_eq!(formats([body("acme_live_")]).err(), Some(refused));
    assert_eq!(formats([body("acme_test_")]).err(), None);
}

#[test]
fn what_is_wrong_with_a_format_is_said() {
    use ForeignFormatError::*;
    let refusal = |format: ForeignFormat| formats([format]).err();
    let old = || "old".to_owned();
    for name in ["", "Old", "old_1", "old key", &"o".repeat(33)] {
        assert_eq!(refusal(plain(name)), Some(Name(name.into())));
    }
    for prefix in ["a,b", "a:b", "a b", "é", &"a".repeat(33)] {
        assert_eq!(refusal(plain("old").prefix(prefix)), Some(Literal(old())));
        let inner = plain("old").secret_prefix(prefix);
        assert_eq!(refusal(inner), Some(Literal(old())), "{prefix}");
    }
    for (lengths, separator) in [
        (0..=3, '|'),
        (RangeInclusive::new(3, 2), '|'),
        (1..=65, '|'),
        (1..=3, '5'),
        (1..=3, ','),
        (1..=3, '→'),
    ] {
        let format = plain("old").label(Alphabet::DIGITS, lengths, separator);
        assert_eq!(refusal(format), Some(Label(old())), "{separator}");
    }
    for lengths in [0..=40, RangeInclusive::new(41, 40), 40..=129] {
        let format =
            |lengths| ForeignFormat::new("old", Hashing::sha256(), Alphabet::LETTERS, lengths);
        assert_eq!(refusal(format(lengths)), Some(SecretLength(old())));
    }
    let twice = formats([plain("old"), plain("old").prefix("b")]).err();
    assert_eq!(twice, Some(NameTwice(old())));
    assert_eq!(Hashing::hmac_sha256(b"").unwrap_err(), EmptyHashKey);
    assert_eq!(Hashing::hmac_sha512(b"").unwrap_err(), EmptyHashKey);
}

#[test]
fn keys_with_a_prefix_are_found_within_other_text_and_others_are_not() {
    let formats = formats([plain("old").prefix("old-"), labelled("laravel")]).unwrap();
    let key = format!("old-{SECRET}");
    for text in [
        key.clone(),
        format!("a=1&token={key}&b=2"),
        format!("old-old-{key}"),
        format!("api_{key}_2"),
        format!("more{key} and {key}more, {key}"),
        format!("é{key}é"),
    ] {
        assert_eq!(formats.find_in(&text), Some(key.as_str()), "{text}");
    }
    for text in [
        format!("1|{SECRET}"),
        key[..43].to_owned(),
        "old-é".into(),
        format!("{key}more"),
        format!("more{key}"),
        format!("0{key}"),
    ] {
        assert_eq!(formats.find_in(&text), None, "{text}");
    }
}
