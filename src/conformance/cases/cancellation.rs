use super::Case;
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject, ensure, failed, same};
use crate::dropping::drop_after;
use crate::record::KeyRecord;
use crate::store::AuditQuery;
use crate::store::{Expect, Page, StoreErrorKind, Write};

const CLAUSE: &str = "Cancellation";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "a create that is dropped happened whole or not at all",
        run: |subject| Box::pin(dropped_create(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a change that is dropped happened whole or not at all",
        run: |subject| Box::pin(dropped_change(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a write that is dropped keeps its audit events if it happened, and else none",
        run: |subject| Box::pin(events_of_a_dropped_write(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "the store goes on after a get or a list was dropped",
        run: |subject| Box::pin(dropped_reads(subject)),
    },
];

/// A future that is not ready after so many polls is not dropped any later.
const MOST_POLLS: usize = 64;

async fn dropped_create(subject: Subject<'_>) -> Result<(), Setback> {
    for polls in 0..MOST_POLLS {
        let dropped = records::plain(&format!("{polls:012}"))?;
        let cut = Cut::after(polls, subject, Expect::Absent, &dropped).await?;
        let rival = records::changed(dropped.id.as_str(), 3)?;
        cut.settle(subject, None, &dropped, rival).await?;
        if cut.ended {
            break;
        }
    }
    Ok(())
}

async fn dropped_change(subject: Subject<'_>) -> Result<(), Setback> {
    for polls in 0..MOST_POLLS {
        let before = records::plain(&format!("{polls:012}"))?;
        subject.create(&before).await?;
        let dropped = records::changed(before.id.as_str(), 2)?;
        let cut = Cut::after(polls, subject, Expect::Version(1), &dropped).await?;
        let rival = KeyRecord {
            version: 3,
            ..before.clone()
        };
        cut.settle(subject, Some(&before), &dropped, rival).await?;
        if cut.ended {
            break;
        }
    }
    Ok(())
}

async fn events_of_a_dropped_write(subject: Subject<'_>) -> Result<(), Setback> {
    subject.audit_log()?;
    for polls in 0..MOST_POLLS {
        let dropped = records::plain(&format!("{polls:012}"))?;
        let cut = Cut::after(polls, subject, Expect::Absent, &dropped).await?;
        let rival = records::changed(dropped.id.as_str(), 3)?;
        let happened = cut.settle(subject, None, &dropped, rival).await?;
        let query = AuditQuery {
            key_id: Some(dropped.id),
            ..AuditQuery::new()
        };
        let events = subject.events(&query).await?.events.len();
        ensure(events == usize::from(happened), || {
            let did = if happened {
                "happened"
            } else {
                "did not happen"
            };
            format!(
                "dropped after {polls} polls, the write {did}, and the log has {events} events of it"
            )
        })?;
        if cut.ended {
            break;
        }
    }
    Ok(())
}

async fn dropped_reads(subject: Subject<'_>) -> Result<(), Setback> {
    let record = records::plain(IDS[0])?;
    subject.create(&record).await?;
    let page = Page {
        owner: None,
        after: None,
        limit: 10,
    };
    for polls in 0..MOST_POLLS {
        let got = drop_after(polls, subject.reader().get(&record.id)).await;
        let listed = drop_after(polls, subject.reader().list(&page)).await;
        let version = polls as u64 + 1;
        let next = KeyRecord {
            version: version + 1,
            ..record.clone()
        };
        subject.change(version, &next).await?;
        subject.holds(&next).await?;
        if got.is_some() && listed.is_some() {
            break;
        }
    }
    Ok(())
}

/// A write that was dropped after some polls, if it had not ended by then.
struct Cut {
    polls: usize,
    ended: bool,
}

impl Cut {
    async fn after(
        polls: usize,
        subject: Subject<'_>,
        expect: Expect,
        record: &KeyRecord,
    ) -> Result<Self, Setback> {
        let change = Write {
            expect,
            record,
            audit: &[records::event(record, 1)?],
        };
        let ended = match drop_after(polls, subject.writer().write(change)).await {
            None => false,
            Some(Ok(())) => true,
            Some(Err(error)) => return Err(failed("a write that was not dropped", &error)),
        };
        Ok(Self { polls, ended })
    }

    /// Whether it happened, asked by a write that excludes that it still does: a store may finish
    /// later what it began.
    async fn settle(
        &self,
        subject: Subject<'_>,
        before: Option<&KeyRecord>,
        dropped: &KeyRecord,
        rival: KeyRecord,
    ) -> Result<bool, Setback> {
        let moment = format!("after {} polls of the write that was dropped", self.polls);
        self.settled(subject, before, dropped, rival)
            .await
            .map_err(|setback| setback.when(&moment))
    }

    async fn settled(
        &self,
        subject: Subject<'_>,
        before: Option<&KeyRecord>,
        dropped: &KeyRecord,
        rival: KeyRecord,
    ) -> Result<bool, Setback> {
        let id = &dropped.id;
        let seen = subject.get(id).await?;
        if seen.as_ref() == before && !self.ended {
            let expect = before.map_or(Expect::Absent, |record| Expect::Version(record.version));
            let write = Write {
                expect,
                record: &rival,
                audit: &[],
            };
            match subject.writer().write(write).await {
                Ok(()) => {
                    subject.holds(&rival).await?;
                    return Ok(false);
                }
                // It happened in between.
                Err(error)
                    if [StoreErrorKind::Taken, StoreErrorKind::Stale].contains(&error.kind()) => {}
                Err(error) => return Err(failed("the next write", &error)),
            }
        }
        match subject.get(id).await? {
            None => Err(Setback::Failed(format!("get of {id} answered None"))),
            Some(seen) => {
                // A mixture is told by its difference to the one that it claims to be.
                let claimed = before.filter(|before| seen.version == before.version);
                let claimed = claimed.filter(|_| !self.ended).unwrap_or(dropped);
                same(&format!("get of {id}"), claimed, &seen)?;
                subject.change(dropped.version, &rival).await?;
                subject.holds(&rival).await?;
                Ok(true)
            }
        }
    }
}
