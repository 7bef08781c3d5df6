//! Where a setting came from, and what is said about it.

use std::{fmt, sync::Arc};

/// Where an entry was written down. Later sources win: a file, over it the environment, over it an override.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A line of a properties file; lines count from 1, a continued line is named by its first.
    File {
        /// As the user named it.
        path: Arc<str>,
        /// From 1.
        line: u32,
    },
    /// An environment variable.
    Environment {
        /// Its name, as it stands in the environment.
        variable: Arc<str>,
    },
    /// `--override key=value`.
    Override,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File { path, line } => write!(f, "{path}:{line}"),
            Source::Environment { variable } => write!(f, "environment variable {variable}"),
            Source::Override => f.write_str("--override"),
        }
    }
}

/// Something that does not keep the broker from starting, and that its operator should know: one log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where, if it is about one entry.
    pub source: Option<Source>,
    /// The sentence.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Why the broker does not start with this configuration: what, why, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, if it is about one entry.
    pub source: Option<Source>,
    /// The key it is about (empty for a line that names none).
    pub key: String,
    /// What is wrong.
    pub wrong: String,
    /// Why it matters.
    pub why: String,
    /// What mends it.
    pub mend: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}: ")?;
        }
        f.write_str(&self.wrong)
    }
}

impl std::error::Error for ConfigError {}
