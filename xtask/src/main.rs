//! The project's own commands, by `cargo xtask …`. Each calls ordinary tools, says what it runs, and ends with one
//! line that says how it went.

mod step;
mod tally;
mod verify;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use step::Step;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Format, clippy, licences, layering, all tests and a bounded simulation: what CI runs.
    Verify {
        /// Seeds to simulate.
        #[arg(long, default_value_t = 300)]
        seeds: u64,
    },
    /// Simulates one seed.
    Sim {
        /// Which.
        #[arg(long)]
        seed: u64,
        /// Runs it twice and compares the schedules' hashes.
        #[arg(long)]
        twice: bool,
        /// Prints every event.
        #[arg(long)]
        trace: bool,
    },
    /// Long runs.
    Soak {
        #[command(subcommand)]
        subject: Soak,
    },
}

#[derive(Subcommand)]
enum Soak {
    /// Simulates many seeds, optimised.
    Sim {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Verify { seeds } => verify::run(seeds),
        Task::Sim { seed, twice, trace } => {
            let mut step = simulator(false).argument("--seed").argument(&seed.to_string());
            if twice {
                step = step.argument("--twice");
            }
            if trace {
                step = step.argument("--trace");
            }
            succeed(&step)
        }
        Task::Soak { subject: Soak::Sim { seeds, from } } => {
            let end = from.checked_add(seeds).context("the last seed is beyond u64::MAX")?;
            succeed(&simulator(true).argument("--seeds").argument(&format!("{from}..{end}")))
        }
    }
}

fn succeed(step: &Step) -> anyhow::Result<()> {
    let outcome = step.run()?;
    if !outcome.succeeded {
        bail!("{} failed", step.name());
    }
    Ok(())
}

/// The simulator, ready for its arguments.
fn simulator(optimised: bool) -> Step {
    let mut step = Step::cargo("simulation", &["run", "--quiet", "--package", "corelane-simulation"]);
    if optimised {
        step = step.argument("--release");
    }
    step.argument("--bin").argument("corelane-sim").argument("--")
}
