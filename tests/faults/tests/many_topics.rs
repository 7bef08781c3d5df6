//! Many partitions, each written once and left alone.

use corelane_fault_tests::many_topics::{ManyTopicsSettings, run};

fn run_and_tell(settings: ManyTopicsSettings) {
    println!("{}", run(settings).unwrap_or_else(|error| panic!("{error:#}")));
}

#[test]
fn a_thousand_quiet_partitions_do_not_hold_the_smallest_journal_back() {
    run_and_tell(ManyTopicsSettings {
        topics: 100,
        partitions: 10,
        journal_bytes: 16 << 20,
        hot_bytes: 128 << 20,
    });
}

#[test]
fn ten_thousand_quiet_partitions_of_a_thousand_topics_are_created_written_and_kept() {
    run_and_tell(ManyTopicsSettings {
        topics: 1000,
        partitions: 10,
        journal_bytes: 128 << 20,
        hot_bytes: 640 << 20,
    });
}
