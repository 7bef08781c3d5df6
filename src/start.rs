//! From files, environment and overrides to a running broker, and to its end.

use crate::{
    cli::{Driver, StartOptions},
    disk_figures, host_name, logging,
    report::{Blame, Problem, fail},
    signals::StopSignals,
};
use corelane_core::config::{
    BrokerConfig, ReadOptions, Source, Warning, environment,
    formatted::{META_PROPERTIES, MetaProperties},
    properties,
};
use corelane_io::{DriverError, probe};
use corelane_shard::{LogControl, MachineSettings, StartError};
use std::{io, path::Path, process::ExitCode, thread, time::Instant};

type Entries = Vec<(Source, String, String)>;

/// `corelane start`.
pub fn run(options: &StartOptions, log_level: Option<&str>) -> ExitCode {
    let began = Instant::now();
    let (config, warnings) = match configuration(options) {
        Ok(read) => read,
        Err(problems) => return fail(Blame::Configuration, &problems),
    };
    // Blocked before the log's thread, the first other one, starts.
    let signals = match StopSignals::block() {
        Ok(signals) => signals,
        Err(error) => {
            let problem = Problem {
                wrong: format!("SIGTERM and SIGINT cannot be blocked: {error}"),
                why: "a stop would cut the broker off in the middle of its work".into(),
                mend: "allow rt_sigprocmask in the seccomp profile".into(),
            };
            return fail(Blame::Machine, &[problem]);
        }
    };
    let log = match logging::start(log_level) {
        Ok(log) => log,
        Err(wrong) => {
            let problem = Problem {
                wrong,
                why: "without a log nobody would see what the broker does".into(),
                mend: "write --log-level info, or unset RUST_LOG".into(),
            };
            return fail(Blame::Configuration, &[problem]);
        }
    };
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let ended = serve((config, options.driver), log.control(), signals, began);
    // First what was logged, then what it ended with.
    drop(log);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => fail(Blame::Machine, &problems),
    }
}

/// What the limit of open files must leave room for, unless `max.connections` is lower.
const EXPECTED_CONNECTIONS: u64 = 10_000;

/// Runs until a signal asks for the end, or the broker cannot go on.
fn serve(
    (mut config, driver): (BrokerConfig, Driver),
    log: LogControl,
    signals: StopSignals,
    began: Instant,
) -> Result<(), Vec<Problem>> {
    // Clients are told of the data directory (DescribeLogDirs): to them it means something only in full.
    for directory in [&mut config.data_dir, &mut config.journal_dir, &mut config.metadata_dir] {
        if let Ok(whole) = std::path::absolute(&*directory) {
            *directory = whole;
        }
    }
    let machine = MachineSettings { log, ..machine(&config, driver)? };
    let config = disk_figures::adopted(config, machine.cpus.len());
    let directory = config.main_directory().to_owned();
    let told = |error: StartError| vec![problem(&error, &directory)];
    let broker = corelane_shard::start(config, &machine, began).map_err(told)?;
    let stopper = broker.stopper();
    let stop = move || {
        let signal = signals.wait();
        tracing::info!("{signal}: stopping; a second one exits at once");
        stopper.stop();
        signals.wait();
        // 128 + SIGTERM, as a shell tells of a process that a signal ended.
        std::process::exit(143);
    };
    thread::Builder::new().name("signals".into()).spawn(stop).map_err(|error| {
        vec![Problem {
            wrong: format!("no thread can be started for signals: {error}"),
            why: "the broker could not be stopped in order".into(),
            mend: "raise the limit of processes: ulimit -u".into(),
        }]
    })?;
    let served = broker.wait_until_serving();
    if served.is_err() {
        broker.stopper().stop();
    }
    let ended = broker.wait();
    served.and(ended).map_err(told)?;
    tracing::info!("stopped");
    Ok(())
}

