//! How many lookups are with the store at once, and who is next.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::limit::network;
use crate::waiters::lock;

/// Lets a bounded number of lookups to the store. The others wait, and those beyond a bound of their
/// own are turned away.
///
/// 1. Lookups of keys that were seen before and those of strangers take turns.
/// 2. Among strangers, the addresses that they come from take turns (IPv6: networks of 64 bits).
/// 3. Strangers have at most half of the places. When these are taken, one who comes from an address
///    of which fewer wait takes the place of the last who came from the address of which most wait.
pub(super) struct Turnstile {
    state: Mutex<State>,
    /// How many may be inside at once.
    width: usize,
    /// How many may be inside or wait.
    places: usize,
}

/// With whom somebody takes turns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Lane {
    Known,
    Stranger(Option<IpAddr>),
}

/// Too many wait already.
#[derive(Debug)]
pub(super) struct Crowded;

#[derive(Default)]
struct State {
    inside: usize,
    /// Those inside and those who wait.
    present: usize,
    /// How many of them are strangers.
    strangers: usize,
    /// Those who wait, in the order in which they came. No lane is empty.
    lanes: BTreeMap<Lane, BTreeMap<Ticket, Waker>>,
    /// The strangers' lanes, in the order of their turns.
    turns: VecDeque<Lane>,
    /// The strangers' lanes by how many wait there.
    lengths: BTreeSet<(usize, Lane)>,
    known_was_last: bool,
    /// What became of those who waited and have not noticed yet: whether they are inside.
    settled: HashMap<Ticket, bool>,
    last: Ticket,
}

type Ticket = u64;

impl Lane {
    pub(super) fn of_stranger(address: Option<IpAddr>) -> Self {
        Self::Stranger(address.map(network))
    }

    fn is_strangers(self) -> bool {
        self != Self::Known
    }
}

impl Turnstile {
    pub(super) fn new(width: usize, places: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            width,
            places,
        })
    }

    /// Waits for its turn. Whoever drops the pass makes room for the next.
    pub(super) async fn enter(self: &Arc<Self>, lane: Lane) -> Result<Pass, Crowded> {
        let mut visit: Option<Pass> = None;
        poll_fn(|context| {
            let pass = match &mut visit {
                Some(pass) => pass,
                none => match self.arrive(lane, context) {
                    Ok(pass) => none.insert(pass),
                    Err(crowded) => return Poll::Ready(Err(crowded)),
                },
            };
            pass.poll(context)
        })
        .await?;
        visit.ok_or(Crowded)
    }

    fn arrive(self: &Arc<Self>, lane: Lane, context: &Context<'_>) -> Result<Pass, Crowded> {
        let mut state = lock(&self.state);
        let evicted = match lane.is_strangers() && state.strangers >= self.places / 2 {
            true => Some(state.make_room(lane)?),
            false if state.present >= self.places => return Err(Crowded),
            false => None,
        };
        state.present += 1;
        state.strangers += usize::from(lane.is_strangers());
        state.last += 1;
        let ticket = state.last;
        let is_inside = state.inside < self.width;
        match is_inside {
            true => state.inside += 1,
            false => state.queue(lane, ticket, context.waker().clone()),
        }
        drop(state);
        if let Some(evicted) = evicted {
            evicted.wake();
        }
        Ok(Pass {
            turnstile: Arc::clone(self),
            lane,
            ticket,
            is_inside,
            was_turned_away: false,
        })
    }
}

impl State {
    /// Turns away the last of the longest lane, unless one more in `lane` would make that one as long.
    fn make_room(&mut self, lane: Lane) -> Result<Waker, Crowded> {
        let own = self.lanes.get(&lane).map_or(0, BTreeMap::len);
        let (length, longest) = *self.lengths.last().ok_or(Crowded)?;
        if length <= own + 1 {
            return Err(Crowded);
        }
        let waiting = self.lanes.get(&longest).ok_or(Crowded)?;
        let ticket = *waiting.keys().next_back().ok_or(Crowded)?;
        let waker = self.give_up(longest, ticket).ok_or(Crowded)?;
        self.settled.insert(ticket, false);
        Ok(waker)
    }

    fn queue(&mut self, lane: Lane, ticket: Ticket, waker: Waker) {
        let waiting = self.lanes.entry(lane).or_default();
        waiting.insert(ticket, waker);
        let length = waiting.len();
        if lane.is_strangers() {
            if length == 1 {
                self.turns.push_back(lane);
            }
            self.lengths.remove(&(length - 1, lane));
            self.lengths.insert((length, lane));
        }
    }

