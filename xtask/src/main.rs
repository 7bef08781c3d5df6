//! The project's own commands, by `cargo xtask …`. Each calls ordinary tools, says what it runs, and ends with one
//! line that says how it went.

mod compare;
mod cost;
mod step;
mod tally;
mod verify;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};
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
        /// How many brokers there are; otherwise one, or, of odd seeds, three.
        #[arg(long)]
        brokers: Option<u64>,
        /// Runs it twice and compares the schedules' hashes.
        #[arg(long)]
        twice: bool,
        /// Prints every event.
        #[arg(long)]
        trace: bool,
    },
    /// All tests that start a broker, on this driver: faults, power cuts, real clients. `verify` runs a part.
    OnDriver {
        /// Which.
        driver: Driver,
    },
    /// Corelane and Apache Kafka in turn on this machine, under the same load: a report with plots, and the targets.
    Compare(compare::Options),
    /// Counts the instructions of a request on each hot path, and compares them with the committed baselines. Needs valgrind.
    Cost(cost::Options),
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
        /// How many brokers there are; otherwise one, or, of odd seeds, three.
        #[arg(long)]
        brokers: Option<u64>,
    },
    /// Kills the real broker under load, again and again.
    Kill {
        /// How often.
        #[arg(long, default_value_t = 200)]
        rounds: u64,
    },
    /// Kills, pauses, cuts and fills up the nodes of a cluster under load of two client stacks, again and again.
    Cluster {
        /// How often.
        #[arg(long, default_value_t = 100)]
        rounds: u64,
        /// For kinds, nodes and durations.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Kills brokers of a cluster and an application that transforms in transactions, of one client stack after the other,
    /// then one of Kafka Streams.
    Transform {
        /// How often, for each.
        #[arg(long, default_value_t = 50)]
        rounds: u64,
        /// For victims and moments.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Measures how long producers wait when a leader is gone, here and with Apache Kafka's own nodes.
    Failover {
        /// How often each kind of disturbance.
        #[arg(long, default_value_t = 5)]
        repeats: u64,
    },
    /// Recovers images that power cuts could have left, of the real driver's writes.
    PowerCut {
        /// Loads.
        #[arg(long, default_value_t = 10)]
        rounds: u64,
        /// Images of each.
        #[arg(long, default_value_t = 100)]
        images: u64,
    },
    /// Has one thing go round between shards of the bare driver, and waits for a wake-up that is lost.
    Wakeups {
        /// Which driver.
        #[arg(long)]
        driver: Driver,
        /// For how long.
        #[arg(long, default_value_t = 3_600)]
        seconds: u64,
    },
    /// Commits a million offsets, kills the broker, and reads them all.
    Offsets,
    /// Cuts the power of the log alone, in memory, for a thousand seeds.
    Log,
    /// Fuzzes one target (frame, batch, recovery or config); needs cargo-fuzz.
    Fuzz {
        /// Which.
        target: String,
        /// For how long.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
}

/// How a broker reaches the kernel.
#[derive(Clone, Copy, ValueEnum)]
enum Driver {
    Glommio,
    Ring,
    Portable,
}

impl Driver {
    /// Has brokers of the tests run on it.
    fn of(self, step: Step) -> Step {
        let name = match self {
            Driver::Glommio => "glommio",
            Driver::Ring => "ring",
            Driver::Portable => "portable",
        };
        step.environment("CORELANE_TEST_DRIVER", name)
    }
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Verify { seeds } => verify::run(seeds),
        Task::Sim { seed, brokers, twice, trace } => {
            let mut step = simulator(false, brokers).argument("--seed").argument(&seed.to_string());
            if twice {
                step = step.argument("--twice");
            }
            if trace {
                step = step.argument("--trace");
            }
            succeed(&step)
        }
        Task::OnDriver { driver } => {
            let run = ["test", "--workspace", "--no-fail-fast", "--test", "*"];
            succeed(&driver.of(Step::cargo("all tests on a driver", &run)))
        }
        Task::Compare(options) => compare::run(&options),
        Task::Cost(options) => cost::run(&options),
        Task::Soak { subject: Soak::Sim { seeds, from, brokers } } => {
            let end = from.checked_add(seeds).context("the last seed is beyond u64::MAX")?;
            succeed(&simulator(true, brokers).argument("--seeds").argument(&format!("{from}..{end}")))
        }
        Task::Soak { subject: Soak::Kill { rounds } } => {
            succeed(&faults("kill").argument("--rounds").argument(&rounds.to_string()))
        }
        Task::Soak { subject: Soak::Cluster { rounds, seed } } => {
            let step = faults("cluster").argument("--rounds").argument(&rounds.to_string());
            succeed(&step.argument("--seed").argument(&seed.to_string()))
        }
        Task::Soak { subject: Soak::Transform { rounds, seed } } => {
            ["transform", "word-count"].into_iter().try_for_each(|scenario| {
                let step = faults(scenario).argument("--rounds").argument(&rounds.to_string());
                succeed(&step.argument("--seed").argument(&seed.to_string()))
            })
        }
        Task::Soak { subject: Soak::Failover { repeats } } => {
            succeed(&faults("failover").argument("--repeats").argument(&repeats.to_string()))
        }
        Task::Soak { subject: Soak::PowerCut { rounds, images } } => {
            let step = faults("power-cut").argument("--rounds").argument(&rounds.to_string());
            succeed(&step.argument("--images").argument(&images.to_string()))
        }
        Task::Soak { subject: Soak::Wakeups { driver, seconds } } => {
            let run = ["test", "--package", "corelane-io", "--test", "wakeups", "soak", "--"];
            let step = Step::cargo("wake-ups", &run).argument("--ignored").argument("--nocapture");
            succeed(&driver.of(step.environment("CORELANE_SOAK_SECONDS", &seconds.to_string())))
        }
        Task::Soak { subject: Soak::Offsets } => succeed(&faults("offsets")),
        Task::Soak { subject: Soak::Log } => {
            let arguments =
                ["test", "--release", "--package", "corelane-core", "--lib", "soak_of_power_cuts"];
            succeed(&Step::cargo("log", &arguments).argument("--").argument("--ignored"))
        }
        Task::Soak { subject: Soak::Fuzz { target, seconds } } => {
            // The fuzzer's flags are open on a stable compiler only with this word.
            let step =
                Step::cargo("fuzz", &["fuzz", "run", "--fuzz-dir", "tests/fuzz", "--sanitizer", "none"]);
            let step = step.environment("RUSTC_BOOTSTRAP", "1").argument(&target).argument("--");
            succeed(&step.argument(&format!("-max_total_time={seconds}")))
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

/// The fault scenarios, ready for their arguments.
fn faults(scenario: &str) -> Step {
    let run = ["run", "--quiet", "--release", "--package", "corelane-fault-tests", "--"];
    Step::cargo("faults", &run).argument(scenario)
}

/// The simulator, ready for its arguments.
fn simulator(optimised: bool, brokers: Option<u64>) -> Step {
    let mut step = Step::cargo("simulation", &["run", "--quiet", "--package", "corelane-simulation"]);
    if optimised {
        step = step.argument("--profile").argument("soak");
    }
    step = step.argument("--bin").argument("corelane-sim").argument("--");
    match brokers {
        Some(brokers) => step.argument("--brokers").argument(&brokers.to_string()),
        None => step,
    }
}
