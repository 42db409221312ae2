//! tonic.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keygate::tonic::RequestExt;
use keygate::{Keygate, Principal};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Status, server};
use tonic_prost::ProstCodec;
use tower::util::{BoxCloneSyncService, option_layer};
use tower::{Layer, ServiceExt, service_fn};

use crate::answers::GrpcAnswer;
use crate::cases::{OWN_WORDS, Route, Setup};
use crate::limits::{self, Counted, LATER};
use crate::over_tower::guards;
use crate::world::{Gates, ORDERS_READ, Sent, Stage};
use crate::{Grpc, play_grpc};

type Method = BoxCloneSyncService<Request<Body>, Response<tonic::body::Body>, Infallible>;

async fn stage(counted: Counted) -> Stage {
    Stage::new(counted, |address| address).await
}

/// A unary method from text to text, as generated code would call it.
fn method(keys: &Keygate, route: Route) -> Method {
    let answers = keys.answers().clone();
    let handler = move |request: tonic::Request<String>| {
        let answers = answers.clone();
        async move {
            let owner = match route {
                Route::Extracted | Route::Strict => {
                    request.authorized::<ORDERS_READ>()?.owner().to_owned()
                }
                Route::Optional => {
                    let caller = request.extensions().get::<Principal>();
                    caller.map_or("nobody".to_owned(), |caller| caller.owner().to_owned())
                }
                Route::Charging => {
                    let caller = request.principal()?;
                    let taken = caller.charge(LATER).await;
                    taken.map_err(|refusal| Status::from(answers.refuse_grpc(&refusal)))?;
                    caller.owner().to_owned()
                }
                _ => request.principal()?.owner().to_owned(),
            };
            let mut response = tonic::Response::new(owner);
            if route == Route::Telling {
                let own_words = OWN_WORDS.parse().unwrap();
                let metadata = response.metadata_mut();
                metadata.insert("x-api-key-expires", own_words);
            }
            Ok::<_, Status>(response)
        }
    };
    let method = service_fn(move |request: Request<Body>| {
        let handler = handler.clone();
        async move {
            let mut grpc = server::Grpc::new(ProstCodec::<String, String>::default());
            Ok(grpc.unary(service_fn(handler), request).await)
        }
    });
    let mut guards = guards(keys, route).into_iter();
    let (inner, outer) = (option_layer(guards.next()), option_layer(guards.next()));
    BoxCloneSyncService::new(outer.layer(inner.layer(method)))
}

/// An empty message of the client's.
fn request(sent: &Sent) -> Request<Body> {
    let mut request = Request::post(format!("http://localhost{}", sent.target()))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in &sent.headers {
        request = request.header(*name, value.as_bytes());
    }
    request.body(Body::from(vec![0; 5])).unwrap()
}

async fn collect<B: HttpBody<Error: std::fmt::Debug>>(response: Response<B>) -> GrpcAnswer {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    GrpcAnswer {
        http_status: parts.status.as_u16(),
        headers: parts.headers,
        trailers: collected.trailers().cloned(),
        body: collected.to_bytes().to_vec(),
    }
}

struct InProcess(Gates);

impl Grpc for InProcess {
    async fn ask(&mut self, sent: &Sent) -> GrpcAnswer {
        let mut request = request(sent);
        request.extensions_mut().insert(TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9))),
        });
        collect(
            method(self.0.of(sent.setup), sent.route)
                .oneshot(request)
                .await
                .unwrap(),
        )
        .await
    }
}

/// A connection of HTTP/2.
struct Wire(http2::SendRequest<Body>);

impl Grpc for Wire {
    async fn ask(&mut self, sent: &Sent) -> GrpcAnswer {
        self.0.ready().await.unwrap();
        collect(self.0.send_request(request(sent)).await.unwrap()).await
    }
}

#[tokio::test]
async fn tonic_answers_every_case() {
    let stage = stage(Counted::Here).await;
    play_grpc(&stage, &mut InProcess(stage.gates().clone())).await;
}

#[tokio::test]
async fn tonic_limits_alike_what_is_counted_elsewhere() {
    let stage = stage(Counted::Elsewhere).await;
    limits::play_grpc(&stage, &mut InProcess(stage.gates().clone())).await;
}

#[tokio::test]
async fn tonic_over_sockets_answers_every_case() {
    let stage = stage(Counted::Here).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut router = Router::new();
    for (setup, route) in Setup::ALL
        .into_iter()
        .flat_map(|setup| Route::ALL.map(|route| (setup, route)))
    {
        let path = [setup.path(), route.path()].concat();
        router = router.route_service(&path, method(stage.gates().of(setup), route));
    }
    let server = Server::builder().add_routes(Routes::from(router));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    play_grpc(&stage, &mut Wire(client)).await;
}
