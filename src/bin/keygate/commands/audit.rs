//! Reading the audit log.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use keygate::audit::{Actor, AuditAction, AuditEvent, AuditKind, FieldChange, Requests};
use keygate::store::{AuditPage, AuditQuery};
use keygate::{Clock as _, KeyManager, SystemClock, Timestamp};
use serde::Serialize;

use super::Context;
use super::traits::{at_least_one, parse_id, parse_moment};
use crate::failure::{Exit, Failure};
use crate::output::{Output, Progress, Table, counted, moment, to_the_second};

/// So far back it goes where nobody says how far.
const SPAN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// So many events are read at once.
const PAGE: usize = 1_000;

#[derive(Args)]
pub(crate) struct Audit {
    /// Only what happened to this key.
    #[arg(long, value_name = "KEY_ID")]
    key: Option<String>,
    /// Only what happened to keys of this owner.
    #[arg(long)]
    owner: Option<String>,
    /// Only events of this action.
    #[arg(long, value_parser = actions())]
    action: Option<AuditAction>,
    /// Only changes of keys (lifecycle), or only requests with them (authentication).
    #[arg(long)]
    kind: Option<Kind>,
    /// From then on: so long ago, such as 24h, or a day or moment in UTC, such as 2026-11-01 or
    /// 2026-11-01T12:00:00Z [default: 7 days before --until].
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    since: Option<When>,
    /// Before then, in the same notation [default: now].
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    until: Option<When>,
    /// Show so many of the newest at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one())]
    limit: usize,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    Lifecycle,
    Authentication,
}

#[derive(Clone, Copy)]
enum When {
    Ago(Duration),
    At(Timestamp),
}

/// The newest events, the newest last.
#[derive(Default, Serialize)]
struct Newest {
    #[serde(serialize_with = "serialized")]
    events: BTreeMap<(Timestamp, usize), AuditEvent>,
    /// How many older ones there are.
    left_out: usize,
    unreadable: Vec<Unreadable>,
}

/// An event that cannot be read.
#[derive(Serialize)]
struct Unreadable {
    problem: String,
}

impl Audit {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let query = self.query(SystemClock.wall())?;
        let manager = context.config.manager().await?;
        let newest = Newest::read(&manager, query.clone(), self.limit, context.output).await?;
        if let (true, Some(id)) = (newest.events.is_empty(), &query.key_id) {
            // A mistyped id is not to look like a key that nothing has happened to.
            manager.activity(id).await?;
        }
        context.output.answer(&newest, || newest.drawn(&query))?;
        newest.tell_rest(&query, context.output);
        Ok(Exit::without(newest.unreadable.len()))
    }

    fn query(&self, now: Timestamp) -> Result<AuditQuery, Failure> {
        let until = self.until.map(|when| when.seen_from(now));
        let since = self.since.map(|when| when.seen_from(now));
        let by_default = || When::Ago(SPAN).seen_from(until.unwrap_or(now));
        Ok(AuditQuery {
            key_id: self.key.as_deref().map(parse_id).transpose()?,
            owner: self.owner.clone(),
            action: self.action,
            kind: self.kind.map(AuditKind::from),
            from: Some(since.unwrap_or_else(by_default)),
            until,
            limit: PAGE,
            ..AuditQuery::new()
        })
    }
}

impl Newest {
    /// Reads all that `query` asks for, and keeps as much of it as is to be shown.
    async fn read(
        manager: &KeyManager,
        mut query: AuditQuery,
        most: usize,
        output: Output,
    ) -> Result<Self, Failure> {
        let progress = Progress::spinner(output, "reading events");
        let mut newest = Self::default();
        loop {
            let page = manager.audit(&query).await?;
            progress.step(page.events.len() + page.unreadable.len());
            query.after = page.next.clone();
            newest.add(page, most);
            if query.after.is_none() {
                return Ok(newest);
            }
        }
    }

    /// Those of requests are stored later than they happened, so their place is found by their moment.
    fn add(&mut self, page: AuditPage, most: usize) {
        for event in page.events {
            let place = (event.at, self.left_out + self.events.len());
            self.events.insert(place, event);
            if self.events.len() > most {
                self.events.pop_first();
                self.left_out += 1;
            }
        }
        let unreadable = page.unreadable.iter().map(|error| Unreadable {
            problem: error.to_string(),
        });
        self.unreadable.extend(unreadable);
    }

