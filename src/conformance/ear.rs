//! Listening to a change feed, in the task of whoever makes the changes.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use futures_timer::Delay;

use super::subject::{Setback, failed};
use crate::clock::{Now, SystemClock};
use crate::key::KeyId;
use crate::store::{Beat, ChangeFeed, ChangeListener};
use crate::waiters::{Waiters, first, lock};

/// A feed begins a heartbeat every quarter of a second. One that is silent for so long has none.
const SILENCE: Duration = Duration::from_secs(5);

/// A listener that keeps what it is told, in its order.
#[derive(Default)]
pub(super) struct Ear {
    told: Mutex<Vec<Told>>,
    waiters: Waiters,
}

#[derive(Clone, Copy)]
enum Told {
    Changed(KeyId),
    AllChanged,
    /// With the moment at which the heartbeat was begun.
    Alive(Now),
}

impl ChangeListener for Ear {
    fn changed(&self, id: &KeyId) {
        self.keep(Told::Changed(*id));
    }

    fn all_changed(&self) {
        self.keep(Told::AllChanged);
    }

    fn beat(&self) -> Beat {
        Beat::begin(&SystemClock)
    }

    fn alive(&self, beat: Beat) {
        self.keep(Told::Alive(beat.begun()));
    }
}

/// Does `work` while `ear` follows `feed`, from its first heartbeat on.
pub(super) async fn following<T>(
    feed: &dyn ChangeFeed,
    ear: &Ear,
    work: impl Future<Output = Result<T, Setback>>,
) -> Result<T, Setback> {
    let mut following = feed.follow(ear);
    let mut work = pin!(async {
        ear.news_of(async { Ok(()) }).await?;
        work.await
    });
    poll_fn(|context| match following.as_mut().poll(context) {
        Poll::Ready(error) => Poll::Ready(Err(failed("following the feed", &error))),
        Poll::Pending => work.as_mut().poll(context),
    })
    .await
}

impl Ear {
    /// Does `work`, and returns what is told from its beginning until the first heartbeat that is
    /// begun after its end.
    pub(super) async fn news_of(
        &self,
        work: impl Future<Output = Result<(), Setback>>,
    ) -> Result<News, Setback> {
        let heard = lock(&self.told).len();
        work.await?;
        let done = Now::of(&SystemClock);
        self.hears(heard, |told| match told {
            Told::Alive(begun) => begun.is_after(done),
            _ => false,
        })
        .await
        .map_err(|()| {
            let limit = SILENCE.as_secs();
            Setback::Failed(format!("no heartbeat came through within {limit} seconds"))
        })
    }

    /// Returns when the feed tells of `id`.
    pub(super) async fn hears_of(&self, id: &KeyId) -> Result<(), Setback> {
        let heard = lock(&self.told).len();
        let names = |told| matches!(told, Told::Changed(changed) if changed == *id);
        let news = self.hears(heard, names).await;
        news.map(drop)
            .map_err(|()| Setback::Failed(format!("the feed did not tell of {id}")))
    }

    /// What is told from the place `heard` until it `ends`.
    async fn hears(&self, heard: usize, ends: impl Fn(Told) -> bool) -> Result<News, ()> {
        let news = || {
            let told = lock(&self.told);
            let news = told.get(heard..).unwrap_or_default();
            let end = news.iter().position(|told| ends(*told));
            end.map(|end| News(news[..end].to_vec()))
        };
        let heard = pin!(self.waiters.until(|| news().is_some()));
        first(heard, Delay::new(SILENCE)).await;
        news().ok_or(())
    }

    fn keep(&self, told: Told) {
        lock(&self.told).push(told);
        self.waiters.wake_all();
    }
}

/// What was told, but for its end.
pub(super) struct News(Vec<Told>);

impl News {
    /// Whether whoever was told this knows that the record of `id` was changed.
    pub(super) fn tells_of(&self, id: &KeyId) -> bool {
        self.0.iter().any(|told| match told {
            Told::Changed(changed) => changed == id,
            Told::AllChanged => true,
            Told::Alive(_) => false,
        })
    }
}
