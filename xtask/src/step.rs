//! One command: run, shown as it goes, timed, its results counted.

use crate::tally::Tally;
use anyhow::Context;
use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A command with a name of its own.
pub struct Step {
    name: &'static str,
    program: String,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

/// How it went.
pub struct Outcome {
    /// Whether the command said so.
    pub succeeded: bool,
    /// What it printed of tests.
    pub tally: Tally,
    /// How long it took.
    pub took: Duration,
}

impl Step {
    /// A call of the cargo that runs us.
    pub fn cargo(name: &'static str, arguments: &[&str]) -> Step {
        let program = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Step { name, program, arguments, environment: Vec::new() }
    }

    /// A program of the workspace that the tests' build made: it stands where ours does. Asking cargo for it by its
    /// package would build it anew, with the fewer features that it needs alone.
    ///
    /// # Errors
    /// When our own place cannot be told.
    pub fn built(name: &'static str, program: &str) -> anyhow::Result<Step> {
        let ours = env::current_exe().context("cannot tell where this program is")?;
        Ok(Step::program(name, &ours.with_file_name(program)))
    }

    /// A program by its path.
    pub fn program(name: &'static str, path: &Path) -> Step {
        let program = path.to_string_lossy().into_owned();
        Step { name, program, arguments: Vec::new(), environment: Vec::new() }
    }

    /// With one argument more.
    pub fn argument(mut self, argument: &str) -> Step {
        self.arguments.push(argument.to_owned());
        self
    }

    /// With a variable in its environment.
    pub fn environment(mut self, name: &'static str, value: &str) -> Step {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// What to call it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs it in the workspace's root, its output passed on line by line.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(root())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", self.program))?;
        let output = child.stdout.take().context("standard output was asked for")?;
        let mut tally = Tally::default();
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read the command's output")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            tally.add_line(&line);
        }
        let succeeded = child.wait()?.success();
        Ok(Outcome { succeeded, tally, took: started.elapsed() })
    }
}

/// Where cargo puts what it builds, which may stand elsewhere.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The workspace's root: the folder above xtask's own.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}
