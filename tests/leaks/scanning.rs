use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use keygate::PresentedKey;
use keygate::leak::{Finding, Scanner};
use proptest::prelude::*;

use crate::common::{self, World};
use crate::corpus::{Corpus, PREFIXES, scanner, scanner_of};

pub(crate) const KEY: &str =
    "acme_live_aWFeOgd23eOp_1ARVjVEeNJPXGyijpXUwIL8tuPmXyNcizRcEneZHbEy4czicd";

fn found<'t>(scanner: &Scanner, text: &'t str) -> Vec<&'t str> {
    let found = scanner.scan(text);
    found.map(|found| &text[found.range()]).collect()
}

#[test]
fn every_key_of_the_corpus_is_found_once_with_its_prefix_and_id_and_nothing_else() {
    let scanner = scanner();
    let mut total = 0;
    for file in Corpus::new().files(1_000) {
        assert_eq!(found(&scanner, &file.text), file.keys, "{}", file.name);
        for (found, key) in scanner.scan(&file.text).zip(&file.keys) {
            let key = PresentedKey::parse(key).unwrap();
            assert_eq!(found.prefix().as_str(), key.prefix());
            assert_eq!(found.key_id(), key.id());
        }
        total += file.keys.len();
    }
    assert!(total >= 5_000, "{total}");
}

#[test]
fn nothing_is_found_in_a_large_text_of_words_noise_and_what_is_nearly_a_key() {
    let text = Corpus::new().without_keys(24 << 20, Corpus::near_miss);
    assert_eq!(found(&scanner(), &text), [""; 0]);
    assert!(!scanner().redact(&text).contains("[redacted]"));
}

/// The text of all files of this crate, with their paths.
pub(crate) fn own_source() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = ["src", "tests", "benches", "examples"]
        .map(|folder| root.join(folder))
        .into();
    let mut files = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    let read = |path: PathBuf| {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        (path, text)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn nothing_is_found_in_this_crates_own_source_but_the_keys_of_its_test_vectors() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../data/vectors.json")).unwrap();
    let vectors = vectors["valid"].as_array().unwrap();
    let valid: BTreeSet<&str> = vectors
        .iter()
        .map(|v| v["text"].as_str().unwrap())
        .collect();
    let prefixes: BTreeSet<&str> = vectors
        .iter()
        .map(|v| v["prefix"].as_str().unwrap())
        .collect();
    let prefixes: Vec<&str> = prefixes.into_iter().collect();
    let scanner = scanner_of(&prefixes);
    let mut all = BTreeSet::new();
    for (path, text) in own_source() {
        for key in found(&scanner, &text) {
            assert!(valid.contains(key), "a key that is no vector's in {path:?}");
            all.insert(key.to_owned());
        }
    }
    assert_eq!(all.len(), valid.len());
}

#[test]
fn what_stands_around_a_key_does_not_hide_it() {
    let scanner = Scanner::new("acme_live").unwrap();
    for (before, after) in [
        ("", ""),
        ("\"", "\""),
        ("\\\"", "\\\""),
        ("Bearer ", "\n"),
        ("https://example.com/?key=", "&page=2"),
        ("key_", ""),
        ("xacme_live_", ""),
        ("acme_live_acme_live_", ""),
        ("\u{1b}[2m=\u{1b}[0m", "\u{1b}[0m"),
        ("é", "é"),
        ("", "A9"),
        ("", "_"),
        (KEY, KEY),
    ] {
        let text = format!("{before}{KEY}{after}");
        let keys = text.matches(KEY).count();
        assert_eq!(found(&scanner, &text), vec![KEY; keys], "{text}");
        assert!(scanner.scan(&text.as_bytes()[1..]).count() <= keys);
    }
    let not_utf8 = [&[0xff, 0xfe], KEY.as_bytes(), &[0xff]].concat();
    assert_eq!(scanner.scan(&not_utf8).count(), 1);
}

#[test]
fn a_key_is_one_of_the_prefix_that_it_was_made_with() {
    let mut corpus = Corpus::new();
    let longer = corpus.key("my_acme_live");
    for prefixes in [&["acme_live"][..], &["live"], &["live", "acme_live"]] {
        assert_eq!(
            found(&scanner_of(prefixes), &longer),
            [""; 0],
            "{prefixes:?}"
        );
    }
    let found: Vec<Finding> = scanner().scan(&longer).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].prefix().as_str(), "my_acme_live");
}

