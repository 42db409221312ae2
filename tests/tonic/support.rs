//! A service that counts its calls, a server for it, and a client.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keygate::tonic::MethodRules;
use keygate::{Guard, Keygate, NewKey};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_types::{ErrorInfo, StatusExt};

use crate::common::World;
use crate::orders::orders_client::OrdersClient;
use crate::orders::orders_server::{Orders, OrdersServer, SERVICE_NAME as ORDERS};
use crate::orders::{All, Count, FILE_DESCRIPTOR_SET, Note, Order, OrderId};

keygate::scopes! {
    pub(crate) SCOPES {
        /// See orders.
        ORDERS_READ = "orders:read",
        /// Create orders.
        ORDERS_WRITE = "orders:write",
    }
}

pub(crate) const METHODS: [&str; 5] = ["Create", "Get", "Watch", "Upload", "Chat"];

pub(crate) fn rules() -> MethodRules {
    MethodRules::new()
        .open("grpc.health.v1.Health")
        .open("grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        .service(ORDERS, ORDERS_READ)
        .method(format!("/{ORDERS}/Create"), ORDERS_WRITE)
        .method("orders.v1.Orders/Upload", ORDERS_WRITE)
        .authenticated("orders.v1.Orders/Chat")
}

/// Counts what reaches it.
#[derive(Clone, Default)]
pub(crate) struct Spy {
    calls: Arc<AtomicUsize>,
}

impl Spy {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn called(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
    }
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Orders for Spy {
    async fn create(&self, request: Request<Order>) -> Result<Response<Order>, Status> {
        self.called();
        Ok(Response::new(request.into_inner()))
    }

    async fn get(&self, _: Request<OrderId>) -> Result<Response<Order>, Status> {
        self.called();
        Ok(Response::new(Order::default()))
    }

    type WatchStream = Replies<Order>;

    async fn watch(&self, _: Request<All>) -> Result<Response<Replies<Order>>, Status> {
        self.called();
        let replies = [Ok(Order::default()), Ok(Order::default())];
        Ok(Response::new(Box::pin(tokio_stream::iter(replies))))
    }

    async fn upload(&self, orders: Request<Streaming<Order>>) -> Result<Response<Count>, Status> {
        self.called();
        let orders: Vec<_> = orders.into_inner().collect().await;
        Ok(Response::new(Count {
            orders: orders.len() as u64,
        }))
    }

    type ChatStream = Replies<Note>;

    async fn chat(
        &self,
        notes: Request<Streaming<Note>>,
    ) -> Result<Response<Replies<Note>>, Status> {
        self.called();
        Ok(Response::new(Box::pin(notes.into_inner())))
    }
}

/// A gate that knows the scopes.
pub(crate) async fn world() -> World {
    World::with(|builder| builder.scopes(SCOPES)).await
}

pub(crate) async fn key(keys: &Keygate, scopes: &[&str]) -> String {
    let new = NewKey::for_owner("org_42").scopes(scopes.iter().copied());
    let issued = keys.manager().issue(new).await.unwrap();
    issued.key.expose().to_owned()
}

/// A free port to listen on.
pub(crate) async fn listen() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}

pub(crate) fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect_lazy()
}

/// A server of tonic's with orders, health and reflection behind `guard`.
pub(crate) async fn serve(guard: Guard, spy: &Spy) -> SocketAddr {
    let (address, listener) = listen().await;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<OrdersServer<Spy>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1();
    let server = Server::builder()
        .layer(guard)
        .add_service(OrdersServer::new(spy.clone()))
        .add_service(health_service)
        .add_service(reflection.unwrap())
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    address
}

/// A request in the name of whoever has the key.
pub(crate) fn with_key<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !key.is_empty() {
        let value = format!("Bearer {key}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// Calls a method of any kind, and counts the replies.
pub(crate) async fn call(channel: &Channel, method: &str, key: &str) -> Result<usize, Status> {
    let mut client = OrdersClient::new(channel.clone());
    match method {
        "Create" => drop(client.create(with_key(Order::default(), key)).await?),
        "Get" => drop(client.get(with_key(OrderId::default(), key)).await?),
        "Watch" => {
            let replies = client.watch(with_key(All {}, key)).await?;
            return count(replies.into_inner()).await;
        }
        "Upload" => {
            let orders = tokio_stream::iter([Order::default(), Order::default()]);
            let count = client.upload(with_key(orders, key)).await?;
            return Ok(count.into_inner().orders.try_into().unwrap());
        }
        "Chat" => {
            let notes = tokio_stream::iter([Note::default(), Note::default()]);
            let replies = client.chat(with_key(notes, key)).await?;
            return count(replies.into_inner()).await;
        }
        other => panic!("there is no method {other}"),
    }
    Ok(1)
}

async fn count<T>(mut replies: Streaming<T>) -> Result<usize, Status> {
    let mut count = 0;
    while replies.message().await?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// What the details of a refusal say.
#[track_caller]
pub(crate) fn info(status: &Status) -> ErrorInfo {
    let details = status.check_error_details().unwrap();
    let info = details.error_info().cloned();
    info.unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"))
}
