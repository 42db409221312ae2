//! A pepper is rotated while requests run.

use crate::rotated::rotate_a_pepper_while_requests_run;
use crate::support::*;

#[tokio::test]
async fn no_request_is_refused_while_a_pepper_is_rotated() {
    let server = server!();
    rotate_a_pepper_while_requests_run(async || open(&server).await).await;
}
