//! The subcommands: set up, run, report.

mod connections;
mod groups;
mod growth;
mod load;
mod results;
mod transactions;

use crate::{
    client::Client,
    clock::now_ns,
    compare,
    conditions::{conditions, disk},
    limits::{self, Limits},
    options::{Command, Options, RunOptions},
    process::{Process, Sample},
    report::Report,
    topic::Topic,
    transactions::TransactionSettings,
};
use anyhow::{Context, Result};
use std::{fs, path::Path, time::Duration};

/// Runs what the options say, prints the table, writes the JSON.
///
/// # Errors
/// With what to check.
pub fn run(options: &Options) -> Result<()> {
    match &options.command {
        Command::Compare(wanted) => return compare::run(wanted),
        Command::Page { report } => return compare::page_of(report),
        _ => {}
    }
    let (report, json) = match &options.command {
        Command::Produce { run, produce } => (load::produce(run, produce)?, &run.json),
        Command::Consume { run, consume, tail, keep_reading } => {
            (load::consume(run, consume, *tail, *keep_reading)?, &run.json)
        }
        Command::E2e { run, produce, consume } => (load::e2e(run, produce, consume)?, &run.json),
        Command::Mixed { run, produce, large_record_bytes, large_rate } => {
            (load::mixed(run, produce, *large_record_bytes, *large_rate)?, &run.json)
        }
        Command::Connections { run, count, every_ms } => {
            (connections::run(run, *count, *every_ms)?, &run.json)
        }
        Command::Groups { run, members, protocol, heartbeat_ms, restart_batch } => {
            let wanted = groups::Wanted {
                members: *members,
                protocol: *protocol,
                heartbeat_ms: *heartbeat_ms,
                restart_batch: *restart_batch,
            };
            (groups::run(run, &wanted)?, &run.json)
        }
        Command::Transactions { run, producers, every_ms, records, record_bytes } => {
            let settings = TransactionSettings {
                producers: *producers,
                every_ms: *every_ms,
                records: *records,
                record_bytes: *record_bytes,
            };
            (transactions::run(run, &settings)?, &run.json)
        }
        Command::Growth { run, total, step, pid, kill_pid, restart, patience_s } => {
            let wanted = growth::Wanted {
                partitions: *total,
                step: *step,
                pids: pid.clone(),
                kill: *kill_pid,
                restart: restart.clone(),
                patience: Duration::from_secs(*patience_s),
            };
            (growth::run(run, &wanted)?, &run.json)
        }
        Command::Limits { directory, seconds, json, label } => (machine(directory, *seconds, label)?, json),
        Command::Compare(_) | Command::Page { .. } => unreachable!("has its own report, and was run above"),
    };
    print!("{}", report.to_table());
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report.to_json())? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn machine(directory: &Path, seconds: f64, label: &[(String, String)]) -> Result<Report> {
    let limits = limits::measure(directory, Duration::from_secs_f64(seconds))?;
    let mut report = Report { command: "limits".into(), conditions: conditions(), ..Report::default() };
    report.conditions.push(("disk".into(), disk(directory)));
    report.conditions.extend_from_slice(label);
    results::limits(&mut report, &limits);
    Ok(report)
}

/// Seconds for each limit when they are measured before a run.
const LIMIT_TIME: Duration = Duration::from_secs(2);

/// What is done before every run against a broker.
struct Setup {
    report: Report,
    limits: Option<Limits>,
    process: Option<(Process, Sample)>,
}

impl Setup {
    fn new(command: &str, run: &RunOptions) -> Result<Setup> {
        // Before the first connection and before the disk is busy: an idle broker's memory.
        let process = run.broker_pid.map(Process::new);
        let process =
            process.map(|process| Ok::<_, anyhow::Error>((process, process.sample()?))).transpose()?;
        // A wrong address shall not be found out after seconds of measuring limits.
        Client::connect(&run.broker)?;
        let limits = run.limits_dir.as_deref().map(|path| limits::measure(path, LIMIT_TIME)).transpose()?;
        let mut report = Report { command: command.into(), conditions: conditions(), ..Report::default() };
        report.conditions.push(("broker address".into(), run.broker.clone()));
        if let Some(directory) = &run.limits_dir {
            report.conditions.push(("disk".into(), disk(directory)));
        }
        report.conditions.extend_from_slice(&run.label);
        results::run_settings(&mut report, run);
        if let Some(limits) = &limits {
            results::limits(&mut report, limits);
        }
        Ok(Setup { report, limits, process })
    }

    fn topic(&mut self, run: &RunOptions) -> Result<Topic> {
        let topic = Topic::ensure(&mut Client::connect(&run.broker)?, &run.topic())?;
        let text = format!("{} ({} partitions)", topic.name.0, topic.partitions());
        self.report.settings.insert(0, ("topic".into(), text));
        Ok(topic)
    }
}

/// A moment from which all threads have time to get ready.
fn soon() -> u64 {
    now_ns() + 50_000_000
}
