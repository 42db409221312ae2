//! The example `grpc`, in this process.

use std::time::Duration;

use keygate::testing::Fault;
use keygate::{KeyId, StoreErrorKind};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::common::{SECOND, World};
use crate::grpc_example::app;
use crate::orders::orders_client::OrdersClient;
use crate::orders::{All, Note, Order, OrderId};
use crate::support::{connect, info, key, listen, with_key, world};

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// A chat that was begun, and has had its first answer.
struct Chat {
    notes: mpsc::Sender<Note>,
    replies: Streaming<Note>,
    client: OrdersClient<tonic::transport::Channel>,
}

impl Chat {
    async fn begin(world: &World, key: &str) -> Self {
        let app = app(&world.keys).await.unwrap();
        let (address, listener) = listen().await;
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut client = OrdersClient::new(connect(address));
        let (notes, sent) = mpsc::channel(1);
        let request = with_key(ReceiverStream::new(sent), key);
        let note = Note { text: "hi".into() };
        notes.send(note).await.unwrap();
        let replies = client.chat(request).await.unwrap().into_inner();
        let mut chat = Self {
            notes,
            replies,
            client,
        };
        assert_eq!(chat.reply().await.unwrap().text, "org_42 says hi");
        chat
    }

    async fn reply(&mut self) -> Result<Note, Status> {
        let reply = timeout(PATIENCE, self.replies.message());
        Ok(reply.await.unwrap()?.unwrap())
    }

    /// Nothing is sent meanwhile: the other side speaks up by itself.
    async fn end(&mut self) -> Status {
        let end = self.reply().await.unwrap_err();
        let after = timeout(PATIENCE, self.replies.message()).await.unwrap();
        assert_eq!(after.unwrap(), None, "nothing comes after it");
        end
    }
}

fn id_of(key: &str) -> KeyId {
    key.split('_').nth(2).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_stream_ends_when_its_key_is_revoked_and_others_go_on() {
    let world = world().await;
    let revoked = key(&world.keys, &["orders:read"]).await;
    let good = key(&world.keys, &["orders:read"]).await;
    let mut chat = Chat::begin(&world, &revoked).await;
    let manager = world.keys.manager();
    manager.revoke(&id_of(&revoked), "leaked").await.unwrap();
    let end = chat.end().await;
    assert_eq!(end.code(), Code::Unauthenticated);
    assert_eq!(info(&end).reason, "KEY_REVOKED");
    assert_eq!(info(&end).domain, "acme_live");

    let all = chat.client.watch(with_key(All {}, &good)).await.unwrap();
    let none = all.into_inner().message().await;
    assert_eq!(none.unwrap(), None, "the connection serves other calls");
}

#[tokio::test]
async fn an_upload_takes_nothing_any_more_when_its_key_is_revoked() {
    let world = world().await;
    let revoked = key(&world.keys, &["orders:read", "orders:write"]).await;
    let good = key(&world.keys, &["orders:read"]).await;
    let mut client = Chat::begin(&world, &good).await.client;
    let (orders, sent) = mpsc::channel(1);
    let request = with_key(ReceiverStream::new(sent), &revoked);
    let mut uploader = client.clone();
    let uploading = tokio::spawn(async move { uploader.upload(request).await });
    orders.send(Order::default()).await.unwrap();
    let arrived = async {
        while client
            .get(with_key(OrderId { id: 1 }, &good))
            .await
            .is_err()
        {}
    };
    timeout(PATIENCE, arrived).await.unwrap();
    let manager = world.keys.manager();
    manager.revoke(&id_of(&revoked), "leaked").await.unwrap();
    let end = timeout(PATIENCE, uploading).await.unwrap().unwrap();
    assert_eq!(info(&end.unwrap_err()).reason, "KEY_REVOKED");
}

#[tokio::test]
async fn a_stream_ends_as_our_failure_when_nobody_can_say_whether_its_key_opens() {
    let world = world().await;
    let good = key(&world.keys, &["orders:read"]).await;
    let mut chat = Chat::begin(&world, &good).await;
    world
        .store
        .gets
        .always(Fault::Fail(StoreErrorKind::Unavailable));
    world.clock.advance(SECOND);
    let end = chat.end().await;
    assert_eq!(end.code(), Code::Unavailable);
    assert_eq!(info(&end).reason, "STORE_UNAVAILABLE");
    assert!(end.metadata().contains_key("grpc-retry-pushback-ms"));
}

#[tokio::test]
async fn a_stream_that_is_done_ends_well() {
    let world = world().await;
    let good = key(&world.keys, &["orders:read"]).await;
    let mut chat = Chat::begin(&world, &good).await;
    drop(chat.notes);
    let end = timeout(PATIENCE, chat.replies.message()).await.unwrap();
    assert_eq!(end.unwrap(), None);
}
