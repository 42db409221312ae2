use super::Case;
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject};
use crate::record::KeyRecord;
use crate::store::{Expect, StoreErrorKind};

const CLAUSE: &str = "Expectations";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "Absent holds for every id that is not stored, byte for byte",
        run: |subject| Box::pin(absent_holds(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "Absent fails as Taken when the id exists, and changes nothing",
        run: |subject| Box::pin(absent_fails(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "Version holds when it is the stored version",
        run: |subject| Box::pin(version_holds(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "Version fails as Stale when the stored version is higher, and changes nothing",
        run: |subject| Box::pin(an_older_version_fails(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "Version fails as Stale when the stored version is lower, and changes nothing",
        run: |subject| Box::pin(a_newer_version_fails(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "Version fails as Stale when the id is unknown, and creates nothing",
        run: |subject| Box::pin(version_of_nothing_fails(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a write changes no other record",
        run: |subject| Box::pin(others_are_left_alone(subject)),
    },
];

async fn absent_holds(subject: Subject<'_>) -> Result<(), Setback> {
    for id in IDS {
        subject.create(&records::plain(id)?).await?;
    }
    Ok(())
}

async fn absent_fails(subject: Subject<'_>) -> Result<(), Setback> {
    let stored = records::plain(IDS[0])?;
    subject.create(&stored).await?;
    // A write that would raise the version, and one that would leave it.
    for version in [1, 2] {
        let record = records::changed(IDS[0], version)?;
        subject
            .refuses(
                StoreErrorKind::Taken,
                Expect::Absent,
                &record,
                Some(&stored),
            )
            .await?;
    }
    Ok(())
}

async fn version_holds(subject: Subject<'_>) -> Result<(), Setback> {
    subject.create(&records::plain(IDS[0])?).await?;
    for version in 1..4 {
        let record = KeyRecord {
            version: version + 1,
            ..records::plain(IDS[0])?
        };
        subject.change(version, &record).await?;
    }
    Ok(())
}

async fn an_older_version_fails(subject: Subject<'_>) -> Result<(), Setback> {
    let stored = KeyRecord {
        version: 2,
        ..records::plain(IDS[0])?
    };
    subject.create(&records::plain(IDS[0])?).await?;
    subject.change(1, &stored).await?;
    let late = records::changed(IDS[0], 3)?;
    for version in [0, 1] {
        let expect = Expect::Version(version);
        subject
            .refuses(StoreErrorKind::Stale, expect, &late, Some(&stored))
            .await?;
    }
    Ok(())
}

async fn a_newer_version_fails(subject: Subject<'_>) -> Result<(), Setback> {
    let stored = records::plain(IDS[0])?;
    subject.create(&stored).await?;
    let early = records::changed(IDS[0], 3)?;
    subject
        .refuses(
            StoreErrorKind::Stale,
            Expect::Version(2),
            &early,
            Some(&stored),
        )
        .await
}

async fn version_of_nothing_fails(subject: Subject<'_>) -> Result<(), Setback> {
    subject.create(&records::plain(IDS[0])?).await?;
    let unknown = records::plain(IDS[1])?;
    for version in [0, 1] {
        subject
            .refuses(
                StoreErrorKind::Stale,
                Expect::Version(version),
                &unknown,
                None,
            )
            .await?;
    }
    Ok(())
}

async fn others_are_left_alone(subject: Subject<'_>) -> Result<(), Setback> {
    let mut stored = Vec::new();
    for id in IDS {
        stored.push(records::plain(id)?);
        subject.create(&records::plain(id)?).await?;
    }
    for (n, id) in IDS.iter().enumerate() {
        stored[n] = records::changed(id, 2)?;
        subject.change(1, &stored[n]).await?;
        for record in &stored {
            let moment = format!("after a change of {id}");
            subject
                .holds(record)
                .await
                .map_err(|setback| setback.when(&moment))?;
        }
    }
    Ok(())
}
