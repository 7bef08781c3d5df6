//! The levels of the log, by logger (KIP-412), as DescribeConfigs and IncrementalAlterConfigs speak of them.
//!
//! A logger is the beginning of names of modules: its level holds for every module whose name begins with it, but for
//! those that a longer name speaks of. Levels are this process's, and forgotten when it ends, as Kafka's are.

use crate::{
    controller::{ApiError, ConfigOp, ConfigOpKind, check_form},
    error::ErrorCode,
};
use std::collections::BTreeMap;
use tracing::level_filters::LevelFilter;

/// Kafka's name of the logger that every other one falls back to.
const ROOT: &str = "root";

/// The loggers that are there whatever the log was started with: the parts of this broker that say anything.
const KNOWN: [&str; 8] = [
    "corelane",
    "corelane_core",
    "corelane_core::groups",
    "corelane_core::log",
    "corelane_io",
    "corelane_raft_meta",
    "corelane_shard",
    "openraft",
];

/// Kafka's levels (`LogLevelConfig`), and "nothing", which can be had at the start only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing.
    Off,
    /// What ends the broker. Such lines are not the log's: this is nothing too.
    Fatal,
    /// Errors.
    Error,
    /// Warnings.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What finds bugs.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Off => "OFF",
            Level::Fatal => "FATAL",
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        }
    }

    /// One that can be set, by Kafka's name, letter for letter.
    fn settable(name: &str) -> Option<Level> {
        [Level::Fatal, Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace]
            .into_iter()
            .find(|level| level.name() == name)
    }

    const fn in_a_filter(self) -> &'static str {
        match self {
            Level::Off | Level::Fatal => "off",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

impl From<LevelFilter> for Level {
    fn from(filter: LevelFilter) -> Level {
        match filter {
            LevelFilter::ERROR => Level::Error,
            LevelFilter::WARN => Level::Warn,
            LevelFilter::INFO => Level::Info,
            LevelFilter::DEBUG => Level::Debug,
            LevelFilter::TRACE => Level::Trace,
            _ => Level::Off,
        }
    }
}

/// The level of every logger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loggers {
    root: Level,
    /// `None`: that of the nearest shorter name.
    own: BTreeMap<String, Option<Level>>,
    /// What a filter says of spans and their fields, word for word.
    rest: Vec<String>,
}

impl Default for Loggers {
    fn default() -> Self {
        Loggers::from_filter("info")
    }
}

impl Loggers {
    /// What a filter in the syntax of tracing-subscriber's `EnvFilter` means. It is taken to be well-formed.
    pub fn from_filter(filter: &str) -> Loggers {
        let own = KNOWN.iter().map(|name| ((*name).to_owned(), None)).collect();
        // Without a word about the root, a filter lets errors through.
        let mut loggers = Loggers { root: Level::Error, own, rest: Vec::new() };
        for directive in filter.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let level = |text: &str| text.parse::<LevelFilter>().ok().map(Level::from);
            match (directive.contains('['), directive.split_once('='), level(directive)) {
                (false, None, Some(level)) => loggers.root = level,
                (false, None, None) => drop(loggers.own.insert(directive.to_owned(), Some(Level::Trace))),
                (false, Some((name, text)), _) if level(text).is_some() => {
                    loggers.own.insert(name.to_owned(), level(text));
                }
                _ => loggers.rest.push(directive.to_owned()),
            }
        }
        loggers
    }

    /// The filter that lets through what the levels say, in the syntax of [`from_filter`](Self::from_filter).
    pub fn filter(&self) -> String {
        let own = self
            .own
            .iter()
            .filter_map(|(name, level)| level.map(|level| format!("{name}={}", level.in_a_filter())));
        let all =
            [self.root.in_a_filter().to_owned()].into_iter().chain(own).chain(self.rest.iter().cloned());
        all.collect::<Vec<_>>().join(",")
    }

    /// Every logger and the level that holds for it, by name.
    pub fn levels(&self) -> Vec<(String, Level)> {
        let mut levels: Vec<_> = self.own.keys().map(|name| (name.clone(), self.level(name))).collect();
        levels.push((ROOT.to_owned(), self.root));
        levels.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        levels
    }

    fn level(&self, name: &str) -> Level {
        let set = self.own.iter().filter_map(|(prefix, level)| Some((prefix, (*level)?)));
        let nearest =
            set.filter(|(prefix, _)| name.starts_with(*prefix)).max_by_key(|(prefix, _)| prefix.len());
        nearest.map_or(self.root, |(_, level)| level)
    }

    /// Alters levels: all of them, or none.
    ///
    /// # Errors
    /// Kafka's code and words (`RuntimeLoggerManager`).
    pub fn alter(&mut self, ops: &[ConfigOp], validate_only: bool) -> Result<(), ApiError> {
        check_form(ops)?;
        let mut after = self.clone();
        for op in ops {
            after.alter_one(op)?;
        }
        if !validate_only {
            *self = after;
        }
        Ok(())
    }

    fn alter_one(&mut self, op: &ConfigOp) -> Result<(), ApiError> {
        let name = op.key.as_str();
        let refused = |text: String| Err(ApiError::new(ErrorCode::InvalidRequest, text));
        let operation = match op.kind {
            ConfigOpKind::Set | ConfigOpKind::Delete => None,
            ConfigOpKind::Append => Some("APPEND"),
            ConfigOpKind::Subtract => Some("SUBTRACT"),
        };
        if let Some(operation) = operation {
            return refused(format!("{operation} operation is not allowed for the BROKER_LOGGER resource"));
        }
        if name != ROOT && !self.own.contains_key(name) {
            let text = format!("Logger {name} does not exist!");
            return Err(ApiError::new(ErrorCode::InvalidConfig, text));
        }
        if op.kind == ConfigOpKind::Delete {
            if name == ROOT {
                return refused("Removing the log level of the root logger is not allowed".to_owned());
            }
            self.own.insert(name.to_owned(), None);
            return Ok(());
        }
        let value = op.value.as_deref().unwrap_or_default();
        let Some(level) = Level::settable(value) else {
            let text = format!(
                "Cannot set the log level of {name} to {value} as it is not a supported log level. Valid log levels are \
                 DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
            );
            return Err(ApiError::new(ErrorCode::InvalidConfig, text));
        };
        if name == ROOT {
            self.root = level;
        } else {
            self.own.insert(name.to_owned(), Some(level));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