    /// A table without columns that tell nothing: the key and its owner where one was asked for, and
    /// addresses where none is known.
    fn drawn(&self, query: &AuditQuery) -> String {
        let any_address = self.events.values().any(|event| event.address.is_some());
        let of_one_key = query.key_id.is_some();
        let columns = COLUMNS.iter().filter(|(heading, _)| match *heading {
            "key" | "owner" => !of_one_key,
            "from" => any_address,
            _ => true,
        });
        let columns: Vec<&(&str, Told)> = columns.collect();
        let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
        let mut table = Table::new(&headings);
        for event in self.events.values() {
            table.row(columns.iter().map(|(_, told)| told(event)));
        }
        table.draw()
    }

    fn tell_rest(&self, query: &AuditQuery, output: Output) {
        if self.events.is_empty() {
            let since = query.from.map_or_else(String::new, |from| {
                format!(" since {}: --since goes further back", moment(from))
            });
            output.tell(format_args!("no such events{since}"));
        }
        if self.left_out > 0 {
            output.tell(format_args!(
                "not shown: {}, raise --limit, or set an earlier --until",
                counted(self.left_out, "older event")
            ));
        }
        for Unreadable { problem } in &self.unreadable {
            output.tell(format_args!("an event cannot be read: {problem}"));
        }
    }
}

fn serialized<S: serde::Serializer>(
    events: &BTreeMap<(Timestamp, usize), AuditEvent>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(events.values())
}

type Told = fn(&AuditEvent) -> String;

const COLUMNS: [(&str, Told); 7] = [
    ("when (UTC)", |event| to_the_second(event.at)),
    ("action", |event| event.action.as_str().into()),
    ("key", |event| told(event.key_id)),
    ("owner", |event| told(event.owner.as_deref())),
    ("by", |event| actor(&event.actor)),
    ("from", |event| told(event.address)),
    ("what", what),
];

fn told(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Host => "the service".into(),
        Actor::Key(id) => format!("key {id}"),
        Actor::User(name) => format!("user {name}"),
        _ => "unknown".into(),
    }
}

/// What was changed, or how many requests it stands for.
fn what(event: &AuditEvent) -> String {
    let changes = event.changes.iter().map(change);
    let requests = event.requests.as_ref().map(requests);
    let parts: Vec<String> = changes.chain(requests).collect();
    parts.join("; ")
}

fn change(change: &FieldChange) -> String {
    let FieldChange {
        field,
        before,
        after,
    } = change;
    let told = |value: &Option<String>| match value {
        None => "nothing".to_owned(),
        Some(text) => text.parse().map_or_else(|_| text.clone(), to_the_second),
    };
    match before {
        None => format!("{field}: {}", told(after)),
        Some(_) => format!("{field}: {} → {}", told(before), told(after)),
    }
}

fn requests(requests: &Requests) -> String {
    let Requests { count, code, .. } = requests;
    let times = match count {
        1 => "1 request".to_owned(),
        count => format!("{count} requests"),
    };
    code.as_ref()
        .map_or(times.clone(), |code| format!("{times}, {code}"))
}

fn actions() -> impl TypedValueParser<Value = AuditAction> {
    let names = AuditAction::all().map(AuditAction::as_str);
    PossibleValuesParser::new(names).try_map(|name| {
        let mut all = AuditAction::all();
        all.find(|action| action.as_str() == name)
            .ok_or("there is no such action")
    })
}

fn parse_when(text: &str) -> Result<When, String> {
    if let Ok(time) = humantime::parse_duration(text) {
        return Ok(When::Ago(time));
    }
    let moment = parse_moment(text).map(When::At);
    moment.map_err(|problem| format!("{problem}; or how long ago, as 24h or 7d"))
}

impl When {
    fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(time) => {
                let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                let then = now.as_unix_millis().saturating_sub(time);
                Timestamp::from_unix_millis(then).unwrap_or(Timestamp::MIN)
            }
        }
    }
}

impl From<Kind> for AuditKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Lifecycle => Self::Lifecycle,
            Kind::Authentication => Self::Authentication,
        }
    }
}
