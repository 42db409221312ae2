use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use keygate::leak::Scanner;
use proptest::prelude::*;

use crate::corpus::{Corpus, scanner};
use crate::scanning::{self, KEY};
use crate::streams;

/// What was written, a write at a time.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<Vec<u8>>>>);

impl Sink {
    fn writes(&self) -> Vec<String> {
        let writes = self.0.lock().unwrap();
        let text = |write: &Vec<u8>| String::from_utf8(write.clone()).unwrap();
        writes.iter().map(text).collect()
    }

    pub(crate) fn text(&self) -> String {
        self.writes().concat()
    }
}

impl Write for Sink {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_secret_and_the_checksum_are_masked_and_prefix_and_id_stay() {
    let scanner = Scanner::new("acme_live").unwrap();
    let text = format!("é {KEY}, {KEY}");
    let masked = "é acme_live_aWFeOgd23eOp_[redacted], acme_live_aWFeOgd23eOp_[redacted]";
    assert_eq!(scanner.redact(&text), masked);
    assert_eq!(&*scanner.redact_bytes(text.as_bytes()), masked.as_bytes());
    let harmless = &KEY[..KEY.len() - 1];
    assert!(matches!(scanner.redact(harmless), Cow::Borrowed(text) if text == harmless));
}

#[test]
fn no_key_of_the_corpus_is_left_and_nothing_else_is_gone() {
    let scanner = scanner();
    for file in Corpus::new().files(200) {
        let mut expected = file.text.clone();
        for key in &file.keys {
            let shown = &key[..key.len() - 49];
            expected = expected.replace(key, &format!("{shown}[redacted]"));
        }
        assert_eq!(scanner.redact(&file.text), expected, "{}", file.name);
    }
}

#[test]
fn a_line_stays_one_write_and_one_without_a_key_is_not_held_back() {
    let sink = Sink::default();
    let mut writer = Scanner::new("acme_live")
        .unwrap()
        .redacting_writer(sink.clone());
    writer.write_all(b"ready\n").unwrap();
    writer
        .write_all(format!("a {KEY} b {KEY}\n").as_bytes())
        .unwrap();
    writer.write_all(b"acme_live_").unwrap();
    writer.write_all(b"acme_test_aWFeOgd23eOp_1ARV").unwrap();
    let line = "a acme_live_aWFeOgd23eOp_[redacted] b acme_live_aWFeOgd23eOp_[redacted]\n";
    let rest = ["acme_live_", "acme_test_aWFeOgd23eOp_1ARV"];
    assert_eq!(sink.writes(), [&["ready\n", line][..], &rest].concat());
}

#[test]
fn a_secret_that_is_cut_stays_back_through_a_flush_and_is_masked_at_the_end() {
    let cut = KEY.find("_1ARV").unwrap() + 1;
    for len in 1..KEY.len() - cut {
        let sink = Sink::default();
        let mut writer = Scanner::new("acme_live")
            .unwrap()
            .redacting_writer(sink.clone());
        writer.write_all(&KEY.as_bytes()[..cut + len]).unwrap();
        writer.flush().unwrap();
        assert_eq!(sink.text(), KEY[..cut], "{len} characters of the secret");
        drop(writer);
        assert_eq!(sink.text(), format!("{}[redacted]", &KEY[..cut]));
    }
}

#[test]
fn what_turns_out_to_be_no_secret_is_written_whole() {
    // 17 characters of a secret, and 33 make one more than it can have.
    let (begun, too_many) = (&KEY[..40], "0".repeat(33));
    for rest in [" ", "_", "\u{e9}", &too_many] {
        let sink = Sink::default();
        let mut writer = scanner().redacting_writer(sink.clone());
        writer.write_all(begun.as_bytes()).unwrap();
        writer.write_all(rest.as_bytes()).unwrap();
        assert_eq!(sink.text(), format!("{begun}{rest}"));
    }
}

/// Fails at first, and then writes.
struct FailsOnce {
    fails: bool,
    sink: Sink,
}

impl Write for FailsOnce {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match std::mem::take(&mut self.fails) {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.sink.write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_is_written_again_after_an_error_is_masked_as_if_it_came_once() {
    let sink = Sink::default();
    let mut writer = scanner().redacting_writer(FailsOnce {
        fails: true,
        sink: sink.clone(),
    });
    let (begun, rest) = KEY.split_at(KEY.len() - 1);
    writer.write_all(begun.as_bytes()).unwrap_err();
    writer.write_all(begun.as_bytes()).unwrap();
    writer.write_all(rest.as_bytes()).unwrap();
    assert_eq!(sink.text(), "acme_live_aWFeOgd23eOp_[redacted]");
}

#[test]
fn a_writer_whose_inner_one_panics_is_dropped_without_a_second_panic() {
    struct PanicsLater(bool);
    impl Write for PanicsLater {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            assert!(!std::mem::replace(&mut self.0, true), "the disk is gone");
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = scanner().redacting_writer(PanicsLater(false));
    writer.write_all(&KEY.as_bytes()[..40]).unwrap();
    let outcome = std::thread::spawn(move || writer.write_all(b" ")).join();
    assert!(outcome.is_err());
}

#[test]
fn an_error_of_the_inner_writer_is_handed_on() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    let mut writer = scanner().redacting_writer(Full);
    let failed =
        |outcome: io::Result<()>| outcome.unwrap_err().kind() == io::ErrorKind::StorageFull;
    assert!(failed(writer.write_all(b"a")) && failed(writer.flush()));
}

proptest! {
    #[test]
    fn however_it_is_cut_and_flushed_what_is_written_is_the_redacted_text(
        text in scanning::text(),
        lengths in streams::lengths(),
    ) {
        let scanner = scanner();
        let sink = Sink::default();
        let mut writer = scanner.redacting_writer(sink.clone());
        let text = text + "\n";
        for (number, piece) in streams::pieces(text.as_bytes(), &lengths).iter().enumerate() {
            writer.write_all(piece).unwrap();
            if number % 3 == 0 {
                writer.flush().unwrap();
            }
            let so_far = sink.text();
            for found in scanner.scan(&text) {
                let range = found.range();
                let secret = &text[range.end - 49..range.end - 44];
                prop_assert!(!so_far.contains(secret) || text.matches(secret).count() > 1);
            }
        }
        drop(writer);
        prop_assert_eq!(sink.text(), scanner.redact(&text));
    }
}
