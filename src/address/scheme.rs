/// Of the elements of `X-Forwarded-Proto`, whether each says that a request was sent in plaintext. Of more
/// than 64, those to the right.
#[derive(Default)]
pub(super) struct Schemes {
    /// The lowest bit is the rightmost element.
    are_plaintext: u64,
    count: usize,
}

impl Schemes {
    /// Adds a line to the right of those that are there.
    pub(super) fn add(&mut self, line: &[u8]) {
        for element in line.split(|c| *c == b',') {
            let bit = u64::from(is_plaintext(element.trim_ascii()));
            self.are_plaintext = self.are_plaintext << 1 | bit;
            self.count = self.count.saturating_add(1);
        }
    }

    /// What the proxy says that has so many to its right. Where fewer have said anything, the leftmost
    /// element was handed on.
    pub(super) fn is_plaintext(&self, to_the_right: usize) -> bool {
        let element = to_the_right.min(self.count.saturating_sub(1));
        let shift = u32::try_from(element).unwrap_or(u32::MAX);
        self.are_plaintext.checked_shr(shift).unwrap_or(0) & 1 == 1
    }
}

/// Some proxies call the scheme of WebSockets by its name.
pub(super) fn is_plaintext(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"ws")
}
