//! What one process did, another answers from.

use crate::leaked::ends_what_has_leaked_and_keeps_what_it_was_told;
use crate::support::*;
use crate::watched::answer_by_the_counts_of_another_process;

#[tokio::test]
async fn what_one_process_counted_another_answers_from() {
    let place = Place::new();
    answer_by_the_counts_of_another_process(async || place.open().await).await;
}

#[tokio::test]
async fn what_has_leaked_is_ended_for_all_processes_and_told_to_all() {
    let place = Place::new();
    ends_what_has_leaked_and_keeps_what_it_was_told(async || place.open().await).await;
}
