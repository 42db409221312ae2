//! A gRPC service guarded by API keys, and an HTTP route beside it on the same port.
//!
//! Run it with `cargo run --example grpc --features axum,tonic` and follow what it prints. The keys
//! are kept in memory, and end with the process.
//!
//! | variable | default | |
//! |---|---|---|
//! | `KEYGATE_BIND` | `127.0.0.1:50051` | where to listen; port 0 picks a free one |

mod orders;
#[path = "../shared/refused_keys.rs"]
mod refused_keys;
mod service;

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use keygate::tonic::MethodRules;
use keygate::{ClientAddress, Keygate, MemoryStore, NewKey, Pepper, Principal};
use tokio::net::TcpListener;
use tonic::service::Routes;

use orders::orders_server::{OrdersServer, SERVICE_NAME as ORDERS};
use service::OrderBook;

keygate::scopes! {
    SCOPES {
        /// See orders.
        ORDERS_READ = "orders:read",
        /// Create orders.
        ORDERS_WRITE = "orders:write",
    }
}

/// What is asked of the callers of each method. Whatever is not listed is denied.
fn rules() -> MethodRules {
    MethodRules::new()
        .open("grpc.health.v1.Health")
        .open("grpc.reflection.v1.ServerReflection")
        .service(ORDERS, ORDERS_READ)
        .method(format!("{ORDERS}/Create"), ORDERS_WRITE)
        .method(format!("{ORDERS}/Upload"), ORDERS_WRITE)
        .authenticated(format!("{ORDERS}/Chat"))
}

pub(crate) async fn app(keys: &Keygate) -> Result<Router, Box<dyn Error>> {
    let book = OrderBook::default();
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<OrdersServer<OrderBook>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(orders::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;

    let grpc = Routes::new(OrdersServer::new(book.clone()))
        .add_service(health_service)
        .add_service(reflection)
        .into_axum_router()
        .layer(keys.require_by_method(rules()));
    let count = |caller: Principal| async move {
        format!(
            "{} has {} orders\n",
            caller.owner(),
            book.count(caller.owner())
        )
    };
    let http = Router::new().route("/orders", get(count).layer(keys.require(ORDERS_READ)));
    Ok(grpc.merge(http))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let bind = std::env::var("KEYGATE_BIND").unwrap_or_else(|_| "127.0.0.1:50051".into());
    let bind: SocketAddr = bind.parse().map_err(|_| {
        format!("KEYGATE_BIND={bind:?} is no address to listen on: write it like 127.0.0.1:50051")
    })?;

    // A service keeps its pepper in a file or a secrets manager, apart from the database.
    let pepper = Pepper::from_base64(&Pepper::generate_base64()?)?;
    let keys = Keygate::builder("acme_live")
        .pepper(pepper)
        .store(MemoryStore::new())
        .scopes(SCOPES)
        .decline_prefix("acme_test")
        .client_address(ClientAddress::peer())
        .build()
        .await?;
    let new = NewKey::for_owner("org_42").scopes([ORDERS_READ, ORDERS_WRITE]);
    let issued = keys.manager().issue(new).await?;

    let app = app(&keys).await?;
    let listener = TcpListener::bind(bind)
        .await
        .map_err(|error| format!("cannot listen on {bind} (KEYGATE_BIND): {error}"))?;
    let refused_keys = refused_keys::lines(&keys).await?;
    print_help(listener.local_addr()?, issued.key.expose(), &refused_keys);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        served = axum::serve(listener, app) => Ok(served?),
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}

fn print_help(address: SocketAddr, key: &str, refused_keys: &str) {
    println!("key: {key}");
    println!("listening on http://{address}");
    println!(
        r#"try:
  KEY={key}
  grpcurl -plaintext {address} grpc.health.v1.Health/Check
  grpcurl -plaintext -H "authorization: Bearer $KEY" -d '{{"item":"tea"}}' {address} orders.v1.Orders/Create
  grpcurl -plaintext -H "x-api-key: $KEY" {address} orders.v1.Orders/Watch
  curl -H "Authorization: Bearer $KEY" http://{address}/orders
and see what is refused:
  curl -i http://{address}/orders
or with any of these:
{refused_keys}
  curl -i -H "X-API-Key: $REVOKED" http://{address}/orders
  grpcurl -plaintext -H "x-api-key: $REVOKED" {address} orders.v1.Orders/Watch
in Python, beside this README.md, after: pip install grpcio-tools && python -m grpc_tools.protoc -I examples/grpc --python_out=. --grpc_python_out=. orders.proto
  import grpc, orders_pb2, orders_pb2_grpc
  orders = orders_pb2_grpc.OrdersStub(grpc.insecure_channel("{address}"))
  print(orders.Create(orders_pb2.Order(item="tea"), metadata=[("authorization", "Bearer {key}")]))"#
    );
}
