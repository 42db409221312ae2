//! How events reach the host.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::AuditEvent;
use crate::waiters::{Waiters, lock};

/// A channel from gates to their host that holds up to `capacity` events, at least one.
///
/// Nobody waits for the host: when the channel is full, a **new** event is dropped and counted, and those
/// that wait in it stay. An event is sent at most once, and a process that ends loses those that nobody
/// has received.
///
/// What anybody can send must not crowd out what happens to keys. So the channel is full for requests
/// once three quarters of it are, and for those whose key was not proved once half of it is: the rest
/// is for changes of keys.
///
/// - A change of a key is sent after it was committed, by the process that made it. One whose outcome
///   nobody knows is not sent.
/// - Refused requests, and keys in URLs, are sent one by one: their [`count`](super::Requests::count)
///   is 1.
/// - Accepted requests are sent where [`audit_accepted`](crate::Builder::audit_accepted) says so.
///
/// ```
/// # use keygate::Builder;
/// # async fn run(builder: Builder) -> Result<(), Box<dyn std::error::Error>> {
/// let (sender, receiver) = keygate::audit::channel(10_000);
/// let keys = builder.audit_channel(sender).build().await?;
/// tokio::spawn(async move {
///     while let Some(event) = receiver.recv().await {
///         println!("{}", serde_json::json!(event));
///         let dropped = receiver.take_dropped();
///         if dropped > 0 {
///             eprintln!("{dropped} events were dropped");
///         }
///     }
/// });
/// # Ok(())
/// # }
/// ```
pub fn channel(capacity: usize) -> (AuditSender, AuditReceiver) {
    let channel = Arc::new(Channel {
        capacity: capacity.max(1),
        events: Mutex::default(),
        dropped: AtomicU64::new(0),
        is_left: AtomicBool::new(false),
        is_closed: AtomicBool::new(false),
        waiters: Waiters::default(),
    });
    let open = Arc::new(Open(Arc::clone(&channel)));
    (AuditSender(open), AuditReceiver(channel))
}

/// Where gates put events, by [`Builder::audit_channel`](crate::Builder::audit_channel). Clones send to the
/// same receiver.
#[derive(Clone)]
pub struct AuditSender(Arc<Open>);

/// Where the host takes them out. When it is dropped, nothing is kept for it any more.
pub struct AuditReceiver(Arc<Channel>);

/// Held by all senders: the last closes the channel.
struct Open(Arc<Channel>);

struct Channel {
    capacity: usize,
    events: Mutex<VecDeque<AuditEvent>>,
    dropped: AtomicU64,
    /// The receiver is gone.
    is_left: AtomicBool,
    /// The senders are gone.
    is_closed: AtomicBool,
    waiters: Waiters,
}

impl AuditSender {
    /// Sends an event of so much weight, or drops it; which of them.
    pub(super) fn send(&self, weight: Weight, event: impl FnOnce() -> AuditEvent) -> Outcome {
        let channel = &*self.0.0;
        let mut events = lock(&channel.events);
        // Under the lock: whoever leaves clears what is there by then.
        if channel.is_left.load(Ordering::SeqCst) {
            return Outcome::ToNobody;
        }
        if events.len() >= weight.room(channel.capacity) {
            channel.dropped.fetch_add(1, Ordering::SeqCst);
            return Outcome::Dropped;
        }
        events.push_back(event());
        drop(events);
        channel.waiters.wake_all();
        Outcome::Sent
    }
}

/// Which events have room where others have none any more.
#[derive(Clone, Copy, Debug)]
pub(super) enum Weight {
    /// A request whose key was not proved.
    Stranger,
    /// A request with a key that was.
    Request,
    /// A change of a key.
    Change,
}

impl Weight {
    /// How many events may wait for one more to be let in: of any channel, one at least.
    const fn room(self, capacity: usize) -> usize {
        match self {
            Self::Stranger => capacity - capacity / 2,
            Self::Request => capacity - capacity / 4,
            Self::Change => capacity,
        }
    }
}

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Sent,
    /// The channel is full.
    Dropped,
    ToNobody,
}

impl AuditReceiver {
    /// The next event, once there is one; `None`: there is none, and the gates and managers that could
    /// send another are gone.
    ///
    /// It may be dropped at any point, and called again: no event is lost by that.
    pub async fn recv(&self) -> Option<AuditEvent> {
        loop {
            // Before the events are looked at: what was sent before it was closed is among them.
            let is_closed = self.0.is_closed.load(Ordering::SeqCst);
            if let Some(event) = self.try_recv() {
                return Some(event);
            }
            if is_closed {
                return None;
            }
            let has_news =
                || self.0.is_closed.load(Ordering::SeqCst) || !lock(&self.0.events).is_empty();
            self.0.waiters.until(has_news).await;
        }
    }

    /// The next event, if there is one now.
    pub fn try_recv(&self) -> Option<AuditEvent> {
        lock(&self.0.events).pop_front()
    }

    /// How many events were dropped since the last call, because the channel was full.
    pub fn take_dropped(&self) -> u64 {
        self.0.dropped.swap(0, Ordering::SeqCst)
    }
}

impl Drop for AuditReceiver {
    fn drop(&mut self) {
        self.0.is_left.store(true, Ordering::SeqCst);
        lock(&self.0.events).clear();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::SeqCst);
        self.0.waiters.wake_all();
    }
}

impl fmt::Debug for AuditSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditSender").finish_non_exhaustive()
    }
}

impl fmt::Debug for AuditReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditReceiver").finish_non_exhaustive()
    }
}
