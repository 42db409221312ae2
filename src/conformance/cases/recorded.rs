//! Audit events that come with no change, and the end of old ones.

use super::Case;
use crate::audit::{Actor, AuditAction, AuditEvent, AuditKind, Requests};
use crate::clock::Timestamp;
use crate::conformance::records::{self, HARD_TEXT, IDS, OWNERS};
use crate::conformance::subject::{Setback, Subject, ensure, failed};
use crate::dropping::drop_after;
use crate::store::{AuditQuery, Expect};

const CLAUSE: &str = "Audit log";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "a recorded event is returned as it was written, in every field",
        run: |subject| Box::pin(every_field(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "what is recorded twice is there twice, and of nothing there is nothing",
        run: |subject| Box::pin(twice(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "events of a record that is dropped are there all or none",
        run: |subject| Box::pin(dropped(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "with a kind, there are events of that kind alone",
        run: |subject| Box::pin(by_kind(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "an event of no key and no owner is found with no key and with no owner",
        run: |subject| Box::pin(of_nobody(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "events of one kind from before a moment are forgotten, and nothing else",
        run: |subject| Box::pin(forgets_one_kind(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "at most as many events are forgotten as the limit, and it is said how many",
        run: |subject| Box::pin(forgets_so_many(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a cursor goes on where it was when events before it are forgotten",
        run: |subject| Box::pin(cursor_stays(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "what is recorded after all was forgotten comes after every cursor",
        run: |subject| Box::pin(cursor_of_forgotten(subject)),
    },
];

const KINDS: [AuditKind; 2] = [AuditKind::Lifecycle, AuditKind::Authentication];

async fn every_field(subject: Subject<'_>) -> Result<(), Setback> {
    subject.audit_log()?;
    let base = requests_of(IDS[0], 1)?;
    let stranger = AuditEvent {
        action: AuditAction::Refused,
        key_id: None,
        owner: None,
        actor: Actor::Stranger,
        address: Some("2001:db8::1".parse()?),
        requests: Some(Requests {
            count: i64::MAX as u64,
            last_at: Timestamp::MAX,
            code: Some("key_unknown".into()),
        }),
        ..requests_of(IDS[0], 2)?
    };
    let user = |name: &str| Actor::User(name.into());
    let actors = [
        Actor::Host,
        Actor::Key(records::id(IDS[4])?),
        user("ada@example.org"),
        user(HARD_TEXT),
        user(""),
        Actor::Stranger,
    ];
    let mut written = vec![base, stranger.clone()];
    for (millis, actor) in (3..).zip(actors) {
        written.push(AuditEvent {
            action: AuditAction::LeakedInUrl,
            actor,
            ..requests_of(IDS[1], millis)?
        });
    }
    written.push(AuditEvent {
        requests: None,
        ..stranger
    });
    let exposures = [AuditAction::SentByBrowser, AuditAction::SentInPlaintext];
    for (millis, action) in (10..).zip(exposures) {
        written.push(AuditEvent {
            action,
            ..requests_of(IDS[3], millis)?
        });
    }
    record(subject, &written).await?;
    // Also of a change, a person may be the one who made it.
    let changed = records::plain(IDS[2])?;
    let by_user = AuditEvent {
        actor: user(HARD_TEXT),
        ..records::event(&changed, 20)?
    };
    subject
        .accepts(Expect::Absent, &changed, std::slice::from_ref(&by_user))
        .await?;
    written.push(by_user);
    are_left(subject, &written).await
}

async fn twice(subject: Subject<'_>) -> Result<(), Setback> {
    subject.audit_log()?;
    let event = requests_of(IDS[0], 1)?;
    record(subject, &[]).await?;
    are_left(subject, &[]).await?;
    for _ in 0..2 {
        record(subject, std::slice::from_ref(&event)).await?;
    }
    are_left(subject, &[event.clone(), event]).await
}

async fn dropped(subject: Subject<'_>) -> Result<(), Setback> {
    subject.audit_log()?;
    for polls in 0..64 {
        let id = format!("{polls:012}");
        let mut events = Vec::new();
        for millis in 1..=3 {
            events.push(requests_of(&id, millis)?);
        }
        let ended = drop_after(polls, record(subject, &events)).await.is_some();
        let query = AuditQuery {
            key_id: Some(records::id(&id)?),
            ..AuditQuery::new()
        };
        let kept = subject.events(&query).await?.events.len();
        ensure(kept == events.len() || (kept == 0 && !ended), || {
            format!("{kept} of 3 events of a record that was dropped after {polls} polls")
        })?;
        if ended {
            break;
        }
    }
    Ok(())
}

async fn by_kind(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    for kind in KINDS {
        for limit in [1, 3, 100] {
            for key_id in [None, Some(records::id(IDS[0])?)] {
                let query = AuditQuery {
                    kind: Some(kind),
                    key_id,
                    limit,
                    ..AuditQuery::new()
                };
                finds(subject, query, &events).await?;
            }
        }
        for action in [AuditAction::Refused, AuditAction::Changed] {
            let query = AuditQuery {
                kind: Some(kind),
                action: Some(action),
                ..AuditQuery::new()
            };
            finds(subject, query, &events).await?;
        }
    }
    Ok(())
}

async fn of_nobody(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    for id in IDS {
        let query = AuditQuery {
            key_id: Some(records::id(id)?),
            ..AuditQuery::new()
        };
        finds(subject, query, &events).await?;
    }
    for owner in OWNERS.into_iter().chain(["", "null", "None"]) {
        let query = AuditQuery {
            owner: Some(owner.into()),
            ..AuditQuery::new()
        };
        finds(subject, query, &events).await?;
    }
    Ok(())
}

async fn forgets_one_kind(subject: Subject<'_>) -> Result<(), Setback> {
    let mut left = fill(subject).await?;
    for (kind, millis) in [
        (AuditKind::Authentication, 1_000),
        (AuditKind::Authentication, 1_005),
        (AuditKind::Lifecycle, 1_006),
        (AuditKind::Authentication, 1_100),
    ] {
        let before = left.len();
        left.retain(|event| !is_due(event, kind, millis));
        let forgotten = forget(subject, kind, millis, 100).await?;
        ensure(forgotten == before - left.len(), || {
            let due = before - left.len();
            format!("{forgotten} events were said to be forgotten, and {due} were due")
        })?;
        are_left(subject, &left).await?;
        // Nothing stays behind where an index is asked.
        for query in [
            AuditQuery {
                key_id: Some(records::id(IDS[0])?),
                ..AuditQuery::new()
            },
            AuditQuery {
                kind: Some(kind),
                ..AuditQuery::new()
            },
        ] {
            finds(subject, query, &left).await?;
        }
    }
    for id in IDS.iter().take(4) {
        subject.holds(&records::plain(id)?).await?;
    }
    Ok(())
}

async fn forgets_so_many(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    let kind = AuditKind::Authentication;
    let due = events.iter().filter(|event| is_due(event, kind, 1_100));
    let mut due = due.count();
    for limit in [0, 1, 2, usize::MAX, 1] {
        let expected = due.min(limit);
        let forgotten = forget(subject, kind, 1_100, limit).await?;
        due -= expected;
        let query = AuditQuery {
            kind: Some(kind),
            ..AuditQuery::new()
        };
        let left = subject.events(&query).await?.events.len();
        ensure((forgotten, left) == (expected, due), || {
            format!(
                "with the limit {limit}, {forgotten} events instead of {expected} were said to be \
                 forgotten, and {left} instead of {due} are left"
            )
        })?;
    }
    Ok(())
}

async fn cursor_stays(subject: Subject<'_>) -> Result<(), Setback> {
    let events = fill(subject).await?;
    let mut query = AuditQuery {
        limit: 5,
        ..AuditQuery::new()
    };
    query.after = subject.events(&query).await?.next;
    ensure(query.after.is_some(), || {
        "no next page, and there are more events".into()
    })?;
    for kind in KINDS {
        forget(subject, kind, 1_006, 100).await?;
    }
    query.limit = 100;
    let rest = subject.events(&query).await?.events;
    let expected: Vec<AuditEvent> = events
        .into_iter()
        .skip(5)
        .filter(|event| KINDS.iter().all(|kind| !is_due(event, *kind, 1_006)))
        .collect();
    same(&rest, &expected)
}

async fn cursor_of_forgotten(subject: Subject<'_>) -> Result<(), Setback> {
    subject.audit_log()?;
    let mut old = Vec::new();
    for millis in 1_000..1_004 {
        old.push(requests_of(IDS[0], millis)?);
    }
    record(subject, &old).await?;
    let mut query = AuditQuery {
        limit: 2,
        ..AuditQuery::new()
    };
    query.after = subject.events(&query).await?.next;
    forget(subject, AuditKind::Authentication, 1_100, 100).await?;
    let new = [requests_of(IDS[0], 2_000)?, requests_of(IDS[0], 2_001)?];
    record(subject, &new).await?;
    same(&subject.events(&query).await?.events, &new)
}

/// Changes and requests in turn, a millisecond after each other; the last ones are the oldest.
async fn fill(subject: Subject<'_>) -> Result<Vec<AuditEvent>, Setback> {
    subject.audit_log()?;
    let mut events = Vec::new();
    for (n, id) in IDS.iter().take(4).enumerate() {
        let millis = 1_000 + 2 * n as i64;
        let key = records::plain(id)?;
        let changed = records::event(&key, millis)?;
        subject
            .accepts(Expect::Absent, &key, std::slice::from_ref(&changed))
            .await?;
        let accepted = requests_of(id, millis + 1)?;
        let refused = AuditEvent {
            action: AuditAction::Refused,
            key_id: None,
            owner: None,
            actor: Actor::Stranger,
            ..requests_of(id, millis + 1)?
        };
        record(subject, &[accepted.clone(), refused.clone()]).await?;
        events.extend([changed, accepted, refused]);
    }
    let late = requests_of(IDS[0], 1_001)?;
    record(subject, std::slice::from_ref(&late)).await?;
    events.push(late);
    Ok(events)
}

/// Some requests with a key.
fn requests_of(id: &str, millis: i64) -> Result<AuditEvent, Setback> {
    let key = records::plain(id)?;
    Ok(AuditEvent {
        action: AuditAction::Accepted,
        actor: Actor::Key(key.id),
        changes: Vec::new(),
        requests: Some(Requests {
            count: 2,
            last_at: records::at(millis + 500)?,
            code: None,
        }),
        ..records::event(&key, millis)?
    })
}

fn is_due(event: &AuditEvent, kind: AuditKind, millis: i64) -> bool {
    event.action.kind() == kind && event.at.as_unix_millis() < millis
}

async fn record(subject: Subject<'_>, events: &[AuditEvent]) -> Result<(), Setback> {
    let answer = subject.writers_audit_log()?.record(events).await;
    answer.map_err(|error| failed("record", &error))
}

async fn forget(
    subject: Subject<'_>,
    kind: AuditKind,
    millis: i64,
    limit: usize,
) -> Result<usize, Setback> {
    let log = subject.writers_audit_log()?;
    let answer = log.forget_before(kind, records::at(millis)?, limit).await;
    answer.map_err(|error| failed("forget_before", &error))
}

/// These are all events that there are.
async fn are_left(subject: Subject<'_>, expected: &[AuditEvent]) -> Result<(), Setback> {
    same(&subject.events(&AuditQuery::new()).await?.events, expected)
}

/// The pages of a query have those of `events` that it selects.
async fn finds(
    subject: Subject<'_>,
    mut query: AuditQuery,
    events: &[AuditEvent],
) -> Result<(), Setback> {
    let selected = events.iter().filter(|event| query.selects(event));
    let expected: Vec<AuditEvent> = selected.cloned().collect();
    let mut found = Vec::new();
    loop {
        let page = subject.events(&query).await?;
        found.extend(page.events);
        query.after = page.next;
        if query.after.is_none() || found.len() > expected.len() {
            break;
        }
    }
    same(&found, &expected).map_err(|setback| setback.when(&format!("with {query:?}")))
}

fn same(read: &[AuditEvent], expected: &[AuditEvent]) -> Result<(), Setback> {
    ensure(read.len() == expected.len(), || {
        format!("{} events instead of {}", read.len(), expected.len())
    })?;
    for (read, expected) in read.iter().zip(expected) {
        ensure(read == expected, || {
            format!("the event {read:?} instead of {expected:?}")
        })?;
    }
    Ok(())
}
