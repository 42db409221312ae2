//! The change feed: a connection that listens to the triggers of the table, and to heartbeats that
//! it sends to itself through the queue that changes travel.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use sqlx::{AssertSqlSafe, Error, Row, query_with, raw_sql};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::add;
use super::error::{not_done, unavailable};
use super::link::{ANSWERED_BY, Link, Node};
use super::names::{Names, literal};
use crate::store::{Beat, ChangeListener, HEARTBEAT, StoreError};

/// How long any one step may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many heartbeats may be under way before the feed counts as broken.
const MOST_UNDER_WAY: usize = 8;

/// How often it is looked whether the triggers are still there.
const INSPECTION: Duration = Duration::from_secs(10);

/// Follows the feed until it breaks.
pub(super) async fn follow(
    link: &Link,
    names: &Names,
    options: &PgConnectOptions,
    listener: &dyn ChangeListener,
) -> StoreError {
    let followed = async {
        let mut feed = Feed::connect(names, options).await?;
        let mut answers = feed.prove(link, listener).await?;
        let strayed = async {
            // The sender lives as long as the store.
            let _ = answers.changed().await;
            Err(another_server())
        };
        first(feed.run(listener), strayed).await
    };
    let Err(error): Result<Infallible, StoreError> = followed.await;
    error
}

/// What the first of both returns.
async fn first<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Pending => other.as_mut().poll(context),
        ready => ready,
    })
    .await
}

struct Feed {
    ear: Ear,
    node: Node,
    inspection: String,
    inspected_at: Instant,
    table: i64,
    changes: String,
    beats: String,
    /// How many were sent, and those of them that did not arrive yet.
    sent: u64,
    under_way: VecDeque<(u64, Beat)>,
}

impl Feed {
    async fn connect(names: &Names, options: &PgConnectOptions) -> Result<Self, StoreError> {
        let mut ear = Ear::connect(options).await?;
        let inspection = inspection(names);
        let (node, table) = inspect(&mut ear, &inspection).await?;
        let changes = format!("{}{table}", names.prefix);
        let beats = format!("keygate_beats_{}", nonce()?);
        let listen = ear.listener()?.listen_all([&*changes, &*beats]);
        in_time(listen).await?;
        Ok(Self {
            ear,
            node,
            inspection,
            inspected_at: Instant::now(),
            table,
            changes,
            beats,
            sent: 0,
            under_way: VecDeque::new(),
        })
    }

    /// Shows that what the pool commits is heard here, and follows which server the pool reaches
    /// from then on.
    async fn prove(
        &mut self,
        link: &Link,
        listener: &dyn ChangeListener,
    ) -> Result<watch::Receiver<Option<Node>>, StoreError> {
        let proof = nonce()?;
        let mut values = PgArguments::default();
        add(&mut values, &*self.beats)?;
        add(&mut values, &*proof)?;
        let notify = format!("SELECT {ANSWERED_BY}, pg_notify($1, $2)::text");
        link.look_up(&notify.into(), values).await?;
        let heard = async {
            while self.hear(listener).await?.as_deref() != Some(&*proof) {}
            Ok::<(), StoreError>(())
        };
        timeout(PATIENCE, heard).await.map_err(|_| {
            unavailable(
                "the feed does not hear what the pool tells: let listen_options(..) name the \
                 server and the database of the pool, without a pooler between",
            )
        })??;
        let mut answers = link.answers();
        let reached = *answers.borrow_and_update();
        match reached == Some(self.node) {
            true => Ok(answers),
            false => Err(another_server()),
        }
    }

    async fn run(&mut self, listener: &dyn ChangeListener) -> Result<Infallible, StoreError> {
        loop {
            let begun = Instant::now();
            self.send_beat(listener).await?;
            if begun.duration_since(self.inspected_at) > INSPECTION {
                self.inspect_again().await?;
            }
            let hear = async {
                loop {
                    if let Some(beat) = self.hear(listener).await? {
                        self.arrived(&beat, listener);
                    }
                }
            };
            if let Ok(broken) = timeout_at(begun + HEARTBEAT, hear).await {
                return broken;
            }
        }
    }

    async fn send_beat(&mut self, listener: &dyn ChangeListener) -> Result<(), StoreError> {
        if self.under_way.len() >= MOST_UNDER_WAY {
            return Err(unavailable("the heartbeats of the feed do not come back"));
        }
        self.sent += 1;
        self.under_way.push_back((self.sent, listener.beat()));
        let mut values = PgArguments::default();
        add(&mut values, &*self.beats)?;
        add(&mut values, self.sent.to_string())?;
        let notify = query_with("SELECT pg_notify($1, $2)", values);
        in_time(notify.execute(self.ear.listener()?)).await?;
        Ok(())
    }

