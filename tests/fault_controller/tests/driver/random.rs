// SPDX-License-Identifier: MIT

//! Random cases from a seed that a failure names: `RNVME_SEED=<number>` runs the same ones again, and
//! `RNVME_CASES=<number>` is the most that any test runs.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// A number from the environment; nothing if it is not set, or empty as Make hands it on.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number")),
    )
}

/// Runs `test` on `cases` random values. A failure is made small before it is told.
pub(crate) fn for_all<S: Strategy>(cases: u32, values: S, test: impl Fn(S::Value)) {
    let seed = number("RNVME_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| now.as_nanos() as u64)
    });
    let most = number("RNVME_CASES").unwrap_or(u64::MAX);
    let mut runner = TestRunner::new(Config {
        cases: u64::from(cases).min(most) as u32,
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
