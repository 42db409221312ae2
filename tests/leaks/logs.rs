//! A redacting writer as the writer of a real subscriber.

use tracing_subscriber::fmt::MakeWriter;

use crate::corpus::scanner;
use crate::redaction::Sink;
use crate::scanning::KEY;

#[derive(Debug)]
struct Login<'a> {
    #[expect(dead_code, reason = "shown by Debug")]
    token: &'a str,
}

fn log() {
    let span = tracing::info_span!("call", header = %format!("Bearer {KEY}"));
    let _entered = span.enter();
    tracing::info!(key = KEY, "refused {KEY}");
    tracing::warn!(login = ?Login { token: KEY }, url = %format!("/?key={KEY}&page=2"));
}

fn assert_masked(text: &str, keys: usize) {
    assert!(
        !text.contains("1ARVjVEe") && !text.contains("4czicd"),
        "{text}"
    );
    assert_eq!(
        text.matches("acme_live_aWFeOgd23eOp_[redacted]").count(),
        keys,
        "{text}"
    );
}

#[test]
fn keys_in_messages_fields_and_spans_are_masked_in_every_format() {
    let writer = |sink: &Sink| {
        let (scanner, sink) = (scanner(), sink.clone());
        move || scanner.redacting_writer(sink.clone())
    };
    fn logged(make: impl FnOnce(&Sink) -> tracing::Dispatch) -> String {
        let sink = Sink::default();
        tracing::dispatcher::with_default(&make(&sink), log);
        sink.text()
    }

    let plain = logged(|sink| {
        tracing_subscriber::fmt()
            .with_writer(writer(sink))
            .finish()
            .into()
    });
    assert_masked(&plain, 6);
    assert_eq!(plain.lines().count(), 2);

    let json = logged(|sink| {
        tracing_subscriber::fmt()
            .json()
            .with_writer(writer(sink))
            .finish()
            .into()
    });
    for line in json.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["fields"].is_object());
    }
    assert!(
        json.contains("[redacted]\\\""),
        "a quote that JSON escapes: {json}"
    );
    assert_masked(&json, 8);
}

#[test]
fn a_writer_that_is_shared_by_all_events_masks_them_too() {
    let sink = Sink::default();
    let shared = std::sync::Mutex::new(scanner().redacting_writer(sink.clone()));
    {
        use std::io::Write;
        let mut one = shared.make_writer();
        one.write_all(&KEY.as_bytes()[..40]).unwrap();
    }
    tracing::subscriber::with_default(tracing_subscriber::fmt().with_writer(shared).finish(), log);
    let text = sink.text();
    assert!(text.starts_with(&KEY[..40]), "it was cut, and is no key");
    assert_masked(&text[40..], 6);
}
