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

#[test]
fn two_counts_of_one_build_are_the_same() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = paths::ALL.iter().find(|path| path.name == "produce-1").expect("a path of this name");
    let count = || count::one(program(), path, directory).expect("the path is counted");
    assert_eq!(count(), count());
}
