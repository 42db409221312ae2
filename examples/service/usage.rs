//! How keys are used, and whether anybody would miss them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use keygate::store::{KeyUsage, ScopeUsage};
use keygate::{
    Change, KeyActivity, KeyInfo, KeyManager, ManageError, Principal, Safety, SecretInfo, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::requests::{Body, Id, PROBLEM, Problem};
use super::routes::manager_for;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// For how long nobody may have used what is safe to end, and what counts as needed: by default.
pub(crate) const MONTH_IN_DAYS: u32 = 30;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Idle {
    /// For how long nobody may have used what is safe to end: 30 days unless said.
    #[param(value_type = Option<u64>, default = 2_592_000, minimum = 1)]
    idle_seconds: Option<NonZeroU64>,
}

/// A key, and how it is used.
#[derive(Serialize, ToSchema)]
pub(crate) struct UsedKey {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    info: KeyInfo,
    usage: Usage,
    /// Whether the key has ended, or is proved to be idle for long enough.
    safe_to_revoke: bool,
    why: Why,
    /// The last use; of a key that was never used its issue, or when counting began. `null` while not
    /// all instances of the service count.
    #[schema(value_type = Option<String>, format = DateTime)]
    idle_since: Option<Timestamp>,
    /// When it can be told, if that is too early now.
    #[schema(value_type = Option<String>, format = DateTime)]
    provable_at: Option<Timestamp>,
    /// Whether everybody has gone over to the newer of two secrets; `null` outside of a rotation.
    safe_to_end_old_secret: Option<bool>,
}

/// Why the key is safe to revoke, or not.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Why {
    /// It opens nothing any more.
    Ended,
    /// Nobody has used it for long enough.
    Idle,
    /// It was used lately.
    InUse,
    /// No use was seen, and it was not watched for long enough.
    Unproved,
}

/// The accepted requests of a key.
#[derive(Serialize, ToSchema)]
struct Usage {
    requests: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = Option<String>)]
    last_used_from: Option<IpAddr>,
    /// How often each scope was needed.
    scopes: BTreeMap<String, u64>,
    /// How often the key lacked a scope for a rule that is being tried, and refuses nobody yet.
    lacked: BTreeMap<String, u64>,
    /// The secrets of the key, the newest first.
    secrets: Vec<UsedSecret>,
}

#[derive(Serialize, ToSchema)]
struct UsedSecret {
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    not_after: Option<Timestamp>,
    /// Whether it is the newest one.
    current: bool,
    requests: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

/// A key, how it is used, and whether it can be revoked without anybody missing it.
#[utoipa::path(
    get, path = "/v1/keys/{id}", params(("id" = String, Path, description = "The key's id"), Idle),
    responses(
        (status = 200, description = "The key", body = UsedKey),
        (status = 404, description = "No such key", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
    ),
)]
pub(crate) async fn show_key(
    State(manager): State<KeyManager>,
    caller: Principal,
    Id(id): Id,
    query: Result<Query<Idle>, QueryRejection>,
) -> Result<Json<UsedKey>, Problem> {
    let Query(query) = query?;
    let idle_for = query.idle_seconds.map_or(DAY * MONTH_IN_DAYS, |seconds| {
        Duration::from_secs(seconds.get())
    });
    let activity = manager_for(&caller, &manager).activity(&id).await?;
    Ok(Json(UsedKey::new(activity, idle_for)))
}

impl UsedKey {
    fn new(activity: KeyActivity, idle_for: Duration) -> Self {
        let safety = activity.safe_to_revoke(idle_for);
        let (why, provable_at) = match safety {
            Safety::Ended => (Why::Ended, None),
            Safety::Idle { .. } => (Why::Idle, None),
            Safety::InUse { .. } => (Why::InUse, None),
            Safety::Unproved(unproved) => (Why::Unproved, unproved.provable_at),
            // Whatever a later version finds, it has not called it safe.
            _ => (Why::Unproved, None),
        };
        Self {
            usage: Usage::new(activity.usage.as_ref(), &activity.info.secrets),
            safe_to_revoke: safety.is_safe(),
            why,
            idle_since: activity.idle_since(),
            provable_at,
            safe_to_end_old_secret: activity
                .safe_to_end_old_secret(idle_for)
                .map(Safety::is_safe),
            info: activity.info,
        }
    }
}

impl Usage {
    fn new(usage: Option<&KeyUsage>, secrets: &[SecretInfo]) -> Self {
        let counted = |select: fn(&KeyUsage) -> &Vec<ScopeUsage>| {
            let scopes = usage.into_iter().flat_map(select);
            scopes
                .map(|used| (used.scope.clone(), used.requests))
                .collect()
        };
        let used_secret = |(place, secret): (usize, &SecretInfo)| {
            let mut used = usage.into_iter().flat_map(|usage| &usage.secrets);
            let used = used.find(|used| used.created_at == secret.created_at);
            UsedSecret {
                created_at: secret.created_at,
                not_after: secret.not_after,
                current: place == 0,
                requests: used.map_or(0, |used| used.requests),
                last_used_at: used.map(|used| used.last_used_at),
            }
        };
        Self {
            requests: usage.map_or(0, |usage| usage.requests),
            last_used_at: usage.map(|usage| usage.last_used_at),
            last_used_from: usage.and_then(|usage| usage.last_used_from),
            scopes: counted(|usage| &usage.scopes),
            lacked: counted(|usage| &usage.lacked),
            secrets: secrets.iter().enumerate().map(used_secret).collect(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NarrowKey {
    /// What was needed in so many days is kept.
    #[schema(default = 30)]
    days: Option<u32>,
}

/// Takes from a key the scopes that it did not need. A wildcard becomes what was needed of it.
#[utoipa::path(
    post, path = "/v1/keys/{id}/narrow", params(("id" = String, Path, description = "The key's id")),
    request_body = Option<NarrowKey>,
    responses(
        (status = 200, description = "The key as it is now", body = Value),
        (status = 404, description = "No such key", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
        (status = 409, description = "The key was not used, not watched for so long, or has ended", content_type = PROBLEM, body = ref("#/components/schemas/Problem")),
    ),
)]
pub(crate) async fn narrow_key(
    State(manager): State<KeyManager>,
    caller: Principal,
    Id(id): Id,
    Body(body): Body<NarrowKey>,
) -> Result<Json<KeyInfo>, ManageError> {
    let window = DAY * body.days.unwrap_or(MONTH_IN_DAYS);
    let narrowing = Change::new().narrow_to_used(window);
    let manager = manager_for(&caller, &manager);
    Ok(Json(manager.change(&id, narrowing).await?))
}
