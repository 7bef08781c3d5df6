//! The comparison with Apache Kafka: builds, brings Kafka's jars, and has `corelane-bench compare` do the rest.

use crate::{
    step::{Step, root, target},
    succeed,
};
use anyhow::Context;
use clap::Args;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What may be asked for.
#[derive(Args)]
pub struct Options {
    /// Fewer and shorter runs, under 15 minutes: to see that it works, not how fast anything is
    #[arg(long)]
    quick: bool,
    /// Rounds, in each of which every system has its turn [default: 5, or 2 with --quick]
    #[arg(long)]
    rounds: Option<u32>,
    /// Workloads by letter (a to j), and limits, cluster, shards, transactions, profile, witness; separated by commas
    #[arg(long)]
    only: Option<String>,
    /// Where the report goes; the brokers' data lies there meanwhile
    #[arg(long, default_value = "target/compare")]
    out: PathBuf,
    /// Seconds that each run measures [default: 10, or 1 with --quick]
    #[arg(long)]
    seconds: Option<f64>,
    /// GiB of log for the recovery after kill -9 [default: 10, or 0.125 with --quick]
    #[arg(long)]
    recovery_gib: Option<f64>,
    /// GiB of backlog to catch up with [default: 4, or 0.25 with --quick]
    #[arg(long)]
    backlog_gib: Option<f64>,
    /// Binary of Tansu, another peer, which then takes part in (a) and (b) on its SQLite storage: `cargo install tansu
    /// --locked --features libsql`
    #[arg(long, value_name = "BINARY")]
    tansu: Option<PathBuf>,
    /// Let brokers and load generator share all cores, instead of each having its own
    #[arg(long)]
    share_cores: bool,
    /// Build nothing: run the programs that stand beside this one, however they were built
    #[arg(long)]
    built: bool,
}

/// Builds what is not there, runs the comparison.
///
/// # Errors
/// When a step fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if !root().join("target/clients/java/.installed").exists() {
        succeed(&Step::program("Apache Kafka", &root().join("tests/install-clients")).argument("java"))?;
    }
    let (generator, broker) = if options.built {
        let ours = std::env::current_exe().context("cannot tell where this program is")?;
        (Step::built("compare", "corelane-bench")?, ours.with_file_name("corelane"))
    } else {
        let build = ["build", "--release", "--package", "corelane", "--package", "corelane-bench"];
        succeed(&Step::cargo("release build", &build))?;
        let release = target().join("release");
        (Step::program("compare", &release.join("corelane-bench")), release.join("corelane"))
    };
    succeed(&with_options(generator, options, &broker))
}

fn with_options(step: Step, options: &Options, broker: &Path) -> Step {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut step = step.environment("CORELANE_COMMIT", &commit()).argument("compare");
    let pairs = [
        ("--corelane", Some(text(broker))),
        ("--jars", Some(text(&root().join("target/clients/java")))),
        ("--out", Some(text(&options.out))),
        ("--tansu", options.tansu.as_deref().map(text)),
        ("--rounds", options.rounds.map(|rounds| rounds.to_string())),
        ("--only", options.only.clone()),
        ("--seconds", options.seconds.map(|seconds| seconds.to_string())),
        ("--recovery-gib", options.recovery_gib.map(|gib| gib.to_string())),
        ("--backlog-gib", options.backlog_gib.map(|gib| gib.to_string())),
    ];
    for (name, value) in pairs {
        if let Some(value) = value {
            step = step.argument(name).argument(&value);
        }
    }
    for (name, wanted) in [("--quick", options.quick), ("--share-cores", options.share_cores)] {
        if wanted {
            step = step.argument(name);
        }
    }
    step
}

/// What is built, with a word if the work tree differs from it; unknown outside a repository.
fn commit() -> String {
    let git = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
    let output = Command::new("git").args(git).current_dir(root()).output();
    let said = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    said.map_or_else(|| "unknown".to_owned(), |said| String::from_utf8_lossy(&said).trim().to_owned())
}