    fn unqueue(&mut self, lane: Lane, ticket: Ticket) -> Option<Waker> {
        let waiting = self.lanes.get_mut(&lane)?;
        let waker = waiting.remove(&ticket)?;
        let length = waiting.len();
        if length == 0 {
            self.lanes.remove(&lane);
        }
        if lane.is_strangers() {
            self.lengths.remove(&(length + 1, lane));
            if length > 0 {
                self.lengths.insert((length, lane));
            }
        }
        Some(waker)
    }

    /// Takes out one who waits, before its turn came.
    fn give_up(&mut self, lane: Lane, ticket: Ticket) -> Option<Waker> {
        let waker = self.unqueue(lane, ticket)?;
        if !self.lanes.contains_key(&lane) {
            self.turns.retain(|other| *other != lane);
        }
        self.depart(lane);
        Some(waker)
    }

    fn depart(&mut self, lane: Lane) {
        self.present -= 1;
        self.strangers -= usize::from(lane.is_strangers());
    }

    /// Lets in whose turn it is.
    fn call_next(&mut self) -> Option<Waker> {
        let known_waits = self.lanes.contains_key(&Lane::Known);
        let lane = match self.turns.front() {
            Some(lane) if !known_waits || self.known_was_last => *lane,
            _ if known_waits => Lane::Known,
            _ => return None,
        };
        let ticket = *self.lanes.get(&lane)?.keys().next()?;
        let waker = self.unqueue(lane, ticket)?;
        self.known_was_last = lane == Lane::Known;
        if lane.is_strangers() {
            self.turns.pop_front();
            if self.lanes.contains_key(&lane) {
                self.turns.push_back(lane);
            }
        }
        self.settled.insert(ticket, true);
        self.inside += 1;
        Some(waker)
    }
}

/// Somebody's place, waiting or inside.
pub(super) struct Pass {
    turnstile: Arc<Turnstile>,
    lane: Lane,
    ticket: Ticket,
    is_inside: bool,
    was_turned_away: bool,
}

