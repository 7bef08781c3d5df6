//! How problems are told: what is wrong, why it matters, what mends it.

use corelane_core::config::ConfigError;
use std::{fmt, process::ExitCode};

/// A problem in three lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, and where.
    pub wrong: String,
    /// Why it matters.
    pub why: String,
    /// The command or change that mends it.
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}\n  why: {}\n  fix: {}", self.wrong, self.why, self.mend)
    }
}

impl From<&ConfigError> for Problem {
    fn from(error: &ConfigError) -> Problem {
        Problem { wrong: error.to_string(), why: error.why.clone(), mend: error.mend.clone() }
    }
}

/// What the exit code says of a start that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Something about this machine: 1.
    Machine,
    /// The configuration: 2.
    Configuration,
}

/// Tells the problems on standard error, past any log that might lose lines.
pub fn fail(blame: Blame, problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprint!("{problem}");
    }
    ExitCode::from(match blame {
        Blame::Machine => 1,
        Blame::Configuration => 2,
    })
}
