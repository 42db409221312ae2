//! The rules for other scanners, by an engine of regular expressions that is close to theirs.

use std::collections::BTreeMap;

use keygate::PresentedKey;
use keygate::leak::Scanner;
use regex::Regex;

use crate::corpus::{Corpus, scanner, scanner_of};
use crate::scanning::own_source;

/// Shannon's, in bits a character, as gitleaks and trufflehog compute it.
fn entropy(text: &str) -> f64 {
    let mut counts = BTreeMap::new();
    for character in text.chars() {
        *counts.entry(character).or_insert(0.0) += 1.0;
    }
    let len: f64 = counts.values().sum();
    counts
        .values()
        .map(|count| -count / len * f64::log2(count / len))
        .sum()
}

/// What a rule finds: a match with the entropy that it asks for.
fn matches<'t>(pattern: &Regex, text: &'t str) -> Vec<&'t str> {
    let found = pattern.find_iter(text).map(|found| found.as_str());
    found.filter(|found| entropy(found) >= 4.0).collect()
}

/// The value that follows `name`, between these quotes.
fn value<'t>(text: &'t str, name: &str, quote: &str) -> &'t str {
    let (_, value) = text.split_once(&format!("{name}{quote}")).unwrap();
    value.split_once(quote).unwrap().0
}

fn pattern_of(scanner: &Scanner) -> Regex {
    let rules = scanner.rules();
    let pattern = rules.pattern();
    assert_eq!(value(&rules.gitleaks(), "regex = ", "'''"), pattern);
    assert_eq!(value(&rules.trufflehog(), "key: ", "'"), pattern);
    Regex::new(&pattern).unwrap()
}

#[test]
fn the_rules_find_every_key_of_the_corpus_once_and_nothing_else() {
    let pattern = pattern_of(&scanner());
    for file in Corpus::new().files(1_000) {
        assert_eq!(matches(&pattern, &file.text), file.keys, "{}", file.name);
    }
}

#[test]
fn the_rules_find_nothing_in_a_large_text_without_keys() {
    let text = Corpus::new().without_keys(8 << 20, |_| "live_0".to_owned());
    assert_eq!(matches(&pattern_of(&scanner()), &text), [""; 0]);
}

#[test]
fn in_this_crates_own_source_the_rules_find_keys_and_of_the_rest_only_the_vectors_of_wrong_ones() {
    let pattern = pattern_of(&scanner_of(&["acme_live", "acme_test"]));
    let vectors = include_str!("../data/vectors.json");
    let mut keys = 0;
    for (path, text) in own_source() {
        for found in matches(&pattern, &text) {
            let is_key = PresentedKey::parse(found).is_ok();
            keys += usize::from(is_key);
            assert!(is_key || vectors.contains(found), "{found} in {path:?}");
        }
    }
    assert!(keys >= 5, "{keys}");
}

#[test]
fn githubs_pattern_finds_every_key_whatever_stands_around_it() {
    let pattern = scanner().rules().github();
    let whole = format!(
        "(?:{})({})(?:{})",
        pattern.before_secret, pattern.secret_format, pattern.after_secret
    );
    let whole = Regex::new(&whole).unwrap();
    for file in Corpus::new().files(100) {
        // Matches overlap by what stands between two keys.
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(groups) = whole.captures_at(&file.text, from) {
            let key = groups.get(1).unwrap();
            found.push(key.as_str());
            from = key.end() - 1;
        }
        assert_eq!(found, file.keys, "{}", file.name);
    }
}

#[test]
fn the_files_are_as_the_tools_read_them() {
    let rules = Scanner::new("acme_live").unwrap().rules();
    let pattern = "acme_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}[0-4][0-9A-Za-z]{5}";
    let gitleaks = format!(
        r#"[[rules]]
id = "acme-live-api-key"
description = "API key that begins with acme_live_"
regex = '''{pattern}'''
entropy = 4
keywords = ["acme_live_"]
"#
    );
    assert_eq!(rules.gitleaks(), gitleaks);
    let trufflehog = format!(
        "detectors:
  - name: acme_live_api_key
    keywords:
      - acme_live_
    regex:
      key: '{pattern}'
    entropy: 4
"
    );
    assert_eq!(rules.trufflehog(), trufflehog);
    let github = rules.github();
    assert_eq!(github.name, "API key that begins with acme_live_");
    assert_eq!(github.secret_format, pattern);
}
