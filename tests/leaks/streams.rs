use std::io::{self, Read};

use keygate::leak::Finding;
use proptest::prelude::*;

use crate::corpus::{Corpus, scanner};
use crate::scanning;

/// The text in pieces of these lengths, again and again.
pub(crate) fn pieces<'t>(text: &'t [u8], lengths: &[usize]) -> Vec<&'t [u8]> {
    let mut rest = text;
    let mut pieces = Vec::new();
    for len in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*len).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Lengths of pieces, not all of them nothing.
pub(crate) fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![Just(1), 0..8_usize, 0..90_usize, 60..300_usize];
    let some = prop::collection::vec(length, 1..12);
    some.prop_filter("all pieces are empty", |lengths| {
        lengths.iter().any(|len| *len > 0)
    })
}

/// Reads a piece at a time, and is interrupted before each.
struct InPieces<'t> {
    pieces: Vec<&'t [u8]>,
    was_interrupted: bool,
}

impl Read for InPieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.was_interrupted = !self.was_interrupted;
        if self.was_interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.pieces.retain(|piece| !piece.is_empty());
        if self.pieces.is_empty() {
            return Ok(0);
        }
        let piece = self.pieces.remove(0);
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

proptest! {
    #[test]
    fn however_a_text_is_cut_the_same_is_found_at_the_same_places(
        text in scanning::text(),
        lengths in lengths(),
    ) {
        let scanner = scanner();
        let whole: Vec<Finding> = scanner.scan(&text).collect();
        let pieces = pieces(text.as_bytes(), &lengths);

        let mut stream = scanner.stream();
        let found: Vec<Finding> = pieces.iter().flat_map(|piece| stream.push(piece)).collect();
        prop_assert_eq!(&found, &whole);

        let reader = InPieces { pieces, was_interrupted: false };
        let found: io::Result<Vec<Finding>> = scanner.scan_reader(reader).collect();
        prop_assert_eq!(found.unwrap(), whole);
    }
}

#[test]
fn a_key_is_found_with_the_piece_in_which_it_ends() {
    let mut corpus = Corpus::new();
    let key = corpus.any_key();
    let mut stream = scanner().stream();
    for at in 0..key.len() - 1 {
        assert_eq!(stream.push(&key.as_bytes()[at..=at]), []);
    }
    assert_eq!(stream.push(&key.as_bytes()[key.len() - 1..]).len(), 1);
}

#[test]
fn an_error_of_the_reader_is_told_once_and_ends_the_search() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let key = Corpus::new().any_key();
    let mut found = scanner().scan_reader(key.as_bytes().chain(Broken));
    assert!(found.next().unwrap().is_ok());
    let error = found.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(found.next().is_none());
}

#[test]
fn a_reader_that_says_it_read_more_than_there_is_room_for_is_an_error_and_no_panic() {
    struct Boasting;
    impl Read for Boasting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            Ok(buffer.len() + 1)
        }
    }
    let mut found = scanner().scan_reader(Boasting);
    let error = found.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(found.next().is_none());
}
