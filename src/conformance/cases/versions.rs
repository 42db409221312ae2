use super::Case;
use crate::conformance::records::{self, IDS, LARGEST_VERSION};
use crate::conformance::subject::{Setback, Subject};
use crate::record::KeyRecord;
use crate::store::{Expect, StoreErrorKind};

const CLAUSE: &str = "Versions";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "a version is kept as it is given, also when it does not begin at 1 or jumps",
        run: |subject| Box::pin(kept_as_given(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "large versions next to each other are told apart",
        run: |subject| Box::pin(neighbours_are_told_apart(subject)),
    },
];

async fn kept_as_given(subject: Subject<'_>) -> Result<(), Setback> {
    let mut record = records::plain(IDS[0])?;
    record.version = 7;
    subject.create(&record).await?;
    subject.holds(&record).await?;
    for version in [8, 1_000, u64::from(u32::MAX) + 1, LARGEST_VERSION] {
        let before = record.version;
        record.version = version;
        subject.change(before, &record).await?;
        subject.holds(&record).await?;
    }
    Ok(())
}

/// Where versions pass through floating-point numbers, these are the same.
async fn neighbours_are_told_apart(subject: Subject<'_>) -> Result<(), Setback> {
    for (id, version) in IDS.into_iter().zip([(1 << 53) + 1, LARGEST_VERSION - 1]) {
        let stored = KeyRecord {
            version,
            ..records::plain(id)?
        };
        subject.create(&stored).await?;
        let next = records::changed(id, version + 1)?;
        for other in [version - 1, version + 1] {
            let expect = Expect::Version(other);
            subject
                .refuses(StoreErrorKind::Stale, expect, &next, Some(&stored))
                .await?;
        }
        subject.change(version, &next).await?;
        subject.holds(&next).await?;
    }
    Ok(())
}
