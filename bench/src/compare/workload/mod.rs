//! What is run against every system.

mod life;
mod produce;
mod profile;
mod reading;
mod transactions;

pub use life::{cluster, idle, lives, retention, shards};
pub use produce::{KEPT_UP, compressed, keyed, many_partitions, rising_load, small_records, small_requests};
pub use profile::profiles;
pub use reading::{catch_up, tail_consumers};
pub use transactions::transactions;

use super::{brokers::Brokers, model::System, session::Session};
use anyhow::Result;

/// Letters as in the report, and what they are.
pub const WORKLOADS: &[(&str, &str)] = &[
    ("limits", "what this machine can do without a broker"),
    ("a", "records of 1 KiB, 16 partitions, acks=all, at rising load up to saturation"),
    ("b", "records of 100 B, one in a request (linger 0), of 1, 16 and 64 producers"),
    ("c", "1,000 partitions, small batches spread evenly, beside 16 partitions at the same bytes per second"),
    ("d", "tail consumers, each reading everything: 1 and 8 of them; latency from arrival to receipt"),
    ("e", "reading a backlog that is not in the page cache, alone and while producing"),
    ("f", "compressed batches"),
    ("g", "records with keys, spread one by one, and without, in whole batches"),
    ("h", "retention begins to delete under load"),
    ("i", "start, stop, and recovery after kill -9"),
    ("j", "idle"),
    ("cluster", "three brokers, replication factor 3: (a) and (d)"),
    (
        "transactions",
        "1,000 transactional producers on three brokers, each of which commits every 100 ms, and every second",
    ),
    ("shards", "Corelane on two shards beside one: the cost of crossing"),
    ("profile", "Corelane: where a CPU-second goes, as flame graphs"),
    ("witness", "kafka-producer-perf-test, Apache's own tool, in the place of our load generator"),
];

/// Those whose loads are parts of Kafka's saturation.
pub const RELATIVE: [&str; 12] =
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "cluster", "shards", "witness"];

/// A workload on a node alone that is up.
pub type Run = fn(&mut Session<'_>, &Brokers<'_>, System) -> Result<()>;

/// A workload that starts brokers of its own.
pub type OwnRun = fn(&mut Session<'_>, System) -> Result<()>;
