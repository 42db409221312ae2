use super::Case;
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject, failed, same};
use crate::dropping::drop_after;
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
    Case {
        clause: CLAUSE,
        must_hold: "a get after a revocation sees it, also when another get was under way meanwhile",
        run: |subject| Box::pin(late_get_brings_nothing_back(subject)),
    },
];

/// A get that is not ready after so many polls is not overtaken any later.
const MOST_POLLS: usize = 32;

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

async fn late_get_brings_nothing_back(subject: Subject<'_>) -> Result<(), Setback> {
    for polls in 0..MOST_POLLS {
        let before = records::plain(&format!("{polls:012}"))?;
        let revoked = KeyRecord {
            version: 2,
            ..records::revoked(before.id.as_str())?
        };
        subject.create(&before).await?;
        let mut early = subject.reader().get(&before.id);
        let was_ready = drop_after(polls, &mut early).await.is_some();
        subject.change(1, &revoked).await?;
        subject.holds(&revoked).await?;
        if !was_ready {
            let call = "a get that was under way during the change";
            match early.await.map_err(|error| failed(call, &error))? {
                Some(seen) if seen == revoked => {}
                Some(seen) => same(call, &before, &seen)?,
                None => return Err(Setback::Failed(format!("{call} answered None"))),
            }
        }
        for subject in [subject, subject.swapped()] {
            let seen = subject.holds(&revoked).await;
            let moment = format!("after a get that was overtaken at {polls} polls");
            seen.map_err(|setback| setback.when(&moment))?;
        }
        if was_ready {
            break;
        }
    }
    Ok(())
}
