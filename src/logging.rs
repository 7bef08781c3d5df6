//! The log: lines on standard error, written by a thread of their own, so that no shard waits for a terminal.

use corelane_core::loggers::Loggers;
use corelane_shard::LogControl;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

/// Lines that may wait to be written; past them lines are dropped and counted.
const LINES_WAITING_MAX: usize = 16 * 1024;

/// Writes what still waits when it is dropped, and says how many lines were lost.
pub struct Log {
    control: LogControl,
    lost: ErrorCounter,
    /// Flushes on drop; an option so that it goes before the count is told.
    writer: Option<WorkerGuard>,
}

/// What is logged unless someone asks: not the inner life of the raft library, which warns of each
/// heartbeat that a voter misses, where one line of ours says that it cannot be reached.
const DEFAULT_FILTER: &str = "info,openraft=error";

/// Starts the log. `filter` wins over RUST_LOG; neither is [`DEFAULT_FILTER`].
///
/// # Errors
/// What is wrong with the filter.
pub fn start(filter: Option<&str>) -> Result<Log, String> {
    let environment = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = filter.map(str::to_owned).or(environment).unwrap_or_else(|| DEFAULT_FILTER.into());
    let loggers = Loggers::from_filter(&filter);
    let filter = EnvFilter::try_new(&filter).map_err(|error| format!("log filter {filter:?}: {error}"))?;
    let (lines, writer) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING_MAX)
        .finish(std::io::stderr());
    let lost = lines.error_counter();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .with_writer(lines)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.finish().try_init().map_err(|error| error.to_string())?;
    let control = LogControl::new(loggers, move |filter| {
        let altered = EnvFilter::try_new(filter).map_err(|error| error.to_string());
        if let Err(error) = altered.and_then(|it| handle.reload(it).map_err(|error| error.to_string())) {
            tracing::error!("the log goes on as before, {filter:?} does not work: {error}");
        }
    });
    Ok(Log { control, lost, writer: Some(writer) })
}

impl Log {
    /// How administrators alter it.
    pub fn control(&self) -> LogControl {
        self.control.clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(self.writer.take());
        let lost = self.lost.dropped_lines();
        if lost > 0 {
            eprintln!("{lost} log lines were lost: they came faster than standard error takes them");
        }
    }
}
