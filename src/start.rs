//! From files, environment and overrides to a running broker, and to its end.

use crate::{
    cli::StartOptions,
    logging,
    report::{Blame, Problem, fail},
    signals::StopSignals,
};
use corelane_core::config::{BrokerConfig, ReadOptions, Source, Warning, environment, properties};
use std::{path::Path, process::ExitCode, thread};

type Entries = Vec<(Source, String, String)>;

/// `corelane start`.
pub fn run(options: &StartOptions, log_level: Option<&str>) -> ExitCode {
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
    let ended = serve(config, &signals);
    // First what was logged, then what it ended with.
    drop(log);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => fail(Blame::Machine, &[problem]),
    }
}

/// Runs until a signal asks for the end.
fn serve(config: BrokerConfig, signals: &StopSignals) -> Result<(), Problem> {
    let broker = start(config)?;
    let signal = signals.wait();
    tracing::info!("{signal}: stopping; a second one exits at once");
    exit_at_the_next_signal();
    broker.stop()
}

/// From now on a signal ends the process, whatever still hangs.
fn exit_at_the_next_signal() {
    let wait = || {
        if let Ok(signals) = StopSignals::block() {
            signals.wait();
            // 128 + SIGTERM, as a shell tells of a process that a signal ended.
            std::process::exit(143);
        }
    };
    if let Err(error) = thread::Builder::new().name("second-signal".into()).spawn(wait) {
        tracing::warn!("a second signal will not be heard: {error}");
    }
}

/// A broker that runs.
struct RunningBroker {}

impl RunningBroker {
    /// Finishes what is owed and stops.
    fn stop(self) -> Result<(), Problem> {
        Ok(())
    }
}

/// Where the shards will be started.
fn start(config: BrokerConfig) -> Result<RunningBroker, Problem> {
    Err(Problem {
        wrong: format!("node {} cannot start: serving is not built yet", config.node_id),
        why: "the configuration is read and good, but nothing would answer clients".into(),
        mend: "build a later version".into(),
    })
}

/// The configuration of a start, from all of its sources.
fn configuration(options: &StartOptions) -> Result<(BrokerConfig, Vec<Warning>), Vec<Problem>> {
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
    let options = ReadOptions { allow_unknown: options.allow_unknown, host_name: host_name() };
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

/// What this machine calls itself; "localhost" where it has no name.
fn host_name() -> String {
    let mut buffer = [0u8; 256];
    // SAFETY: the pointer and the length describe the buffer, which lives through the call.
    let failed = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len()) };
    let name: Vec<u8> = buffer.into_iter().take_while(|byte| *byte != 0).collect();
    match String::from_utf8(name) {
        Ok(name) if failed == 0 && !name.is_empty() => name,
        Ok(_) | Err(_) => "localhost".into(),
    }
}
