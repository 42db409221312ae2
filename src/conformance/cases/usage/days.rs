//! What is kept by day.

use std::ops::RangeInclusive;

use super::CLAUSE;
use super::counts::{
    ALWAYS, Counts, DAY, OWNER, batch, entry, numbered, owned, requests, scope, whole,
};
use crate::clock::{Day, Timestamp};
use crate::conformance::cases::Case;
use crate::conformance::records::{self, HARD_TEXT, IDS, OWNERS};
use crate::conformance::subject::{Setback, Subject};
use crate::store::KeyUsage;

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "the requests of a key are told for each day on which there were any, in order",
        run: |subject| Box::pin(days_in_order(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "the days of an owner are those of all its keys, and of no other's",
        run: |subject| Box::pin(days_of_all_keys(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a range of days has both its ends, and may be one day, all of them, or none",
        run: |subject| Box::pin(ranges(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a day without an accepted request is not told, though scopes were counted on it",
        run: |subject| Box::pin(days_without_requests(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "owners are counted apart, compared byte for byte",
        run: |subject| Box::pin(owners_byte_for_byte(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "forgetting leaves the day it names, the later ones, and what is added up over all days",
        run: |subject| Box::pin(forgetting(subject)),
    },
];

async fn days_in_order(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let (one, other) = (records::id(IDS[4])?, records::id(IDS[5])?);
    let entries = vec![
        entry(&one, DAY + 9, requests(5, 30)?),
        entry(&one, DAY, requests(1, 10)?),
        entry(&other, DAY + 1, requests(9, 40)?),
        entry(&one, DAY + 2, requests(3, 20)?),
    ];
    counts.add(&batch(1, 1, entries)).await?;
    let entries = vec![entry(&one, DAY, requests(10, 10)?)];
    counts.swapped().add(&batch(2, 1, entries)).await?;
    let days = [(DAY, 11), (DAY + 2, 3), (DAY + 9, 5)];
    counts.days_of_key(&one, ALWAYS, &days).await?;
    counts.days_of_key(&other, ALWAYS, &[(DAY + 1, 9)]).await?;
    counts.days_of_key(&numbered(1)?, ALWAYS, &[]).await
}

async fn days_of_all_keys(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let keys = [numbered(1)?, numbered(2)?, numbered(3)?];
    let entries = vec![
        entry(&keys[0], DAY + 1, requests(1, 10)?),
        entry(&keys[1], DAY + 1, requests(2, 10)?),
        owned(&keys[2], "org_2", DAY + 1, requests(4, 10)?),
        entry(&keys[1], DAY, requests(8, 10)?),
    ];
    counts.add(&batch(1, 1, entries)).await?;
    let entries = vec![entry(&keys[0], DAY + 1, requests(16, 10)?)];
    counts.swapped().add(&batch(2, 1, entries)).await?;
    let days = [(DAY, 8), (DAY + 1, 19)];
    counts.days_of_owner(OWNER, ALWAYS, &days).await?;
    counts
        .days_of_owner("org_2", ALWAYS, &[(DAY + 1, 4)])
        .await?;
    counts.days_of_owner("org_3", ALWAYS, &[]).await
}

async fn ranges(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let id = numbered(1)?;
    let last = Day::of(Timestamp::MAX).since_1970();
    let used = [(0, 1), (DAY, 2), (DAY + 1, 3), (DAY + 2, 4), (last, 5)];
    let mut entries = Vec::new();
    for (day, count) in used {
        entries.push(entry(&id, day, requests(count, 10)?));
    }
    counts.add(&batch(1, 1, entries)).await?;
    for (days, told) in [
        (0..=last, &used[..]),
        (0..=0, &used[..1]),
        (last..=last, &used[4..]),
        (DAY..=DAY, &used[1..2]),
        (DAY..=DAY + 1, &used[1..3]),
        (DAY + 1..=DAY + 2, &used[2..4]),
        (1..=DAY - 1, &[]),
        (DAY + 3..=last - 1, &[]),
        (RangeInclusive::new(DAY + 1, DAY), &[]),
        (last..=0, &[]),
    ] {
        counts.days_of_key(&id, days.clone(), told).await?;
        counts.days_of_owner(OWNER, days, told).await?;
    }
    Ok(())
}

async fn days_without_requests(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let (one, other) = (numbered(1)?, numbered(2)?);
    let lacking = KeyUsage {
        lacked: vec![scope("orders:write", 1, 10)?],
        ..requests(0, 10)?
    };
    let entries = vec![
        entry(&one, DAY, lacking.clone()),
        entry(&other, DAY + 1, lacking.clone()),
    ];
    counts.add(&batch(1, 1, entries)).await?;
    counts.holds(&one, Some(&lacking)).await?;
    counts.days_of_key(&one, ALWAYS, &[]).await?;
    counts.days_of_owner(OWNER, ALWAYS, &[]).await?;
    counts.owners_on(DAY, None, 10, &[]).await?;
    // Once there are some, it is a day like any other.
    let entries = vec![entry(&one, DAY, whole(2, 20)?)];
    counts.add(&batch(1, 2, entries)).await?;
    counts.days_of_key(&one, ALWAYS, &[(DAY, 2)]).await?;
    counts.days_of_owner(OWNER, ALWAYS, &[(DAY, 2)]).await
}

async fn owners_byte_for_byte(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let longest = records::largest(IDS[0])?.owner;
    let longer = format!("{}é", "鍵".repeat(127));
    let owners: Vec<&str> = OWNERS
        .into_iter()
        .chain([HARD_TEXT, &longest, &longer, "🔑", "\u{200b}", "null"])
        .collect();
    let count = |n: usize| n as u64 + 1;
    for (n, owner) in owners.iter().enumerate() {
        let usage = requests(count(n), 10)?;
        let entries = vec![owned(&numbered(n)?, owner, DAY, usage)];
        counts.add(&batch(1, n as u64, entries)).await?;
    }
    for (n, owner) in owners.iter().enumerate() {
        counts
            .days_of_owner(owner, ALWAYS, &[(DAY, count(n))])
            .await?;
    }
    for unknown in ["oRG_42", "org_42  ", "org_", "_______", "0", "cafe", ""] {
        counts.days_of_owner(unknown, ALWAYS, &[]).await?;
    }
    Ok(())
}

async fn forgetting(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let (one, early) = (numbered(1)?, numbered(2)?);
    counts.forget_before(DAY).await?;
    let entries = vec![
        entry(&one, DAY, whole(1, 10)?),
        entry(&one, DAY + 1, whole(2, 20)?),
        entry(&one, DAY + 2, whole(4, 30)?),
        owned(&early, "org_2", DAY, whole(8, 10)?),
    ];
    counts.add(&batch(1, 1, entries.clone())).await?;
    let left = [(DAY + 1, 2), (DAY + 2, 4)];
    for counts in [counts, counts.swapped()] {
        counts.forget_before(DAY + 1).await?;
        counts.days_of_key(&one, ALWAYS, &left).await?;
        counts.days_of_owner(OWNER, ALWAYS, &left).await?;
        counts.days_of_key(&early, ALWAYS, &[]).await?;
        counts.days_of_owner("org_2", ALWAYS, &[]).await?;
        counts.owners_on(DAY, None, 10, &[]).await?;
        counts.owners_on(DAY + 1, None, 10, &[(OWNER, 2)]).await?;
        counts.holds(&one, Some(&whole(7, 30)?)).await?;
        counts.holds(&early, Some(&whole(8, 10)?)).await?;
        // The batch is not forgotten.
        counts.add(&batch(1, 1, entries.clone())).await?;
        counts.days_of_owner("org_2", ALWAYS, &[]).await?;
    }
    // A day that was forgotten begins anew.
    let entries = vec![entry(&one, DAY, whole(1, 40)?)];
    counts.add(&batch(1, 2, entries)).await?;
    let days = [(DAY, 1), (DAY + 1, 2), (DAY + 2, 4)];
    counts.days_of_key(&one, ALWAYS, &days).await?;
    counts.holds(&one, Some(&whole(8, 40)?)).await
}
