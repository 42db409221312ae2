//! Writes whose answer is lost on the way: whoever asked for one reads again, and asks again if it
//! is not there.

use super::Case;
use crate::audit::AuditEvent;
use crate::conformance::records;
use crate::conformance::subject::{Setback, Subject, ensure, failed};
use crate::dropping::drop_after;
use crate::record::KeyRecord;
use crate::store::{AuditQuery, Expect, StoreErrorKind, Write};

const CLAUSE: &str = "Durability";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "after the answer of a create was lost, a get tells whether it happened, and it happens once",
        run: |subject| Box::pin(lost_creates(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "after the answer of a change was lost, a get tells whether it happened, and it happens once",
        run: |subject| Box::pin(lost_changes(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a write whose answer was lost, and that was asked for again, has its audit events once",
        run: |subject| Box::pin(events_of_lost_writes(subject)),
    },
];

/// A write that is not ready after so many polls is not lost any later.
const MOST_POLLS: usize = 32;

async fn lost_creates(subject: Subject<'_>) -> Result<(), Setback> {
    for polls in 0..MOST_POLLS {
        let record = records::full(&format!("{polls:012}"))?;
        let write = lose(polls, subject, Expect::Absent, &record, &[]).await?;
        write.happens(subject).await?;
        write.happens_once(subject, StoreErrorKind::Taken).await?;
        if write.was_whole {
            break;
        }
    }
    Ok(())
}

async fn lost_changes(subject: Subject<'_>) -> Result<(), Setback> {
    for polls in 0..MOST_POLLS {
        let id = format!("{polls:012}");
        subject.create(&records::plain(&id)?).await?;
        let record = records::changed(&id, 2)?;
        let write = lose(polls, subject, Expect::Version(1), &record, &[]).await?;
        write.happens(subject).await?;
        write.happens_once(subject, StoreErrorKind::Stale).await?;
        if write.was_whole {
            break;
        }
    }
    Ok(())
}

async fn events_of_lost_writes(subject: Subject<'_>) -> Result<(), Setback> {
    subject.audit_log()?;
    for polls in 0..MOST_POLLS {
        let record = records::plain(&format!("{polls:012}"))?;
        let events = [records::event(&record, 1)?, records::event(&record, 2)?];
        let write = lose(polls, subject, Expect::Absent, &record, &events).await?;
        write.happens(subject).await?;
        write.happens_once(subject, StoreErrorKind::Taken).await?;
        let query = AuditQuery {
            key_id: Some(record.id),
            ..AuditQuery::new()
        };
        let logged = subject.events(&query).await?.events;
        ensure(logged == events, || {
            let count = logged.len();
            format!(
                "lost after {polls} polls, it has {count} events in the log, and not the two it came with"
            )
        })?;
        if write.was_whole {
            break;
        }
    }
    Ok(())
}

/// A write whose answer nobody has heard.
struct Lost<'a> {
    polls: usize,
    change: Write<'a>,
    /// Whether it had answered by then.
    was_whole: bool,
}

async fn lose<'a>(
    polls: usize,
    subject: Subject<'_>,
    expect: Expect,
    record: &'a KeyRecord,
    audit: &'a [AuditEvent],
) -> Result<Lost<'a>, Setback> {
    let change = Write {
        expect,
        record,
        audit,
    };
    match drop_after(polls, subject.writer().write(change)).await {
        Some(Err(error)) => Err(failed("a write", &error)),
        answer => Ok(Lost {
            polls,
            change,
            was_whole: answer.is_some(),
        }),
    }
}

impl Lost<'_> {
    /// It is read again, and asked for again if it is not there. By then it may have happened late.
    async fn happens(&self, subject: Subject<'_>) -> Result<(), Setback> {
        let record = self.change.record;
        let seen = subject.get(&record.id).await?;
        if seen.is_some_and(|seen| seen.version == record.version) {
            return self.holds(subject).await;
        }
        ensure(!self.was_whole, || {
            "it had happened, and a get did not see it".into()
        })?;
        match subject.writer().write(self.change).await {
            Ok(()) => {}
            Err(error)
                if [StoreErrorKind::Taken, StoreErrorKind::Stale].contains(&error.kind()) => {}
            Err(error) => return Err(failed("asked again, the write", &error)),
        }
        self.holds(subject).await
    }

    /// Asked for once more, it is refused.
    async fn happens_once(
        &self,
        subject: Subject<'_>,
        refusal: StoreErrorKind,
    ) -> Result<(), Setback> {
        let Write { expect, record, .. } = self.change;
        match subject.writer().write(self.change).await {
            Err(error) if error.kind() == refusal => self.holds(subject).await,
            Err(error) => Err(failed("asked once more, the write", &error)),
            Ok(()) => Err(Setback::Failed(format!(
                "a write of {} that expects {expect:?} happened twice",
                record.id
            ))),
        }
    }

    async fn holds(&self, subject: Subject<'_>) -> Result<(), Setback> {
        let held = subject.holds(self.change.record).await;
        let moment = format!("after the answer was lost, at {} polls", self.polls);
        held.map_err(|setback| setback.when(&moment))
    }
}
