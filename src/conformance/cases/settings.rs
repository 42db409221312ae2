use super::Case;
use crate::conformance::records::{HARD_TEXT, OWNERS};
use crate::conformance::subject::{Setback, Subject, ensure, failed};
use crate::conformance::together::join_all;
use crate::store::{Settings, StoreErrorKind};

const CLAUSE: &str = "Settings";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "a name that was never set is Ok(None)",
        run: |subject| Box::pin(unset_is_none(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a value is kept byte for byte, and an empty one is a value",
        run: |subject| Box::pin(values_byte_for_byte(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "names are compared byte for byte",
        run: |subject| Box::pin(names_byte_for_byte(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a value is set when the name holds what is expected",
        run: |subject| Box::pin(set_as_expected(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "setting fails as Stale when the name holds something else, and changes nothing",
        run: |subject| Box::pin(stale(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "of concurrent settings of one name exactly one succeeds, the others fail as Stale",
        run: |subject| Box::pin(one_wins(subject)),
    },
];

const NAME: &str = "pepper/1";

async fn unset_is_none(subject: Subject<'_>) -> Result<(), Setback> {
    let settings = Pair::of(subject)?;
    settings.holds(NAME, None).await?;
    settings.set(NAME, None, b"value").await?;
    settings.holds("pepper/2", None).await
}

async fn values_byte_for_byte(subject: Subject<'_>) -> Result<(), Setback> {
    let settings = Pair::of(subject)?;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let values: [&[u8]; 5] = [b"", b"\0", b" text ", &all_bytes, &[0xff; 1_000]];
    for (n, value) in values.into_iter().enumerate() {
        let name = format!("value/{n}");
        settings.set(&name, None, value).await?;
        settings.holds(&name, Some(value)).await?;
    }
    Ok(())
}

async fn names_byte_for_byte(subject: Subject<'_>) -> Result<(), Setback> {
    let settings = Pair::of(subject)?;
    let names = OWNERS.into_iter().chain([HARD_TEXT]);
    for (n, name) in (0u8..).zip(names.clone()) {
        settings.set(name, None, &[n]).await?;
    }
    for (n, name) in (0u8..).zip(names) {
        settings.holds(name, Some(&[n])).await?;
    }
    Ok(())
}

async fn set_as_expected(subject: Subject<'_>) -> Result<(), Setback> {
    let settings = Pair::of(subject)?;
    let mut expected: Option<&[u8]> = None;
    for value in [&b"one"[..], b"", b"two", b"two", b"one"] {
        settings.set(NAME, expected, value).await?;
        settings.holds(NAME, Some(value)).await?;
        expected = Some(value);
    }
    Ok(())
}

async fn stale(subject: Subject<'_>) -> Result<(), Setback> {
    let settings = Pair::of(subject)?;
    for expected in [&b""[..], b"value"] {
        settings.refuses(NAME, Some(expected), None).await?;
    }
    for kept in [&b""[..], b"value"] {
        let name = format!("kept/{}", kept.len());
        settings.set(&name, None, kept).await?;
        for expected in [None, Some(&b"Value"[..]), Some(b"valu"), Some(b"value ")] {
            settings.refuses(&name, expected, Some(kept)).await?;
        }
    }
    Ok(())
}

async fn one_wins(subject: Subject<'_>) -> Result<(), Setback> {
    let settings = Pair::of(subject)?;
    let values: Vec<[u8; 1]> = (1..=8).map(|n| [n]).collect();
    for expected in [None, Some(&b"first"[..])] {
        let name = format!("race/{}", expected.is_some());
        if let Some(first) = expected {
            settings.set(&name, None, first).await?;
        }
        let contenders = values.iter().enumerate().map(|(n, value)| {
            let contender = if n % 2 == 0 {
                settings.writer
            } else {
                settings.reader
            };
            contender.compare_and_set(&name, expected, value)
        });
        let answers = join_all(contenders).await;
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            if error.kind() != StoreErrorKind::Stale {
                return Err(failed("one of those that did not succeed", error));
            }
        }
        let winners: Vec<&[u8; 1]> = values
            .iter()
            .zip(&answers)
            .filter_map(|(value, answer)| answer.is_ok().then_some(value))
            .collect();
        match winners[..] {
            [winner] => settings.holds(&name, Some(winner)).await?,
            _ => {
                return Err(Setback::Failed(format!(
                    "{} of {} succeeded",
                    winners.len(),
                    values.len()
                )));
            }
        }
    }
    Ok(())
}

/// The settings that are written with and read with.
struct Pair<'a> {
    writer: &'a dyn Settings,
    reader: &'a dyn Settings,
}

impl<'a> Pair<'a> {
    fn of(subject: Subject<'a>) -> Result<Self, Setback> {
        let [writer, reader] = subject.settings()?;
        Ok(Self { writer, reader })
    }

    async fn set(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<(), Setback> {
        let answer = self.writer.compare_and_set(name, expected, value).await;
        answer.map_err(|error| failed(&shown(name, expected), &error))
    }

    async fn refuses(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        kept: Option<&[u8]>,
    ) -> Result<(), Setback> {
        let call = shown(name, expected);
        match self.writer.compare_and_set(name, expected, b"new").await {
            Err(error) if error.kind() == StoreErrorKind::Stale => {}
            Err(error) => return Err(failed(&call, &error)),
            Ok(()) => return Err(Setback::Failed(format!("{call} answered Ok"))),
        }
        let left = self.holds(name, kept).await;
        left.map_err(|setback| setback.when("after the refusal"))
    }

    async fn holds(&self, name: &str, value: Option<&[u8]>) -> Result<(), Setback> {
        let read = self.reader.read(name).await;
        let read = read.map_err(|error| failed(&format!("read of {name:?}"), &error))?;
        ensure(read.as_deref() == value, || {
            let shown = |value: Option<&[u8]>| value.map(|value| value.escape_ascii().to_string());
            format!(
                "read of {name:?} answered {:?} instead of {:?}",
                shown(read.as_deref()),
                shown(value)
            )
        })
    }
}

fn shown(name: &str, expected: Option<&[u8]>) -> String {
    match expected {
        None => format!("setting {name:?}, expected unset,"),
        Some(value) => format!(
            "setting {name:?}, expected to hold \"{}\",",
            value.escape_ascii()
        ),
    }
}
