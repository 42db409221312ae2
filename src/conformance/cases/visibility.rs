use super::Case;
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject};
use crate::record::KeyRecord;

const CLAUSE: &str = "Visibility";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "a get after a create sees the record, also when the id was read as unknown before",
        run: |subject| Box::pin(create_is_seen(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a get after a change sees the record as it is now, whoever changed it",
        run: |subject| Box::pin(change_is_seen(subject)),
    },
];

async fn create_is_seen(subject: Subject<'_>) -> Result<(), Setback> {
    for (id, subject) in IDS.into_iter().zip([subject, subject.swapped()]) {
        let record = records::plain(id)?;
        subject.lacks(&record.id).await?;
        subject.swapped().lacks(&record.id).await?;
        subject.create(&record).await?;
        subject.holds(&record).await?;
        subject.swapped().holds(&record).await?;
    }
    Ok(())
}

async fn change_is_seen(subject: Subject<'_>) -> Result<(), Setback> {
    let mut record = records::plain(IDS[0])?;
    subject.create(&record).await?;
    for subject in [subject, subject.swapped(), subject, subject.swapped()] {
        let before = record.version;
        record = KeyRecord {
            name: format!("after version {before}"),
            version: before + 1,
            ..record
        };
        subject.change(before, &record).await?;
        subject.holds(&record).await?;
        subject.swapped().holds(&record).await?;
    }
    Ok(())
}
