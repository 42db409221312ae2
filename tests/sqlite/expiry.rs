//! Between processes on one store, each notice of an expiry is told once.

use crate::notices::hold_between_processes;
use crate::support::*;

#[tokio::test]
async fn each_notice_is_told_once_by_all_processes_together() {
    let place = Place::new();
    hold_between_processes(async || place.open().await).await;
}
