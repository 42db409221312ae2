//! A plain tower service, on hyper.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Bytes;
use axum::http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use keygate::{Authorized, ClientAddress, Guard, IntoRule, Keygate, Principal};
use tokio::net::TcpListener;
use tower::util::{BoxCloneService, option_layer};
use tower::{Layer, ServiceExt, service_fn};

use crate::answers::HttpAnswer;
use crate::cases::{OWN_WORDS, Route, Setup};
use crate::limits::{self, Counted, EXPORTS, LATER};
use crate::wire::Wire;
use crate::world::{Gates, ORDERS_READ, ORDERS_WRITE, Sent, Stage};
use crate::{Http, play_http};

/// The peer, as whoever serves puts it into a request.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

type Service<B> = BoxCloneService<Request<B>, Response<Full<Bytes>>, Infallible>;

async fn stage(counted: Counted) -> Stage {
    let of_server =
        |address: ClientAddress| address.peer_from(|request| Some(request.get::<Peer>()?.0.ip()));
    Stage::new(counted, of_server).await
}

/// What stands before each route, from within.
pub(crate) fn guards(keys: &Keygate, route: Route) -> Vec<Guard> {
    match route {
        Route::Orders | Route::Telling | Route::Charging | Route::Named => {
            vec![keys.require(ORDERS_READ)]
        }
        Route::Extracted => vec![keys.authenticate()],
        Route::Optional | Route::Insistent => vec![keys.authenticate_optional()],
        Route::Nested => vec![keys.require(ORDERS_READ), keys.authenticate()],
        Route::Reported => vec![keys.require(ORDERS_WRITE.report_only())],
        Route::Tightened => vec![
            keys.require(ORDERS_WRITE.report_only()),
            keys.require(ORDERS_READ),
        ],
        Route::Strict => vec![keys.require(ORDERS_READ.report_only())],
        Route::Metered => vec![keys.require(ORDERS_READ).charge(EXPORTS.cost(5))],
        Route::MeteredWithin => vec![
            keys.require(ORDERS_READ).charge(EXPORTS.cost(5)),
            keys.authenticate(),
        ],
        Route::Unguarded => vec![],
    }
}

fn service<B: Send + 'static>(keys: &Keygate, route: Route) -> Service<B> {
    let answers = keys.answers().clone();
    let handler = service_fn(move |request: Request<B>| {
        let answers = answers.clone();
        async move {
            let extensions = request.extensions();
            let owner = match route {
                Route::Orders
                | Route::Named
                | Route::Optional
                | Route::Nested
                | Route::Telling
                | Route::Reported
                | Route::Metered
                | Route::MeteredWithin
                | Route::Tightened => {
                    let caller = extensions.get::<Principal>();
                    caller.map_or("nobody".into(), |caller| caller.owner().to_owned())
                }
                Route::Charging => {
                    let caller = extensions.get::<Principal>().unwrap();
                    match caller.charge(LATER).await {
                        Ok(_) => caller.owner().to_owned(),
                        Err(refusal) => return Ok(answers.refuse(&refusal).into()),
                    }
                }
                Route::Extracted | Route::Insistent | Route::Strict | Route::Unguarded => {
                    match Authorized::<ORDERS_READ>::of(extensions) {
                        Ok(caller) => caller.owner().to_owned(),
                        Err(answer) => return Ok(answer.into()),
                    }
                }
            };
            let mut response = Response::new(Full::from(owner));
            if route == Route::Telling {
                let own_words = HeaderValue::from_static(OWN_WORDS);
                response
                    .headers_mut()
                    .insert("x-api-key-expires", own_words);
            }
            Ok(response)
        }
    });
    let mut guards = guards(keys, route).into_iter();
    let (inner, outer) = (option_layer(guards.next()), option_layer(guards.next()));
    BoxCloneService::new(outer.layer(inner.layer(handler)))
}

pub(crate) fn request<B>(sent: &Sent, body: B) -> Request<B> {
    let mut request = Request::builder().uri(sent.target());
    for (name, value) in &sent.headers {
        request = request.header(*name, value.as_bytes());
    }
    request.body(body).unwrap()
}

pub(crate) async fn collect<B>(response: Response<B>) -> HttpAnswer
where
    B: axum::body::HttpBody<Error: std::fmt::Debug>,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    HttpAnswer::new(parts.status.as_u16(), headers, body)
}

struct InProcess(Gates);

impl Http for InProcess {
    async fn ask(&mut self, sent: &Sent) -> HttpAnswer {
        let mut request = request(sent, ());
        let peer = Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
        request.extensions_mut().insert(peer);
        collect(
            service(self.0.of(sent.setup), sent.route)
                .oneshot(request)
                .await
                .unwrap(),
        )
        .await
    }
}

#[tokio::test]
async fn a_tower_service_answers_every_case() {
    let stage = stage(Counted::Here).await;
    play_http(&stage, &mut InProcess(stage.gates().clone())).await;
}

#[tokio::test]
async fn a_tower_service_limits_alike_what_is_counted_elsewhere() {
    let stage = stage(Counted::Elsewhere).await;
    limits::play_http(&stage, &mut InProcess(stage.gates().clone())).await;
}

#[tokio::test]
async fn a_tower_service_on_hyper_answers_every_case() {
    let stage = stage(Counted::Here).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gates = stage.gates().clone();
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let gates = gates.clone();
            let routed = service_fn(move |mut request: Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                let path = request.uri().path().to_owned();
                let setup = Setup::ALL
                    .into_iter()
                    .find(|setup| path.starts_with(setup.path()));
                let route = Route::ALL.into_iter().find(|route| route.serves(&path));
                service(gates.of(setup.unwrap()), route.unwrap()).oneshot(request)
            });
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routed));
            tokio::spawn(connection);
        }
    });
    play_http(&stage, &mut Wire(address)).await;
}
