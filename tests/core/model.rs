//! Who is let in, stated once more in plain words, and held against the real thing along random
//! histories of two processes on one store.

mod history;
mod op;
mod reference;

use proptest::prelude::*;

use history::run;
use op::Op;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_are_those_of_the_model(
        capacity in prop::sample::select(vec![0, 2, 1_000]),
        ops in prop::collection::vec(op::op(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(capacity, &ops));
    }
}

/// A history that random ones come upon too rarely: everything happens to one key.
#[tokio::test]
async fn the_life_of_one_key_is_as_the_model_has_it() {
    let key = 0;
    let ops = [
        Op::Issue {
            gate: 0,
            sandbox: false,
            owner: 0,
            scopes: 1,
            lifetime: 3_000,
        },
        Op::Rotate {
            gate: 1,
            key,
            overlap: 700,
        },
        Op::Advance { by: 500 },
        Op::Supersede { gate: 0, key },
        Op::Advance { by: 499 },
        Op::Disable { gate: 1, key },
        Op::Advance { by: 1 },
        Op::Enable { gate: 0, key },
        Op::StepWall { by: -900 },
        Op::Finish { gate: 1, key },
        Op::FailReads {
            gate: 0,
            fail: true,
        },
        Op::Advance { by: 999 },
        Op::Advance { by: 1 },
        Op::FailReads {
            gate: 0,
            fail: false,
        },
        Op::Change {
            gate: 0,
            key,
            scopes: 2,
            lifetime: 2_000,
        },
        Op::Advance { by: 2_000 },
        Op::StepWall { by: -2_000 },
        Op::Revoke { gate: 1, key },
        Op::Advance { by: 1_000 },
        Op::StepWall { by: -5_000 },
    ];
    run(1_000, &ops).await;
}
