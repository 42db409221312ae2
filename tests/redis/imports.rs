//! Keys of other systems.

use crate::imported::open_on_every_instance;
use crate::support::*;

#[tokio::test]
async fn an_imported_key_opens_on_every_instance_until_it_is_revoked() {
    let server = server!();
    open_on_every_instance(async || open(&server).await).await;
}
