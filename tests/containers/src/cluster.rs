//! A compose file at work, whatever runs it.

use crate::{compose, docker::Docker, image, namespaces::Namespaces};
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use crate::process::{Ran, Running};

/// How long a broker may take to serve; a returning one may wait for others.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Longest wait for what a cluster does by itself. It is no promise: whoever waits so long has waited for nothing.
const SETTLING_PATIENCE: Duration = Duration::from_secs(90);

/// The services of a compose file. Dropping it ends them and takes away all that they left.
pub trait Cluster {
    /// What runs them, in a few words.
    fn used(&self) -> String;

    /// What is to be run inside a service's container.
    fn command_inside(&self, service: &str, words: &[&str]) -> std::process::Command;

    /// What is to be run on the host.
    fn command_on_host(&self, words: &[&str]) -> std::process::Command;

    /// `docker kill`: without a chance to say goodbye.
    ///
    /// # Errors
    /// When it cannot be done.
    fn kill(&mut self, service: &str) -> anyhow::Result<()>;

    /// `docker start`, of one that was killed. Does not wait until it serves.
    ///
    /// # Errors
    /// When it cannot be done.
    fn start(&mut self, service: &str) -> anyhow::Result<()>;

    /// All that a service's process said since it was first started.
    ///
    /// # Errors
    /// When it cannot be told.
    fn said(&self, service: &str) -> anyhow::Result<String>;
}

impl dyn Cluster + '_ {
    /// Runs a command inside a service's container to its end.
    ///
    /// # Errors
    /// When it cannot be started, or ends by a signal.
    pub fn inside(&self, service: &str, words: &[&str], input: &str) -> anyhow::Result<Ran> {
        crate::process::run(self.command_inside(service, words), input)
    }

    /// Starts a command inside a service's container that does not end by itself.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn inside_on_and_on(&self, service: &str, words: &[&str]) -> anyhow::Result<Running> {
        Running::start(self.command_inside(service, words), false)
    }

    /// Runs a command on the host to its end.
    ///
    /// # Errors
    /// When it cannot be started, or ends by a signal.
    pub fn on_host(&self, words: &[&str], input: &str) -> anyhow::Result<Ran> {
        crate::process::run(self.command_on_host(words), input)
    }

    /// Runs one of Kafka's tools, which the binary holds, on the host to its end.
    ///
    /// # Errors
    /// When it cannot be started, or ends by a signal.
    pub fn tool_on_host(&self, words: &[&str], input: &str) -> anyhow::Result<Ran> {
        let binary = image::binary()?;
        let binary = binary.to_str().context("a path of UTF-8")?;
        self.on_host(&[&[binary], words].concat(), input)
    }

    /// Waits until a service has begun to serve for the `times`th time.
    ///
    /// # Errors
    /// When it does not; with all it said.
    pub fn await_serving(&self, service: &str, times: usize) -> anyhow::Result<()> {
        let serves = |said: &String| said.matches(" serving on ").count() >= times;
        await_settled(START_PATIENCE, || self.said(service), serves)
            .with_context(|| format!("{service} does not serve"))
            .map(drop)
    }

    /// Asks again and again inside a service's container until the answer is as wanted.
    ///
    /// # Errors
    /// When it never is; with the last answer.
    pub fn await_inside(
        &self,
        service: &str,
        words: &[&str],
        wanted: impl Fn(&Ran) -> bool,
    ) -> anyhow::Result<Ran> {
        await_settled(SETTLING_PATIENCE, || self.inside(service, words, ""), wanted)
            .with_context(|| words.join(" "))
    }
}

fn await_settled<T: std::fmt::Debug>(
    patience: Duration,
    ask: impl Fn() -> anyhow::Result<T>,
    wanted: impl Fn(&T) -> bool,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = ask()?;
        if wanted(&answer) {
            return Ok(answer);
        }
        anyhow::ensure!(Instant::now() < deadline, "not after {patience:?}: {answer:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A compose file in a folder of its own, with the image to be replaced.
pub struct Project {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) file: PathBuf,
    pub(crate) compose: compose::Project,
}

impl Project {
    /// Copies a compose file and what lies beside it.
    fn copy(source: &Path) -> anyhow::Result<Project> {
        let folder = tempfile::Builder::new().prefix("corelane-containers-").tempdir()?;
        let from = source.parent().context("a file has a folder")?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
            }
        }
        let file = folder.path().join(source.file_name().context("a file has a name")?);
        let compose = compose::read(&file)?;
        Ok(Project { folder, file, compose })
    }
}

/// Starts the services of a compose file and waits until all serve. `None`, with the reason on standard error, where
/// neither an engine works nor root makes namespaces.
///
/// # Errors
/// When it should work and does not.
pub fn start(file: &Path) -> anyhow::Result<Option<Box<dyn Cluster>>> {
    let project = Project::copy(file)?;
    let services: Vec<String> = project.compose.services.keys().cloned().collect();
    let cluster: Box<dyn Cluster> = match Docker::find(&project) {
        Ok(docker) => Box::new(docker.up(project)?),
        Err(reason) => {
            eprintln!("no container engine is used: {reason:#}");
            if !rustix::process::geteuid().is_root() {
                eprintln!("skipped: only root can make the namespaces that stand in for an engine");
                return Ok(None);
            }
            Box::new(Namespaces::up(project)?)
        }
    };
    eprintln!("{} runs on {}", file.display(), cluster.used());
    for service in services {
        cluster.await_serving(&service, 1)?;
    }
    Ok(Some(cluster))
}