#[test]
fn a_key_is_found_behind_what_overlaps_with_its_beginning() {
    let key = Corpus::new().key("a_a");
    let text = format!("a_{key}");
    assert_eq!(found(&scanner_of(&["a_a"]), &text), [&key]);
    assert_eq!(found(&scanner_of(&["a", "a_a", "a_b"]), &text), [&key]);
}

#[test]
fn a_key_that_ends_as_another_begins_does_not_hide_it() {
    let (first, second) = Corpus::new().overlapping_keys();
    let text = first.clone() + &second[1..];
    assert_eq!(found(&scanner(), &text), [&first, &second]);
    let shown = |key: &String| key[..key.len() - 49].to_owned();
    assert_eq!(
        scanner().redact(&text),
        format!(
            "{}[redacted]{}[redacted]",
            shown(&first),
            &shown(&second)[1..]
        )
    );
}

#[test]
fn neither_a_scanner_nor_a_finding_shows_a_secret() {
    let scanner = Scanner::new("acme_live").unwrap();
    let finding = scanner.scan(KEY).next().unwrap();
    let scan = scanner.scan(KEY);
    let mut stream = scanner.stream();
    stream.push(&KEY.as_bytes()[..50]);
    let reader = scanner.scan_reader(KEY.as_bytes());
    let writer = scanner.redacting_writer(Vec::new());
    let shown = format!("{scanner:?} {finding:?} {scan:?} {stream:?} {reader:?} {writer:?}");
    assert!(
        shown.contains("aWFeOgd23eOp") && !shown.contains("1ARVjVEe"),
        "{shown}"
    );
    assert!(!shown.contains("49, 65, 82, 86"), "{shown}");
}

#[tokio::test]
async fn the_scanner_of_a_gate_knows_every_prefix_that_was_declared_and_no_other() {
    let world = World::with(|builder| builder.decline_prefix("zeta_live")).await;
    let mut corpus = Corpus::new();
    let scanner = world.keys.scanner();
    for prefix in [common::LIVE, common::SANDBOX, common::DECLINED, "zeta_live"] {
        let key = corpus.key(prefix);
        assert_eq!(found(&scanner, &key), [&key]);
        assert!(world.keys.authenticator().recognises(&format!("({key}x")));
    }
    let other = corpus.key("other_live");
    assert_eq!(found(&scanner, &other), [""; 0]);
    assert!(!world.keys.authenticator().recognises(&other));
}

/// The keys in a text, by trying every place and prefix.
fn by_trying(prefixes: &[&str], text: &str) -> Vec<(usize, usize)> {
    let key_at = |start| {
        prefixes.iter().find_map(|prefix| {
            let end = start + prefix.len() + 63;
            let key = PresentedKey::parse(text.get(start..end)?).ok()?;
            (key.prefix() == *prefix).then_some((start, end))
        })
    };
    (0..text.len()).filter_map(key_at).collect()
}

/// A text of keys, parts of keys and what looks like them.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let piece = (0..8_u8, any::<u64>(), "[a-z_]{0,9}");
    let piece = piece.prop_map(|(kind, seed, word)| {
        let mut corpus = Corpus::from_seed(seed);
        let mut key = corpus.any_key();
        match kind {
            0 | 1 => key,
            2 => corpus.near_miss(),
            3 => {
                key.truncate(corpus.below(key.len()));
                key
            }
            4 => key.split_off(corpus.below(key.len())),
            5 => {
                let (first, second) = corpus.overlapping_keys();
                first + &second[1..]
            }
            6 => format!("{}_{word}", PREFIXES[corpus.below(PREFIXES.len())]),
            _ => word,
        }
    });
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_scan_finds_what_trying_every_place_finds(text in text(), some in 1..=PREFIXES.len()) {
        let prefixes = &PREFIXES[..some];
        let found: Vec<_> = scanner_of(prefixes).scan(&text).map(|f| (f.range().start, f.range().end)).collect();
        prop_assert_eq!(found, by_trying(prefixes, &text));
    }
}
