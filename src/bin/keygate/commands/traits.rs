//! What a key has, as it is typed where one is made or changed, and how ids and numbers are.

use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use keygate::{Change, NewKey, RateLimit, Timestamp};

use crate::failure::Failure;

/// All of it can be left out.
#[derive(Args, Clone, Default, PartialEq)]
pub(crate) struct Traits {
    /// A name for people.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// When it ends, counted from now: 90d, 12h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    #[arg(conflicts_with_all = ["expires_at", "never_expires"])]
    pub(crate) expires_in: Option<Duration>,
    /// When it ends: 2027-01-31, or 2027-01-31T12:00:00Z.
    #[arg(long, value_name = "MOMENT", value_parser = parse_moment, conflicts_with = "never_expires")]
    pub(crate) expires_at: Option<Timestamp>,
    /// It never ends by itself.
    #[arg(long)]
    pub(crate) never_expires: bool,
    /// A network that it works from, such as 10.0.0.0/8, and no other; can be repeated.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) allow_ip: Vec<String>,
    /// How often it may be used: 60/min, 10/s, 1000/h, 5000/d.
    #[arg(long, value_name = "LIMIT", value_parser = parse_limit)]
    pub(crate) rate_limit: Option<RateLimit>,
    /// How many requests of the rate limit may come at once.
    #[arg(long, value_name = "N", requires = "rate_limit")]
    pub(crate) burst: Option<u32>,
    /// A note of your own; can be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_note)]
    pub(crate) metadata: Vec<(String, String)>,
}

macro_rules! apply {
    ($traits:expr, $key:expr) => {{
        let (traits, mut key) = ($traits, $key);
        if let Some(name) = traits.name {
            key = key.name(name);
        }
        if let Some(lifetime) = traits.expires_in {
            key = key.expires_in(lifetime);
        }
        if let Some(end) = traits.expires_at {
            key = key.expires_at(end.into());
        }
        if traits.never_expires {
            key = key.never_expires();
        }
        if !traits.allow_ip.is_empty() {
            key = key.allowed_ips(traits.allow_ip);
        }
        if let Some(limit) = traits.rate_limit {
            key = key.rate_limit(match traits.burst {
                Some(burst) => limit.with_burst(burst),
                None => limit,
            });
        }
        if !traits.metadata.is_empty() {
            key = key.metadata(traits.metadata);
        }
        key
    }};
}

impl Traits {
    pub(crate) fn of_new(self, key: NewKey) -> NewKey {
        apply!(self, key)
    }

    pub(crate) fn of_change(self, change: Change) -> Change {
        apply!(self, change)
    }
}

/// A moment, or the beginning of a day in UTC.
pub(crate) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let whole = match text.contains(['T', ' ']) {
        true => text.to_owned(),
        false => format!("{text}T00:00:00Z"),
    };
    let parsed = whole.parse();
    parsed
        .map_err(|_| "write a day as 2027-01-31, or a moment in UTC as 2027-01-31T12:00:00Z".into())
}

fn parse_limit(text: &str) -> Result<RateLimit, String> {
    let problem =
        || "write so many requests and a time, such as 60/min, 10/s, 1000/h or 5000/d".to_owned();
    let (requests, per) = text.split_once('/').ok_or_else(problem)?;
    let requests = requests.parse().map_err(|_| problem())?;
    let limit = match per {
        "s" | "sec" | "second" => RateLimit::per_second(requests),
        "m" | "min" | "minute" => RateLimit::per_minute(requests),
        "h" | "hour" => RateLimit::per_hour(requests),
        "d" | "day" => RateLimit::per_day(requests),
        _ => return Err(problem()),
    };
    limit.check().map_err(|error| error.to_string())?;
    Ok(limit)
}

fn parse_note(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or("write a name, = and a value, such as ticket=OPS-17")?;
    Ok((name.into(), value.into()))
}

/// How many of something are shown.
pub(crate) fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// A key's id, also where it was typed with the prefix before it. Clap would show what it refuses.
pub(crate) fn parse_id(text: &str) -> Result<keygate::KeyId, Failure> {
    let text = text.trim();
    let id = text.rsplit_once('_').map_or(text, |(_, id)| id);
    id.parse().map_err(|_| {
        Failure::usage("a key is named by its id, 12 letters and digits, such as 4KX9vQ2mB7tZ: see keygate list")
    })
}
