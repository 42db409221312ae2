//! The service: what to copy into your own.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use keygate::axum::RoutesExt;
use keygate::{
    Filter, IntoRule, Issued, KeyId, KeyManager, ManageError, NewKey, Principal, Quota, RateLimit,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use utoipa::{IntoParams, Modify, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::bearer::{self, Service, documented};
use super::requests::{Body, Id, PROBLEM, Problem};
use super::{audit, live, reports, usage};

keygate::scopes! {
    pub(crate) SCOPES {
        /// See orders.
        ORDERS_READ = "orders:read",
        /// Create orders.
        ORDERS_WRITE = "orders:write",
        /// See keys.
        KEYS_READ = "keys:read",
        /// Issue, narrow, rotate and revoke keys.
        KEYS_WRITE = "keys:write",
    }
    bundles {
        /// Everything about orders.
        ORDERS_ADMIN = "orders:admin" => [ORDERS_READ, ORDERS_WRITE],
    }
}

/// Reports read many keys. However often a key may be used otherwise, it gets so many of them.
const REPORTS: Quota = Quota::new("reports", RateLimit::per_minute(30));

#[derive(OpenApi)]
#[openapi(info(
    title = "The service example of keygate",
    version = "1.0.0",
    description = "Orders, and the API keys that open them."
))]
struct Description;

/// Where callers read how to use their keys.
pub(crate) const PAGE: &str = "/docs/keys";

/// The routes, and the document that describes them. `base` is the URL that callers see.
pub(crate) fn app(service: Service, base: &str) -> (Router, utoipa::openapi::OpenApi) {
    let keys = &service.keys.clone();
    let (routes, mut document) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(whoami).guarded_by(keys.authenticate()))
        .routes(routes!(list_orders).guarded_by(keys.require(ORDERS_READ)))
        .routes(routes!(live::live_orders).guarded_by(keys.require(ORDERS_READ)))
        .routes(
            routes!(create_order)
                // On trial: whom it would refuse is told by a report, before it refuses anybody.
                .guarded_by(keys.require(ORDERS_READ.report_only()))
                .guarded_by(keys.require(ORDERS_WRITE)),
        )
        .routes(routes!(list_keys).guarded_by(keys.require(KEYS_READ)))
        .routes(routes!(usage::show_key).guarded_by(keys.require(KEYS_READ)))
        .routes(
            routes!(reports::over_privileged)
                .guarded_by(keys.require(KEYS_READ).charge(REPORTS.cost(3))),
        )
        .routes(routes!(reports::would_refuse).guarded_by(keys.require(KEYS_READ).charge(REPORTS)))
        .routes(routes!(reports::expiring).guarded_by(keys.require(KEYS_READ).charge(REPORTS)))
        .routes(routes!(audit::audit).guarded_by(keys.require(KEYS_READ)))
        .routes(routes!(issue_key).guarded_by(keys.require(KEYS_WRITE)))
        .routes(routes!(usage::narrow_key).guarded_by(keys.require(KEYS_WRITE)))
        .routes(routes!(rotate_own_key).guarded_by(keys.authenticate()))
        .routes(documented(routes!(bearer::revoke_own_key), keys))
        .routes(routes!(rotate_key).guarded_by(keys.require(KEYS_WRITE)))
        .routes(routes!(revoke_key).guarded_by(keys.require(KEYS_WRITE)))
        .routes(routes!(healthz))
        .split_for_parts();
    keys.modify(&mut document);
    let described = Json(document.clone());
    let page = keys
        .callers_page()
        .title("The service example of keygate")
        .contact("keys@acme.example")
        .example_url(format!("{base}/v1/whoami"))
        .rotate_url(format!("{base}/v1/keys/self/rotate"))
        .openapi_url("/openapi.json");
    let (html, markdown) = (Html(page.html()), page.markdown());
    let markdown = ([(CONTENT_TYPE, "text/markdown; charset=utf-8")], markdown);
    let app = routes
        .route("/openapi.json", get(|| async { described }))
        .route(PAGE, get(|| async { html }))
        .route(&format!("{PAGE}.md"), get(|| async { markdown }))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path does not take this method",
            )
        })
        .with_state(service);
    (app, document)
}