/// What this machine gives, or what it lacks.
fn machine(config: &BrokerConfig, driver: Driver) -> Result<MachineSettings, Vec<Problem>> {
    let directory = config.main_directory();
    std::fs::create_dir_all(directory).map_err(|error| {
        let directory = directory.display();
        vec![Problem {
            wrong: format!("the data directory {directory} cannot be made: {error}"),
            why: "there is nowhere to keep what this node is told".into(),
            mend: format!("mkdir -p {directory}; chown $(id -un) {directory}; or set log.dirs to where this user may write"),
        }]
    })?;
    let cpus = probe::usable_cpus();
    let shards = if config.roles.broker { config.shards.map_or(cpus.len(), usize::from) } else { 0 };
    let wanted = probe::Wanted {
        shards: shards + 1,
        // Without a bound of its own a broker should hold what its users expect of one.
        connections: u64::try_from(config.connections_max).unwrap_or(u64::MAX).min(EXPECTED_CONNECTIONS),
    };
    let judgement = probe::judge(&probe::Readings::take(Some(directory)), wanted, driver.asked());
    let (fatal, advice): (Vec<_>, Vec<_>) =
        judgement.findings.into_iter().partition(|finding| finding.is_fatal);
    for finding in advice {
        tracing::warn!(
            "{}; {}; to mend it: {}",
            finding.what_is_wrong,
            finding.why_it_matters,
            finding.command_that_mends
        );
    }
    if !fatal.is_empty() {
        let told = fatal.into_iter().map(|finding| Problem {
            wrong: finding.what_is_wrong,
            why: finding.why_it_matters,
            mend: finding.command_that_mends,
        });
        return Err(told.collect());
    }
    let mut seed = [0; 8];
    // SAFETY: the pointer and the length describe the buffer, which lives through the call. A short answer leaves
    // zeros, which is a worse seed but no danger.
    let filled = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), 0) };
    debug_assert_eq!(filled, 8);
    // Only a quota or an affinity smaller than the machine says that others were kept off these CPUs; as a rule they
    // were not, so pinning is asked for, not assumed.
    Ok(MachineSettings {
        cpus,
        exclusive: false,
        driver: judgement.driver,
        seed: u64::from_ne_bytes(seed),
        log: LogControl::default(),
        recorder: None,
        skip_fdatasync: false,
    })
}

/// What an operator needs to know of an error; `data` is the data directory.
fn problem(error: &StartError, data: &Path) -> Problem {
    let data = data.display();
    let (why, mend) = match error {
        StartError::Fatal(fatal) => return fatal_problem(&fatal.0, &data.to_string()),
        StartError::Directory { directory, .. } => (
            "a broker needs its directories for itself: two on one would destroy each other's logs",
            format!(
                "stop the other broker (fuser -v {directory}/.lock names it), let this user write there (ls -ld \
                 {directory}), or set log.dirs"
            ),
        ),
        StartError::Resolve { host, .. } => (
            "clients would find no one there",
            format!("correct listeners; getent hosts {host} shows what the name means here"),
        ),
        StartError::Driver(error) => return driver_problem(error),
        StartError::Stopped => (
            "clients would find no one there",
            "look for the first error in the log above; start again with --log-level debug to see more"
                .into(),
        ),
    };
    Problem { wrong: error.to_string(), why: why.into(), mend }
}

/// Of a text whose last sentence says what to do, as those of recovery do.
fn fatal_problem(text: &str, data: &str) -> Problem {
    let text = text.trim_end_matches('.');
    let (wrong, advice) = text.rsplit_once(". ").unwrap_or((text, "Mend what the error names"));
    Problem {
        wrong: wrong.into(),
        why: "serving on could lose or hide records that were acknowledged".into(),
        mend: format!("{advice}. What the disk says: dmesg | tail -n 50; df -h {data}; ls -la {data}"),
    }
}

fn driver_problem(error: &DriverError) -> Problem {
    let (why, mend) = match error {
        DriverError::AddressInUse { address } => (
            "two brokers on one port would steal each other's clients",
            format!("stop it (ss -ltnp 'sport = :{}' names it), or set listeners to another port", address.port()),
        ),
        DriverError::Listen { address, error } => (
            "clients would find no one there",
            match error.kind() {
                // From 1024 on a port is anyone's: a filter of system calls refused it.
                io::ErrorKind::PermissionDenied if !(1..1024).contains(&address.port()) => {
                    "docker run --security-opt seccomp=docker/seccomp.json, or allow listen(2) where this process is \
                     confined (grep Seccomp /proc/self/status; aa-status)"
                        .into()
                }
                io::ErrorKind::PermissionDenied => {
                    let port = address.port();
                    format!("set listeners to a port from 1024 on, or: sysctl -w net.ipv4.ip_unprivileged_port_start={port}")
                }
                _ => "set listeners to an address of this machine (ip address shows them)".into(),
            },
        ),
        DriverError::Settings(_) => (
            "shards cannot be laid out like that",
            "unset corelane.shards and corelane.cpu.pin, and report this text".into(),
        ),
        DriverError::Start { .. } | DriverError::System { .. } => (
            "every shard needs a thread and, but on the portable driver, its rings and their memory",
            "raise what is short: ulimit -l unlimited; ulimit -n 1048576; ulimit -u unlimited; or set fewer shards, or --driver portable"
                .into(),
        ),
        DriverError::Shard { .. } => (
            "a shard that failed may have left its work half done; the next start recovers what was acknowledged",
            "start again; if it fails again, report it with the log above".into(),
        ),
    };
    Problem { wrong: error.to_string(), why: why.into(), mend }
}

