//! Many partitions, each written once and left alone.

use corelane_fault_tests::many_topics::{ManyTopicsSettings, run};

#[test]
fn a_thousand_quiet_partitions_do_not_hold_the_journal_back() {
    let settings =
        ManyTopicsSettings { topics: 100, partitions: 10, journal_bytes: 16 << 20, hot_bytes: 128 << 20 };
    println!("{}", run(settings).unwrap_or_else(|error| panic!("{error:#}")));
}