impl Pass {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Result<(), Crowded>> {
        if self.is_inside {
            return Poll::Ready(Ok(()));
        }
        let mut state = lock(&self.turnstile.state);
        match state.settled.remove(&self.ticket) {
            Some(true) => {
                self.is_inside = true;
                Poll::Ready(Ok(()))
            }
            Some(false) => {
                self.was_turned_away = true;
                Poll::Ready(Err(Crowded))
            }
            None => {
                let waiting = state.lanes.get_mut(&self.lane);
                let waker = waiting.and_then(|waiting| waiting.get_mut(&self.ticket));
                let replaced = waker.map(|waker| std::mem::replace(waker, context.waker().clone()));
                drop(state);
                // Not under the lock: a waker may own one who waits.
                drop(replaced);
                Poll::Pending
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.was_turned_away {
            return;
        }
        let mut state = lock(&self.turnstile.state);
        let waited = state.give_up(self.lane, self.ticket);
        let mut next = None;
        if self.is_inside || state.settled.remove(&self.ticket) == Some(true) {
            state.depart(self.lane);
            state.inside -= 1;
            next = state.call_next();
        }
        drop(state);
        drop(waited);
        if let Some(next) = next {
            next.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use super::*;

    type Entering = Pin<Box<dyn Future<Output = Result<Pass, Crowded>>>>;

    fn entering(turnstile: &Arc<Turnstile>, lane: Lane) -> Entering {
        let turnstile = Arc::clone(turnstile);
        Box::pin(async move { turnstile.enter(lane).await })
    }

    fn poll(entering: &mut Entering) -> Poll<Result<Pass, Crowded>> {
        entering
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    fn enter(turnstile: &Arc<Turnstile>, lane: Lane) -> Pass {
        let Poll::Ready(Ok(pass)) = poll(&mut entering(turnstile, lane)) else {
            panic!("there was no room");
        };
        pass
    }

    /// One who came and has to wait.
    fn wait(turnstile: &Arc<Turnstile>, lane: Lane) -> Entering {
        let mut entering = entering(turnstile, lane);
        assert!(poll(&mut entering).is_pending());
        entering
    }

    fn stranger(address: &str) -> Lane {
        Lane::of_stranger(Some(address.parse().unwrap()))
    }

    /// Who gets in, in their order, when one leaves after the other.
    fn order(first: Pass, mut waiting: Vec<(&'static str, Entering)>) -> Vec<&'static str> {
        let mut inside = first;
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(inside);
            let called: Vec<(usize, Pass)> = waiting
                .iter_mut()
                .enumerate()
                .filter_map(|(n, (_, entering))| match poll(entering) {
                    Poll::Ready(Ok(pass)) => Some((n, pass)),
                    _ => None,
                })
                .collect();
            let [(n, pass)] = <[_; 1]>::try_from(called).ok().expect("one at a time");
            inside = pass;
            order.push(waiting.remove(n).0);
        }
        order
    }

    #[test]
    fn no_more_than_its_width_are_inside() {
        let turnstile = Turnstile::new(2, 100);
        let (one, _two) = (
            enter(&turnstile, Lane::Known),
            enter(&turnstile, Lane::Known),
        );
        let mut third = wait(&turnstile, Lane::Known);
        drop(one);
        let _third = matches!(poll(&mut third), Poll::Ready(Ok(_)));
        assert!(_third);
    }

    #[test]
    fn one_address_does_not_hold_up_another_nor_those_seen_before() {
        let turnstile = Turnstile::new(1, 100);
        let first = enter(&turnstile, Lane::Known);
        let mut waiting: Vec<_> = (0..3)
            .map(|_| ("flood", wait(&turnstile, stranger("192.0.2.1"))))
            .collect();
        waiting.push(("other", wait(&turnstile, stranger("192.0.2.2"))));
        for _ in 0..2 {
            waiting.push(("known", wait(&turnstile, Lane::Known)));
        }
        assert_eq!(
            order(first, waiting),
            ["known", "flood", "known", "other", "flood", "flood"]
        );
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_are_one_and_mapped_ones_are_ipv4() {
        assert_eq!(stranger("2001:db8::1"), stranger("2001:db8::ffff:1"));
        assert_ne!(stranger("2001:db8::1"), stranger("2001:db8:0:1::1"));
        assert_eq!(stranger("::ffff:192.0.2.1"), stranger("192.0.2.1"));
        assert_ne!(stranger("192.0.2.1"), Lane::of_stranger(None));
    }

    #[test]
    fn when_strangers_have_their_half_the_last_of_the_longest_lane_gives_way() {
        let turnstile = Turnstile::new(1, 8);
        let first = enter(&turnstile, stranger("192.0.2.1"));
        let mut flood: Vec<_> = (0..3)
            .map(|_| wait(&turnstile, stranger("192.0.2.1")))
            .collect();
        let refused = poll(&mut entering(&turnstile, stranger("192.0.2.1")));
        assert!(matches!(refused, Poll::Ready(Err(Crowded))));
        let other = wait(&turnstile, stranger("192.0.2.2"));
        assert!(matches!(
            poll(&mut flood.pop().unwrap()),
            Poll::Ready(Err(Crowded))
        ));
        let even = poll(&mut entering(&turnstile, stranger("192.0.2.2")));
        assert!(matches!(even, Poll::Ready(Err(Crowded))), "both have two");
        let known = wait(&turnstile, Lane::Known);
        let mut waiting = vec![("other", other), ("known", known)];
        waiting.extend(flood.into_iter().map(|entering| ("flood", entering)));
        assert_eq!(
            order(first, waiting),
            ["known", "flood", "other", "flood"],
            "and those seen before are let in beside them"
        );
    }

    #[test]
    fn those_seen_before_are_turned_away_when_every_place_is_taken() {
        let turnstile = Turnstile::new(1, 2);
        let _first = enter(&turnstile, Lane::Known);
        let _second = wait(&turnstile, Lane::Known);
        let refused = poll(&mut entering(&turnstile, Lane::Known));
        assert!(matches!(refused, Poll::Ready(Err(Crowded))));
    }

    #[test]
    fn whoever_leaves_while_waiting_or_called_keeps_no_place() {
        let turnstile = Turnstile::new(1, 4);
        for lane in [Lane::Known, stranger("192.0.2.1")] {
            let first = enter(&turnstile, lane);
            let (called, leaves) = (wait(&turnstile, lane), wait(&turnstile, Lane::Known));
            drop(leaves);
            drop(first);
            drop(called);
            drop(enter(&turnstile, lane));
        }
        let state = lock(&turnstile.state);
        assert_eq!((state.inside, state.present, state.strangers), (0, 0, 0));
        assert!(state.lanes.is_empty() && state.turns.is_empty() && state.lengths.is_empty());
        assert!(state.settled.is_empty());
    }
}
