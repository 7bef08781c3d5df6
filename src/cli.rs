//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser, value_parser};
use corelane_io::DriverKind;
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
    /// Start the broker in a container: as root, give the data folders to user 1000 and become that user first.
    Container(StartOptions),
    /// Print the manual of all settings, as markdown.
    ConfigDocs,
    /// What about this machine stands in the way of a short tail, and what changes it.
    #[command(subcommand)]
    Tune(Tune),
    /// Kafka's command-line tools, which are in this binary: run one as `corelane kafka-topics ...`.
    #[command(subcommand)]
    Tools(Tools),
    /// Print a script that makes a shell complete commands and the tools' options.
    Completions {
        /// For this shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub enum Tools {
    /// Link Kafka's names of the tools, with and without .sh, to this binary.
    Install {
        /// Where the links go; made if need be.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Subcommand)]
pub enum Tune {
    /// Compare the machine's settings with what serves the tail best.
    #[command(
        after_help = "Exit code: 0 if nothing could be better, 1 if something could; what cannot be told does not \
                            count.\nRun it as the user, and under the limits, that the broker will have."
    )]
    Check(TuneCheckOptions),
    /// Say why settings matter, what changes them and what takes the change back.
    Explain {
        /// Only these.
        #[arg(value_name = "ITEM", value_parser = tune_items())]
        items: Vec<String>,
    },
    /// Change, until the next boot, what can safely be changed; say what was done and what undoes it. Needs root.
    #[command(after_help = "Exit code: 0 if every change was made, also if there was none to make; else 1.")]
    Apply(TuneApplyOptions),
    /// Measure what a directory's disk does with a broker's writes, for the broker to take settings from when it starts.
    #[command(
        after_help = "Run it while the broker is stopped and little else uses the disk. It writes to files without \
                            a name, which are gone however it ends, and uses an eighth of the free space at most."
    )]
    Measure(TuneMeasureOptions),
}

#[derive(Args, Debug)]
pub struct TuneMeasureOptions {
    /// The directory whose disk is measured, as in corelane.journal.dir or log.dirs; made if it is missing.
    #[arg(long, alias = "data-dir", value_name = "DIRECTORY", default_value = "./corelane-data")]
    pub dir: PathBuf,
    /// How long it takes.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Where the figures go, instead of disk.properties in the directory; the broker reads only that one.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How the kernel is asked: as the broker will ask it.
    #[arg(long, value_name = "DRIVER", default_value = "auto")]
    pub driver: Driver,
}

#[derive(Args, Debug)]
pub struct TuneApplyOptions {
    #[command(flatten)]
    pub check: TuneCheckOptions,
    /// Change nothing: write a shell script that would, and beside it FILE.undo that takes it back. Without FILE, or
    /// with -, the script goes to standard output, without the other one. Needs no rights; no file is written over.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", require_equals = true)]
    pub script: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct TuneCheckOptions {
    /// Only these.
    #[arg(value_name = "ITEM", value_parser = tune_items())]
    pub items: Vec<String>,
    /// The directory whose disks are looked at, as in log.dirs or corelane.journal.dir; it need not exist yet.
    #[arg(long, value_name = "DIRECTORY", default_value = "./corelane-data")]
    pub data_dir: PathBuf,
}

fn tune_items() -> PossibleValuesParser {
    PossibleValuesParser::new(corelane_tuning::ITEMS.iter().map(|item| item.name))
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
    /// How the kernel is asked.
    #[arg(long, value_name = "DRIVER", default_value = "auto")]
    pub driver: Driver,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// Ring, or glommio where Linux is older than 6.1, or portable where io_uring or direct I/O is refused.
    #[default]
    Auto,
    /// io_uring, threads parked by glommio.
    Glommio,
    /// io_uring alone for data shards, from Linux 6.1 on.
    Ring,
    /// epoll and threads for files: acknowledges later, and runs where io_uring is forbidden.
    Portable,
}

impl Driver {
    /// The one that is asked for, if one is.
    pub fn asked(self) -> Option<DriverKind> {
        match self {
            Driver::Auto => None,
            Driver::Glommio => Some(DriverKind::Glommio),
            Driver::Ring => Some(DriverKind::Ring),
            Driver::Portable => Some(DriverKind::Portable),
        }
    }
}
