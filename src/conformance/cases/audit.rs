use super::Case;
use crate::audit::{Actor, AuditAction, AuditEvent, FieldChange};
use crate::clock::Timestamp;
use crate::conformance::records::{self, HARD_TEXT, IDS, OWNERS};
use crate::conformance::subject::{Setback, Subject, ensure, failed};
use crate::record::KeyRecord;
use crate::store::AuditQuery;
use crate::store::{Expect, StoreErrorKind};

const CLAUSE: &str = "Audit log";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "an event is returned as it was written, in every field",
        run: |subject| Box::pin(every_field(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "events come the oldest first",
        run: |subject| Box::pin(oldest_first(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "with a key, there are that key's events alone, compared byte for byte",
        run: |subject| Box::pin(by_key(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "with an owner, there are that owner's events alone, compared byte for byte",
        run: |subject| Box::pin(by_owner(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "with an action, there are events of that action alone",
        run: |subject| Box::pin(by_action(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a time range has its beginning and not its end",
        run: |subject| Box::pin(by_time(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "of several conditions, all must hold",
        run: |subject| Box::pin(by_everything(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "pages have as many events as their limit, each event once, and no next one at the end",
        run: |subject| Box::pin(pages(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "the largest limit of all is one of events too",
        run: |subject| Box::pin(largest_limit(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a cursor that the store did not give fails as Corrupt",
        run: |subject| Box::pin(foreign_cursor(subject)),
    },
];

const ACTIONS: [AuditAction; 8] = [
    AuditAction::Changed,
    AuditAction::Disabled,
    AuditAction::Enabled,
    AuditAction::Issued,
    AuditAction::Revoked,
    AuditAction::Rotated,
    AuditAction::RotationFinished,
    AuditAction::Superseded,
];

async fn every_field(subject: Subject<'_>) -> Result<(), Setback> {
    subject.audit_log()?;
    let record = records::plain(IDS[0])?;
    let field = |before: Option<&str>, after: Option<&str>| FieldChange {
        field: "name".into(),
        before: before.map(Into::into),
        after: after.map(Into::into),
    };
    let mut written = Vec::new();
    for (millis, action) in (1..).zip(ACTIONS) {
        let host = records::event(&record, millis)?;
        written.push(AuditEvent { action, ..host });
    }
    let by_key = Actor::Key(records::id(IDS[4])?);
    let changes = vec![
        field(None, Some("")),
        field(Some(""), Some(HARD_TEXT)),
        field(Some(HARD_TEXT), None),
    ];
    for (millis, address) in (9..).zip(["203.0.113.7", "2001:db8::1", "::ffff:10.0.0.1"]) {
        written.push(AuditEvent {
            actor: by_key.clone(),
            address: Some(address.parse()?),
            changes: changes.clone(),
            ..records::event(&record, millis)?
        });
    }
    written.push(AuditEvent {
        at: Timestamp::MAX,
        changes: Vec::new(),
        ..records::event(&record, 1)?
    });
    subject.accepts(Expect::Absent, &record, &written).await?;
    let read = subject.events(&AuditQuery::new()).await?.events;
    ensure(read.len() == written.len(), || {
        format!("{} events instead of {}", read.len(), written.len())
    })?;
    for (written, read) in written.iter().zip(&read) {
        ensure(written == read, || {
            format!("the event {read:?}, which was written as {written:?}")
        })?;
    }
    Ok(())
}

async fn oldest_first(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    expect_events(subject, AuditQuery::new(), &events).await
}

async fn by_key(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    for id in IDS {
        let query = AuditQuery {
            key_id: Some(records::id(id)?),
            ..AuditQuery::new()
        };
        expect_events(subject, query, &events).await?;
    }
    Ok(())
}

async fn by_owner(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    for owner in OWNERS.into_iter().chain(["nobody"]) {
        let query = AuditQuery {
            owner: Some(owner.into()),
            ..AuditQuery::new()
        };
        expect_events(subject, query, &events).await?;
    }
    Ok(())
}

async fn by_action(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    for action in ACTIONS {
        let query = AuditQuery {
            action: Some(action),
            ..AuditQuery::new()
        };
        expect_events(subject, query, &events).await?;
    }
    Ok(())
}

async fn by_time(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    let (early, late) = (records::at(1_003)?, records::at(1_006)?);
    let ranges = [
        (Some(early), None),
        (None, Some(late)),
        (Some(early), Some(late)),
        (Some(early), Some(early)),
        (Some(Timestamp::MIN), Some(Timestamp::MAX)),
    ];
    for (from, until) in ranges {
        let query = AuditQuery {
            from,
            until,
            ..AuditQuery::new()
        };
        expect_events(subject, query, &events).await?;
    }
    Ok(())
}

async fn by_everything(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    for event in &events {
        let exactly = AuditQuery {
            key_id: event.key_id,
            owner: event.owner.clone(),
            action: Some(event.action),
            from: Some(event.at),
            until: Some(records::at(event.at.as_unix_millis() + 1)?),
            ..AuditQuery::new()
        };
        let elsewhere = AuditQuery {
            owner: Some("nobody".into()),
            ..exactly.clone()
        };
        expect_events(subject, exactly, &events).await?;
        expect_events(subject, elsewhere, &events).await?;
    }
    Ok(())
}

async fn pages(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    for owner in [None, Some(OWNERS[0].to_owned())] {
        for limit in [1, 2, 3, events.len(), events.len() + 1] {
            let mut query = AuditQuery {
                owner: owner.clone(),
                limit,
                ..AuditQuery::new()
            };
            let selected: Vec<&AuditEvent> = events.iter().filter(|e| query.selects(e)).collect();
            let mut rest = selected.chunks(limit);
            while let Some(expected) = rest.next() {
                let page = subject.events(&query).await?;
                let is_last = rest.len() == 0;
                ensure(page.events.iter().eq(expected.iter().copied()), || {
                    format!(
                        "{query:?} answered {} instead of {}",
                        moments(&page.events),
                        moments(expected.iter().copied())
                    )
                })?;
                ensure(page.next.is_none() == is_last, || match is_last {
                    true => format!("{query:?} answered the last events, and a next page"),
                    false => format!("{query:?} answered no next page, and there are more events"),
                })?;
                query.after = page.next;
            }
        }
    }
    Ok(())
}

async fn largest_limit(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    let query = AuditQuery {
        limit: usize::MAX,
        ..AuditQuery::new()
    };
    expect_events(subject, query, &events).await
}

async fn foreign_cursor(subject: Subject<'_>) -> Result<(), Setback> {
    let log = subject.audit_log()?;
    fill(subject).await?;
    let query = AuditQuery {
        after: Some("not a cursor of this store".into()),
        ..AuditQuery::new()
    };
    match log.events(&query).await {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(()),
        Err(error) => Err(failed("events after a cursor that is none", &error)),
        Ok(page) => Err(Setback::Failed(format!(
            "events after a cursor that is none answered {} events",
            page.events.len()
        ))),
    }
}

/// Events of many owners' keys, a millisecond after each other.
async fn fill(subject: Subject<'_>) -> Result<Vec<AuditEvent>, Setback> {
    subject.audit_log()?;
    let mut events = Vec::new();
    let owners = OWNERS.into_iter().chain([OWNERS[0]; 4]);
    for ((n, millis), owner) in (0..).zip(1_000..).zip(owners) {
        let id = IDS
            .get(n)
            .map_or(format!("{:012}", 100 + n), |id| (*id).to_owned());
        let record: KeyRecord = records::owned(&id, owner)?;
        let event = AuditEvent {
            action: ACTIONS[n % ACTIONS.len()],
            ..records::event(&record, millis)?
        };
        subject
            .accepts(Expect::Absent, &record, std::slice::from_ref(&event))
            .await?;
        events.push(event);
    }
    Ok(events)
}

/// The answer is those of `events` that the query selects.
async fn expect_events(
    subject: Subject<'_>,
    query: AuditQuery,
    events: &[AuditEvent],
) -> Result<(), Setback> {
    let expected: Vec<&AuditEvent> = events.iter().filter(|event| query.selects(event)).collect();
    let page = subject.events(&query).await?;
    ensure(page.events.iter().eq(expected.iter().copied()), || {
        format!(
            "{query:?} answered {} instead of {}",
            moments(&page.events),
            moments(expected)
        )
    })
}

/// Events by their moments, which tell them apart.
fn moments<'a>(events: impl IntoIterator<Item = &'a AuditEvent>) -> String {
    let moments: Vec<Timestamp> = events.into_iter().map(|event| event.at).collect();
    format!("the events of {moments:?}")
}
