//! The process's log, as far as administrators may alter it.

use corelane_core::loggers::Loggers;
use std::{fmt, sync::Arc};
use tracing::warn;

/// What the log takes, and how it is told to take something else.
#[derive(Clone)]
pub struct LogControl {
    loggers: Loggers,
    apply: Arc<dyn Fn(&str) + Send + Sync>,
}

impl LogControl {
    /// Of a log that was started with these levels. `apply` is called with another filter
    /// ([`Loggers::filter`]) on a shard's thread, and returns when it holds.
    pub fn new(loggers: Loggers, apply: impl Fn(&str) + Send + Sync + 'static) -> LogControl {
        LogControl { loggers, apply: Arc::new(apply) }
    }

    /// The levels at the start.
    pub(crate) fn loggers(&self) -> &Loggers {
        &self.loggers
    }

    /// From now on the log takes this, and says so.
    pub(crate) fn apply(&self, filter: &str) {
        (self.apply)(filter);
        warn!("the levels of the log were altered: {filter}");
    }
}

/// Of a log that nobody reads, as in the simulator.
impl Default for LogControl {
    fn default() -> Self {
        LogControl::new(Loggers::default(), |_| {})
    }
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogControl").field("loggers", &self.loggers).finish_non_exhaustive()
    }
}
