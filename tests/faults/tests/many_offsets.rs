//! Committed offsets survive a kill, however many they are.

use corelane_fault_tests::many_offsets::{ManyOffsetsSettings, run};

#[test]
fn a_hundred_thousand_committed_offsets_are_loaded_again_after_a_kill() {
    let report = run(ManyOffsetsSettings { groups: 200, partitions: 500 });
    println!("{}", report.unwrap_or_else(|error| panic!("{error:#}")));
}
