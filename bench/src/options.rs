//! The command line.

use crate::{
    compare::CompareOptions,
    consume::ConsumeSettings,
    groups::Protocol,
    payload::{Payload, STAMP_BYTES},
    produce::{Acks, ProduceSettings, flow::Spread},
    schedule::Rate,
    topic::{From, TopicSettings},
};
use anyhow::{Result, bail, ensure};
use clap::{ArgAction, Args, Parser, Subcommand};
use corelane_core::records::Codec;
use std::{num::NonZeroU64, path::PathBuf, str::FromStr};

/// Load generator over the Kafka protocol: fixed arrivals, latency from the scheduled arrival.
#[derive(Clone, Debug, Parser)]
#[command(name = "corelane-bench", version)]
pub struct Options {
    /// What to measure.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Produce at a fixed rate; latency from each record's scheduled arrival to its acknowledgement
    Produce {
        /// The run.
        #[command(flatten)]
        run: RunOptions,
        /// The producers.
        #[command(flatten)]
        produce: ProduceOptions,
    },
    /// Read what is there, or what comes
    Consume {
        /// The run.
        #[command(flatten)]
        run: RunOptions,
        /// The consumers.
        #[command(flatten)]
        consume: ConsumeOptions,
        /// Begin at the end of the partitions instead of at their beginning
        #[arg(long)]
        tail: bool,
        /// Read on for the whole time instead of ending at the end that the partitions have at the start
        #[arg(long)]
        keep_reading: bool,
    },
    /// Produce and read at the same time; latency from scheduled arrival to receipt by a consumer
    E2e {
        /// The run.
        #[command(flatten)]
        run: RunOptions,
        /// The producers.
        #[command(flatten)]
        produce: ProduceOptions,
        /// The consumers.
        #[command(flatten)]
        consume: ConsumeOptions,
    },
    /// Produce small records alone, then beside large batches
    Mixed {
        /// The run; its time is that of each of the two parts.
        #[command(flatten)]
        run: RunOptions,
        /// The small producers.
        #[command(flatten)]
        produce: ProduceOptions,
        /// Bytes of each large record, one in each batch
        #[arg(long, default_value_t = 1_000_000)]
        large_record_bytes: usize,
        /// Large records per second, or max
        #[arg(long, default_value = "20", value_parser = rate)]
        large_rate: Rate,
    },
    /// Hold many idle connections, and time an ApiVersions round trip on fresh ones meanwhile
    Connections {
        /// The run.
        #[command(flatten)]
        run: RunOptions,
        /// Idle connections
        #[arg(long, default_value_t = 1000)]
        count: usize,
        /// Milliseconds between fresh connections
        #[arg(long, default_value_t = 20)]
        every_ms: u64,
    },
    /// Let many members join one group, restart in turn, and stay
    Groups {
        /// The run; its time is that of the part in which nothing happens.
        #[command(flatten)]
        run: RunOptions,
        /// Members, a connection each
        #[arg(long, default_value_t = 100)]
        members: usize,
        /// Which protocol they speak
        #[arg(long, value_enum, default_value_t = Protocol::Classic)]
        protocol: Protocol,
        /// Milliseconds between heartbeats of the classic protocol; in the other one the broker says
        #[arg(long, default_value_t = 3000)]
        heartbeat_ms: u64,
        /// Members that restart at once
        #[arg(long, default_value_t = 50)]
        restart_batch: usize,
    },
    /// Let many transactional producers write and commit at fixed intervals; latency from when each transaction was to begin
    Transactions {
        /// The run.
        #[command(flatten)]
        run: RunOptions,
        /// Transactional ids, with two connections each
        #[arg(long, default_value_t = 100)]
        producers: usize,
        /// Milliseconds between two transactions of a producer
        #[arg(long, default_value_t = 100)]
        every_ms: u64,
        /// Records of a transaction
        #[arg(long, default_value_t = 10)]
        records: usize,
        /// Bytes of each record
        #[arg(long, default_value_t = 100)]
        record_bytes: usize,
    },
    /// Create many partitions on a cluster; kill a broker, and start it again
    Growth {
        /// The run; the topics' names begin with its topic.
        #[command(flatten)]
        run: RunOptions,
        /// Partitions in all
        #[arg(long, default_value_t = 10_000)]
        total: i32,
        /// Partitions of each topic
        #[arg(long, default_value_t = 1_000)]
        step: i32,
        /// A broker's process on this machine, for its memory; may be given for each
        #[arg(long)]
        pid: Vec<u32>,
        /// Kill this broker's process when everything is created: not the one of --broker
        #[arg(long)]
        kill_pid: Option<u32>,
        /// Shell command that starts the killed broker again; it goes on afterwards
        #[arg(long, requires = "kill_pid")]
        restart: Option<String>,
        /// Seconds to wait for anything
        #[arg(long, default_value_t = 600)]
        patience_s: u64,
    },
    /// Run Corelane and Apache Kafka in turn under every workload, and write a page with plots (by cargo xtask compare)
    Compare(CompareOptions),
    /// Write the page of a comparison anew from its report.json
    Page {
        /// The report
        report: PathBuf,
    },
    /// Measure what this machine can do without a broker: flushed writes and loopback sends
    Limits {
        /// Directory on the disk to measure; a file of 256 MiB is made there and removed
        #[arg(long, default_value = ".")]
        directory: PathBuf,
        /// Seconds for each measurement
        #[arg(long, default_value_t = 3.0, value_parser = seconds)]
        seconds: f64,
        /// Write the results as JSON, too
        #[arg(long)]
        json: Option<PathBuf>,
        /// Something to note among the conditions
        #[arg(long, value_name = "NAME=TEXT", value_parser = pair)]
        label: Vec<(String, String)>,
    },
}

