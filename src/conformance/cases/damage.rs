use super::{Case, Deed};
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject, ensure, failed, told};
use crate::key::KeyId;
use crate::store::{Listed, Page, StoreError, StoreErrorKind};

const CLAUSE: &str = "Fidelity";

pub(in crate::conformance) const DEED: Deed = Deed {
    fill: |subject| Box::pin(fill(subject)),
    cases: CASES,
    is_told: None,
};

const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "get of a record that cannot be read fails as Corrupt, and the error names it",
        run: |subject| Box::pin(get_is_corrupt(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a record that cannot be read does not stop others from being read",
        run: |subject| Box::pin(others_are_read(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "list tells of a record that cannot be read, beside the others",
        run: |subject| Box::pin(listed_as_unreadable(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a record that cannot be read counts towards the limit of its page",
        run: |subject| Box::pin(counts_towards_the_limit(subject)),
    },
];

const DAMAGED: &str = IDS[4];

/// Writes one record for each id, and says which is to be damaged.
async fn fill(subject: Subject<'_>) -> Result<KeyId, Setback> {
    for id in IDS {
        subject.create(&records::plain(id)?).await?;
    }
    records::id(DAMAGED)
}

async fn get_is_corrupt(subject: Subject<'_>) -> Result<(), Setback> {
    let id = records::id(DAMAGED)?;
    match subject.reader().get(&id).await {
        Ok(_) => Err(Setback::Failed(format!("get of {id} answered Ok"))),
        Err(error) => names(&format!("get of {id}"), &error),
    }
}

async fn others_are_read(subject: Subject<'_>) -> Result<(), Setback> {
    for id in IDS.into_iter().filter(|id| *id != DAMAGED) {
        subject.holds(&records::plain(id)?).await?;
    }
    Ok(())
}

async fn listed_as_unreadable(subject: Subject<'_>) -> Result<(), Setback> {
    let listed = list(subject, None, IDS.len()).await?;
    let sound: Vec<&str> = IDS.into_iter().filter(|id| *id != DAMAGED).collect();
    expect(&listed, &sound, &[DAMAGED])?;
    for damaged in &listed.unreadable {
        names("list", &damaged.error)?;
    }
    Ok(())
}

async fn counts_towards_the_limit(subject: Subject<'_>) -> Result<(), Setback> {
    let mut after = None;
    for expected in IDS.chunks(2) {
        let listed = list(subject, after, 2).await?;
        let (damaged, sound): (Vec<&str>, Vec<&str>) =
            expected.iter().partition(|id| **id == DAMAGED);
        expect(&listed, &sound, &damaged)?;
        after = expected.last().and_then(|last| last.parse().ok());
    }
    Ok(())
}

async fn list(subject: Subject<'_>, after: Option<KeyId>, limit: usize) -> Result<Listed, Setback> {
    let page = Page {
        owner: None,
        after,
        limit,
    };
    let answer = subject.reader().list(&page).await;
    answer.map_err(|error| failed(&format!("list of {page:?}"), &error))
}

fn expect(listed: &Listed, sound: &[&str], damaged: &[&str]) -> Result<(), Setback> {
    let records: Vec<&str> = listed.records.iter().map(|r| r.id.as_str()).collect();
    let unreadable: Vec<&str> = listed.unreadable.iter().map(|u| u.id.as_str()).collect();
    ensure(records == sound && unreadable == damaged, || {
        format!(
            "list answered {records:?} and as unreadable {unreadable:?}, instead of {sound:?} and {damaged:?}"
        )
    })
}

/// It is `Corrupt`, and it or a cause of it tells the id.
fn names(call: &str, error: &StoreError) -> Result<(), Setback> {
    if error.kind() != StoreErrorKind::Corrupt {
        return Err(failed(call, error));
    }
    ensure(told(error).contains(DAMAGED), || {
        format!("{call} failed without naming {DAMAGED}, as {}", told(error))
    })
}
