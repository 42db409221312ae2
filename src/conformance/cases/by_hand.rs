//! Changes typed by hand, past the store.

use super::feed::tells_of;
use super::{Case, Deed};
use crate::conformance::ear::{Ear, following};
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject, ensure};
use crate::key::KeyId;
use crate::record::KeyRecord;
use crate::store::{Expect, StoreErrorKind};

/// A record is changed.
pub(in crate::conformance) const CHANGE: Deed = Deed {
    fill: |subject| Box::pin(fill(subject)),
    cases: CASES,
    is_told: Some((
        "Change feed",
        "a change by hand is told before a heartbeat that is begun after it",
    )),
};

/// Somebody tries to take a revocation back.
pub(in crate::conformance) const UNREVOKE: Deed = Deed {
    fill: |subject| Box::pin(fill_revoked(subject)),
    cases: &[Case {
        clause: "Finality",
        must_hold: "a revocation stays, whatever is typed by hand",
        run: |subject| Box::pin(stays_revoked(subject)),
    }],
    is_told: None,
};

const CASES: &[Case] = &[
    Case {
        clause: "Visibility",
        must_hold: "a get after a change by hand sees it",
        run: |subject| Box::pin(is_seen(subject)),
    },
    Case {
        clause: "Versions",
        must_hold: "a change by hand raises the version",
        run: |subject| Box::pin(raises_the_version(subject)),
    },
    Case {
        clause: "Expectations",
        must_hold: "a write that expects the version from before a change by hand fails as Stale",
        run: |subject| Box::pin(old_version_is_stale(subject)),
    },
    Case {
        clause: "Expectations",
        must_hold: "a write that expects the version from after a change by hand happens",
        run: |subject| Box::pin(new_version_holds(subject)),
    },
];

const CHANGED: &str = IDS[4];

/// Writes the record that is to be changed, among others.
async fn fill(subject: Subject<'_>) -> Result<KeyId, Setback> {
    for id in IDS {
        subject.create(&records::plain(id)?).await?;
    }
    // A store that remembers what it read has read it.
    subject.holds(&records::plain(CHANGED)?).await?;
    records::id(CHANGED)
}

/// Writes a revoked record.
async fn fill_revoked(subject: Subject<'_>) -> Result<KeyId, Setback> {
    subject.create(&records::revoked(CHANGED)?).await?;
    records::id(CHANGED)
}

/// Makes the change of `id` while the feed is followed.
pub(in crate::conformance) async fn is_told(
    subject: Subject<'_>,
    id: &KeyId,
    change: impl Future<Output = ()>,
) -> Result<(), Setback> {
    let feed = subject.change_feed()?;
    let ear = Ear::default();
    following(feed, &ear, async {
        let change = async {
            change.await;
            Ok(())
        };
        tells_of(&ear.news_of(change).await?, "the change by hand", id)
    })
    .await
}

async fn is_seen(subject: Subject<'_>) -> Result<(), Setback> {
    let before = records::plain(CHANGED)?;
    let seen = changed(subject).await?;
    let other_version = KeyRecord {
        version: seen.version,
        ..before
    };
    ensure(seen != other_version, || {
        format!("get of {CHANGED} answered the record from before")
    })
}

async fn raises_the_version(subject: Subject<'_>) -> Result<(), Setback> {
    let version = changed(subject).await?.version;
    ensure(version > 1, || {
        format!("get of {CHANGED} answered version {version}, and it was 1 before")
    })
}

async fn old_version_is_stale(subject: Subject<'_>) -> Result<(), Setback> {
    let seen = changed(subject).await?;
    let late = records::changed(CHANGED, seen.version + 1)?;
    subject
        .refuses(
            StoreErrorKind::Stale,
            Expect::Version(1),
            &late,
            Some(&seen),
        )
        .await
}

async fn new_version_holds(subject: Subject<'_>) -> Result<(), Setback> {
    let version = changed(subject).await?.version;
    let next = records::changed(CHANGED, version + 1)?;
    subject.change(version, &next).await?;
    subject.holds(&next).await
}

async fn stays_revoked(subject: Subject<'_>) -> Result<(), Setback> {
    let revoked = records::revoked(CHANGED)?;
    let seen = changed(subject).await?;
    ensure(seen.revocation == revoked.revocation, || {
        format!("get of {CHANGED} answered a record whose revocation is another, or is gone")
    })
}

async fn changed(subject: Subject<'_>) -> Result<KeyRecord, Setback> {
    let seen = subject.get(&records::id(CHANGED)?).await?;
    seen.ok_or_else(|| Setback::Failed(format!("get of {CHANGED} answered None")))
}
