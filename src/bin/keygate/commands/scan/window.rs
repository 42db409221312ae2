//! The part of a text that is looked at, with the line in which it stands.

use keygate::leak::{Finding, ScanStream, Scanner};
use memchr::{memchr, memchr_iter};
use zeroize::Zeroizing;

/// So many bytes are read at once.
pub(super) const AT_ONCE: usize = 64 * 1024;

/// No key is longer.
const LONGEST_KEY: usize = 128;

/// A key that was found, and where.
pub(super) struct Located {
    /// From 1; none where the text is no text.
    pub(super) line: Option<u64>,
    /// In bytes, from 0.
    pub(super) offset: usize,
    pub(super) hint: String,
    /// Where it was wanted.
    pub(super) text: Option<Zeroizing<String>>,
}

/// The last piece of a text, and before it as much as a key can begin in.
pub(super) struct Window {
    stream: ScanStream,
    text: Zeroizing<Vec<u8>>,
    /// Where in the whole that begins.
    start: usize,
    /// The line ends before this place.
    line_ends: u64,
    counted: usize,
    is_binary: bool,
    with_text: bool,
}

impl Window {
    pub(super) fn new(scanner: &Scanner, with_text: bool) -> Self {
        Self {
            stream: scanner.stream(),
            // Room for all that is ever put there, so that no copy is left behind.
            text: Zeroizing::new(Vec::with_capacity(LONGEST_KEY + AT_ONCE)),
            start: 0,
            line_ends: 0,
            counted: 0,
            is_binary: false,
            with_text,
        }
    }

    /// The keys that end in this piece.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<Located> {
        self.go_on();
        self.text.extend_from_slice(piece);
        self.is_binary |= memchr(0, piece).is_some();
        let found = self.stream.push(piece);
        found.iter().map(|finding| self.locate(finding)).collect()
    }

    /// Leaves behind what no key can begin in any more.
    fn go_on(&mut self) {
        let past = self.text.len().saturating_sub(LONGEST_KEY);
        self.count_to(self.start.wrapping_add(past));
        self.text.drain(..past);
        self.start = self.start.wrapping_add(past);
    }

    fn locate(&mut self, finding: &Finding) -> Located {
        let range = finding.range();
        self.count_to(range.start);
        let within = range.start.wrapping_sub(self.start)..range.end.wrapping_sub(self.start);
        let text = self.text.get(within).map(std::str::from_utf8);
        let text = text.and_then(Result::ok).filter(|_| self.with_text);
        let id: String = finding.key_id().as_str().chars().take(4).collect();
        Located {
            line: (!self.is_binary).then_some(self.line_ends + 1),
            offset: range.start,
            hint: format!("{}_{id}…", finding.prefix()),
            text: text.map(|text| Zeroizing::new(text.to_owned())),
        }
    }

    /// Counts the line ends up to a place, unless it lies before one up to which they are counted.
    fn count_to(&mut self, place: usize) {
        let (from, to) = (
            self.counted.wrapping_sub(self.start),
            place.wrapping_sub(self.start),
        );
        if let Some(passed) = self.text.get(from..to) {
            self.line_ends += memchr_iter(b'\n', passed).count() as u64;
            self.counted = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "acme_live_aWFeOgd23eOp_1ARVjVEeNJPXGyijpXUwIL8tuPmXyNcizRcEneZHbEy4czicd";

    /// The line, the offset and the text of all keys in `text`, in pieces of `len` bytes.
    fn found(text: &[u8], len: usize) -> Vec<(Option<u64>, usize, String)> {
        let mut window = Window::new(&Scanner::new("acme_live").unwrap(), true);
        let found = text.chunks(len).flat_map(|piece| window.push(piece));
        found
            .map(|key| (key.line, key.offset, key.text.unwrap().to_string()))
            .collect()
    }

    #[test]
    fn lines_and_texts_are_the_same_wherever_a_text_is_cut() {
        let text = format!("a\n\n{KEY}{KEY}\n{}\n{KEY}\n", "b\n".repeat(200));
        let whole = found(text.as_bytes(), usize::MAX);
        let places: Vec<_> = whole.iter().map(|(line, at, _)| (*line, *at)).collect();
        assert_eq!(
            places,
            [(Some(3), 3), (Some(3), 75), (Some(205), 149 + 400)]
        );
        assert!(whole.iter().all(|(_, _, text)| text == KEY));
        for len in [1, 7, 71, 72, 73, 127, 128, 129, 300] {
            assert_eq!(found(text.as_bytes(), len), whole, "{len}");
        }
    }

    #[test]
    fn what_is_no_text_has_places_and_no_lines() {
        let binary = format!("\0\n{KEY}");
        assert_eq!(found(binary.as_bytes(), 10), [(None, 2, KEY.into())]);
    }
}
