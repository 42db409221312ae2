use super::Case;
use crate::audit::AuditEvent;
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject, ensure, failed, same};
use crate::conformance::together::{BoxFuture, join_all};
use crate::record::KeyRecord;
use crate::store::AuditQuery;
use crate::store::{Expect, StoreError, StoreErrorKind, Write};

const CLAUSE: &str = "Atomicity";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "of concurrent creates of one id exactly one succeeds, the others fail as Taken",
        run: |subject| Box::pin(one_create_wins(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "of concurrent changes of one version exactly one succeeds, the others fail as Stale",
        run: |subject| Box::pin(one_change_wins(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "of concurrent rotations of one secret exactly one succeeds, with both its secrets",
        run: |subject| Box::pin(one_rotation_wins(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "concurrent changes of different records all happen",
        run: |subject| Box::pin(different_records_do_not_compete(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a read during a change sees the record before it or after it, and no mixture",
        run: |subject| Box::pin(no_mixture_is_read(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a write that happens keeps all its audit events",
        run: |subject| Box::pin(events_come_with_the_write(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a write that is refused keeps none of its audit events",
        run: |subject| Box::pin(no_events_of_a_refused_write(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "of concurrent changes, the audit log has the events of the one that succeeded",
        run: |subject| Box::pin(events_of_the_winner_alone(subject)),
    },
];

const CONTENDERS: usize = 8;

async fn one_create_wins(subject: Subject<'_>) -> Result<(), Setback> {
    let contenders = contenders(1)?;
    let answers = compete(subject, Expect::Absent, &contenders, &[]).await;
    let winner = sole_winner(&answers, StoreErrorKind::Taken)?;
    subject.holds(&contenders[winner]).await
}

async fn one_change_wins(subject: Subject<'_>) -> Result<(), Setback> {
    subject.create(&records::plain(IDS[0])?).await?;
    let contenders = contenders(2)?;
    let answers = compete(subject, Expect::Version(1), &contenders, &[]).await;
    let winner = sole_winner(&answers, StoreErrorKind::Stale)?;
    subject.holds(&contenders[winner]).await
}

async fn one_rotation_wins(subject: Subject<'_>) -> Result<(), Setback> {
    let mut stored = records::plain(IDS[0])?;
    subject.create(&stored).await?;
    // By two as well as by many.
    for contenders in [2, CONTENDERS, 2, CONTENDERS] {
        let rotated: Vec<KeyRecord> = (0..contenders)
            .map(|n| records::rotated(&stored, n as u8))
            .collect::<Result<_, _>>()?;
        let expect = Expect::Version(stored.version);
        let answers = compete(subject, expect, &rotated, &[]).await;
        let winner = sole_winner(&answers, StoreErrorKind::Stale)?;
        stored = rotated[winner].clone();
        subject.holds(&stored).await?;
    }
    Ok(())
}

async fn different_records_do_not_compete(subject: Subject<'_>) -> Result<(), Setback> {
    let created: Vec<KeyRecord> = IDS
        .iter()
        .map(|id| records::plain(id))
        .collect::<Result<_, _>>()?;
    let changed: Vec<KeyRecord> = IDS
        .iter()
        .map(|id| records::changed(id, 2))
        .collect::<Result<_, _>>()?;
    for (expect, written) in [(Expect::Absent, &created), (Expect::Version(1), &changed)] {
        for (record, answer) in written
            .iter()
            .zip(compete(subject, expect, written, &[]).await)
        {
            let call = format!("a write of {} that expects {expect:?}", record.id);
            answer.map_err(|error| failed(&call, &error))?;
        }
        for record in written {
            subject.holds(record).await?;
        }
    }
    Ok(())
}

async fn no_mixture_is_read(subject: Subject<'_>) -> Result<(), Setback> {
    let before = records::plain(IDS[0])?;
    let after = records::changed(IDS[0], 2)?;
    subject.create(&before).await?;
    let read = || -> BoxFuture<'_, Result<(), Setback>> {
        Box::pin(async {
            for _ in 0..4 {
                match subject.get(&before.id).await? {
                    Some(seen) if seen == after => {}
                    Some(seen) => same("against the record before, a get", &before, &seen)?,
                    None => return Err(Setback::Failed("get answered None".into())),
                }
            }
            Ok(())
        })
    };
    let write: BoxFuture<'_, _> = Box::pin(subject.change(1, &after));
    let answers = join_all([read(), write, read(), read()]).await;
    answers.into_iter().collect::<Result<(), Setback>>()?;
    subject.holds(&after).await
}

async fn events_come_with_the_write(subject: Subject<'_>) -> Result<(), Setback> {
    subject.audit_log()?;
    let record = records::plain(IDS[0])?;
    let events = events_of(&record)?;
    subject
        .accepts(Expect::Absent, &record, &events[..1])
        .await?;
    let changed = records::changed(IDS[0], 2)?;
    subject
        .accepts(Expect::Version(1), &changed, &events[1..])
        .await?;
    logged(subject, &events).await
}

async fn no_events_of_a_refused_write(subject: Subject<'_>) -> Result<(), Setback> {
    subject.audit_log()?;
    let record = records::plain(IDS[0])?;
    subject.create(&record).await?;
    for expect in [Expect::Absent, Expect::Version(9)] {
        let refused = Write {
            expect,
            record: &record,
            audit: &events_of(&record)?,
        };
        let answer = subject.writer().write(refused).await;
        ensure(answer.is_err(), || {
            format!(
                "a write of {} that expects {expect:?} answered Ok",
                record.id
            )
        })?;
    }
    logged(subject, &[]).await
}

async fn events_of_the_winner_alone(subject: Subject<'_>) -> Result<(), Setback> {
    subject.audit_log()?;
    subject.create(&records::plain(IDS[0])?).await?;
    let contenders = contenders(2)?;
    let events = contenders.iter().zip(1..);
    let events: Vec<AuditEvent> = events
        .map(|(record, millis)| records::event(record, millis))
        .collect::<Result<_, _>>()?;
    let answers = compete(subject, Expect::Version(1), &contenders, &events).await;
    let winner = sole_winner(&answers, StoreErrorKind::Stale)?;
    logged(subject, &events[winner..=winner]).await
}

/// Writes all of them at once, each with the event in its place.
async fn compete(
    subject: Subject<'_>,
    expect: Expect,
    contenders: &[KeyRecord],
    events: &[AuditEvent],
) -> Vec<Result<(), StoreError>> {
    let writes = contenders.iter().enumerate().map(|(n, record)| {
        let change = Write {
            expect,
            record,
            audit: events.get(n..=n).unwrap_or_default(),
        };
        subject.contender(n).write(change)
    });
    join_all(writes).await
}

fn contenders(version: u64) -> Result<Vec<KeyRecord>, Setback> {
    let contender = |n| {
        Ok(KeyRecord {
            name: format!("contender {n}"),
            version,
            ..records::plain(IDS[0])?
        })
    };
    (0..CONTENDERS).map(contender).collect()
}

fn sole_winner(
    answers: &[Result<(), StoreError>],
    losing: StoreErrorKind,
) -> Result<usize, Setback> {
    let winners: Vec<usize> = (0..answers.len()).filter(|n| answers[*n].is_ok()).collect();
    for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        if error.kind() != losing {
            return Err(failed("one of those that did not succeed", error));
        }
    }
    match winners[..] {
        [winner] => Ok(winner),
        _ => Err(Setback::Failed(format!(
            "{} of {} succeeded",
            winners.len(),
            answers.len()
        ))),
    }
}

fn events_of(record: &KeyRecord) -> Result<Vec<AuditEvent>, Setback> {
    (1..=3)
        .map(|millis| records::event(record, millis))
        .collect()
}

async fn logged(subject: Subject<'_>, expected: &[AuditEvent]) -> Result<(), Setback> {
    let events = subject.events(&AuditQuery::new()).await?.events;
    ensure(events == expected, || {
        let moments = |events: &[AuditEvent]| events.iter().map(|e| e.at).collect::<Vec<_>>();
        format!(
            "the log has events of the moments {:?} instead of {:?}",
            moments(&events),
            moments(expected)
        )
    })
}
