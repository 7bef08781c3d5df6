//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// A Kafka-protocol broker for people who cannot afford a slow tail.
///
/// Without a command it starts with its defaults: a single node on 127.0.0.1:9092, its data in ./corelane-data.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// What is logged: error, warn, info, debug or trace, or a filter as in RUST_LOG, over which this wins.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log_level: Option<String>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the broker.
    Start(StartOptions),
    /// Print the manual of all settings, as markdown.
    ConfigDocs,
}

#[derive(Args, Debug, Default)]
pub struct StartOptions {
    /// A server.properties file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A setting over file and environment; may be given many times.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Warn of settings that nobody knows, instead of refusing to start.
    #[arg(long)]
    pub allow_unknown: bool,
}
