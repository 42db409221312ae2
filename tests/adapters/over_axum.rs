//! axum.

use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};
use keygate::{Authorized, Keygate, Principal};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::answers::HttpAnswer;
use crate::cases::Route;
use crate::over_tower::{collect, guard, request};
use crate::wire::{Wire, path};
use crate::world::{ORDERS_READ, Sent, Stage};
use crate::{Http, play_http};

async fn stage() -> Stage {
    let peer =
        |request: &axum::http::Extensions| Some(request.get::<ConnectInfo<SocketAddr>>()?.0.ip());
    Stage::new(|builder| builder.client_address(peer)).await
}

async fn owner(caller: Option<Principal>) -> String {
    caller.map_or("nobody".into(), |caller| caller.owner().to_owned())
}

async fn owner_of_orders(caller: Authorized<ORDERS_READ>) -> String {
    caller.owner().to_owned()
}

async fn required_owner(caller: Principal) -> String {
    caller.owner().to_owned()
}

fn app(keys: &Keygate) -> Router {
    let routes = [
        (Route::Orders, get(required_owner)),
        (Route::Extracted, get(owner_of_orders)),
        (Route::Optional, get(owner)),
        (Route::Unguarded, get(required_owner)),
    ];
    let guarded = |(route, handler): (Route, MethodRouter)| match guard(keys, route) {
        Some(guard) => (path(route), handler.layer(guard)),
        None => (path(route), handler),
    };
    routes
        .into_iter()
        .map(guarded)
        .fold(Router::new(), |app, (path, handler)| {
            app.route(path, handler)
        })
}

struct InProcess(Router);

impl Http for InProcess {
    async fn ask(&mut self, sent: &Sent) -> HttpAnswer {
        let request = request(sent, path(sent.route), Body::empty());
        collect(self.0.clone().oneshot(request).await.unwrap()).await
    }
}

#[tokio::test]
async fn axum_answers_every_case() {
    let stage = stage().await;
    let peer = ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    let app = app(stage.gate()).layer(Extension(peer));
    play_http(&stage, &mut InProcess(app)).await;
}

#[tokio::test]
async fn axum_over_sockets_answers_every_case() {
    let stage = stage().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app(stage.gate()).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, app).await });
    play_http(&stage, &mut Wire(address)).await;
}
