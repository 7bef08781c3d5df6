//! The clients' implementations of the protocol, and how their scripts (`tests/clients/{go,java,python}`) are called.

use crate::broker::end_with_parent;
use anyhow::{Context, bail, ensure};
use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// What keeps Kafka's Java code from telling of every setting on standard error.
pub const QUIET: &str = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";

/// A script's life is short and the machine busy: neither much memory nor much compiling.
const SMALL_JVM: [&str; 3] = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// A client's implementation of the protocol that has transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Stack {
    /// Kafka's own Java client.
    Java,
    /// librdkafka, by confluent-kafka.
    Librdkafka,
    /// kafka-python.
    KafkaPython,
    /// aiokafka.
    Aiokafka,
    /// franz-go.
    FranzGo,
}

impl Stack {
    /// All of them.
    pub const ALL: [Stack; 5] =
        [Stack::Java, Stack::Librdkafka, Stack::KafkaPython, Stack::Aiokafka, Stack::FranzGo];

    /// Those whose scripts produce and read under [load](crate::cluster::Load), too.
    pub const LOADING: [Stack; 3] = [Stack::Java, Stack::Librdkafka, Stack::FranzGo];

    /// The program that runs the scripted client, which keeps the contract of `tests/clients`, and the arguments that come
    /// before those of the contract.
    ///
    /// # Errors
    /// When the clients are not installed.
    pub fn script(self) -> anyhow::Result<(PathBuf, Vec<String>)> {
        let script = |name: &str| scripts().join(name).display().to_string();
        let (program, first) = match self {
            Stack::Java => {
                let words = [QUIET.to_owned(), "-cp".to_owned(), jars()?, script("java/Client.java")];
                ("java".into(), words.to_vec())
            }
            Stack::Librdkafka => (python()?, vec![script("python/librdkafka.py")]),
            Stack::KafkaPython => (python()?, vec![script("python/kafka_python.py")]),
            Stack::Aiokafka => (python()?, vec![script("python/aio.py")]),
            Stack::FranzGo => (clients()?.join("go/franz"), Vec::new()),
        };
        ensure_installed(self, &program)?;
        Ok((program, first))
    }

    /// The command that runs the script of load.
    ///
    /// # Errors
    /// When the clients are not installed, or the stack has no such script.
    pub(crate) fn load_script(self) -> anyhow::Result<Command> {
        let mut command = match self {
            Stack::Java => small_java("Load.java", &[])?,
            Stack::Librdkafka => {
                let mut command = Command::new(python()?);
                command.arg(scripts().join("python/load.py"));
                command
            }
            Stack::FranzGo => {
                let mut command = Command::new(clients()?.join("go/franz"));
                command.arg("load");
                command
            }
            Stack::KafkaPython | Stack::Aiokafka => bail!("{self:?} has no script of load"),
        };
        ensure_installed(self, Path::new(command.get_program()))?;
        tie(&mut command);
        Ok(command)
    }
}

/// Kafka's Java clients, with a program of ours in its source, and further options of the JVM.
///
/// # Errors
/// When they are not installed.
pub(crate) fn small_java(source: &str, options: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new("java");
    command.args(SMALL_JVM).args(options).arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error");
    command.args(["-cp", &jars()?]).arg(scripts().join("java").join(source));
    Ok(command)
}

/// Has what is started by this command end with the thread that starts it.
pub(crate) fn tie(command: &mut Command) {
    // SAFETY: that function is safe between fork and exec.
    unsafe { command.pre_exec(end_with_parent) };
}

fn ensure_installed(stack: Stack, program: &Path) -> anyhow::Result<()> {
    let is_there = match stack {
        // Its program is the system's.
        Stack::Java => clients()?.join("java").is_dir(),
        _ => program.exists(),
    };
    ensure!(is_there, "{stack:?} is missing: run tests/install-clients");
    Ok(())
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients")
}

/// Where `tests/install-clients` puts the clients.
///
/// # Errors
/// When they are not installed.
pub fn clients() -> anyhow::Result<PathBuf> {
    let ours = std::env::current_exe().context("cannot name this executable")?;
    let target = ours.ancestors().find(|folder| folder.join("clients").is_dir());
    Ok(target.context("no target/clients: run tests/install-clients")?.join("clients"))
}

/// The class path of Kafka's Java clients and tools.
///
/// # Errors
/// As [`clients`].
pub fn jars() -> anyhow::Result<String> {
    Ok(clients()?.join("java/*").display().to_string())
}

/// The Python interpreter that has the clients.
///
/// # Errors
/// As [`clients`].
pub fn python() -> anyhow::Result<PathBuf> {
    Ok(clients()?.join("python/bin/python"))
}
