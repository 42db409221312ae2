//! What one process counted, another answers from.

use crate::support::*;
use crate::watched::answer_by_the_counts_of_another_process;

#[tokio::test]
async fn what_one_process_counted_another_answers_from() {
    let Some(place) = Place::new().await else {
        return;
    };
    answer_by_the_counts_of_another_process(async || place.open_with_own_pool().await).await;
}
