use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str;
use std::sync::Arc;

use memchr::memmem::Finder;

use crate::key::{
    CHECKSUM_LEN, ID_LEN, KeyId, Prefix, PrefixError, PresentedKey, SECRET_LEN, TAIL_LEN,
};

/// Finds the well-formed keys of some prefixes. Cloning it is cheap.
///
/// Prefixes that share their first segment, as `acme_live` and `acme_test` do, are looked for in one pass
/// over the text; each other first segment takes a pass of its own.
#[derive(Clone)]
pub struct Scanner(Arc<Sought>);

struct Sought {
    prefixes: Vec<Prefix>,
    families: Vec<Family>,
}

/// Prefixes with the same first segment.
struct Family {
    /// What all their keys begin with.
    needle: Finder<'static>,
    first_segment_len: usize,
    prefixes: Vec<Prefix>,
}

impl Scanner {
    /// How many characters of a key have to stay unseen: the secret, and the checksum that would let
    /// others try what is left of it.
    pub(super) const HIDDEN_LEN: usize = SECRET_LEN + CHECKSUM_LEN;

    /// Looks for keys with this prefix, such as `acme_live`.
    ///
    /// # Errors
    /// When `prefix` is not a prefix.
    pub fn new(prefix: &str) -> Result<Self, PrefixError> {
        Ok(Self::of(vec![prefix.parse()?]))
    }

    /// Looks for keys with this prefix too.
    ///
    /// # Errors
    /// When `prefix` is not a prefix.
    pub fn also(&self, prefix: &str) -> Result<Self, PrefixError> {
        let prefix = prefix.parse()?;
        let mut prefixes = self.0.prefixes.clone();
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
        Ok(Self::of(prefixes))
    }

    pub(crate) fn of(prefixes: Vec<Prefix>) -> Self {
        let mut by_segment = BTreeMap::<&str, Vec<Prefix>>::new();
        for prefix in &prefixes {
            let segment = prefix.as_str().split('_').next().unwrap_or_default();
            by_segment.entry(segment).or_default().push(prefix.clone());
        }
        let families = by_segment
            .into_iter()
            .map(|(segment, prefixes)| Family::new(segment, prefixes))
            .collect();
        Self(Arc::new(Sought { prefixes, families }))
    }

    /// The keys in a text, from the beginning to the end.
    pub fn scan<'t, T: AsRef<[u8]> + ?Sized>(&self, text: &'t T) -> Scan<'_, 't> {
        let text = text.as_ref();
        let families = self.0.families.iter();
        let ahead = families.map(|family| (family, family.find(text, 0)));
        Scan {
            text,
            overlap: self.overlap(),
            ahead: ahead.collect(),
        }
    }

    /// Whether there is a key in a text. It allocates nothing.
    pub(crate) fn finds_in(&self, text: &str) -> bool {
        let text = text.as_bytes();
        let mut families = self.0.families.iter();
        families.any(|family| family.find(text, 0).is_some())
    }

    pub(super) fn prefixes(&self) -> &[Prefix] {
        &self.0.prefixes
    }

    /// How many bytes the longest key has.
    pub(super) fn longest(&self) -> usize {
        let prefixes = self.0.prefixes.iter();
        TAIL_LEN
            + prefixes
                .map(|prefix| prefix.as_str().len())
                .max()
                .unwrap_or(0)
    }

    /// How many of its last characters a key may share with one that follows: the first segment of a
    /// prefix, as no underscore stands in a secret.
    pub(super) fn overlap(&self) -> usize {
        let families = self.0.families.iter();
        families
            .map(|family| family.first_segment_len)
            .max()
            .unwrap_or(0)
    }

    /// Whether `text` ends where the secret of a key could begin: with `acme_live_4KX9vQ2mB7tZ_`.
    pub(super) fn secret_may_follow(&self, text: &[u8]) -> bool {
        let Some(prefix_end) = text.len().checked_sub(1 + ID_LEN + 1) else {
            return false;
        };
        let (before, [b'_', id @ .., b'_']) = text.split_at(prefix_end) else {
            return false;
        };
        let mut prefixes = self.0.prefixes.iter();
        id.iter().all(u8::is_ascii_alphanumeric)
            && prefixes.any(|prefix| before.ends_with(prefix.as_str().as_bytes()))
    }
}

impl Family {
    /// Of one prefix at least.
    fn new(first_segment: &str, prefixes: Vec<Prefix>) -> Self {
        let beginning = |prefix: &Prefix| format!("{prefix}_").into_bytes();
        let mut shared = prefixes.first().map(beginning).unwrap_or_default();
        for prefix in &prefixes {
            let both = shared.iter().zip(beginning(prefix));
            shared.truncate(both.take_while(|(one, other)| **one == *other).count());
        }
        Self {
            needle: Finder::new(&shared).into_owned(),
            first_segment_len: first_segment.len(),
            prefixes,
        }
    }

    /// The first key that begins at `from` or behind it.
    fn find(&self, text: &[u8], mut from: usize) -> Option<Finding> {
        loop {
            let at = from + self.needle.find(text.get(from..)?)?;
            let found = self
                .prefixes
                .iter()
                .find_map(|prefix| key_at(text, at, prefix));
            if found.is_some() {
                return found;
            }
            from = at + 1;
        }
    }
}

fn key_at(text: &[u8], at: usize, prefix: &Prefix) -> Option<Finding> {
    let range = at..at + prefix.as_str().len() + TAIL_LEN;
    let text = text.get(range.clone())?;
    if !text.starts_with(prefix.as_str().as_bytes()) {
        return None;
    }
    let key = PresentedKey::parse(str::from_utf8(text).ok()?).ok()?;
    Some(Finding {
        range,
        prefix: prefix.clone(),
        key_id: *key.id(),
    })
}

/// The keys in a text, in the order of their places. Made by [`Scanner::scan`].
pub struct Scan<'s, 't> {
    text: &'t [u8],
    overlap: usize,
    /// The next key of each family.
    ahead: Vec<(&'s Family, Option<Finding>)>,
}

impl Iterator for Scan<'_, '_> {
    type Item = Finding;

    fn next(&mut self) -> Option<Finding> {
        let ahead = self.ahead.iter().filter_map(|(_, next)| next.as_ref());
        let first = ahead.min_by_key(|next| next.range.start)?.clone();
        // Who makes a key that ends as another begins must not hide the other by it.
        let past = first.range.end - self.overlap;
        for (family, next) in &mut self.ahead {
            if next.as_ref().is_some_and(|next| next.range.start < past) {
                *next = family.find(self.text, past);
            }
        }
        Some(first)
    }
}

/// A well-formed key that was found. Whether it opens is not known, and its secret is not part of this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    range: Range<usize>,
    prefix: Prefix,
    key_id: KeyId,
}

impl Finding {
    /// Where the whole key stands, in bytes from the beginning of the text or of the stream. Where
    /// `usize` has 32 bits, places in a stream begin anew after 4 GiB.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The prefix of the key.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The id that the key claims.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// What has to stay unseen of it.
    pub(super) fn hidden(&self) -> Range<usize> {
        self.range.end.wrapping_sub(Scanner::HIDDEN_LEN)..self.range.end
    }

    /// The same key in a text that begins so many bytes earlier.
    pub(super) fn moved(mut self, by: usize) -> Self {
        self.range = self.range.start.wrapping_add(by)..self.range.end.wrapping_add(by);
        self
    }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scanner").field(&self.0.prefixes).finish()
    }
}

impl fmt::Debug for Scan<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").finish_non_exhaustive()
    }
}
