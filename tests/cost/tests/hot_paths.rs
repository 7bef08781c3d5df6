//! The guard, with every commit. It needs valgrind.

use corelane_cost_tests::{count, guard, paths};
use std::path::Path;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_corelane-cost"))
}

#[test]
fn no_hot_path_has_grown_by_over_a_twentieth() {
    let judgement = guard::judge(program()).expect("the paths are counted");
    println!("{}", judgement.text());
    judgement.verdict().expect("the baselines hold");
}

/// But for what maps of other crates with random states leave of the heap's layout.
#[test]
fn two_counts_of_one_build_differ_by_less_than_a_two_hundredth() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = paths::ALL.iter().find(|path| path.name == "produce-1").expect("a path of this name");
    let count = || count::one(program(), path, directory).expect("the path is counted");
    let (one, other) = (count(), count());
    assert!(one.abs_diff(other) < one / 200, "{one} and {other}");
}
