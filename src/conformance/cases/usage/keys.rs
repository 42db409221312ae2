//! What is added up for a key over all days.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::CLAUSE;
use super::counts::{
    ALWAYS, Counts, DAY, OWNER, batch, day, entry, numbered, requests, scope, secret, used, whole,
};
use crate::clock::Timestamp;
use crate::conformance::cases::Case;
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject, ensure};
use crate::key::KeyId;
use crate::store::{KeyUsage, ScopeUsage, SecretUsage};

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "what was counted is returned in every field",
        run: |subject| Box::pin(every_field(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "requests of a key are added up over batches, days and instances",
        run: |subject| Box::pin(added_up(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "the last use is that of the latest request, in whichever order it is added",
        run: |subject| Box::pin(the_latest_is_the_last(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "scopes that were needed and scopes that were lacked are added up by name, in the order of the names",
        run: |subject| Box::pin(scopes_by_name(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "secrets are added up by when they were made, the oldest first",
        run: |subject| Box::pin(secrets_by_age(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "of_keys answers in the order of its question, also for ids that are unknown or asked twice",
        run: |subject| Box::pin(answers_in_order(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "counts up to the largest i64 are kept, and do not fall when more is added",
        run: |subject| Box::pin(large_counts(subject)),
    },
];

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// A number that no float holds.
const ODD: u64 = (1 << 53) + 1;

const LARGEST: u64 = i64::MAX as u64;

async fn every_field(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let [first, last] = [Timestamp::MIN, Timestamp::MAX].map(Timestamp::as_unix_millis);
    let long = format!("a:{}", "x".repeat(126));
    let full = KeyUsage {
        scopes: vec![
            scope("*:export", 2, 1_795_325_668_123)?,
            scope(&long, 1, last)?,
            scope("it's:a#%_[1]", ODD, first)?,
        ],
        lacked: vec![scope("$set", 1, first)?, scope("{1}", ODD, last)?],
        secrets: vec![
            secret(first, 1, first)?,
            secret(1_795_325_668_123, ODD, 1_795_325_668_124)?,
            secret(last, 3, last)?,
        ],
        ..used(ODD, 1_795_325_668_999, Some(V4))?
    };
    let mapped = Ipv4Addr::new(203, 0, 113, 7).to_ipv6_mapped();
    let uses = [
        full,
        used(1, first, None)?,
        used(1, last, Some(V6))?,
        used(1, 1, Some(mapped.into()))?,
        used(1, 1, Some(Ipv6Addr::UNSPECIFIED.into()))?,
        used(1, 1, Some(Ipv4Addr::BROADCAST.into()))?,
        used(0, 1, None)?,
    ];
    for (n, usage) in uses.into_iter().enumerate() {
        let id = numbered(n)?;
        let entries = vec![entry(&id, DAY, usage.clone())];
        counts.add(&batch(7, n as u64, entries)).await?;
        counts.holds(&id, Some(&usage)).await?;
    }
    Ok(())
}

async fn added_up(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let [one, other] = twins()?;
    let on = |id: &KeyId, day, count| -> Result<_, Setback> {
        Ok(entry(id, day, requests(count, 1_000)?))
    };
    counts.requests(&one, 0).await?;
    let entries = vec![on(&one, DAY + 1, 2)?, on(&one, DAY, 3)?];
    counts.add(&batch(1, 1, entries)).await?;
    counts.requests(&one, 5).await?;
    let entries = vec![on(&other, DAY, 11)?, on(&one, DAY, 7)?];
    counts.swapped().add(&batch(2, 1, entries)).await?;
    counts.requests(&one, 12).await?;
    counts.add(&batch(1, 2, vec![on(&one, DAY, 13)?])).await?;
    counts.requests(&one, 25).await?;
    counts.requests(&other, 11).await
}

async fn the_latest_is_the_last(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    let mut round = 0;
    for from in [
        [Some(V4), None, Some(V6)],
        [Some(V6), Some(V4), None],
        [None, Some(V6), Some(V4)],
    ] {
        for order in orders {
            let id = numbered(round)?;
            let mut latest = 0;
            for (n, at) in order.into_iter().enumerate() {
                // Each from another instance than the one before it.
                let instance = 1 + n as u128 % 2;
                let usage = used(1, 9 + at as i64, from[at])?;
                let entries = vec![entry(&id, DAY, usage)];
                let sequence = (round * 3 + n) as u64;
                counts.add(&batch(instance, sequence, entries)).await?;
                latest = latest.max(at);
                let sum = used(n as u64 + 1, 9 + latest as i64, from[latest])?;
                counts.holds(&id, Some(&sum)).await?;
            }
            round += 1;
        }
    }
    // So it is within one batch.
    for (n, days) in [[DAY, DAY + 1], [DAY + 1, DAY]].into_iter().enumerate() {
        let id = numbered(round + n)?;
        let of_day = |day: u32| -> Result<_, Setback> {
            let from = if day == DAY { Some(V4) } else { Some(V6) };
            Ok(entry(&id, day, used(1, day.into(), from)?))
        };
        let entries = vec![of_day(days[0])?, of_day(days[1])?];
        counts.add(&batch(3, n as u64, entries)).await?;
        let sum = used(2, i64::from(DAY) + 1, Some(V6))?;
        counts.holds(&id, Some(&sum)).await?;
    }
    Ok(())
}

async fn scopes_by_name(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let [one, other] = twins()?;
    let with = |scopes: &[ScopeUsage], lacked: &[ScopeUsage]| -> Result<KeyUsage, Setback> {
        Ok(KeyUsage {
            scopes: scopes.to_vec(),
            lacked: lacked.to_vec(),
            ..requests(1, 1_000)?
        })
    };
    let first = with(
        &[scope("Orders:read", 1, 10)?, scope("a:b", 2, 30)?],
        &[scope("a:b", 5, 10)?, scope("orders:read", 1, 7)?],
    )?;
    let entries = vec![
        entry(&one, DAY, first.clone()),
        entry(&other, DAY, first.clone()),
    ];
    counts.add(&batch(1, 1, entries)).await?;
    let second = with(
        &[
            scope("a-b", 1, 20)?,
            scope("a:b", 4, 20)?,
            scope("a_b", 1, 20)?,
            scope("orders:read", 3, 20)?,
        ],
        &[scope("Orders:read", 2, 9)?, scope("a:b", 1, 11)?],
    )?;
    let entries = vec![entry(&one, DAY + 1, second)];
    counts.swapped().add(&batch(2, 1, entries)).await?;
    let sum = KeyUsage {
        requests: 2,
        ..with(
            &[
                scope("Orders:read", 1, 10)?,
                scope("a-b", 1, 20)?,
                scope("a:b", 6, 30)?,
                scope("a_b", 1, 20)?,
                scope("orders:read", 3, 20)?,
            ],
            &[
                scope("Orders:read", 2, 9)?,
                scope("a:b", 6, 11)?,
                scope("orders:read", 1, 7)?,
            ],
        )?
    };
    counts.holds(&one, Some(&sum)).await?;
    counts.holds(&other, Some(&first)).await
}

async fn secrets_by_age(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let [one, other] = twins()?;
    let with = |secrets: &[SecretUsage]| -> Result<KeyUsage, Setback> {
        Ok(KeyUsage {
            secrets: secrets.to_vec(),
            ..requests(1, 1_000)?
        })
    };
    let first = with(&[secret(10, 1, 30)?])?;
    let entries = vec![
        entry(&one, DAY, first.clone()),
        entry(&other, DAY, first.clone()),
    ];
    counts.add(&batch(1, 1, entries)).await?;
    let second = with(&[secret(9, 2, 50)?, secret(10, 3, 25)?, secret(100, 1, 40)?])?;
    let entries = vec![entry(&one, DAY + 1, second)];
    counts.swapped().add(&batch(2, 1, entries)).await?;
    let third = with(&[secret(9, 4, 60)?])?;
    counts
        .add(&batch(1, 2, vec![entry(&one, DAY, third)]))
        .await?;
    let sum = KeyUsage {
        requests: 3,
        ..with(&[secret(9, 6, 60)?, secret(10, 4, 30)?, secret(100, 1, 40)?])?
    };
    counts.holds(&one, Some(&sum)).await?;
    counts.holds(&other, Some(&first)).await
}

async fn answers_in_order(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let count = |n: usize| requests(n as u64 + 1, 1_000);
    let mut entries = Vec::new();
    for n in [3, 1, 500, 999] {
        entries.push(entry(&numbered(n)?, DAY, count(n)?));
    }
    counts.add(&batch(1, 1, entries)).await?;
    let thousand: Vec<usize> = (0..1_000).rev().collect();
    for asked in [&[][..], &[0], &[3, 0, 1, 3, 0, 500, 1], &[7, 7], &thousand] {
        let ids: Vec<KeyId> = asked
            .iter()
            .map(|n| numbered(*n))
            .collect::<Result<_, _>>()?;
        let answers = counts.of_keys(&ids).await?;
        for (n, answer) in asked.iter().zip(answers) {
            let expected = match n {
                1 | 3 | 500 | 999 => Some(count(*n)?),
                _ => None,
            };
            ensure(answer == expected, || {
                format!(
                    "of_keys answered {answer:?} instead of {expected:?} in the place of {n:012}"
                )
            })?;
        }
    }
    Ok(())
}

async fn large_counts(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let [one, other] = twins()?;
    let largest = whole(LARGEST, 10)?;
    let entries = vec![
        entry(&one, DAY, largest.clone()),
        entry(&other, DAY + 1, largest.clone()),
    ];
    counts.add(&batch(1, 1, entries)).await?;
    counts.holds(&one, Some(&largest)).await?;
    counts.days_of_key(&one, ALWAYS, &[(DAY, LARGEST)]).await?;
    counts.owners_on(DAY, None, 10, &[(OWNER, LARGEST)]).await?;
    let third = numbered(3)?;
    let entries = vec![
        entry(&one, DAY, whole(1, 20)?),
        entry(&other, DAY, largest.clone()),
        entry(&third, DAY, whole(1, 20)?),
    ];
    counts.add(&batch(1, 2, entries)).await?;
    counts.holds(&third, Some(&whole(1, 20)?)).await?;
    let [_, reader] = subject.usage()?;
    for id in [one, other] {
        let usage = counts.of_key(&id).await?;
        let mut seen = Vec::new();
        if let Some(usage) = &usage {
            seen.push(usage.requests);
            seen.extend(usage.scopes.iter().map(|scope| scope.requests));
            seen.extend(usage.lacked.iter().map(|scope| scope.requests));
            seen.extend(usage.secrets.iter().map(|secret| secret.requests));
        }
        let days = reader.days_of_key(&id, day(DAY)..=day(DAY)).await?;
        seen.extend(days.iter().map(|total| total.requests));
        ensure(seen.len() == 5, || {
            format!("{usage:?} and {days:?} are left of {id}")
        })?;
        not_fallen(&seen)?;
    }
    let days = reader.days_of_owner(OWNER, day(DAY)..=day(DAY)).await?;
    let owners = reader.owners_on(day(DAY), None, 10).await?;
    ensure(days.len() == 1 && owners.len() == 1, || {
        format!("{days:?} and {owners:?} are left of {OWNER}")
    })?;
    not_fallen(&[days[0].requests, owners[0].requests])
}

fn not_fallen(counts: &[u64]) -> Result<(), Setback> {
    ensure(counts.iter().all(|count| *count >= LARGEST), || {
        format!("counts fell from {LARGEST} to {counts:?}")
    })
}

/// Two ids that differ in case alone.
fn twins() -> Result<[KeyId; 2], Setback> {
    Ok([records::id(IDS[4])?, records::id(IDS[5])?])
}
