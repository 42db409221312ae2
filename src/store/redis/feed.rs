//! The feed of changes: Redis says which keys were changed to a connection that tracks them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep_until, timeout};

use super::error::{broken, refused_read, unavailable};
use super::link::{CONNECTING, Link, NO_ANSWER};
use super::script::BEAT;
use super::server::Server;
use super::wire::{Request, ask};
use crate::key::KeyId;
use crate::store::{Beat, ChangeListener, HEARTBEAT, StoreError, StoreErrorKind};

/// How long a beat waits for its reply. Nobody goes on with a feed that is that late.
const BEAT_PATIENCE: Duration = Duration::from_secs(2);

/// So many beats without their invalidation mean that it does not come.
const MOST_BEATS: usize = 16;

/// Follows the changes until the feed breaks.
///
/// Beats are sent where requests are sent, and heard where changes are heard: should the two ever
/// lead to different servers, as after a failover, no beat comes through.
pub(super) async fn follow(link: &Link, listener: &dyn ChangeListener) -> StoreError {
    let server = link.server();
    let records = server.layout().records();
    let (sender, pushes) = unbounded_channel();
    let connected = timeout(CONNECTING, async {
        let mut connection = server.connect(sender).await.map_err(unavailable)?;
        let beats = Beats::begin(server)?;
        track(&mut connection, &records, &beats.prefix).await?;
        Ok((connection, beats))
    });
    let (_connection, beats) = match connected.await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return error,
        Err(_) => return unavailable(NO_ANSWER),
    };
    link.try_again();
    let mut heard = pin!(hear(pushes, &records, &beats, listener));
    let mut sent = pin!(beats.send(link, listener));
    poll_fn(|context| match heard.as_mut().poll(context) {
        Poll::Ready(error) => Poll::Ready(error),
        Poll::Pending => sent.as_mut().poll(context),
    })
    .await
}

async fn track(
    connection: &mut MultiplexedConnection,
    records: &str,
    beats: &str,
) -> Result<(), StoreError> {
    let mut command = ::redis::cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("BCAST");
    command.arg("PREFIX").arg(records).arg("PREFIX").arg(beats);
    match ask(connection, &Request::Command(command), false).await {
        Ok((Value::ServerError(error), _)) => Err(refused_read(&error)),
        Ok(_) => Ok(()),
        Err(error) => Err(broken(StoreErrorKind::Unavailable, &error)),
    }
}

/// Tells the listener what Redis says, in the order in which it says it.
async fn hear(
    mut pushes: UnboundedReceiver<PushInfo>,
    records: &str,
    beats: &Beats,
    listener: &dyn ChangeListener,
) -> StoreError {
    while let Some(push) = pushes.recv().await {
        match push.kind {
            PushKind::Invalidate => heed(&push.data, records, beats, listener),
            PushKind::Disconnection => break,
            _ => {}
        }
    }
    unavailable("Redis closed the connection of the feed")
}

/// One invalidation, which names any number of keys, or none when everything was flushed.
fn heed(data: &[Value], records: &str, beats: &Beats, listener: &dyn ChangeListener) {
    let [Value::Array(keys)] = data else {
        return listener.all_changed();
    };
    let mut arrived = None;
    for key in keys {
        match named(key, records, beats) {
            Named::Record(id) => listener.changed(&id),
            Named::Beat(number) => arrived = arrived.max(Some(number)),
            Named::Unknown => listener.all_changed(),
        }
    }
    if let Some(beat) = arrived.and_then(|number| beats.arrived(number)) {
        listener.alive(beat);
    }
}

enum Named {
    Record(KeyId),
    Beat(u64),
    Unknown,
}

fn named(key: &Value, records: &str, beats: &Beats) -> Named {
    let Value::BulkString(key) = key else {
        return Named::Unknown;
    };
    let key = String::from_utf8_lossy(key);
    if let Some(id) = key.strip_prefix(records).and_then(|id| id.parse().ok()) {
        return Named::Record(id);
    }
    let number = key.strip_prefix(beats.prefix.as_str());
    match number.and_then(|number| number.parse().ok()) {
        Some(number) => Named::Beat(number),
        None => Named::Unknown,
    }
}

/// The beats of one follower that are under way, the oldest first.
struct Beats {
    prefix: String,
    under_way: Mutex<VecDeque<(u64, Beat)>>,
}

impl Beats {
    fn begin(server: &Server) -> Result<Self, StoreError> {
        let follower = KeyId::generate().map_err(unavailable)?;
        Ok(Self {
            prefix: server.layout().beats(follower.as_str()),
            under_way: Mutex::default(),
        })
    }

