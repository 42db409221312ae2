use super::Case;
use crate::conformance::ear::{Ear, News, following};
use crate::conformance::records::{self, IDS};
use crate::conformance::subject::{Setback, Subject, ensure, failed};
use crate::conformance::together::{BoxFuture, join_all};
use crate::dropping::drop_after;
use crate::key::KeyId;
use crate::record::KeyRecord;

const CLAUSE: &str = "Change feed";

pub(super) const CASES: &[Case] = &[
    Case {
        clause: CLAUSE,
        must_hold: "a change, whoever made it, is told before a heartbeat that is begun after it",
        run: |subject| Box::pin(changes_are_told(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a new record is told too, and so is a revocation",
        run: |subject| Box::pin(creates_and_revocations_are_told(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "of many changes at once, each is told",
        run: |subject| Box::pin(each_of_many_is_told(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "a get after a change was told sees it, also before it was acknowledged",
        run: |subject| Box::pin(what_was_told_is_seen(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "heartbeats come through while nothing is changed",
        run: |subject| Box::pin(heartbeats_keep_coming(subject)),
    },
    Case {
        clause: CLAUSE,
        must_hold: "following can be dropped at any point, and taken up again",
        run: |subject| Box::pin(taken_up_again(subject)),
    },
];

/// A feed that waits a quarter of a second for its heartbeat is waited for in every round.
const ROUNDS: usize = 4;

async fn changes_are_told(subject: Subject<'_>) -> Result<(), Setback> {
    let feed = subject.change_feed()?;
    subject.create(&records::plain(IDS[0])?).await?;
    let ear = Ear::default();
    let changes = async {
        let both = [subject, subject.swapped()].into_iter().cycle();
        for (version, subject) in (2..).zip(both).take(ROUNDS) {
            let changed = records::changed(IDS[0], version)?;
            let change = subject.change(version - 1, &changed);
            is_told(&ear, "the change", &changed, change).await?;
        }
        Ok(())
    };
    following(feed, &ear, changes).await
}

async fn creates_and_revocations_are_told(subject: Subject<'_>) -> Result<(), Setback> {
    let feed = subject.change_feed()?;
    let ear = Ear::default();
    let changes = async {
        for (id, subject) in IDS.into_iter().zip([subject, subject.swapped()]) {
            let created = records::plain(id)?;
            is_told(&ear, "the creation", &created, subject.create(&created)).await?;
            let revoked = KeyRecord {
                version: 2,
                ..records::revoked(id)?
            };
            let revoke = subject.change(1, &revoked);
            is_told(&ear, "the revocation", &revoked, revoke).await?;
        }
        Ok(())
    };
    following(feed, &ear, changes).await
}

async fn each_of_many_is_told(subject: Subject<'_>) -> Result<(), Setback> {
    let feed = subject.change_feed()?;
    let mut changed = Vec::new();
    for id in IDS {
        subject.create(&records::plain(id)?).await?;
        changed.push(records::changed(id, 2)?);
    }
    let ear = Ear::default();
    let changes = async {
        let news = ear.news_of(async {
            let subjects = [subject, subject.swapped()].into_iter().cycle();
            let writes = changed.iter().zip(subjects);
            let writes = writes.map(|(record, subject)| -> BoxFuture<'_, _> {
                Box::pin(subject.change(1, record))
            });
            join_all(writes).await.into_iter().collect()
        });
        let news = news.await?;
        changed
            .iter()
            .try_for_each(|record| tells_of(&news, "the change", &record.id))
    };
    following(feed, &ear, changes).await
}

async fn what_was_told_is_seen(subject: Subject<'_>) -> Result<(), Setback> {
    let feed = subject.change_feed()?;
    for id in &IDS[..ROUNDS] {
        subject.create(&records::plain(id)?).await?;
    }
    let ear = Ear::default();
    let changes = async {
        for id in &IDS[..ROUNDS] {
            let changed = records::changed(id, 2)?;
            let see: BoxFuture<'_, _> = Box::pin(async {
                ear.hears_of(&changed.id).await?;
                let seen = subject.holds(&changed).await;
                seen.map_err(|setback| setback.when("after the change was told"))
            });
            let change = Box::pin(subject.change(1, &changed));
            join_all([see, change])
                .await
                .into_iter()
                .collect::<Result<(), _>>()?;
        }
        Ok(())
    };
    following(feed, &ear, changes).await
}

async fn heartbeats_keep_coming(subject: Subject<'_>) -> Result<(), Setback> {
    let feed = subject.change_feed()?;
    let ear = Ear::default();
    let beats = async {
        for _ in 0..ROUNDS {
            ear.news_of(async { Ok(()) }).await?;
        }
        Ok(())
    };
    following(feed, &ear, beats).await
}

async fn taken_up_again(subject: Subject<'_>) -> Result<(), Setback> {
    let feed = subject.change_feed()?;
    subject.create(&records::plain(IDS[0])?).await?;
    for (version, polls) in (2..).zip([0, 1, 2, 4]) {
        let dropped = drop_after(polls, feed.follow(&Ear::default())).await;
        if let Some(error) = dropped {
            return Err(failed("following the feed", &error));
        }
        let ear = Ear::default();
        let changed = records::changed(IDS[0], version)?;
        let change = subject.change(version - 1, &changed);
        following(feed, &ear, is_told(&ear, "the change", &changed, change))
            .await
            .map_err(|setback| setback.when("followed again"))?;
    }
    Ok(())
}

/// Does `work`, and what it did to `record` is told in time.
async fn is_told(
    ear: &Ear,
    what: &str,
    record: &KeyRecord,
    work: impl Future<Output = Result<(), Setback>>,
) -> Result<(), Setback> {
    let news = ear.news_of(work).await?;
    tells_of(&news, what, &record.id)
}

pub(super) fn tells_of(news: &News, what: &str, id: &KeyId) -> Result<(), Setback> {
    ensure(news.tells_of(id), || {
        format!(
            "a heartbeat that was begun after {what} of {id} came through, and nothing was told"
        )
    })
}
