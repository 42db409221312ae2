//! The example `grpc`, in this process.

use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::grpc_example::app;
use crate::orders::orders_client::OrdersClient;
use crate::orders::{All, Note, Order, OrderId};
use crate::support::{connect, info, key, listen, with_key, world};

#[tokio::test]
async fn the_example_serves_every_kind_of_method_and_http_to_who_may_call_them() {
    let world = world().await;
    let keys = &world.keys;
    let good = &key(keys, &["orders:read", "orders:write"]).await;
    let reader = &key(keys, &["orders:read"]).await;
    let app = app(keys).await.unwrap();
    let (address, listener) = listen().await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = OrdersClient::new(connect(address));

    let tea = Order {
        item: "tea".into(),
        ..Order::default()
    };
    let created = client.create(with_key(tea.clone(), good)).await.unwrap();
    let id = created.into_inner().id;
    let got = client.get(with_key(OrderId { id }, reader)).await.unwrap();
    assert_eq!(got.get_ref().item, "tea");
    let unknown = client.get(with_key(OrderId { id: 99 }, reader)).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    let orders = || tokio_stream::iter([tea.clone(), tea.clone()]);
    let uploaded = client.upload(with_key(orders(), good)).await.unwrap();
    assert_eq!(uploaded.get_ref().orders, 2);
    let mut all = client.watch(with_key(All {}, reader)).await.unwrap();
    let mut ids = Vec::new();
    while let Some(order) = all.get_mut().message().await.unwrap() {
        ids.push(order.id);
    }
    assert_eq!(ids, [1, 2, 3]);
    let notes = tokio_stream::iter([Note { text: "hi".into() }]);
    let mut said = client.chat(with_key(notes, reader)).await.unwrap();
    let said = said.get_mut().message().await.unwrap().unwrap();
    assert_eq!(said.text, "org_42 says hi");

    for refused in [
        client.create(with_key(tea.clone(), reader)).await.err(),
        client.upload(with_key(orders(), reader)).await.err(),
    ] {
        assert_eq!(info(&refused.unwrap()).reason, "SCOPE_INSUFFICIENT");
    }
    let mut health = HealthClient::new(connect(address));
    health.check(HealthCheckRequest::default()).await.unwrap();

    let url = format!("http://{address}/orders");
    let reader = reader.clone();
    let counted = tokio::task::spawn_blocking(move || {
        let mut response = ureq::get(url).header("x-api-key", reader).call().unwrap();
        response.body_mut().read_to_string().unwrap()
    });
    assert_eq!(counted.await.unwrap(), "org_42 has 3 orders\n");
}
