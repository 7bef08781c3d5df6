//! `kill -9` under load.

use corelane_fault_tests::kill::{KillSettings, run};

/// `CORELANE_FAULTS_SEED` repeats a run's decisions; the moments within the broker's work are the machine's.
fn seed() -> u64 {
    std::env::var("CORELANE_FAULTS_SEED")
        .map_or(1, |seed| seed.parse().expect("CORELANE_FAULTS_SEED is a number"))
}

#[test]
fn twenty_kills_under_load_lose_repeat_and_reorder_nothing() {
    match run(KillSettings { rounds: 20, seed: seed() }) {
        Ok(report) => println!("{report}"),
        Err(error) => panic!("{error:#}"),
    }
}