/// Whether the service runs.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "It does", body = str)))]
async fn healthz() -> &'static str {
    "ok"
}

/// Who is calling, and what the key may do.
#[utoipa::path(get, path = "/v1/whoami", responses(
    (status = 200, description = "The key that was sent", body = Value),
))]
async fn whoami(caller: Principal) -> Json<Value> {
    Json(json!({
        "key_id": caller.key_id(),
        "owner": caller.owner(),
        "name": caller.name(),
        "environment": caller.environment(),
        "scopes": caller.scopes(),
        "expires_at": caller.expires_at(),
    }))
}

/// The orders of the key's owner.
#[utoipa::path(get, path = "/v1/orders", responses(
    (status = 200, description = "The orders", body = Value),
))]
async fn list_orders(caller: Principal) -> Json<Value> {
    Json(orders_of(&caller))
}

pub(crate) fn orders_of(caller: &Principal) -> Value {
    json!({ "owner": caller.owner(), "orders": [{ "id": 1, "item": "tea" }] })
}

/// Creates an order for the key's owner.
#[utoipa::path(post, path = "/v1/orders", responses(
    (status = 201, description = "The new order", body = Value),
))]
async fn create_order(caller: Principal) -> impl IntoResponse {
    (
        StatusCode::CREATED,
        Json(json!({ "owner": caller.owner(), "id": 2 })),
    )
}

