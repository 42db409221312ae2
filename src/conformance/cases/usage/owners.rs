//! Who called on a day.

use super::CLAUSE;
use super::counts::{Counts, DAY, batch, numbered, owned, requests};
use crate::conformance::cases::Case;
use crate::conformance::records::OWNERS;
use crate::conformance::subject::{Setback, Subject};

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "the owners of a day have the requests of all their keys on that day alone",
        run: |subject| Box::pin(of_that_day(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "the owners of a day are in ascending byte order",
        run: |subject| Box::pin(in_byte_order(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a page of owners begins after its name, whether that was used or not",
        run: |subject| Box::pin(after_a_name(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a page of owners is as long as its limit, and shorter only at the end",
        run: |subject| Box::pin(page_by_page(subject)),
    },
];

async fn of_that_day(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let keys = [numbered(1)?, numbered(2)?, numbered(3)?];
    let entries = vec![
        owned(&keys[0], "org_1", DAY, requests(1, 10)?),
        owned(&keys[1], "org_1", DAY, requests(2, 10)?),
        owned(&keys[2], "org_2", DAY, requests(4, 10)?),
        owned(&keys[0], "org_1", DAY + 1, requests(8, 10)?),
        owned(&keys[2], "org_2", DAY - 1, requests(16, 10)?),
    ];
    counts.add(&batch(1, 1, entries)).await?;
    let entries = vec![owned(&keys[1], "org_1", DAY, requests(32, 10)?)];
    counts.swapped().add(&batch(2, 1, entries)).await?;
    let owners = [("org_1", 35), ("org_2", 4)];
    counts.owners_on(DAY, None, 10, &owners).await?;
    counts
        .owners_on(DAY - 1, None, 10, &[("org_2", 16)])
        .await?;
    counts.owners_on(DAY + 1, None, 10, &[("org_1", 8)]).await?;
    counts.owners_on(DAY + 2, None, 10, &[]).await
}

async fn in_byte_order(subject: Subject<'_>) -> Result<(), Setback> {
    let owners = fill(subject).await?;
    let counts = Counts::of(subject)?;
    counts.owners_on(DAY, None, 100, &owners).await
}

async fn after_a_name(subject: Subject<'_>) -> Result<(), Setback> {
    let owners = fill(subject).await?;
    let counts = Counts::of(subject)?;
    let between = [
        "", "!", "0", "ORG_43", "a", "caf", "org_4 ", "org_420", "zzz", "🔑",
    ];
    for after in owners.iter().map(|(owner, _)| *owner).chain(between) {
        let from = owners.partition_point(|(owner, _)| *owner <= after);
        let page = &owners[from..];
        counts.owners_on(DAY, Some(after), 100, page).await?;
    }
    Ok(())
}

async fn page_by_page(subject: Subject<'_>) -> Result<(), Setback> {
    let counts = Counts::of(subject)?;
    let names: Vec<String> = (0..150).map(|n| format!("org_{n:03}")).collect();
    let mut entries = Vec::new();
    for (n, name) in names.iter().enumerate() {
        // A page is one of owners, however many keys each of them has.
        for key in [n * 2, n * 2 + 1] {
            entries.push(owned(&numbered(key)?, name, DAY, requests(1, 10)?));
        }
    }
    entries.reverse();
    counts.add(&batch(1, 1, entries)).await?;
    let owners: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 2)).collect();
    for limit in [1, 7, 50, 149, 150, 151, usize::MAX] {
        let mut after = None;
        for page in owners.chunks(limit) {
            counts.owners_on(DAY, after, limit, page).await?;
            after = page.last().map(|(owner, _)| *owner);
        }
        counts.owners_on(DAY, after, limit, &[]).await?;
    }
    counts.owners_on(DAY, None, 0, &[]).await
}

/// Lets keys of all [`OWNERS`] be used, and answers with the owners in byte order.
async fn fill(subject: Subject<'_>) -> Result<Vec<(&'static str, u64)>, Setback> {
    let counts = Counts::of(subject)?;
    let mut entries = Vec::new();
    let mut owners = Vec::new();
    for (n, owner) in OWNERS.into_iter().chain(["鍵", "é", "~"]).enumerate() {
        let count = n as u64 + 1;
        entries.push(owned(&numbered(n)?, owner, DAY, requests(count, 10)?));
        owners.push((owner, count));
    }
    counts.add(&batch(1, 1, entries)).await?;
    owners.sort_unstable();
    Ok(owners)
}
