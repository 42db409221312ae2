use super::Case;
use crate::clock::Timestamp;
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject};
use crate::record::{KeyRecord, Revocation};
use crate::store::{Expect, StoreErrorKind};

const CLAUSE: &str = "Finality";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "a write that would clear a revocation is refused as Stale",
        run: |subject| Box::pin(not_cleared(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a write that would alter the moment of a revocation is refused as Stale",
        run: |subject| Box::pin(moment_not_altered(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a write that would alter the reason of a revocation is refused as Stale",
        run: |subject| Box::pin(reason_not_altered(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a revocation at the earliest moment, without a reason, is one",
        run: |subject| Box::pin(zero_is_a_revocation(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "the id of a revoked key is not free again",
        run: |subject| Box::pin(id_not_free(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a write that leaves the revocation as it is happens",
        run: |subject| Box::pin(the_rest_may_change(subject)),
    },
];

async fn not_cleared(subject: Subject<'_>) -> Result<(), Setback> {
    refuses_revocation(subject, |_| None).await
}

async fn moment_not_altered(subject: Subject<'_>) -> Result<(), Setback> {
    for moment in [Timestamp::MIN, Timestamp::MAX] {
        refuses_revocation(subject, |kept| Some(Revocation { at: moment, ..kept })).await?;
    }
    Ok(())
}

async fn reason_not_altered(subject: Subject<'_>) -> Result<(), Setback> {
    for reason in ["", "another"] {
        let reason = reason.to_owned();
        refuses_revocation(subject, |kept| Some(Revocation { reason, ..kept })).await?;
    }
    Ok(())
}

/// Revokes a key that was not, unless an earlier call did, and tries to write another revocation.
async fn refuses_revocation(
    subject: Subject<'_>,
    alter: impl FnOnce(Revocation) -> Option<Revocation>,
) -> Result<(), Setback> {
    let revoked = KeyRecord {
        version: 2,
        ..records::revoked(IDS[0])?
    };
    if subject.get(&revoked.id).await?.is_none() {
        subject.create(&records::plain(IDS[0])?).await?;
        subject.change(1, &revoked).await?;
    }
    let altered = KeyRecord {
        revocation: revoked.revocation.clone().and_then(alter),
        version: 3,
        ..revoked.clone()
    };
    let moment = format!(
        "with the revocation {:?} after {:?}",
        altered.revocation, revoked.revocation
    );
    subject
        .refuses(
            StoreErrorKind::Stale,
            Expect::Version(2),
            &altered,
            Some(&revoked),
        )
        .await
        .map_err(|setback| setback.when(&moment))
}

async fn zero_is_a_revocation(subject: Subject<'_>) -> Result<(), Setback> {
    let revoked = KeyRecord {
        revocation: Some(Revocation {
            at: Timestamp::MIN,
            reason: String::new(),
        }),
        ..records::plain(IDS[0])?
    };
    subject.create(&revoked).await?;
    subject.holds(&revoked).await?;
    let cleared = KeyRecord {
        revocation: None,
        version: 2,
        ..revoked.clone()
    };
    subject
        .refuses(
            StoreErrorKind::Stale,
            Expect::Version(1),
            &cleared,
            Some(&revoked),
        )
        .await
}

async fn id_not_free(subject: Subject<'_>) -> Result<(), Setback> {
    let revoked = records::revoked(IDS[0])?;
    subject.create(&revoked).await?;
    let again = records::plain(IDS[0])?;
    subject
        .refuses(
            StoreErrorKind::Taken,
            Expect::Absent,
            &again,
            Some(&revoked),
        )
        .await
}

async fn the_rest_may_change(subject: Subject<'_>) -> Result<(), Setback> {
    let revoked = records::revoked(IDS[0])?;
    subject.create(&revoked).await?;
    let changed = KeyRecord {
        revocation: revoked.revocation,
        ..records::changed(IDS[0], 2)?
    };
    subject.change(1, &changed).await?;
    subject.holds(&changed).await
}