/// What every run against a broker has.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// Address of any broker of the cluster
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub broker: String,
    /// Topic; created if absent
    #[arg(long, default_value = "corelane-bench")]
    pub topic: String,
    /// Partitions of the topic [default: those it has, or 4]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: Option<i32>,
    /// Replication factor of a new topic; -1 is the broker's default
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub replication_factor: i16,
    /// Configuration of a new topic
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub topic_config: Vec<(String, String)>,
    /// Seconds that are measured
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Seconds of the same load before, which do not count
    #[arg(long, default_value_t = 2.0, value_parser = seconds_or_none)]
    pub warmup: f64,
    /// Seconds to wait for the last answers
    #[arg(long, default_value_t = 10.0, value_parser = seconds_or_none)]
    pub drain: f64,
    /// The broker's process on this machine: report its CPU time and memory
    #[arg(long)]
    pub broker_pid: Option<u32>,
    /// Directory on the broker's disk: measure the machine's limits there first, and report parts of them
    #[arg(long)]
    pub limits_dir: Option<PathBuf>,
    /// Something to note among the conditions, for instance broker=apache-kafka-4.3.1
    #[arg(long, value_name = "NAME=TEXT", value_parser = pair)]
    pub label: Vec<(String, String)>,
    /// Write the results as JSON, too
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Producers.
#[derive(Clone, Debug, Args)]
pub struct ProduceOptions {
    /// Producers, a connection each
    #[arg(long, default_value_t = 1)]
    pub producers: usize,
    /// Threads that serve the producers [default: half of the cores, at most one for each producer]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Records per second over all producers, evenly spaced; or max, a closed loop
    #[arg(long, default_value = "1000", value_parser = rate)]
    pub rate: Rate,
    /// Bytes of each value
    #[arg(long, default_value_t = 1024)]
    pub record_bytes: usize,
    /// Bytes of each key; without it, records have none. Keys are spread as --spread says
    #[arg(long, default_value_t = 0)]
    pub key_bytes: usize,
    /// Bytes that fill a batch
    #[arg(long, default_value_t = 16_384)]
    pub batch_bytes: usize,
    /// Bytes of a request
    #[arg(long, default_value_t = 1_048_576)]
    pub request_bytes: usize,
    /// Milliseconds that a record waits for its batch to fill
    #[arg(long, default_value_t = 5.0, value_parser = seconds_or_none)]
    pub linger_ms: f64,
    /// Requests without an answer on each connection
    #[arg(long, default_value_t = 5)]
    pub in_flight: usize,
    /// 0, 1 or all
    #[arg(long, default_value = "all", value_parser = acks)]
    pub acks: Acks,
    /// Whether batches carry producer id and sequence; needs acks=all
    #[arg(long, default_value_t = false, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub idempotent: bool,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none", value_parser = codec)]
    pub compression: Codec,
    /// What the values hold
    #[arg(long, value_enum, default_value_t = Payload::Random)]
    pub payload: Payload,
    /// How records are spread over the partitions
    #[arg(long, value_enum, default_value_t = Spread::Sticky)]
    pub spread: Spread,
    /// Microseconds before a due request from which on a thread spins instead of sleeping
    #[arg(long, default_value_t = 20)]
    pub spin_us: u64,
}

