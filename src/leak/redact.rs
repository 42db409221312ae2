use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::thread;

use zeroize::Zeroizing;

use super::scanner::Scanner;
use super::stream::ScanStream;

const MASK: &str = "[redacted]";

impl Scanner {
    /// The text with each key as `acme_live_4KX9vQ2mB7tZ_[redacted]`: one sees which it was.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.redact_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(masked) => String::from_utf8_lossy(&masked).into_owned().into(),
        }
    }

    /// As [`redact`](Self::redact), for what need not be UTF-8.
    pub fn redact_bytes<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        masked(text, self.scan(text).map(|found| found.hidden()))
    }

    /// A writer that hands on to `inner` what is written to it, as [`redact`](Self::redact) would have it.
    pub fn redacting_writer<W: Write>(&self, inner: W) -> RedactingWriter<W> {
        RedactingWriter {
            inner,
            stream: self.stream(),
        }
    }
}

/// The text with these parts of it masked.
fn masked(text: &[u8], hidden: impl Iterator<Item = Range<usize>>) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut at = 0;
    for part in hidden {
        out.extend_from_slice(&text[at..part.start]);
        out.extend_from_slice(MASK.as_bytes());
        at = part.end;
    }
    if at == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[at..]);
    Cow::Owned(out)
}

/// Masks the keys in what is written, also where a key comes in pieces. Made by
/// [`Scanner::redacting_writer`].
///
/// Each write becomes one write to the inner writer, so that lines of several threads stay whole. Only
/// what may be the first half of a secret is held back, until more is written; [`flush`](Write::flush)
/// does not let go of it. If nothing more comes, it is masked when the writer is dropped: who wrote it
/// was perhaps about to write a key.
pub struct RedactingWriter<W: Write> {
    inner: W,
    /// Knows what is held back.
    stream: ScanStream,
}

impl<W: Write> Write for RedactingWriter<W> {
    /// Takes all of `text`. An error is one of the inner writer: then `text` does not count as written,
    /// though the inner writer may have taken a part.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let held = self.stream.cut_secret();
        let start = self.stream.end().wrapping_sub(held.len());
        let mut after = self.stream.fork();
        let found = after.push(text);
        let joined;
        let mut ready = text;
        if !held.is_empty() {
            joined = Zeroizing::new([held, text].concat());
            ready = &joined;
        }
        ready = &ready[..ready.len() - after.cut_secret().len()];
        let found = found.into_iter();
        let hidden = found.map(|found| found.moved(start.wrapping_neg()).hidden());
        self.inner.write_all(&masked(ready, hidden))?;
        self.stream = after;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Drop for RedactingWriter<W> {
    fn drop(&mut self) {
        // An inner writer that panicked would panic again, and end the process.
        if !self.stream.cut_secret().is_empty() && !thread::panicking() {
            // There is nobody to tell of an error.
            let _ = self.inner.write_all(MASK.as_bytes());
        }
    }
}

impl<W: Write> fmt::Debug for RedactingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedactingWriter")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
