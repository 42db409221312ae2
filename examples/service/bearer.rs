//! Whoever holds a key can end it, whether it still opens or not: so no guard stands before this route.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, FromRef, Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use keygate::{Attempt, BearerRevocationError, ClientAddress, KeyManager, Keygate};
use serde_json::json;
use utoipa_axum::router::UtoipaMethodRouter;

/// What handlers may need.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) keys: Keygate,
    pub(crate) source: ClientAddress,
}

impl FromRef<Service> for KeyManager {
    fn from_ref(service: &Service) -> Self {
        service.keys.manager().clone()
    }
}

/// Says in the document how a key is sent to a route that looks at it by itself.
pub(crate) fn documented<S>(
    (schemas, mut paths, routes): UtoipaMethodRouter<S>,
    keys: &Keygate,
) -> UtoipaMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    keys.authenticate().document(&mut paths);
    (schemas, paths, routes)
}

/// Ends the key that is sent, for good, also one that is paused, has expired or does not open from here.
#[utoipa::path(post, path = "/v1/keys/self/revoke", responses(
    (status = 200, description = "The key is ended, if it was not before", body = Value),
))]
pub(crate) async fn revoke_own_key(
    State(Service { keys, source }): State<Service>,
    request: Request,
) -> Response {
    let headers = request.headers();
    let lines = || {
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
    };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = source.resolve(peer.map(|peer| peer.0.ip()), lines());
    let is_key = |text: &str| keys.authenticator().recognises(text);
    let query = request.uri().query();
    let extracted = match keys.answers().extract(lines(), query, is_key) {
        Ok(extracted) => extracted,
        Err(rejection) => return keys.answers().refuse(&rejection.into()).into_response(),
    };
    let attempt = Attempt::new(extracted.text()).from_address(address);
    let ended = keys
        .revoke_presented(attempt, "asked for by its bearer")
        .await;
    match ended {
        Ok(ended) => {
            let body = json!({
                "key_id": ended.key_id,
                "effective_within_seconds": ended.effective_within.as_secs_f64(),
            });
            ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        Err(BearerRevocationError::Failed(error)) => error.into_response(),
        Err(BearerRevocationError::Refused(refusal)) => {
            keys.answers().refuse(&refusal).into_response()
        }
    }
}
