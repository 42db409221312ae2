use super::Case;
use crate::conformance::records::{self, IDS, OWNERS};
use crate::conformance::subject::{Setback, Subject, ensure, same};
use crate::key::KeyId;
use crate::record::KeyRecord;
use crate::store::Page;

const CLAUSE: &str = "Order";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "list is in ascending byte order of the ids",
        run: |subject| Box::pin(byte_order(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a page begins after its id, whether that is stored or not",
        run: |subject| Box::pin(begins_after(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a page has as many records as its limit, and fewer only at the end",
        run: |subject| Box::pin(full_pages(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "the largest limit of all is one",
        run: |subject| Box::pin(largest_limit(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "pages over more than a hundred records have each of them once",
        run: |subject| Box::pin(many_records(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "with an owner, list has that owner's records alone, compared byte for byte",
        run: |subject| Box::pin(owners_byte_for_byte(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "with an owner, pages are filled from that owner's records",
        run: |subject| Box::pin(full_pages_of_an_owner(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a changed record is listed once, as it is now",
        run: |subject| Box::pin(listed_once(subject)),
    },
];

const ALL: Page<'_> = Page {
    owner: None,
    after: None,
    limit: 1_000,
};

async fn byte_order(subject: Subject<'_>) -> Result<(), Setback> {
    fill(subject).await?;
    expect_page(subject, ALL, &IDS).await
}

async fn begins_after(subject: Subject<'_>) -> Result<(), Setback> {
    let not_stored = "5AAAAAAAAAAA";
    fill(subject).await?;
    for after in IDS.into_iter().chain([not_stored, "zzzzzzzzzzzy"]) {
        let rest: Vec<&str> = IDS.into_iter().filter(|id| *id > after).collect();
        let page = Page {
            after: Some(records::id(after)?),
            ..ALL
        };
        expect_page(subject, page, &rest).await?;
    }
    Ok(())
}

async fn full_pages(subject: Subject<'_>) -> Result<(), Setback> {
    fill(subject).await?;
    for limit in 1..=IDS.len() + 1 {
        let mut after: Option<KeyId> = None;
        for expected in IDS.chunks(limit).chain([&[][..]]) {
            let page = Page {
                owner: None,
                after,
                limit,
            };
            expect_page(subject, page, expected).await?;
            if let Some(last) = expected.last() {
                after = Some(records::id(last)?);
            }
        }
    }
    Ok(())
}

async fn largest_limit(subject: Subject<'_>) -> Result<(), Setback> {
    fill(subject).await?;
    let page = Page {
        limit: usize::MAX,
        ..ALL
    };
    expect_page(subject, page, &IDS).await
}

/// Databases answer in pages of their own, of a hundred or so.
async fn many_records(subject: Subject<'_>) -> Result<(), Setback> {
    let ids: Vec<String> = (0..130).map(|n| format!("{:012}", n * 7)).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for id in &ids {
        subject.create(&records::plain(id)?).await?;
    }
    expect_page(subject, ALL, &ids).await?;
    let mut after = None;
    for expected in ids.chunks(60) {
        let page = Page {
            owner: None,
            after,
            limit: 60,
        };
        expect_page(subject, page, expected).await?;
        after = expected.last().and_then(|last| last.parse().ok());
    }
    Ok(())
}

async fn owners_byte_for_byte(subject: Subject<'_>) -> Result<(), Setback> {
    let ids: Vec<String> = (0..OWNERS.len()).map(|n| format!("{n:012}")).collect();
    for (id, owner) in ids.iter().zip(OWNERS) {
        subject.create(&records::owned(id, owner)?).await?;
    }
    for (id, owner) in ids.iter().zip(OWNERS) {
        expect_page(subject, of_owner(owner), &[id]).await?;
    }
    Ok(())
}

async fn full_pages_of_an_owner(subject: Subject<'_>) -> Result<(), Setback> {
    for (n, id) in IDS.iter().enumerate() {
        let owner = if n % 2 == 0 { "even" } else { "odd" };
        subject.create(&records::owned(id, owner)?).await?;
    }
    let even: Vec<&str> = IDS.into_iter().step_by(2).collect();
    let mut after = None;
    for expected in even.chunks(2) {
        let page = Page {
            owner: Some("even"),
            after,
            limit: 2,
        };
        expect_page(subject, page, expected).await?;
        after = expected.last().and_then(|last| last.parse().ok());
    }
    Ok(())
}

async fn listed_once(subject: Subject<'_>) -> Result<(), Setback> {
    fill(subject).await?;
    let changed = records::changed(IDS[4], 2)?;
    subject.change(1, &changed).await?;
    expect_page(subject, ALL, &IDS).await?;
    // The change gave it to another owner.
    let page = of_owner(&changed.owner);
    expect_page(subject, page, &[IDS[4]]).await?;
    for listed in subject.list(page).await? {
        same("list", &changed, &listed)?;
    }
    let left: Vec<&str> = IDS.into_iter().filter(|id| *id != IDS[4]).collect();
    let before = records::plain(IDS[4])?;
    expect_page(subject, of_owner(&before.owner), &left).await
}

fn of_owner(owner: &str) -> Page<'_> {
    Page {
        owner: Some(owner),
        ..ALL
    }
}

/// One record for each of the ids, which come in no order.
async fn fill(subject: Subject<'_>) -> Result<(), Setback> {
    for n in 0..IDS.len() {
        let id = IDS[(n * 7 + 3) % IDS.len()];
        subject.create(&records::plain(id)?).await?;
    }
    Ok(())
}

async fn expect_page(
    subject: Subject<'_>,
    page: Page<'_>,
    expected: &[&str],
) -> Result<(), Setback> {
    let listed: Vec<KeyRecord> = subject.list(page).await?;
    let ids: Vec<&str> = listed.iter().map(|record| record.id.as_str()).collect();
    ensure(ids == expected, || {
        format!("list of {page:?} answered {ids:?} instead of {expected:?}")
    })
}