/// The configuration of a start, from all of its sources.
///
/// # Errors
/// Every problem at once.
pub fn configuration(options: &StartOptions) -> Result<(BrokerConfig, Vec<Warning>), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut entries = match &options.config {
        Some(path) => file(path).unwrap_or_else(|found| {
            problems.extend(found);
            Entries::new()
        }),
        None => Entries::new(),
    };
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let (environment, mut warnings) = environment::entries(variables);
    entries.extend(environment);
    for text in &options.overrides {
        match text.split_once('=') {
            Some((key, value)) => entries.push((Source::Override, key.into(), value.into())),
            None => problems.push(Problem {
                wrong: format!("--override {text:?} has no value"),
                why: "it would change nothing".into(),
                mend: format!("write --override {text}=VALUE"),
            }),
        }
    }
    let options =
        ReadOptions { allow_unknown: options.allow_unknown, host_name: host_name::canonical, formatted_for };
    match BrokerConfig::from_entries(&entries, &options) {
        Ok((config, found)) if problems.is_empty() => {
            warnings.extend(found);
            Ok((config, warnings))
        }
        Ok(_) => Err(problems),
        Err(errors) => {
            problems.extend(errors.iter().map(Problem::from));
            Err(problems)
        }
    }
}

/// The cluster that a directory was formatted for. One that cannot be read is told of when it is opened.
fn formatted_for(directory: &Path) -> Option<String> {
    let text = std::fs::read_to_string(directory.join(META_PROPERTIES)).ok()?;
    MetaProperties::parse(&text).ok().map(|meta| meta.cluster_id)
}

fn file(path: &Path) -> Result<Entries, Vec<Problem>> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        vec![Problem {
            wrong: format!("{name} cannot be read: {error}"),
            why: "the settings in it would be missing".into(),
            mend: format!("ls -l {name}"),
        }]
    })?;
    // Properties files are Latin-1 of old and UTF-8 today; what is not UTF-8 is Latin-1.
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect());
    let properties = properties::parse(&text).map_err(|errors| {
        let problem = |error: &properties::PropertyError| Problem {
            wrong: format!("{name}:{}: {}", error.line, error.problem),
            why: "the setting on this line cannot be read".into(),
            mend: "double the backslash to mean one".into(),
        };
        errors.iter().map(problem).collect::<Vec<_>>()
    })?;
    let source = |line| Source::File { path: name.as_str().into(), line };
    Ok(properties.into_iter().map(|property| (source(property.line), property.key, property.value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_recovery_advises_is_the_fix_and_not_part_of_the_error() {
        let problem =
            fatal_problem("/d/log: it is damaged. It was flushed. Restore it; or start anew.", "/d");
        assert_eq!(problem.wrong, "/d/log: it is damaged. It was flushed");
        assert!(
            problem.mend.starts_with("Restore it; or start anew. What the disk says: dmesg"),
            "{}",
            problem.mend
        );
        assert_eq!(fatal_problem("broken", "/d").wrong, "broken");
    }

    #[test]
    fn a_refused_port_names_what_refused_it() {
        let mend = |port: u16| {
            let error = io::ErrorKind::PermissionDenied.into();
            driver_problem(&DriverError::Listen { address: ([127, 0, 0, 1], port).into(), error }).mend
        };
        assert!(mend(443).contains("ip_unprivileged_port_start=443"), "{}", mend(443));
        assert!(mend(9092).contains("seccomp"), "{}", mend(9092));
    }
}
