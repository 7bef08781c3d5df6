//! Three nodes as processes of their own, disturbed under load.

use corelane_fault_tests::cluster::{RoundsSettings, rounds};

/// `CORELANE_FAULTS_SEED` repeats a run's decisions; the moments within the brokers' work are the machine's.
fn seed() -> u64 {
    std::env::var("CORELANE_FAULTS_SEED")
        .map_or(1, |seed| seed.parse().expect("CORELANE_FAULTS_SEED is a number"))
}

#[test]
fn five_disturbances_of_a_cluster_lose_repeat_and_reorder_nothing() {
    match rounds::run(&RoundsSettings { rounds: 5, seed: seed(), only: Vec::new() }) {
        Ok(report) => println!("{report}"),
        Err(error) => panic!("{error:#}"),
    }
}
