//! A trial of how fast a revocation travels: three processes, each with a gate of its own on one
//! store. The first revokes one key after the other, and the two others present it without a pause
//! and tell when they let it in for the last time, and when it was refused.
//!
//! All of them read the machine's one monotonic clock. What is measured is too long by at most one
//! decision, which takes microseconds and sometimes a read of the store, and by the time that the
//! machine keeps a process waiting for a processor, which is measured beside.

#![allow(
    dead_code,
    unused_imports,
    unused_variables,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and benches use their own part of it, with the stores that were chosen"
)]

mod distribution;
mod feed;
mod member;
mod moment;
mod place;
mod process;
mod stalls;

pub(crate) use distribution::{Distribution, show};
pub(crate) use feed::Feed;
pub(crate) use member::{pepper, run as member};
pub(crate) use moment::Moment;
pub(crate) use place::Place;
pub(crate) use stalls::Stalls;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::time::Duration;

use process::Process;

/// The environment variable by which a process knows that it is part of a trial, and on which store.
pub(crate) const MEMBER: &str = "KEYGATE_PROPAGATION_PLACE";

/// The status of a feed counts a heartbeat for a second. After this, it speaks of the feed as it
/// was connected anew.
const SETTLING: Duration = Duration::from_millis(1_200);

/// How many keys to revoke.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    on_the_feed: usize,
    cuts: usize,
}

impl Plan {
    pub(crate) fn on_the_feed(revocations: usize) -> Self {
        Self {
            on_the_feed: revocations,
            cuts: 0,
        }
    }

    /// In the middle of the run the feed is cut so many times, and then held down so many times.
    pub(crate) fn with_cuts(revocations: usize, cuts: usize) -> Self {
        Self {
            on_the_feed: revocations,
            cuts,
        }
    }

    pub(crate) fn revocations(self) -> usize {
        self.on_the_feed + 2 * self.cuts
    }

    fn feeds(self) -> impl Iterator<Item = Feed> {
        let half = self.on_the_feed / 2;
        std::iter::repeat_n(Feed::Whole, half)
            .chain(std::iter::repeat_n(Feed::Cut, self.cuts))
            .chain(std::iter::repeat_n(Feed::HeldDown, self.cuts))
            .chain(std::iter::repeat_n(Feed::Whole, self.on_the_feed - half))
    }
}

/// One key that was revoked.
pub(crate) struct Revocation {
    pub(crate) feed: Feed,
    /// When `revoke` was called.
    pub(crate) asked: Moment,
    /// When it returned.
    pub(crate) acknowledged: Moment,
    /// Of both other processes.
    pub(crate) refusals: [Refused; 2],
}

/// What a process saw of a key that another one revoked.
#[derive(Clone, Copy)]
pub(crate) struct Refused {
    /// When the last decision began that let it in.
    pub(crate) last_accepted: Moment,
    /// When the first decision ended that did not.
    pub(crate) at: Moment,
    /// How often our side failed meanwhile.
    pub(crate) failures: u64,
}

/// What came of a trial.
pub(crate) struct Trial {
    pub(crate) revocations: Vec<Revocation>,
    pub(crate) stalls: Distribution,
}

impl Trial {
    /// Runs one with processes that `command` starts, which have to call [`member`], and shows each
    /// revocation to `judge`.
    pub(crate) fn run(
        place: &Place,
        plan: Plan,
        command: impl Fn() -> Command,
        judge: impl Fn(&Revocation),
    ) -> Self {
        let stalls = Stalls::watch();
        let start = || Process::start(command().env(MEMBER, place.as_str()));
        let mut first = start();
        let mut others = [start(), start()];
        let mut random = Random::seeded();
        let revocations = plan
            .feeds()
            .map(|feed| revoke_one(place, feed, &mut first, &mut others, &mut random))
            .inspect(judge)
            .collect();
        Self {
            revocations,
            stalls: stalls.end(),
        }
    }

    /// From the acknowledgement of the revocation to the first refusal in each other process.
    pub(crate) fn after_acknowledgement(&self, feed: Feed) -> Distribution {
        self.each(feed, |revocation, refused| {
            refused.at.since(revocation.acknowledged)
        })
    }

    /// From the call of `revoke`, which takes in the durable write.
    pub(crate) fn after_call(&self, feed: Feed) -> Distribution {
        self.each(feed, |revocation, refused| {
            refused.at.since(revocation.asked)
        })
    }

    /// From the acknowledgement to the beginning of the last decision that let the key in.
    pub(crate) fn last_accepted(&self, feed: Feed) -> Distribution {
        self.each(feed, |revocation, refused| {
            refused.last_accepted.since(revocation.acknowledged)
        })
    }

    /// How many decisions our side failed to make.
    pub(crate) fn failures(&self, feed: Feed) -> u64 {
        let of_feed = self.revocations.iter().filter(|one| one.feed == feed);
        of_feed
            .flat_map(|one| one.refusals)
            .map(|refused| refused.failures)
            .sum()
    }

    fn each(&self, feed: Feed, what: impl Fn(&Revocation, &Refused) -> Duration) -> Distribution {
        let of_feed = self.revocations.iter().filter(|one| one.feed == feed);
        of_feed
            .flat_map(|one| one.refusals.iter().map(|refused| what(one, refused)))
            .collect()
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for feed in Feed::ALL {
            let refused = self.after_acknowledgement(feed);
            if refused.count() > 0 {
                let failures = self.failures(feed);
                let last = show(self.last_accepted(feed).max());
                writeln!(
                    f,
                    "feed {feed}, refused after: {refused}; last let in after {last}; \
                     {failures} failures"
                )?;
            }
        }
        write!(f, "the machine kept a thread waiting: {}", self.stalls)
    }
}

fn revoke_one(
    place: &Place,
    feed: Feed,
    first: &mut Process,
    others: &mut [Process; 2],
    random: &mut Random,
) -> Revocation {
    let text = first.ask("issue");
    for other in &mut *others {
        other.tell(&format!("watch {text}"));
    }
    for other in &mut *others {
        assert_eq!(other.hear(), "watching");
    }
    // At any moment between two polls or heartbeats of the feed.
    std::thread::sleep(random.up_to(Duration::from_millis(50)));
    let harm = feed.harm(place);
    if harm.is_some() {
        std::thread::sleep(random.up_to(Duration::from_millis(300)));
    }
    let answer = first.ask("revoke");
    let [asked, acknowledged] = moments(&answer).try_into().unwrap();
    let refusals = [0, 1].map(|n| {
        let answer = others[n].hear();
        let (moments, failures) = answer.rsplit_once(' ').unwrap();
        let [last_accepted, at] = self::moments(moments).try_into().unwrap();
        Refused {
            last_accepted,
            at,
            failures: failures.parse().unwrap(),
        }
    });
    if harm.is_some() {
        drop(harm);
        std::thread::sleep(SETTLING);
    }
    Revocation {
        feed,
        asked,
        acknowledged,
        refusals,
    }
}

fn moments(words: &str) -> Vec<Moment> {
    words.split(' ').map(|word| word.parse().unwrap()).collect()
}

/// Delays that differ from run to run.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = RandomState::new().hash_one("");
        println!("seed of the delays: {seed}");
        Self(seed)
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6364136223846793005);
        self.0 = self.0.wrapping_add(1442695040888963407);
        most.mul_f64((self.0 >> 32) as f64 / f64::from(u32::MAX))
    }
}
