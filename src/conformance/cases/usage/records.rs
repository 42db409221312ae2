//! That usage lives apart from the records.

use super::CLAUSE;
use super::counts::{Counts, DAY, batch, entry, numbered, whole};
use crate::conformance::cases::Case;
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject};
use crate::conformance::together::{BoxFuture, join_all};
use crate::key::KeyId;
use crate::record::KeyRecord;
use crate::store::UsageBatch;

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "a batch that is added leaves the records as they are",
        run: |subject| Box::pin(records_are_left_alone(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a key that is revoked while a batch is added stays revoked",
        run: |subject| Box::pin(no_revocation_is_undone(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a key of which there is no record is counted too, and gets none",
        run: |subject| Box::pin(counted_without_a_record(subject)),
    },
];

const ROUNDS: usize = 8;

async fn records_are_left_alone(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let created = records::full(IDS[0])?;
    let revoked = KeyRecord {
        version: 2,
        ..records::revoked(IDS[0])?
    };
    subject.create(&created).await?;
    counts.add(&of_one(1, &created.id)?).await?;
    subject.holds(&created).await?;
    subject.change(1, &revoked).await?;
    counts.add(&of_one(2, &created.id)?).await?;
    subject.holds(&revoked).await
}

async fn no_revocation_is_undone(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    for round in 0..ROUNDS {
        let id = numbered(round)?;
        subject.create(&records::plain(id.as_str())?).await?;
        let revoked = KeyRecord {
            version: 2,
            ..records::revoked(id.as_str())?
        };
        let sequence = round as u64 * 2;
        let batches = [of_one(sequence, &id)?, of_one(sequence + 1, &id)?];
        let mut work: Vec<BoxFuture<'_, Result<(), Setback>>> = vec![
            Box::pin(counts.add(&batches[0])),
            Box::pin(counts.swapped().add(&batches[1])),
        ];
        // First, last, and in the middle.
        work.insert(round % 3, Box::pin(subject.change(1, &revoked)));
        join_all(work)
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        subject.holds(&revoked).await?;
    }
    Ok(())
}

async fn counted_without_a_record(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let id = records::id(IDS[0])?;
    counts.add(&of_one(1, &id)?).await?;
    counts.holds(&id, Some(&whole(1, 1_000)?)).await?;
    counts.days_of_key(&id, DAY..=DAY, &[(DAY, 1)]).await?;
    subject.lacks(&id).await
}

/// One request of one key.
fn of_one(sequence: u64, id: &KeyId) -> Result<UsageBatch, Setback> {
    Ok(batch(7, sequence, vec![entry(id, DAY, whole(1, 1_000)?)]))
}
