//! Kafka's command-line tools, native: the same options, output, errors and exit codes as those of Apache Kafka 4.3,
//! without a JVM. They work with any broker of the protocol.
//!
//! One file or folder per tool; what they share is [`args`] (joptsimple's view of a command line), [`client`] (a small
//! client on blocking sockets) and [`console`].

pub mod args;
mod broker_api_versions;
pub mod client;
mod cluster;
mod completions;
mod configs;
pub mod console;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod consumer_perf_test;
mod coordinator;
mod delete_records;
mod dump_log;
mod features;
mod get_offsets;
mod install;
mod interrupt;
mod java;
mod leader_election;
mod log;
mod log_dirs;
mod metadata_quorum;
mod metrics;
mod producer_perf_test;
mod progress;
mod reassign_partitions;
mod releases;
mod storage;
mod topics;
mod transactions;

use args::Opt;
use console::{Console, Outcome, Stop};
use std::{path::Path, process::ExitCode};

pub use completions::{Shell, completions};
pub use install::install;

/// What `--version` prints: Corelane's. Kafka's own tools print Kafka's version and commit there.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One tool.
pub struct Tool {
    /// As it is called, without `.sh`.
    pub name: &'static str,
    /// What it does, in a line.
    pub purpose: &'static str,
    /// All it takes.
    pub options: &'static [Opt],
    run: fn(&[String], &mut Console) -> Outcome,
}

/// All there are.
pub const TOOLS: &[Tool] = &[
    broker_api_versions::TOOL,
    cluster::TOOL,
    configs::TOOL,
    console_consumer::TOOL,
    console_producer::TOOL,
    consumer_groups::TOOL,
    consumer_perf_test::TOOL,
    delete_records::TOOL,
    dump_log::TOOL,
    features::TOOL,
    get_offsets::TOOL,
    leader_election::TOOL,
    log_dirs::TOOL,
    metadata_quorum::TOOL,
    producer_perf_test::TOOL,
    reassign_partitions::TOOL,
    storage::TOOL,
    topics::TOOL,
    transactions::TOOL,
];

/// The tool of this name, which may be a path and may end in `.sh`.
pub fn named(name: &str) -> Option<&'static Tool> {
    let file = Path::new(name).file_name()?.to_str()?;
    let name = file.strip_suffix(".sh").unwrap_or(file);
    TOOLS.iter().find(|tool| tool.name == name)
}

impl Tool {
    /// Runs it on the process's own input and output.
    pub fn main(&self, arguments: &[String]) -> ExitCode {
        let mut console = Console::standard();
        let outcome = (self.run)(arguments, &mut console);
        Stop::exit(outcome, &mut console)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_tool_is_found_by_each_of_its_names() {
        for name in ["kafka-topics", "kafka-topics.sh", "/opt/kafka/bin/kafka-topics.sh"] {
            assert_eq!(named(name).map(|tool| tool.name), Some("kafka-topics"), "{name}");
        }
        assert!(named("corelane").is_none() && named("").is_none());
    }

    #[test]
    fn no_table_has_an_option_twice_and_every_alias_has_its_option() {
        for tool in TOOLS {
            let names: BTreeSet<&str> = tool.options.iter().map(|option| option.name).collect();
            assert_eq!(names.len(), tool.options.len(), "{}", tool.name);
            for option in tool.options {
                assert!(
                    option.same_as.is_none_or(|name| names.contains(name)),
                    "{} {}",
                    tool.name,
                    option.name
                );
                assert!(!option.about.is_empty(), "{} {}", tool.name, option.name);
            }
        }
    }
}
