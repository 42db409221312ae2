use super::Case;
use crate::clock::Day;
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject, ensure, failed};
use crate::conformance::together::{BoxFuture, join_all};
use crate::key::KeyId;
use crate::record::KeyRecord;
use crate::store::{KeyUsage, StoreError, UsageBatch, UsageEntry, UsageStore};

const CLAUSE: &str = "Usage";

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
        must_hold: "batches are added up, and one that is added again changes nothing",
        run: |subject| Box::pin(counted_once(subject)),
    },
];

const ROUNDS: u64 = 8;

async fn records_are_left_alone(subject: Subject<'_>) -> Result<(), Setback> {
    let [usage, _] = subject.usage()?;
    let created = records::full(IDS[0])?;
    let revoked = KeyRecord {
        version: 2,
        ..records::revoked(IDS[0])?
    };
    subject.create(&created).await?;
    add(usage, &batch(1, &created.id)?).await?;
    subject.holds(&created).await?;
    subject.change(1, &revoked).await?;
    add(usage, &batch(2, &created.id)?).await?;
    subject.holds(&revoked).await
}

async fn no_revocation_is_undone(subject: Subject<'_>) -> Result<(), Setback> {
    let stores = subject.usage()?;
    for round in 0..ROUNDS {
        let id = format!("{round:012}");
        subject.create(&records::plain(&id)?).await?;
        let revoked = KeyRecord {
            version: 2,
            ..records::revoked(&id)?
        };
        let batches = [
            batch(round * 2, &revoked.id)?,
            batch(round * 2 + 1, &revoked.id)?,
        ];
        let adds = stores.into_iter().zip(&batches);
        let mut work: Vec<BoxFuture<'_, Result<(), Setback>>> = adds
            .map(|(usage, batch)| -> BoxFuture<'_, _> { Box::pin(add(usage, batch)) })
            .collect();
        // First, last, and in the middle.
        let turn = (round % 3) as usize;
        work.insert(turn, Box::pin(subject.change(1, &revoked)));
        join_all(work)
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        subject.holds(&revoked).await?;
    }
    Ok(())
}

async fn counted_once(subject: Subject<'_>) -> Result<(), Setback> {
    let [one, other] = subject.usage()?;
    let id = records::id(IDS[0])?;
    let requests = async || -> Result<Option<u64>, StoreError> {
        let [usage] = &other.of_keys(&[id]).await?[..] else {
            return Ok(None);
        };
        Ok(usage.as_ref().map(|usage| usage.requests))
    };
    for (added, total) in [
        (None, None),
        (Some(1), Some(1)),
        (Some(2), Some(2)),
        (Some(1), Some(2)),
    ] {
        if let Some(sequence) = added {
            add(one, &batch(sequence, &id)?).await?;
        }
        let seen = requests()
            .await
            .map_err(|error| failed("of_keys", &error))?;
        ensure(seen == total, || {
            format!("after batch {added:?} there are {seen:?} requests instead of {total:?}")
        })?;
    }
    Ok(())
}

async fn add(usage: &dyn UsageStore, batch: &UsageBatch) -> Result<(), Setback> {
    let answer = usage.add(batch).await;
    answer.map_err(|error| failed(&format!("add of batch {}", batch.sequence), &error))
}

/// One request of one key.
fn batch(sequence: u64, id: &KeyId) -> Result<UsageBatch, Setback> {
    Ok(UsageBatch {
        instance: 7,
        sequence,
        entries: vec![UsageEntry {
            key_id: *id,
            owner: "org_1".into(),
            day: Day::of(records::at(1_795_325_668_000)?),
            usage: KeyUsage {
                requests: 1,
                last_used_at: records::at(1_795_325_668_000)?,
                last_used_from: None,
                scopes: Vec::new(),
                lacked: Vec::new(),
                secrets: Vec::new(),
            },
        }],
    })
}
