//! The scenarios of this crate for as long as wanted.

use clap::{Parser, Subcommand};
use corelane_fault_tests::kill;

/// Faults on the real broker.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// `kill -9` under load, restarts with other numbers of shards.
    Kill {
        /// How often.
        #[arg(long, default_value_t = 200)]
        rounds: u32,
        /// For moments, shards and sizes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().scenario {
        Scenario::Kill { rounds, seed } => println!("{}", kill::run(kill::KillSettings { rounds, seed })?),
    }
    Ok(())
}
