//! The state machine: random sequences of statements, people, roles, clocks, restrictions, charter
//! changes and restarts, run against the engine and against an independently written, deliberately
//! slow model of the rules. Both must always come to the same outcome.
//!
//! [`model`] and [`judge`] are the rules, [`cast`] is who there is, [`ops`] what can happen,
//! [`speech`] makes statements of it, [`world`] runs and compares.

mod cast;
mod judge;
mod model;
mod ops;
mod speech;
mod world;

use ops::Op;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestError, TestRunner};
use std::collections::BTreeMap;
use world::World;

/// Operations in one sequence, at the most.
const MOST: usize = 40;
/// Sequences; PROPTEST_CASES asks for more, and then for others.
const CASES: u32 = 256;

fn run(ops: &[Op]) -> Result<BTreeMap<String, u64>, String> {
    let mut world = World::new()?;
    for (n, op) in ops.iter().enumerate() {
        world.apply(*op).map_err(|why| {
            let list: Vec<String> = ops[..=n].iter().enumerate().map(|(n, op)| format!("  {n:2} {op:?}")).collect();
            format!("after\n{}\n{why}", list.join("\n"))
        })?;
    }
    Ok(world.counts)
}

#[test]
fn engine_and_model_always_agree() {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    // Fixed, so that a failure in CI is the same failure at every desk; more cases are other cases.
    let rng_seed = asked.map_or(RngSeed::Fixed(1), |n: u32| RngSeed::Fixed(n.into()));
    let config = Config {
        cases: asked.unwrap_or(CASES),
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let seen = std::cell::RefCell::new(BTreeMap::<String, u64>::new());
    let result = TestRunner::new(config).run(&ops::sequence(MOST), |ops| {
        let counts = run(&ops).map_err(TestCaseError::fail)?;
        let mut seen = seen.borrow_mut();
        counts.into_iter().for_each(|(what, n)| *seen.entry(what).or_default() += n);
        Ok(())
    });
    match result {
        // The reason lists the sequence already, one operation a line.
        Err(TestError::Fail(why, _)) => panic!("{why}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
        Ok(()) => {}
    }
    for (what, n) in seen.borrow().iter() {
        println!("{n:6} {what}");
    }
}
