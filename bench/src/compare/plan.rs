//! How much is measured.

use super::workload::WORKLOADS;
use anyhow::{Result, bail, ensure};
use clap::Args;
use std::{path::PathBuf, time::Duration};

/// Compare with Apache Kafka on this machine.
#[derive(Clone, Debug, Args)]
pub struct CompareOptions {
    /// Fewer and shorter runs: to see that it works, not how fast anything is
    #[arg(long)]
    pub quick: bool,
    /// Rounds, in each of which every system has its turn [default: 5, or 2 with --quick]
    #[arg(long)]
    pub rounds: Option<u32>,
    /// Workloads by letter, separated by commas; limits, cluster, shards, profile and witness (kafka-producer-perf-test) are named likewise
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Where report.json, report.html and the plots go; the brokers' data lies there meanwhile
    #[arg(long, default_value = "target/compare")]
    pub out: PathBuf,
    /// Corelane's binary
    #[arg(long)]
    pub corelane: PathBuf,
    /// Directory of Apache Kafka's jars
    #[arg(long)]
    pub jars: PathBuf,
    /// Binary of Tansu, another peer, which then takes part in (a) and (b) on its SQLite storage: `cargo install tansu
    /// --locked --features libsql`
    #[arg(long, value_name = "BINARY")]
    pub tansu: Option<PathBuf>,
    /// Seconds that each run measures [default: 10, or 1 with --quick]
    #[arg(long)]
    pub seconds: Option<f64>,
    /// GiB of log for the recovery after kill -9 [default: 10, or 0.125 with --quick]
    #[arg(long)]
    pub recovery_gib: Option<f64>,
    /// GiB of backlog to catch up with [default: 4, or 0.25 with --quick]
    #[arg(long)]
    pub backlog_gib: Option<f64>,
    /// Let brokers and load generator share all cores, instead of each having its own
    #[arg(long)]
    pub share_cores: bool,
}

/// The options with everything decided.
#[derive(Clone, Debug)]
pub struct Plan {
    /// At least 1.
    pub rounds: u32,
    /// Whether it is the short form.
    pub quick: bool,
    /// Of each run.
    pub seconds: f64,
    /// Before each run.
    pub warmup: f64,
    /// For Java's compiler, once after each start of a broker.
    pub first_warmup: f64,
    /// Loads of (a) and (cluster), as parts of Kafka's saturation, rising.
    pub loads: &'static [f64],
    /// Of the log that is recovered.
    pub recovery_bytes: u64,
    /// Of the backlog that is read.
    pub backlog_bytes: u64,
    /// For (j).
    pub idle_seconds: f64,
    /// After this time no further workload is begun; what was left out is noted.
    pub budget: Option<Duration>,
    /// Letters and names, in the order of [`WORKLOADS`].
    pub workloads: Vec<&'static str>,
}

/// So that a quick comparison ends within 15 minutes, also where something else keeps the machine busy.
const QUICK_BUDGET: Duration = Duration::from_secs(11 * 60);

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

impl Plan {
    /// Decides.
    ///
    /// # Errors
    /// When an option is out of range, or names no workload.
    pub fn new(options: &CompareOptions) -> Result<Plan> {
        let quick = options.quick;
        let either =
            |given: Option<f64>, full: f64, short: f64| given.unwrap_or(if quick { short } else { full });
        let rounds = options.rounds.unwrap_or(if quick { 2 } else { 5 });
        let seconds = either(options.seconds, 10.0, 1.0);
        ensure!(rounds > 0, "--rounds must be 1 or more");
        ensure!((0.05..=3600.0).contains(&seconds), "--seconds must be 0.05 to 3600");
        let gib = |name: &str, gib: f64| {
            ensure!((0.001..=1024.0).contains(&gib), "{name} must be 0.001 to 1024");
            Ok((gib * GIB) as u64)
        };
        let mut workloads = Vec::new();
        for (name, _) in WORKLOADS {
            if options.only.is_empty() || options.only.iter().any(|one| one == name) {
                workloads.push(*name);
            }
        }
        for name in &options.only {
            if !workloads.contains(&name.as_str()) {
                let known: Vec<_> = WORKLOADS.iter().map(|(name, _)| *name).collect();
                bail!("--only {name} is no workload: they are {}", known.join(", "));
            }
        }
        Ok(Plan {
            rounds,
            quick,
            seconds,
            warmup: if quick { seconds / 4.0 } else { seconds / 5.0 },
            first_warmup: seconds * 2.0,
            loads: if quick {
                &[0.25, 0.5, 1.0, 2.0]
            } else {
                &[0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0]
            },
            recovery_bytes: gib("--recovery-gib", either(options.recovery_gib, 10.0, 0.125))?,
            backlog_bytes: gib("--backlog-gib", either(options.backlog_gib, 4.0, 0.25))?,
            idle_seconds: seconds * 2.0,
            budget: quick.then_some(QUICK_BUDGET),
            workloads,
        })
    }

    /// Whether a workload is to be run.
    pub fn has(&self, name: &str) -> bool {
        self.workloads.contains(&name)
    }

    /// Whether any of them is.
    pub fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Command, Options};
    use clap::Parser;

    fn plan(arguments: &[&str]) -> Result<Plan> {
        let fixed = ["corelane-bench", "compare", "--corelane", "x", "--jars", "y"];
        match Options::try_parse_from(fixed.iter().chain(arguments))?.command {
            Command::Compare(options) => Plan::new(&options),
            _ => unreachable!("asked for compare"),
        }
    }

    #[test]
    fn a_full_comparison_has_five_rounds_and_everything_and_a_quick_one_less() {
        let full = plan(&[]).unwrap();
        assert_eq!((full.rounds, full.workloads.len()), (5, WORKLOADS.len()));
        assert_eq!(full.recovery_bytes, 10 << 30);
        let quick = plan(&["--quick"]).unwrap();
        assert!(quick.rounds < full.rounds && quick.seconds < full.seconds);
    }

    #[test]
    fn what_is_no_workload_is_refused_with_those_there_are() {
        assert_eq!(plan(&["--only", "j,a"]).unwrap().workloads, ["a", "j"]);
        let error = plan(&["--only", "z"]).unwrap_err().to_string();
        assert!(error.contains("witness"), "{error}");
        assert!(plan(&["--seconds", "0"]).is_err());
    }
}
