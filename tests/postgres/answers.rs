//! What one process did, another answers from.

use crate::leaked::ends_what_has_leaked_and_keeps_what_it_was_told;
use crate::support::*;
use crate::watched::answer_by_the_counts_of_another_process;

#[tokio::test]
async fn what_one_process_counted_another_answers_from() {
    let Some(place) = Place::new().await else {
        return;
    };
    answer_by_the_counts_of_another_process(async || place.open_with_own_pool().await).await;
}

#[tokio::test]
async fn what_has_leaked_is_ended_for_all_processes_and_told_to_all() {
    let Some(place) = Place::new().await else {
        return;
    };
    let open = async || place.open_with_own_pool().await;
    ends_what_has_leaked_and_keeps_what_it_was_told(open).await;
}
