use super::Case;
use crate::clock::Timestamp;
use crate::conformance::records::{self, HARD_TEXT, IDS, OWNERS};
use crate::conformance::subject::{Setback, Subject, same};
use crate::record::{KeyRecord, Revocation, SecretSlot, Secrets};
use crate::store::Page;

const CLAUSE: &str = "Fidelity";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "a record with every field set is returned as it was written",
        run: |subject| Box::pin(every_field(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "fields that are absent or empty come back absent or empty",
        run: |subject| Box::pin(absent_fields(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a record whose fields are as large as they can be is returned as it was written",
        run: |subject| Box::pin(largest_fields(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "text is kept byte for byte",
        run: |subject| Box::pin(text(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "moments are kept to the millisecond, from the earliest to the latest",
        run: |subject| Box::pin(moments(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "the two secrets keep their slots and all bytes of their MACs",
        run: |subject| Box::pin(slots(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a change replaces every field, also with nothing",
        run: |subject| Box::pin(replaced_in_full(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "list returns records in every field, as get does",
        run: |subject| Box::pin(listed_in_full(subject)),
    },
];

async fn every_field(subject: Subject<'_>) -> Result<(), Setback> {
    keeps(subject, &records::full(IDS[0])?).await?;
    let revoked = KeyRecord {
        revocation: records::largest(IDS[1])?.revocation,
        ..records::full(IDS[1])?
    };
    keeps(subject, &revoked).await
}

async fn absent_fields(subject: Subject<'_>) -> Result<(), Setback> {
    keeps(subject, &records::bare(IDS[0])?).await
}

async fn largest_fields(subject: Subject<'_>) -> Result<(), Setback> {
    keeps(subject, &records::largest(IDS[0])?).await
}

async fn text(subject: Subject<'_>) -> Result<(), Setback> {
    for (n, text) in OWNERS
        .into_iter()
        .chain([HARD_TEXT, "1e3", "true"])
        .enumerate()
    {
        let written = KeyRecord {
            name: text.into(),
            owner: text.into(),
            metadata: [(text.into(), text.into())].into(),
            revocation: Some(Revocation {
                at: Timestamp::MIN,
                reason: text.into(),
            }),
            ..records::full(&format!("{n:012}"))?
        };
        keeps(subject, &written).await?;
    }
    Ok(())
}

async fn moments(subject: Subject<'_>) -> Result<(), Setback> {
    let latest = Timestamp::MAX.as_unix_millis();
    let around_seconds = [0, 1, 999, 1_000, 1_795_325_668_007, latest - 999, latest];
    for (n, millis) in around_seconds.into_iter().enumerate() {
        let moment = records::at(millis)?;
        let mut written = records::full(&format!("{n:012}"))?;
        written.created_at = moment;
        written.expires_at = Some(moment);
        written.disabled_at = Some(moment);
        written.revocation = Some(Revocation {
            at: moment,
            reason: String::new(),
        });
        written.secrets.current.created_at = moment;
        written.secrets.current.not_after = Some(moment);
        keeps(subject, &written).await?;
    }
    Ok(())
}

async fn slots(subject: Subject<'_>) -> Result<(), Setback> {
    let one = records::full(IDS[0])?;
    let other = records::largest(IDS[0])?;
    let never_ending = |slot: &SecretSlot| SecretSlot {
        not_after: None,
        ..slot.clone()
    };
    let pairs = [
        (&one.secrets.current, one.secrets.previous.clone()),
        (&other.secrets.current, Some(one.secrets.current.clone())),
        (
            &one.secrets.current,
            Some(never_ending(&other.secrets.current)),
        ),
        (&other.secrets.current, None),
    ];
    for (id, (current, previous)) in IDS.into_iter().zip(pairs) {
        let secrets = Secrets {
            current: current.clone(),
            previous,
        };
        let written = KeyRecord {
            secrets,
            ..records::full(id)?
        };
        keeps(subject, &written).await?;
    }
    Ok(())
}

async fn replaced_in_full(subject: Subject<'_>) -> Result<(), Setback> {
    subject.create(&records::full(IDS[0])?).await?;
    let bare = KeyRecord {
        version: 2,
        ..records::bare(IDS[0])?
    };
    let full = KeyRecord {
        version: 3,
        ..records::full(IDS[0])?
    };
    let largest = records::largest(IDS[0])?;
    for (version, record) in [(1, bare), (2, full), (3, largest)] {
        subject.change(version, &record).await?;
        subject.holds(&record).await?;
    }
    Ok(())
}

async fn listed_in_full(subject: Subject<'_>) -> Result<(), Setback> {
    let written = [
        records::bare(IDS[0])?,
        records::full(IDS[1])?,
        records::largest(IDS[2])?,
    ];
    for record in &written {
        subject.create(record).await?;
    }
    let all = Page {
        owner: None,
        after: None,
        limit: 10,
    };
    let listed = subject.list(all).await?;
    for record in &written {
        match listed.iter().find(|read| read.id == record.id) {
            Some(read) => same("list", record, read)?,
            None => {
                let seen = format!("list did not answer {}", record.id);
                return Err(Setback::Failed(seen));
            }
        }
    }
    Ok(())
}

async fn keeps(subject: Subject<'_>, record: &KeyRecord) -> Result<(), Setback> {
    subject.create(record).await?;
    subject.holds(record).await
}
