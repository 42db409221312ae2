//! What operators look at now and then: keys that may do more than they need, and keys that end.

use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use keygate::{
    ActivityList, Ends, Filter, KeyActivity, KeyId, KeyInfo, KeyManager, KeyStatus, Principal,
    Timestamp,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::requests::{PROBLEM, Problem};
use super::routes::manager_for;
use super::usage::{DAY, MONTH_IN_DAYS};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Report {
    /// So many days back, or for what ends, ahead.
    #[param(default = 30)]
    days: Option<u32>,
    owner: Option<String>,
    #[param(value_type = Option<String>)]
    after: Option<KeyId>,
    #[param(minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<usize>,
}

impl Report {
    fn time(&self) -> std::time::Duration {
        DAY * self.days.unwrap_or(MONTH_IN_DAYS)
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(100)
    }

    fn filter(&self) -> Filter {
        let mut filter = Filter::new().limit(self.limit());
        if let Some(owner) = &self.owner {
            filter = filter.owner(owner);
        }
        match self.after {
            Some(after) => filter.after(after),
            None => filter,
        }
    }
}

/// The keys that may do more than they needed.
///
/// Those that were not used at all are left out. `unproved` are those of which that is not known, as
/// they were not watched for so long.
#[utoipa::path(get, path = "/v1/reports/over-privileged", params(Report), responses(
    (status = 200, description = "What each may do, what it used of that, and what to drop", body = Value),
    (status = 404, description = "Not an owner whose keys the caller may see", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
))]
pub(crate) async fn over_privileged(
    State(manager): State<KeyManager>,
    caller: Principal,
    query: Result<Query<Report>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(report) = query?;
    let window = report.time();
    let manager = manager_for(&caller, &manager);
    let list = manager.over_privileged(report.filter(), window).await?;
    Ok(page(&list, |key| {
        let privileges = key.privileges(window).ok()?;
        Some(json!({
            "granted": privileges.granted,
            "used": privileges.narrowed,
            "drop": privileges.dropped,
        }))
    }))
}

/// The keys that rules would refuse which are only tried so far.
#[utoipa::path(get, path = "/v1/reports/would-refuse", params(Report), responses(
    (status = 200, description = "What each of them lacked, and how often", body = Value),
    (status = 404, description = "Not an owner whose keys the caller may see", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
))]
pub(crate) async fn would_refuse(
    State(manager): State<KeyManager>,
    caller: Principal,
    query: Result<Query<Report>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(report) = query?;
    let window = report.time();
    let manager = manager_for(&caller, &manager);
    let list = manager.shadow_refusals(report.filter(), window).await?;
    Ok(page(&list, |key| {
        let lacked = key.still_lacks(window);
        let lacked = lacked.map(|lacked| (lacked.scope.clone(), lacked.requests.into()));
        Some(json!({ "lacked": serde_json::Map::from_iter(lacked) }))
    }))
}

/// A page of keys by their use, and what `say` has to say of each.
fn page(list: &ActivityList, say: impl Fn(&KeyActivity) -> Option<Value>) -> Json<Value> {
    let keys: Vec<Value> = list
        .keys
        .iter()
        .filter_map(|key| Some(with(&key.info, say(key)?)))
        .collect();
    let damaged: Vec<&str> = list.unreadable.iter().map(|key| key.id.as_str()).collect();
    Json(json!({
        "keys": keys,
        "unproved": list.unproved,
        "unreadable": damaged,
        "next": list.next,
    }))
}

/// The keys that end, or have to be rotated by then.
#[utoipa::path(get, path = "/v1/reports/expiring", params(Report), responses(
    (status = 200, description = "What ends of each, the `key` or its `secret`, and when", body = Value),
    (status = 404, description = "Not an owner whose keys the caller may see", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
))]
pub(crate) async fn expiring(
    State(manager): State<KeyManager>,
    caller: Principal,
    query: Result<Query<Report>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(report) = query?;
    let limit = report.limit();
    if !(1..=Filter::MAX_LIMIT).contains(&limit) {
        let problem = format!("a page holds 1 to {} keys", Filter::MAX_LIMIT);
        return Err(Problem::new(StatusCode::BAD_REQUEST, problem));
    }
    let manager = manager_for(&caller, &manager);
    let now = Timestamp::from(SystemTime::now());
    let until = now.checked_add(report.time()).unwrap_or(Timestamp::MAX);
    let mut filter = report.filter().limit(Filter::MAX_LIMIT);
    let mut keys: Vec<(KeyId, Value)> = Vec::new();
    loop {
        let list = manager.list(filter.clone()).await?;
        for key in &list.keys {
            let Some((ends, at)) = first_end(key).filter(|(_, at)| *at <= until) else {
                continue;
            };
            // Which are those that were not rotated in time, too.
            if !matches!(key.status, KeyStatus::Active | KeyStatus::RotationOverdue) {
                continue;
            }
            if keys.len() == limit {
                return Ok(page_of_ends(keys, true));
            }
            let days_left = at.saturating_since(now).as_secs() / DAY.as_secs();
            let said = json!({ "ends": ends, "ends_at": at, "days_left": days_left });
            keys.push((key.key_id, with(key, said)));
        }
        let Some(next) = list.next else {
            return Ok(page_of_ends(keys, false));
        };
        filter = filter.after(next);
    }
}

/// What of the key ends first. A secret ends with its key in any case.
fn first_end(key: &KeyInfo) -> Option<(Ends, Timestamp)> {
    let secret = key.secrets.first().and_then(|current| current.not_after);
    match (key.expires_at, secret) {
        (Some(key), Some(secret)) if secret < key => Some((Ends::Secret, secret)),
        (Some(key), _) => Some((Ends::Key, key)),
        (None, secret) => Some((Ends::Secret, secret?)),
    }
}

fn page_of_ends(keys: Vec<(KeyId, Value)>, is_more: bool) -> Json<Value> {
    let last = keys.last().map(|(id, _)| *id);
    let keys: Vec<Value> = keys.into_iter().map(|(_, key)| key).collect();
    Json(json!({ "keys": keys, "next": last.filter(|_| is_more) }))
}

/// Which key it is, and what is said of it.
fn with(key: &KeyInfo, said: Value) -> Value {
    let mut named = json!({ "key_id": key.key_id, "owner": key.owner, "name": key.name });
    if let (Some(named), Value::Object(said)) = (named.as_object_mut(), said) {
        named.extend(said);
    }
    named
}