/// Owner `admin` acts for every owner, anyone else for their own; nobody beyond their own key.
pub(crate) fn manager_for(caller: &Principal, manager: &KeyManager) -> KeyManager {
    match caller.owner() {
        "admin" => manager.on_behalf_of_across_owners(caller),
        _ => manager.on_behalf_of(caller),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IssueKey {
    #[schema(min_length = 1, max_length = 128)]
    owner: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
    /// Left out: the default lifetime. `null`: it never expires.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    expires_in_days: Option<Option<u32>>,
    /// The only networks that it works from; none: it works from everywhere. Left out: as the caller's.
    #[schema(example = json!(["10.0.0.0/8"]))]
    allowed_ips: Option<Vec<String>>,
    /// How often it may be used. Left out: as the caller's.
    rate_limit: Option<Limit>,
}

/// So many requests in so many seconds, of which so many may come at once: all, unless `burst` is given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    #[schema(minimum = 1, example = 5)]
    requests: u32,
    #[schema(minimum = 1, example = 60)]
    per_seconds: u32,
    #[schema(minimum = 1)]
    burst: Option<u32>,
}

impl From<Limit> for RateLimit {
    fn from(limit: Limit) -> Self {
        let all = Self::new(limit.requests, limit.per_seconds);
        limit.burst.map_or(all, |burst| all.with_burst(burst))
    }
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// Issues a key. Its text is in this answer and in no other.
#[utoipa::path(post, path = "/v1/keys", request_body = IssueKey, responses(
    (status = 201, description = "The new key", body = Value),
))]
async fn issue_key(
    State(manager): State<KeyManager>,
    caller: Principal,
    Body(body): Body<IssueKey>,
) -> Result<Response, ManageError> {
    let mut key = NewKey::for_owner(body.owner)
        .name(body.name)
        .scopes(body.scopes);
    if let Some(networks) = body.allowed_ips {
        key = key.allowed_ips(networks);
    }
    if let Some(limit) = body.rate_limit {
        key = key.rate_limit(limit.into());
    }
    let key = match body.expires_in_days {
        None => key,
        Some(None) => key.never_expires(),
        Some(Some(days)) => key.expires_in(Duration::from_secs(24 * 60 * 60) * days),
    };
    let issued = manager_for(&caller, &manager).issue(key).await?;
    Ok(show_once(StatusCode::CREATED, &issued))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListKeys {
    owner: Option<String>,
    #[param(value_type = Option<String>)]
    after: Option<KeyId>,
    #[param(minimum = 1)]
    limit: Option<usize>,
}

/// The keys of one owner, or of all.
#[utoipa::path(get, path = "/v1/keys", params(ListKeys), responses(
    (status = 200, description = "The keys, and the last one's id if there are more", body = Value),
    (status = 404, description = "Not an owner whose keys the caller may see", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
))]
async fn list_keys(
    State(manager): State<KeyManager>,
    caller: Principal,
    query: Result<Query<ListKeys>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query?;
    let mut filter = Filter::new().limit(query.limit.unwrap_or(100));
    if let Some(owner) = query.owner {
        filter = filter.owner(owner);
    }
    if let Some(after) = query.after {
        filter = filter.after(after);
    }
    let list = manager_for(&caller, &manager).list(filter).await?;
    Ok(Json(json!({ "keys": list.keys, "next": list.next })))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RotateKey {
    overlap_seconds: Option<u64>,
}

/// Gives a key a new secret. The old one works until the overlap ends.
#[utoipa::path(
    post, path = "/v1/keys/{id}/rotate", params(("id" = String, Path, description = "The key's id")),
    request_body = Option<RotateKey>,
    responses(
        (status = 200, description = "The key with its new text", body = Value),
        (status = 404, description = "No such key", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
        (status = 409, description = "The key is being rotated already, or has ended", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
    ),
)]
async fn rotate_key(
    State(manager): State<KeyManager>,
    caller: Principal,
    Id(id): Id,
    Body(body): Body<RotateKey>,
) -> Result<Response, ManageError> {
    let manager = manager_for(&caller, &manager);
    let issued = match body.overlap_seconds {
        None => manager.rotate(&id).await?,
        Some(overlap) => {
            manager
                .rotate_with_overlap(&id, Duration::from_secs(overlap))
                .await?
        }
    };
    Ok(show_once(StatusCode::OK, &issued))
}

/// Gives the key that is sent a new secret.
#[utoipa::path(
    post, path = "/v1/keys/self/rotate", request_body = Option<RotateKey>,
    responses(
        (status = 200, description = "The key with its new text", body = Value),
        (status = 409, description = "The key is being rotated already, or has ended", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
    ),
)]
async fn rotate_own_key(
    manager: State<KeyManager>,
    caller: Principal,
    body: Body<RotateKey>,
) -> Result<Response, ManageError> {
    let own = Id(*caller.key_id());
    rotate_key(manager, caller, own, body).await
}

#[derive(Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RevokeKey {
    reason: Option<String>,
}

/// Ends a key for good. The reason may stand in the body or in the query.
#[utoipa::path(
    delete, path = "/v1/keys/{id}",
    params(("id" = String, Path, description = "The key's id"), RevokeKey),
    request_body = Option<RevokeKey>,
    responses(
        (status = 200, description = "When and why the key ended", body = Value),
        (status = 404, description = "No such key", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
        (status = 409, description = "The key was being changed", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
    ),
)]
async fn revoke_key(
    State(manager): State<KeyManager>,
    caller: Principal,
    Id(id): Id,
    query: Result<Query<RevokeKey>, QueryRejection>,
    Body(body): Body<RevokeKey>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query?;
    let reason = body.reason.or(query.reason).unwrap_or_default();
    let revoked = manager_for(&caller, &manager).revoke(&id, reason).await?;
    Ok(Json(json!({
        "key_id": revoked.info.key_id,
        "revocation": revoked.info.revocation,
        "effective_within_seconds": revoked.effective_within.as_secs_f64(),
    })))
}

/// The only answers that hold the text of a key. No cache may keep them.
fn show_once(status: StatusCode, issued: &Issued) -> Response {
    let mut body = json!(issued.info);
    body["key"] = issued.key.expose().into();
    if let Some(end) = issued.previous_ends_at() {
        body["previous_secret_ends_at"] = json!(end);
    }
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