/// Consumers.
#[derive(Clone, Debug, Args)]
pub struct ConsumeOptions {
    /// Consumers, a connection and a thread each; the partitions are divided among them
    #[arg(long, default_value_t = 1)]
    pub consumers: usize,
    /// Fetch's min_bytes
    #[arg(long, default_value_t = 1)]
    pub min_bytes: i32,
    /// Fetch's max_bytes
    #[arg(long, default_value_t = 52_428_800)]
    pub max_bytes: i32,
    /// Fetch's bound for one partition
    #[arg(long, default_value_t = 1_048_576)]
    pub partition_max_bytes: i32,
    /// Fetch's max_wait_ms
    #[arg(long, default_value_t = 500)]
    pub max_wait_ms: i32,
    /// Whether fetch sessions (KIP-227) are used
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub sessions: bool,
    /// Whether checksums and the contiguity of offsets are verified
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub verify: bool,
}

impl RunOptions {
    /// The topic part.
    pub fn topic(&self) -> TopicSettings {
        TopicSettings {
            name: self.topic.clone(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            configs: self.topic_config.clone(),
        }
    }
}

impl ProduceOptions {
    /// Checked, as settings; with the run whose stamps the values carry, if they do.
    ///
    /// # Errors
    /// When options do not go together.
    pub fn settings(&self, stamp_run: Option<u64>) -> Result<ProduceSettings> {
        ensure!(self.producers > 0, "--producers must be 1 or more");
        ensure!(self.in_flight > 0, "--in-flight must be 1 or more");
        ensure!(
            !self.idempotent || self.in_flight <= 5,
            "--in-flight must be 5 or less with --idempotent: a broker remembers five batches of a producer"
        );
        ensure!(self.key_bytes <= BYTES_MAX, "--key-bytes must be 0 to {BYTES_MAX}");
        for (name, bytes) in [
            ("--record-bytes", self.record_bytes),
            ("--batch-bytes", self.batch_bytes),
            ("--request-bytes", self.request_bytes),
        ] {
            ensure!((1..=BYTES_MAX).contains(&bytes), "{name} must be 1 to {BYTES_MAX}");
        }
        if stamp_run.is_some() {
            ensure!(self.record_bytes >= STAMP_BYTES, "--record-bytes must be {STAMP_BYTES} or more for e2e");
            ensure!(self.compression == Codec::None, "e2e reads its values: --compression must be none");
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(ProduceSettings {
            producers: self.producers,
            threads: self.threads.unwrap_or(cores / 2).clamp(1, self.producers),
            rate: self.rate,
            key_bytes: self.key_bytes,
            record_bytes: self.record_bytes,
            batch_bytes: self.batch_bytes,
            request_bytes: self.request_bytes,
            linger_ns: (self.linger_ms * 1e6) as u64,
            requests_in_flight: self.in_flight,
            acks: self.acks,
            idempotent: self.idempotent,
            codec: self.compression,
            payload: self.payload,
            spread: self.spread,
            stamp_run,
            spin_ns: self.spin_us * 1000,
        })
    }
}

/// Batches and requests are bounded far below what a length on the wire can say.
const BYTES_MAX: usize = 256 << 20;

impl ConsumeOptions {
    /// Checked, as settings.
    ///
    /// # Errors
    /// When options are out of range.
    pub fn settings(&self, from: From, stamp_run: Option<u64>) -> Result<ConsumeSettings> {
        ensure!(self.consumers > 0, "--consumers must be 1 or more");
        ensure!(self.max_bytes > 0 && self.partition_max_bytes > 0, "--max-bytes must be 1 or more");
        ensure!((0..=30_000).contains(&self.max_wait_ms), "--max-wait-ms must be 0 to 30000");
        Ok(ConsumeSettings {
            consumers: self.consumers,
            from,
            min_bytes: self.min_bytes,
            max_bytes: self.max_bytes,
            partition_max_bytes: self.partition_max_bytes,
            max_wait_ms: self.max_wait_ms,
            sessions: self.sessions,
            verify: self.verify,
            stamp_run,
        })
    }
}

fn rate(text: &str) -> Result<Rate> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let Ok(rate) = NonZeroU64::from_str(text) else { bail!("records per second, or max") };
    ensure!(rate.get() <= 1_000_000_000, "at most 1000000000 records per second");
    Ok(Rate::PerSecond(rate))
}

fn acks(text: &str) -> Result<Acks> {
    match text {
        "0" => Ok(Acks::None),
        "1" => Ok(Acks::Leader),
        "all" | "-1" => Ok(Acks::All),
        _ => bail!("0, 1 or all"),
    }
}

fn codec(text: &str) -> Result<Codec> {
    match text {
        "none" => Ok(Codec::None),
        "gzip" => Ok(Codec::Gzip),
        "snappy" => Ok(Codec::Snappy),
        "lz4" => Ok(Codec::Lz4),
        "zstd" => Ok(Codec::Zstd),
        _ => bail!("none, gzip, snappy, lz4 or zstd"),
    }
}

fn seconds_or_none(text: &str) -> Result<f64> {
    let Ok(number) = text.parse::<f64>() else { bail!("a number") };
    ensure!((0.0..=86_400.0).contains(&number), "0 to 86400");
    Ok(number)
}

fn seconds(text: &str) -> Result<f64> {
    let number = seconds_or_none(text)?;
    ensure!(number >= 0.001, "more than 0");
    Ok(number)
}

fn pair(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => bail!("a name, =, and a value"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn produce(arguments: &[&str]) -> Result<ProduceSettings> {
        let all = ["corelane-bench", "produce"].iter().chain(arguments);
        match Options::try_parse_from(all)?.command {
            Command::Produce { produce, .. } => produce.settings(None),
            _ => unreachable!("asked for produce"),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn values_are_what_they_say() {
        let settings = produce(&[
            "--rate",
            "max",
            "--acks",
            "0",
            "--compression",
            "zstd",
            "--linger-ms",
            "0.5",
            "--spread",
            "round-robin",
        ])
        .unwrap();
        assert_eq!((settings.rate, settings.acks, settings.codec), (Rate::Max, Acks::None, Codec::Zstd));
        assert_eq!((settings.linger_ns, settings.spread), (500_000, Spread::RoundRobin));
        assert!(produce(&["--idempotent"]).unwrap().idempotent);
        assert!(!produce(&["--idempotent", "false"]).unwrap().idempotent);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            &["--rate", "0"][..],
            &["--rate", "fast"],
            &["--acks", "2"],
            &["--seconds", "0"],
            &["--seconds", "nan"],
            &["--producers", "0"],
            &["--record-bytes", "0"],
            &["--idempotent", "--in-flight", "6"],
            &["--partitions", "0"],
            &["--label", "=x"],
            &["--compression", "brotli"],
        ] {
            assert!(produce(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn stamps_need_room_and_no_codec() {
        let options = |arguments: &[&str]| {
            let all = ["corelane-bench", "e2e"].iter().chain(arguments);
            match Options::try_parse_from(all).unwrap().command {
                Command::E2e { produce, .. } => produce.settings(Some(1)),
                _ => unreachable!("asked for e2e"),
            }
        };
        assert!(options(&["--record-bytes", "16"]).is_ok());
        assert!(options(&["--record-bytes", "15"]).is_err());
        assert!(options(&["--compression", "lz4"]).is_err());
    }
}