    /// Begins one beat after the other, until one is refused or unanswered.
    async fn send(&self, link: &Link, listener: &dyn ChangeListener) -> StoreError {
        let mut number = 0;
        loop {
            let next = Instant::now() + HEARTBEAT;
            let key = format!("{}{number}", self.prefix);
            if !self.depart(number, listener.beat()) {
                return unavailable("Redis does not tell of the changes that are made");
            }
            let request = Request::Script(BEAT.call(&[key]));
            if let Err(error) = link.read(request, BEAT_PATIENCE).await {
                return error;
            }
            number += 1;
            sleep_until(next).await;
        }
    }

    /// Notes a beat before it is sent; not if too many are missing.
    fn depart(&self, number: u64, beat: Beat) -> bool {
        let mut under_way = self.under_way();
        under_way.push_back((number, beat));
        under_way.len() <= MOST_BEATS
    }

    /// The beat of that number. Those before it will not come any more.
    fn arrived(&self, number: u64) -> Option<Beat> {
        let mut under_way = self.under_way();
        while let Some((departed, beat)) = under_way.pop_front() {
            if departed == number {
                return Some(beat);
            }
        }
        None
    }

    fn under_way(&self) -> MutexGuard<'_, VecDeque<(u64, Beat)>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    /// Writes down what it is told.
    #[derive(Default)]
    struct Ear(Mutex<Vec<String>>);

    impl Ear {
        fn hear(&self, told: impl Into<String>) {
            self.0.lock().unwrap().push(told.into());
        }
    }

    impl ChangeListener for Ear {
        fn changed(&self, id: &KeyId) {
            self.hear(id.as_str());
        }

        fn all_changed(&self) {
            self.hear("all");
        }

        fn beat(&self) -> Beat {
            Beat::begin(&SystemClock)
        }

        fn alive(&self, _: Beat) {
            self.hear("alive");
        }
    }

    const RECORDS: &str = "{keygate}:key:";

    fn beats() -> Beats {
        Beats {
            prefix: "{keygate}:~beat:me:".into(),
            under_way: Mutex::default(),
        }
    }

    fn told(data: &[Value], beats: &Beats) -> Vec<String> {
        let ear = Ear::default();
        heed(data, RECORDS, beats, &ear);
        ear.0.into_inner().unwrap()
    }

    fn named_keys(keys: &[&str]) -> [Value; 1] {
        let key = |key: &&str| Value::BulkString(key.as_bytes().to_vec());
        [Value::Array(keys.iter().map(key).collect())]
    }

    #[test]
    fn everything_that_came_with_a_beat_is_told_before_it() {
        let beats = beats();
        assert!(beats.depart(7, Beat::begin(&SystemClock)));
        let keys = [
            "{keygate}:~beat:me:7",
            "{keygate}:key:4KX9vQ2mB7tZ",
            "{keygate}:key:not an id",
        ];
        assert_eq!(
            told(&named_keys(&keys), &beats),
            ["4KX9vQ2mB7tZ", "all", "alive"]
        );
    }

    #[test]
    fn what_names_no_record_is_a_change_of_all() {
        let beats = beats();
        for data in [
            vec![Value::Nil],
            Vec::new(),
            vec![Value::Array(vec![Value::Int(1)])],
            named_keys(&["{keygate}:key:"]).into(),
            named_keys(&["{keygate}:~beat:me:x"]).into(),
            named_keys(&["elsewhere"]).into(),
        ] {
            assert_eq!(told(&data, &beats), ["all"], "{data:?}");
        }
    }

    #[test]
    fn only_a_beat_that_is_under_way_is_a_sign_of_life() {
        let beats = beats();
        let beat = Beat::begin(&SystemClock);
        assert!(told(&named_keys(&["{keygate}:~beat:me:0"]), &beats).is_empty());
        assert!(beats.depart(1, beat) && beats.depart(2, beat));
        assert_eq!(
            told(&named_keys(&["{keygate}:~beat:me:2"]), &beats),
            ["alive"]
        );
        assert!(told(&named_keys(&["{keygate}:~beat:me:1"]), &beats).is_empty());
    }

    #[test]
    fn a_feed_whose_beats_do_not_come_back_is_given_up() {
        let beats = beats();
        let departed = |number| beats.depart(number, Beat::begin(&SystemClock));
        assert_eq!(
            (0..).take_while(|number| departed(*number)).count(),
            MOST_BEATS
        );
    }
}
