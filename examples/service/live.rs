//! A connection that stays open, and closes when the key of whoever opened it ends.

use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use keygate::{Principal, Refusal};

use super::requests::Problem;
use super::routes::orders_of;

/// How long a client is waited for that is to be told why it is cut off.
const PATIENCE: Duration = Duration::from_secs(5);

/// The orders of the key's owner over a WebSocket: when it opens, and again for each text that is sent.
///
/// It closes when the key opens no more: with 1008 and the code of the refusal, such as `key_revoked`,
/// or with 1013 when nobody can say whether the key still opens.
#[utoipa::path(get, path = "/v1/orders/live", responses(
    (status = 101, description = "The connection is a WebSocket from here on"),
))]
pub(crate) async fn live_orders(
    caller: Principal,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    // The guard has looked at the key before: whoever has none gets a plain 401 instead.
    let upgrade = upgrade?.max_message_size(4096);
    Ok(upgrade.on_upgrade(|socket| talk(socket, caller)))
}

async fn talk(mut socket: WebSocket, caller: Principal) {
    tokio::select! {
        () = answer(&mut socket, &caller) => {}
        why = caller.ended() => {
            let closing = close(&mut socket, &why);
            let _ = tokio::time::timeout(PATIENCE, closing).await;
        }
    }
}

/// Answers until the client leaves. Pings are answered by the socket itself.
async fn answer(socket: &mut WebSocket, caller: &Principal) {
    loop {
        let orders = Message::text(orders_of(caller).to_string());
        if socket.send(orders).await.is_err() {
            return;
        }
        loop {
            match socket.recv().await {
                Some(Ok(Message::Text(_))) => break,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }
}

async fn close(socket: &mut WebSocket, why: &Refusal) {
    let code = match why {
        Refusal::Rejected(_) => close_code::POLICY,
        Refusal::Failed(_) => close_code::AGAIN,
    };
    let reason = why.code().into();
    let _ = socket
        .send(Message::Close(Some(CloseFrame { code, reason })))
        .await;
    // A connection that is dropped with messages unread is reset, and the client learns nothing.
    while let Some(Ok(_)) = socket.recv().await {}
}
