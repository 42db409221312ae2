//! That a batch is added whole, and once.

use super::CLAUSE;
use super::counts::{
    ALWAYS, Counts, DAY, OWNER, batch, entry, numbered, owned, requests, scope, whole,
};
use crate::conformance::cases::Case;
use crate::conformance::subject::{Setback, Subject, ensure, failed};
use crate::conformance::together::{BoxFuture, join_all};
use crate::dropping::drop_after;
use crate::key::KeyId;
use crate::store::{KeyUsage, UsageBatch};

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "a batch whose sequence is not above the last of its instance changes nothing",
        run: |subject| Box::pin(counted_once(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "the sequence of an instance begins anywhere and may have gaps",
        run: |subject| Box::pin(gaps(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a sequence means another batch for each instance",
        run: |subject| Box::pin(instances_apart(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "of batches that are added at once, on the same keys, none is lost",
        run: |subject| Box::pin(many_at_once(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a read while a batch is added sees it whole or not at all",
        run: |subject| Box::pin(whole_or_not(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a batch that is dropped at any point and added again counts once",
        run: |subject| Box::pin(dropped(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a batch of a thousand entries is added whole",
        run: |subject| Box::pin(a_thousand(subject)),
    },
];

/// An add that is not ready after so many polls is not dropped any later.
const MOST_POLLS: usize = 64;

async fn counted_once(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let (known, new) = (numbered(1)?, numbered(2)?);
    let before = whole(1, 10)?;
    counts
        .add(&batch(1, 5, vec![entry(&known, DAY, before.clone())]))
        .await?;
    let other = KeyUsage {
        scopes: vec![scope("invoices:read", 1, 20)?],
        ..whole(1, 20)?
    };
    let entries = [
        vec![entry(&known, DAY, before.clone())],
        vec![
            owned(&known, "org_2", DAY + 1, other.clone()),
            owned(&new, "org_2", DAY, other),
        ],
    ];
    for (sequence, entries) in [5, 4, 0]
        .into_iter()
        .flat_map(|n| [(n, &entries[0]), (n, &entries[1])])
    {
        // Also where it comes through another process.
        for counts in [counts, counts.swapped()] {
            counts.add(&batch(1, sequence, entries.clone())).await?;
            let moment = format!("after batch {sequence} was added behind batch 5");
            let left = async {
                counts.holds(&known, Some(&before)).await?;
                counts.holds(&new, None).await?;
                counts.days_of_key(&known, ALWAYS, &[(DAY, 1)]).await?;
                counts.days_of_key(&new, ALWAYS, &[]).await?;
                counts.days_of_owner(OWNER, ALWAYS, &[(DAY, 1)]).await?;
                counts.owners_on(DAY, None, 10, &[(OWNER, 1)]).await?;
                counts.owners_on(DAY + 1, None, 10, &[]).await
            };
            left.await.map_err(|setback| setback.when(&moment))?;
        }
    }
    // What changed nothing is not the last batch either.
    counts
        .add(&batch(1, 6, vec![entry(&known, DAY, requests(1, 5)?)]))
        .await?;
    counts.requests(&known, 2).await
}

async fn gaps(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let largest = i64::MAX as u64;
    for (instance, first) in [(1, 0), (2, 1), (3, 7)] {
        let id = numbered(first as usize)?;
        let sequences = [first, first + 1, 100, largest - 1, largest];
        for (added, sequence) in (1..).zip(sequences) {
            let entries = vec![entry(&id, DAY, requests(1, 10)?)];
            counts.add(&batch(instance, sequence, entries)).await?;
            counts.requests(&id, added).await?;
        }
    }
    // A batch may have nothing to add, and is then the last one all the same.
    let id = numbered(9)?;
    counts.add(&batch(4, 3, Vec::new())).await?;
    counts
        .add(&batch(4, 3, vec![entry(&id, DAY, requests(1, 10)?)]))
        .await?;
    counts.requests(&id, 0).await
}

async fn instances_apart(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let id = numbered(1)?;
    let instances = [0, 1, 1 << 63, 1 << 64, 1 << 127, u128::MAX - 1, u128::MAX];
    for (added, instance) in (1..).zip(instances) {
        let entries = vec![entry(&id, DAY, requests(1, 10)?)];
        for _ in 0..2 {
            counts.add(&batch(instance, 1, entries.clone())).await?;
            counts.requests(&id, added).await?;
        }
    }
    Ok(())
}

async fn many_at_once(subject: Subject<'_>) -> Result<(), Setback> {
    const INSTANCES: usize = 8;
    const BATCHES: usize = 3;
    let counts = Counts::of(subject)?;
    let ids: Vec<KeyId> = (0..12).map(numbered).collect::<Result<_, _>>()?;
    let mut work: Vec<BoxFuture<'_, Result<(), Setback>>> = Vec::new();
    for instance in 0..INSTANCES {
        // Each meets the keys in an order of its own.
        let mut order = ids.clone();
        order.rotate_left(instance);
        if instance % 2 == 1 {
            order.reverse();
        }
        let counts = if instance % 3 == 0 {
            counts.swapped()
        } else {
            counts
        };
        work.push(Box::pin(async move {
            for sequence in 0..BATCHES {
                let mut entries = Vec::new();
                for id in &order {
                    entries.push(entry(id, DAY, whole(1, (sequence + instance) as i64)?));
                }
                let batch = batch(instance as u128, sequence as u64, entries);
                counts.add(&batch).await?;
            }
            Ok(())
        }));
    }
    join_all(work)
        .await
        .into_iter()
        .collect::<Result<(), _>>()?;
    let each = (INSTANCES * BATCHES) as u64;
    let sum = whole(each, (INSTANCES + BATCHES - 2) as i64)?;
    for id in &ids {
        counts.holds(id, Some(&sum)).await?;
        counts.days_of_key(id, ALWAYS, &[(DAY, each)]).await?;
    }
    let total = each * ids.len() as u64;
    counts.days_of_owner(OWNER, ALWAYS, &[(DAY, total)]).await
}

async fn whole_or_not(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let ids: Vec<KeyId> = (0..4).map(numbered).collect::<Result<_, _>>()?;
    let of_all = |sequence, millis| -> Result<UsageBatch, Setback> {
        let mut entries = Vec::new();
        for id in &ids {
            entries.push(entry(id, DAY, whole(1, millis)?));
        }
        Ok(batch(1, sequence, entries))
    };
    counts.add(&of_all(1, 10)?).await?;
    let second = of_all(2, 20)?;
    let (before, after) = (Some(whole(1, 10)?), Some(whole(2, 20)?));
    let read = || -> BoxFuture<'_, Result<(), Setback>> {
        Box::pin(async {
            for _ in 0..4 {
                let seen = counts.of_keys(&ids).await?;
                let all = |usage: &Option<KeyUsage>| seen.iter().all(|seen| seen == usage);
                ensure(all(&before) || all(&after), || {
                    format!("a read during an add answered {seen:?}")
                })?;
            }
            Ok(())
        })
    };
    let add: BoxFuture<'_, _> = Box::pin(counts.add(&second));
    let answers = join_all([read(), add, read(), read()]).await;
    answers.into_iter().collect::<Result<(), Setback>>()?;
    for id in &ids {
        counts.holds(id, after.as_ref()).await?;
    }
    Ok(())
}

async fn dropped(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    for polls in 0..MOST_POLLS {
        let ids = [numbered(polls * 2)?, numbered(polls * 2 + 1)?];
        let owner = format!("org_{polls}");
        let (usage, sequence) = (whole(1, 10)?, polls as u64);
        let entries = ids.iter().map(|id| owned(id, &owner, DAY, usage.clone()));
        let batch = batch(1, sequence, entries.collect());
        let answer = drop_after(polls, counts.writer().add(&batch)).await;
        if let Some(Err(error)) = answer {
            return Err(failed("an add that was not dropped", &error));
        }
        // The second time its answer was lost.
        for _ in 0..2 {
            counts.add(&batch).await?;
            let held = async {
                for id in &ids {
                    counts.holds(id, Some(&usage)).await?;
                    counts.days_of_key(id, ALWAYS, &[(DAY, 1)]).await?;
                }
                counts.days_of_owner(&owner, ALWAYS, &[(DAY, 2)]).await
            };
            let moment = format!("after {polls} polls of the add that was dropped");
            held.await.map_err(|setback| setback.when(&moment))?;
        }
        if answer.is_some() {
            break;
        }
    }
    Ok(())
}

async fn a_thousand(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let ids: Vec<KeyId> = (0..1_000).map(numbered).collect::<Result<_, _>>()?;
    for (sequence, sum) in [(1, whole(1, 10)?), (2, whole(2, 10)?)] {
        let mut entries = Vec::new();
        for id in &ids {
            entries.push(entry(id, DAY, whole(1, 10)?));
        }
        counts.add(&batch(1, sequence, entries)).await?;
        for (id, usage) in ids.iter().zip(counts.of_keys(&ids).await?) {
            ensure(usage.as_ref() == Some(&sum), || {
                format!("of_keys of {id} answered {usage:?} instead of {sum:?}")
            })?;
        }
        counts
            .days_of_owner(OWNER, DAY..=DAY, &[(DAY, sequence * 1_000)])
            .await?;
    }
    Ok(())
}
