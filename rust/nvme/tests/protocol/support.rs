// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Runs random cases from a seed that is known, so that a failure can be had again.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

fn seed() -> u64 {
    // Make hands it on empty when it is not set.
    match std::env::var("RNVME_SEED") {
        Ok(text) if !text.is_empty() => text.parse().expect("RNVME_SEED must be a number"),
        _ => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock stands before 1970")
            .as_nanos() as u64,
    }
}

/// How many cases to run: fewer where each takes long, as under Miri.
fn at_most(cases: u32) -> u32 {
    match std::env::var("RNVME_CASES") {
        Ok(text) => cases.min(text.parse().expect("RNVME_CASES must be a number")),
        Err(_) => cases,
    }
}

/// Runs `test` on `cases` random values; a panic in it is shrunk to a small case and reported.
pub(crate) fn for_all<S: Strategy>(cases: u32, values: S, test: impl Fn(S::Value)) {
    let (seed, cases) = (seed(), at_most(cases));
    println!("{cases} cases from RNVME_SEED={seed}");
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    });
    let outcome = runner.run(&values, |value| {
        test(value);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("RNVME_SEED={seed}: {failure}");
    }
}
