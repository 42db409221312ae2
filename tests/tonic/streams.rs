//! Streams that end with the key of their caller, without a server.

use std::sync::Arc;

use keygate::tonic::until_ended;
use keygate::{Principal, testing};
use tokio_stream::StreamExt;
use tonic::{Code, Status};

use crate::common::{World, present};
use crate::support::{info, key};

/// Somebody who calls, and whose key is still good.
async fn caller(world: &World) -> Principal {
    let key = key(&world.keys, &[]).await;
    present(&world.keys, &key).await.unwrap()
}

#[tokio::test]
async fn a_stream_that_is_never_at_a_loss_does_not_outlast_the_key() {
    let world = World::with(|builder| builder.realm("orders")).await;
    let caller = caller(&world).await;
    let held = Arc::new(());
    let kept = Arc::clone(&held);
    let endless = tokio_stream::iter(std::iter::repeat_with(move || Ok(Arc::strong_count(&kept))));
    let mut messages = until_ended(&caller, endless);
    for _ in 0..3 {
        assert!(matches!(messages.next().await, Some(Ok(2))));
    }
    let manager = world.keys.manager();
    manager.revoke(caller.key_id(), "").await.unwrap();
    let end = messages.next().await.unwrap().unwrap_err();
    assert_eq!(info(&end).reason, "KEY_REVOKED");
    assert_eq!(info(&end).domain, "orders", "as its own gate answers");
    assert_eq!(Arc::strong_count(&held), 1, "what makes them is dropped");
    assert!(messages.next().await.is_none());
}

#[tokio::test]
async fn errors_and_the_end_of_a_stream_are_its_own() {
    let caller = testing::principal("org_42").build();
    let own = [Ok(1), Err(Status::not_found("there is no order 2")), Ok(3)];
    let mut messages = until_ended(&caller, tokio_stream::iter(own));
    assert!(matches!(messages.next().await, Some(Ok(1))));
    let error = messages.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(matches!(messages.next().await, Some(Ok(3))));
    assert!(messages.next().await.is_none());
    assert!(messages.next().await.is_none(), "it may be asked again");
}
