//! A pepper is rotated while requests run.

use std::sync::Arc;

use keygate::MemoryStore;

use crate::rotated::rotate_a_pepper_while_requests_run;

#[tokio::test]
async fn no_request_is_refused_while_a_pepper_is_rotated() {
    let store = Arc::new(MemoryStore::new());
    rotate_a_pepper_while_requests_run(async || Arc::clone(&store)).await;
}
