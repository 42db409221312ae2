use std::fmt;
use std::io::{self, Read};
use std::vec;

use zeroize::Zeroizing;

use super::scanner::{Finding, Scanner};

impl Scanner {
    /// Looks for keys in a text that comes in pieces, wherever they are cut.
    ///
    /// ```
    /// # use keygate::leak::Scanner;
    /// let mut stream = Scanner::new("acme_live")?.stream();
    /// assert_eq!(stream.push(b"token: acme_live_aWFeOgd23eOp_1ARVjVEeNJPXGyijpXU"), []);
    /// let found = stream.push(b"wIL8tuPmXyNcizRcEneZHbEy4czicd\n");
    /// assert_eq!(found[0].range(), 7..79);
    /// # Ok::<(), keygate::PrefixError>(())
    /// ```
    pub fn stream(&self) -> ScanStream {
        ScanStream {
            scanner: self.clone(),
            // Room for all that is ever put there, so that no copy is left behind.
            kept: Zeroizing::new(Vec::with_capacity(2 * self.longest())),
            end: 0,
        }
    }

    /// The keys in what `reader` reads, with their places in the whole of it. It reads large pieces, so
    /// no buffer is needed in between.
    ///
    /// ```
    /// # use keygate::leak::Scanner;
    /// # fn run(log: std::fs::File) -> Result<(), Box<dyn std::error::Error>> {
    /// for found in Scanner::new("acme_live")?.scan_reader(log) {
    ///     println!("key {} has leaked", found?.key_id());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan_reader<R: Read>(&self, reader: R) -> ScanReader<R> {
        ScanReader {
            stream: self.stream(),
            reader,
            buffer: Zeroizing::new(vec![0; ScanReader::<R>::AT_ONCE]),
            found: Vec::new().into_iter(),
            is_over: false,
        }
    }
}

/// Finds keys in a text that comes in pieces. Made by [`Scanner::stream`].
///
/// It keeps fewer bytes than the longest key has, and wipes them when it is dropped.
pub struct ScanStream {
    scanner: Scanner,
    /// The end of what came so far, in which a key may have begun. Of a key that was found, only what
    /// another may begin with.
    kept: Zeroizing<Vec<u8>>,
    /// Where in the stream that ends.
    end: usize,
}

impl ScanStream {
    /// The keys that end in this piece, with their places in the whole stream.
    pub fn push(&mut self, piece: &[u8]) -> Vec<Finding> {
        let carried = self.scanner.longest() - 1;
        let before = self.kept.len();
        let border = carried.min(piece.len());
        self.kept.extend_from_slice(&piece[..border]);
        // Places count from the beginning of what was kept, until all are known.
        let mut found: Vec<Finding> = self.scanner.scan(&self.kept[..]).collect();
        let overlap = self.scanner.overlap();
        let past = |found: &[Finding]| found.last().map(|found| found.range().end - overlap);
        let searched = past(&found).map_or(before, |past| past.max(before));
        let within = self.scanner.scan(&piece[searched - before..]);
        found.extend(within.map(|found| found.moved(searched)));

        let done = past(&found).unwrap_or(0);
        self.keep(piece, carried.min(before + piece.len() - done));
        let start = self.end.wrapping_sub(before);
        self.end = self.end.wrapping_add(piece.len());
        found.into_iter().map(|found| found.moved(start)).collect()
    }

    /// Keeps the last `len` bytes of what came.
    fn keep(&mut self, piece: &[u8], len: usize) {
        match piece.len().checked_sub(len) {
            Some(start) => {
                self.kept.clear();
                self.kept.extend_from_slice(&piece[start..]);
            }
            // The piece is short: all of it was put to what was kept.
            None => {
                let past = self.kept.len() - len;
                self.kept.drain(..past);
            }
        }
    }

    /// The same once more, to go on from here twice.
    pub(super) fn fork(&self) -> Self {
        let mut fork = self.scanner.stream();
        fork.kept.extend_from_slice(&self.kept);
        fork.end = self.end;
        fork
    }

    /// Where the stream ends so far.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// The end of what came so far, if that may be the first half of a secret.
    pub(super) fn cut_secret(&self) -> &[u8] {
        let is_alphanumeric = |byte: &&u8| byte.is_ascii_alphanumeric();
        let len = self.kept.iter().rev().take_while(is_alphanumeric).count();
        let (before, secret) = self.kept.split_at(self.kept.len() - len);
        match len < Scanner::HIDDEN_LEN && self.scanner.secret_may_follow(before) {
            true => secret,
            false => &[],
        }
    }
}

/// The keys in what a reader reads. Made by [`Scanner::scan_reader`]. It ends with the reader, or with an
/// error of it.
pub struct ScanReader<R> {
    stream: ScanStream,
    reader: R,
    buffer: Zeroizing<Vec<u8>>,
    found: vec::IntoIter<Finding>,
    is_over: bool,
}

impl<R> ScanReader<R> {
    const AT_ONCE: usize = 64 * 1024;
}

impl<R: Read> Iterator for ScanReader<R> {
    type Item = io::Result<Finding>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.found.next() {
                return Some(Ok(found));
            }
            if self.is_over {
                return None;
            }
            match self.reader.read(&mut self.buffer) {
                Ok(0) => self.is_over = true,
                Ok(len) => match self.buffer.get(..len) {
                    Some(piece) => self.found = self.stream.push(piece).into_iter(),
                    None => {
                        self.is_over = true;
                        let claim = "the reader says that it read more than there is room for";
                        return Some(Err(io::Error::new(io::ErrorKind::InvalidData, claim)));
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl fmt::Debug for ScanStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanStream")
            .field("scanner", &self.scanner)
            .finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for ScanReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanReader")
            .field("scanner", &self.stream.scanner)
            .finish_non_exhaustive()
    }
}
