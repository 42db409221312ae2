//! axum.

use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::routing::get;
use axum::{Extension, Router};
use keygate::answer::Answer;
use keygate::{Authorized, Keygate, Principal};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::answers::HttpAnswer;
use crate::cases::{OWN_WORDS, Route, Setup};
use crate::limits::{self, Counted, LATER};
use crate::over_tower::{collect, guards, request};
use crate::wire::Wire;
use crate::world::{Gates, ORDERS_READ, Sent, Stage};
use crate::{Http, play_http};

async fn stage(counted: Counted) -> Stage {
    Stage::new(counted, |address| address).await
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

async fn telling_owner(caller: Principal) -> ([(&'static str, &'static str); 1], String) {
    let own_words = ("x-api-key-expires", OWN_WORDS);
    ([own_words], caller.owner().to_owned())
}

async fn charging_owner(State(keys): State<Keygate>, caller: Principal) -> Result<String, Answer> {
    match caller.charge(LATER).await {
        Ok(_) => Ok(caller.owner().to_owned()),
        Err(refusal) => Err(keys.answers().refuse(&refusal)),
    }
}

fn app(gates: &Gates) -> Router {
    Setup::ALL.into_iter().fold(Router::new(), |app, setup| {
        app.nest(setup.path(), routes(gates.of(setup)))
    })
}

fn routes(keys: &Keygate) -> Router {
    Route::ALL.into_iter().fold(Router::new(), |routes, route| {
        let handler = match route {
            Route::Extracted | Route::Strict => get(owner_of_orders),
            Route::Optional => get(owner),
            Route::Telling => get(telling_owner),
            Route::Charging => get(charging_owner).with_state(keys.clone()),
            _ => get(required_owner),
        };
        let guards = guards(keys, route).into_iter();
        let guarded = guards.fold(handler, |handler, guard| handler.layer(guard));
        routes.route(route.path(), guarded)
    })
}

struct InProcess(Router);

impl Http for InProcess {
    async fn ask(&mut self, sent: &Sent) -> HttpAnswer {
        let request = request(sent, Body::empty());
        collect(self.0.clone().oneshot(request).await.unwrap()).await
    }
}

#[tokio::test]
async fn axum_answers_every_case() {
    let stage = stage(Counted::Here).await;
    let peer = ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    let app = app(stage.gates()).layer(Extension(peer));
    play_http(&stage, &mut InProcess(app)).await;
}

#[tokio::test]
async fn axum_limits_alike_what_is_counted_elsewhere() {
    let stage = stage(Counted::Elsewhere).await;
    let peer = ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    let app = app(stage.gates()).layer(Extension(peer));
    limits::play_http(&stage, &mut InProcess(app)).await;
}

#[tokio::test]
async fn axum_over_sockets_answers_every_case() {
    let stage = stage(Counted::Here).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app(stage.gates()).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, app).await });
    play_http(&stage, &mut Wire(address)).await;
}
