//! What was done to keys, and with them.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use keygate::audit::{AuditAction, AuditKind};
use keygate::store::AuditQuery;
use keygate::{KeyId, KeyManager, Principal, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::requests::{PROBLEM, Problem};
use super::routes::manager_for;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Events {
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    owner: Option<String>,
    /// Such as `issued`, `revoked`, `accepted` or `refused`.
    #[param(value_type = Option<String>)]
    action: Option<AuditAction>,
    /// `lifecycle`, which is changes of keys, or `authentication`, which is requests with them.
    #[param(value_type = Option<String>)]
    kind: Option<AuditKind>,
    /// At or after this moment, like `2026-01-31T12:00:00Z`.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Before this moment.
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// The `next` of the page before.
    after: Option<String>,
    #[param(minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<usize>,
}

/// What was done to keys, and with them, in the order in which it was stored.
///
/// Requests that are alike, within a few seconds, are one event, stored after them. Owner `admin` also sees those whose key
/// was not proved.
#[utoipa::path(get, path = "/v1/audit", params(Events), responses(
    (status = 200, description = "The events, and where the next page begins", body = Value),
    (status = 404, description = "Not a key or an owner that the caller may see", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
))]
pub(crate) async fn audit(
    State(manager): State<KeyManager>,
    caller: Principal,
    query: Result<Query<Events>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = query?;
    let limit = asked.limit.unwrap_or(100);
    if !(1..=1_000).contains(&limit) {
        let problem = "limit is 1 to 1000";
        return Err(Problem::new(StatusCode::BAD_REQUEST, problem));
    }
    let query = AuditQuery {
        key_id: asked.key_id,
        owner: asked.owner,
        action: asked.action,
        kind: asked.kind,
        from: asked.from,
        until: asked.until,
        after: asked.after,
        limit,
    };
    let page = match caller.owner() {
        "admin" => manager.audit(&query).await?,
        _ => manager_for(&caller, &manager).audit(&query).await?,
    };
    let unreadable: Vec<String> = page.unreadable.iter().map(ToString::to_string).collect();
    Ok(Json(json!({
        "events": page.events,
        "unreadable": unreadable,
        "next": page.next,
    })))
}