    fn arrived(&mut self, beat: &str, listener: &dyn ChangeListener) {
        let Ok(number) = beat.parse::<u64>() else {
            return;
        };
        while let Some((sent, beat)) = self.under_way.front().copied() {
            if sent > number {
                break;
            }
            self.under_way.pop_front();
            if sent == number {
                listener.alive(beat);
            }
        }
    }

    /// Waits for one notification. Reports a change; answers what else was sent here.
    async fn hear(&mut self, listener: &dyn ChangeListener) -> Result<Option<String>, StoreError> {
        let heard = self.ear.listener()?.try_recv().await;
        let heard: PgNotification = heard
            .map_err(|error| not_done(&error))?
            .ok_or_else(|| unavailable("the connection of the feed was lost"))?;
        if heard.channel() != self.changes {
            return Ok(Some(heard.payload().into()));
        }
        match heard.payload().parse() {
            Ok(id) => listener.changed(&id),
            Err(_) => listener.all_changed(),
        }
        Ok(None)
    }

    async fn inspect_again(&mut self) -> Result<(), StoreError> {
        let found = inspect(&mut self.ear, &self.inspection).await?;
        if found != (self.node, self.table) {
            return Err(unavailable("the table of keys is another one than before"));
        }
        self.inspected_at = Instant::now();
        Ok(())
    }
}

/// The listening connection.
struct Ear {
    listener: Option<PgListener>,
    /// Where the connection is closed, wherever this is dropped.
    runtime: Handle,
}

impl Ear {
    async fn connect(options: &PgConnectOptions) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.clone());
        let mut listener = in_time(PgListener::connect_with(&pool)).await?;
        // A lost connection ends the feed: what was told meanwhile is not known.
        listener.eager_reconnect(false);
        Ok(Self {
            listener: Some(listener),
            runtime: Handle::current(),
        })
    }

    fn listener(&mut self) -> Result<&mut PgListener, StoreError> {
        let lost = || unavailable("the connection of the feed was lost");
        self.listener.as_mut().ok_or_else(lost)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.listener = None;
    }
}

async fn in_time<T>(step: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
    match timeout(PATIENCE, step).await {
        Ok(outcome) => outcome.map_err(|error| not_done(&error)),
        Err(_) => Err(unavailable("the feed got no answer in time")),
    }
}

/// Asks who answers, for the table, and how many of its triggers are in force.
fn inspection(names: &Names) -> String {
    let table = literal(&names.keys());
    let triggers = ["guard", "tell_row", "tell_truncate"]
        .map(|name| literal(&format!("{}{name}", names.prefix)))
        .join(", ");
    format!(
        "SELECT {ANSWERED_BY}, to_regclass({table})::oid::bigint AS table_oid,
            (SELECT count(*) FROM pg_catalog.pg_trigger
             WHERE tgrelid = to_regclass({table}) AND tgenabled = 'A' AND tgname IN ({triggers}))
            AS triggers"
    )
}

async fn inspect(ear: &mut Ear, inspection: &str) -> Result<(Node, i64), StoreError> {
    let sql = AssertSqlSafe(inspection.to_owned());
    let row = in_time(raw_sql(sql).fetch_one(ear.listener()?)).await?;
    let read = || {
        let (node, on_standby) = Node::of(&row)?;
        let table: Option<i64> = row.try_get("table_oid")?;
        let triggers: i64 = row.try_get("triggers")?;
        Ok((node, on_standby, table, triggers))
    };
    match read().map_err(|error: Error| not_done(&error))? {
        (_, true, ..) => Err(unavailable("the feed is connected to a standby")),
        (node, false, Some(table), 3) => Ok((node, table)),
        (_, false, None, _) => Err(unavailable("the table of keys is not in this database")),
        (_, false, Some(_), _) => Err(unavailable(
            "a trigger of the table of keys is missing, or is not enabled ALWAYS: run the last part \
             of 0001_keys.sql that makes them again",
        )),
    }
}

fn another_server() -> StoreError {
    unavailable("records are read from another server than the one the feed listens to")
}

/// A word that nobody else uses.
fn nonce() -> Result<String, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| unavailable(error.to_string()))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
