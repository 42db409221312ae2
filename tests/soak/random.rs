//! All choices of a run derive from one seed.

use std::time::Duration;

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    /// The choices of one part of the program: the same for the same seed.
    pub(crate) fn of(seed: u64, part: &str, number: u64) -> Self {
        let mut state = Self(seed);
        for byte in part.bytes().chain(number.to_le_bytes()) {
            state = Self(state.next() ^ u64::from(byte));
        }
        state
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Happens in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        (!all.is_empty()).then(|| &all[self.below(all.len())])
    }

    pub(crate) fn millis(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from + self.below(to - from)) as u64)
    }

    /// Characters of the kind that ids and secrets are of.
    pub(crate) fn text(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        (0..length)
            .map(|_| char::from(ALPHABET[self.below(62)]))
            .collect()
    }
}
