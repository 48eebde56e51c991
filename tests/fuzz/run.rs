//! How a fuzz target runs: on how many values, from which seed, and what it says about itself.
//!
//! Test programs of several crates include this file by its path; a crate of its own would be one more to build and link.

#![allow(clippy::panic, reason = "a test fails by panicking; where this file is part of a unit test, nobody objects")]

use std::env;
use std::time::Instant;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestError, TestRunner};

/// How many values every target is tried on, instead of its own modest number. The first that is set counts.
const CASES: [&str; 2] = ["ZHENGYUN_FUZZ_CASES", "PROPTEST_CASES"];
/// Where the values start: the same seed and number give the same values.
const SEED: &str = "ZHENGYUN_FUZZ_SEED";
/// The seed unless one is set: whether a commit passes must not depend on luck. `tests/prove-fuzz` draws one each time.
const USUAL_SEED: u64 = 1;
/// How long a failing value is made smaller, in milliseconds.
const SHRINK_TIME: u32 = 60_000;

/// Tries `check` on values of `values`: on `cases` of them, or on as many as the environment says.
///
/// # Panics
/// When `check` fails or panics: with the smallest value found for which it does, and how to see it again.
pub(crate) fn fuzz<S: Strategy>(target: &str, cases: u32, values: &S, check: impl Fn(S::Value) -> TestCaseResult) {
    let cases = CASES.iter().find_map(|name| number(name)).unwrap_or(cases);
    let seed = number(SEED).unwrap_or(USUAL_SEED);
    // Said before the first value: a stack that overflows ends the program without another word.
    eprintln!("fuzz {target}: seed {seed}");
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        // A failure that was mended stays as a test with a name, not as a number in a file.
        failure_persistence: None,
        max_shrink_time: SHRINK_TIME,
        ..Config::default()
    };
    let started = Instant::now();
    match TestRunner::new(config).run(values, check) {
        Ok(()) => report(target, cases, started),
        Err(TestError::Abort(reason)) => panic!("fuzz {target}: given up: {reason}"),
        Err(TestError::Fail(reason, smallest)) => {
            let name = target.rsplit("::").next().unwrap_or(target);
            panic!(
                "fuzz {target}: {reason}\nsmallest value: {smallest:?}\nagain: ZHENGYUN_FUZZ_SEED={seed} ZHENGYUN_FUZZ_CASES={cases} cargo test --workspace {name}"
            );
        }
    }
}

/// Says that a target held on so many values; `tests/prove-fuzz` makes its table of these lines.
pub(crate) fn report(target: &str, cases: u32, started: Instant) {
    eprintln!("fuzz {target}: {cases} cases, {:.2} s", started.elapsed().as_secs_f64());
}

/// The number that an environment variable holds, if it is set.
fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is \"{text}\", which is no number")))
}
