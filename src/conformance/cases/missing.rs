use super::Case;
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject, ensure};
use crate::store::Page;

const CLAUSE: &str = "Missing ids";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "get of an unknown id is Ok(None)",
        run: |subject| Box::pin(unknown_is_none(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "an id that differs from a stored one in case alone is unknown",
        run: |subject| Box::pin(case_matters(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "list of nothing is an empty page",
        run: |subject| Box::pin(nothing_is_an_empty_page(subject)),
    },
];

async fn unknown_is_none(subject: Subject<'_>) -> Result<(), Setback> {
    let unknown = records::id(IDS[1])?;
    subject.lacks(&unknown).await?;
    for id in [IDS[0], IDS[2]] {
        subject.create(&records::plain(id)?).await?;
    }
    subject.lacks(&unknown).await
}

async fn case_matters(subject: Subject<'_>) -> Result<(), Setback> {
    subject.create(&records::plain("AbCdEfGhIjKl")?).await?;
    for unknown in ["abcdefghijkl", "ABCDEFGHIJKL", "aBcDeFgHiJkL"] {
        subject.lacks(&records::id(unknown)?).await?;
    }
    Ok(())
}

async fn nothing_is_an_empty_page(subject: Subject<'_>) -> Result<(), Setback> {
    let last = records::id(IDS[IDS.len() - 1])?;
    for owner in [None, Some("nobody")] {
        for after in [None, Some(last)] {
            let page = Page {
                owner,
                after,
                limit: 10,
            };
            let listed = subject.list(page).await?;
            ensure(listed.is_empty(), || {
                format!("list of {page:?} answered {} records", listed.len())
            })?;
        }
    }
    Ok(())
}
