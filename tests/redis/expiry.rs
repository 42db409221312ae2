//! Between processes on one store, each notice of an expiry is told once.

use crate::notices::hold_between_processes;
use crate::support::*;

#[tokio::test]
async fn each_notice_is_told_once_by_all_processes_together() {
    let server = server!();
    hold_between_processes(async || open(&server).await).await;
}
