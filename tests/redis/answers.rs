//! What one process counted, another answers from.

use crate::support::*;
use crate::watched::answer_by_the_counts_of_another_process;

#[tokio::test]
async fn what_one_process_counted_another_answers_from() {
    let server = server!();
    answer_by_the_counts_of_another_process(async || open(&server).await).await;
}
