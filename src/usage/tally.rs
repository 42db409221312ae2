//! What one thread has counted and not handed on.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::mem;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use foldhash::fast::FixedState;

use crate::clock::{Day, Timestamp};
use crate::key::KeyId;
use crate::principal::Identity;
#[cfg(any(feature = "tower", feature = "actix-web"))]
use crate::scope::DeclaredScope;
use crate::scope::{Rule, ScopeSet};
use crate::waiters::{Waiters, lock};

/// What there is to count.
#[derive(Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) identity: &'a Arc<Identity>,
    /// When the secret that was presented was made.
    pub(crate) secret: Timestamp,
    pub(crate) address: Option<IpAddr>,
    pub(crate) at: Timestamp,
    pub(crate) needs: Needs<'a>,
    /// Whether it is a request by itself, and not a further question to one that was counted.
    pub(crate) is_request: bool,
}

/// The scopes that a request needed.
#[derive(Clone, Copy)]
pub(crate) enum Needs<'a> {
    Nothing,
    Rule(&'a Rule),
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    All(&'static [DeclaredScope]),
    /// What another key was given.
    Given(&'a ScopeSet),
}

/// The same, to keep.
#[derive(Clone)]
pub(super) enum Needed {
    Nothing,
    Rule(Rule),
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    All(&'static [DeclaredScope]),
    Given(ScopeSet),
}

/// What a row is found by: whatever is added up is equal in these.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tag {
    pub(super) key_id: KeyId,
    pub(super) day: Day,
    pub(super) secret: Timestamp,
    needs: u64,
}

/// What was counted under one tag.
pub(super) struct Row {
    /// The key, whose scopes are the same for all that the row counts.
    pub(super) identity: Arc<Identity>,
    pub(super) needed: Needed,
    pub(super) requests: u64,
    /// How often the scopes were needed: of a request, or later on.
    pub(super) times: u64,
    pub(super) last_at: Timestamp,
    pub(super) last_from: Option<IpAddr>,
}

type Table = HashMap<Tag, Row, foldhash::fast::RandomState>;

/// The tables of one thread. There are two, so that one is free while the other is emptied: whoever
/// counts never waits.
#[derive(Default)]
pub(super) struct Tally {
    tables: [Mutex<Table>; 2],
    /// Takes the place of a table that is emptied, with room for as much.
    spare: Mutex<Table>,
}

/// What all threads share: read by each count, and written only for a row that is new.
pub(super) struct Bounds {
    capacity: usize,
    rows: AtomicUsize,
    uncounted: AtomicU64,
    is_closed: AtomicBool,
    /// Woken when half of the capacity is taken.
    pub(super) filling: Waiters,
}

impl Bounds {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            rows: AtomicUsize::new(0),
            uncounted: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            filling: Waiters::default(),
        }
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    pub(super) fn is_filling(&self) -> bool {
        self.rows.load(Ordering::Relaxed) > self.capacity / 2
    }

    /// How much was not counted since this was asked last.
    pub(super) fn take_uncounted(&self) -> u64 {
        self.uncounted.swap(0, Ordering::Relaxed)
    }

    /// Takes the place of a row, if there is one left.
    fn take_place(&self) -> Counted {
        let taken = self.rows.fetch_add(1, Ordering::Relaxed);
        if taken >= self.capacity {
            self.rows.fetch_sub(1, Ordering::Relaxed);
            self.uncounted.fetch_add(1, Ordering::Relaxed);
            return Counted::Not;
        }
        match taken == self.capacity / 2 {
            true => Counted::AndFilling,
            false => Counted::Well,
        }
    }
}

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Well,
    /// And with it half of the capacity was taken, which those who wait for that are to be told.
    AndFilling,
    Not,
}

impl Tally {
    pub(super) fn count(&self, event: &Event<'_>, bounds: &Bounds) -> Counted {
        match self.tables.iter().find_map(free) {
            Some(mut table) => add(&mut table, event, bounds),
            // Only one is ever emptied at a time.
            None => {
                bounds.uncounted.fetch_add(1, Ordering::Relaxed);
                Counted::Not
            }
        }
    }

    /// Hands every row to `take`, and forgets it.
    pub(super) fn empty(&self, bounds: &Bounds, mut take: impl FnMut(&Tag, &Row)) {
        let mut spare = lock(&self.spare);
        for table in &self.tables {
            mem::swap(&mut *lock(table), &mut *spare);
            let rows = spare.len();
            spare.drain().for_each(|(tag, row)| take(&tag, &row));
            bounds.rows.fetch_sub(rows, Ordering::Relaxed);
            // Room for what came this time, and not for what once came.
            spare.shrink_to(2 * rows);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| lock(table).is_empty())
    }
}

/// The table, if nobody empties it.
fn free(table: &Mutex<Table>) -> Option<MutexGuard<'_, Table>> {
    match table.try_lock() {
        Ok(table) => Some(table),
        Err(TryLockError::Poisoned(table)) => Some(table.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn add(table: &mut Table, event: &Event<'_>, bounds: &Bounds) -> Counted {
    let mut tag = Tag {
        key_id: event.identity.key_id,
        day: Day::of(event.at),
        secret: event.secret,
        needs: event.needs.fingerprint(),
    };
    if let Some(row) = table.get_mut(&tag) {
        if row.is_of(event.identity) {
            row.add(event);
            return Counted::Well;
        }
        // The key was given other scopes since.
        tag.needs ^= FixedState::default().hash_one(&event.identity.scopes);
        if let Some(row) = table.get_mut(&tag) {
            row.add(event);
            return Counted::Well;
        }
    }
    let counted = bounds.take_place();
    if counted != Counted::Not {
        let mut row = Row::new(event);
        row.add(event);
        table.insert(tag, row);
    }
    counted
}

impl Row {
    fn new(event: &Event<'_>) -> Self {
        Self {
            identity: Arc::clone(event.identity),
            needed: event.needs.keep(),
            requests: 0,
            times: 0,
            last_at: event.at,
            last_from: None,
        }
    }

    fn is_of(&self, identity: &Arc<Identity>) -> bool {
        Arc::ptr_eq(&self.identity, identity) || self.identity.scopes == identity.scopes
    }

    fn add(&mut self, event: &Event<'_>) {
        self.requests += u64::from(event.is_request);
        self.times += 1;
        if event.at >= self.last_at {
            self.last_at = event.at;
            self.last_from = event.address;
        }
    }
}

impl Needs<'_> {
    fn fingerprint(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Rule(rule) => rule.fingerprint(),
            #[cfg(any(feature = "tower", feature = "actix-web"))]
            Self::All(scopes) => scopes.as_ptr().addr() as u64,
            Self::Given(scopes) => FixedState::default().hash_one(scopes),
        }
    }

    fn keep(self) -> Needed {
        match self {
            Self::Nothing => Needed::Nothing,
            Self::Rule(rule) => Needed::Rule(rule.clone()),
            #[cfg(any(feature = "tower", feature = "actix-web"))]
            Self::All(scopes) => Needed::All(scopes),
            Self::Given(scopes) => Needed::Given(scopes.clone()),
        }
    }
}
