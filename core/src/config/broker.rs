//! What the broker as a whole is told (`server.properties`).

use super::{
    ConfigError, DescribedConfig, Source, Warning,
    listener::{Advertised, Listener},
};
use crate::ids::NodeId;
use std::path::PathBuf;

/// Whether shards are bound to cores (`corelane.cpu.pin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuPin {
    /// Only where the cores are this process's alone.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What `process.roles` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Holds partitions and serves clients.
    pub broker: bool,
    /// Is a voter of the metadata quorum.
    pub controller: bool,
}

/// A voter of `controller.quorum.voters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its `node.id`.
    pub node: NodeId,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// What the reading of a configuration depends on besides its entries.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Unknown names warn instead of refusing (`--allow-unknown`).
    pub allow_unknown: bool,
    /// This machine's canonical host name: what is advertised for a listener on every interface.
    pub host_name: String,
}

/// The broker's settings, typed and checked against each other. Immutable: a dynamic change makes a new one
/// ([`BrokerConfig::with_dynamic`]).
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// `node.id` (or `broker.id`).
    pub node_id: NodeId,
    /// `process.roles`.
    pub roles: Roles,
    /// `corelane.cluster.id` (`CLUSTER_ID`): the identity that the data directory must bear; `None` takes what it bears,
    /// or makes one.
    pub cluster_id: Option<String>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The one of `log.dirs`.
    pub data_dir: PathBuf,
    /// `metadata.log.dir`, else `data_dir`.
    pub metadata_dir: PathBuf,
    /// `corelane.journal.dir`, else `data_dir`.
    pub journal_dir: PathBuf,
    /// `listeners`, in order.
    pub listeners: Vec<Listener>,
    /// `advertised.listeners` for each listener that clients use.
    pub advertised: Vec<Advertised>,
    /// `inter.broker.listener.name`.
    pub inter_broker_listener: String,
    /// `controller.quorum.voters`: exactly this node, as long as a quorum has one member.
    pub voters: Vec<Voter>,
    /// `num.partitions`: of a topic created without a number.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topic: bool,
    /// `socket.request.max.bytes`: the largest frame that is buffered.
    pub request_bytes_max: usize,
    /// `socket.listen.backlog.size`.
    pub listen_backlog: u32,
    /// `socket.send.buffer.bytes`; `None` leaves it to the kernel.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the kernel.
    pub receive_buffer_bytes: Option<usize>,
    /// `connections.max.idle.ms`; `None` for never.
    pub connection_idle_ms_max: Option<i64>,
    /// `max.connections`.
    pub connections_max: i32,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: i32,
    /// `fetch.max.bytes`: of one response.
    pub fetch_bytes_max: i32,
    /// `max.incremental.fetch.session.cache.slots` (KIP-227).
    pub fetch_session_slots: usize,
    /// `max.request.partition.size.limit`: partitions of one DescribeTopicPartitions answer.
    pub request_partitions_max: i32,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval_ms: i64,
    /// `producer.id.expiration.ms`: how long an idle producer's sequence state is kept.
    pub producer_id_expiration_ms: i32,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval_ms: i32,
    /// `corelane.shards`; `None` is what affinity and quota allow.
    pub shards: Option<u16>,
    /// `corelane.journal.bytes.max`: of one shard's journal.
    pub journal_bytes_max: u64,
    /// `corelane.shard.memory.bytes`: what requests and responses under way may hold, per shard.
    pub shard_memory_bytes: u64,
    /// `corelane.tail.cache.bytes`: the recent log kept in memory, per shard.
    pub tail_cache_bytes: u64,
    /// `corelane.disk.reserve.bytes`: free space below which produce is refused.
    pub disk_reserve_bytes: u64,
    /// `corelane.cpu.pin`.
    pub cpu_pin: CpuPin,
}

impl BrokerConfig {
    /// Reads entries in the order given, later ones winning, on top of the defaults.
    ///
    /// # Errors
    /// Every problem at once, each naming its line, variable or override.
    pub fn from_entries(
        entries: &[(Source, String, String)],
        options: &ReadOptions,
    ) -> Result<(BrokerConfig, Vec<Warning>), Vec<ConfigError>> {
        unimplemented!("{entries:?} {options:?}")
    }

    /// This configuration with the cluster's and this broker's dynamic settings over it. Settings that do not read
    /// are passed over: they were checked by [`validate_dynamic`] before they were recorded.
    #[must_use]
    pub fn with_dynamic(
        &self,
        cluster: &imbl::OrdMap<String, String>,
        broker: &imbl::OrdMap<String, String>,
    ) -> BrokerConfig {
        unimplemented!("{cluster:?} {broker:?}")
    }
}

/// Whether this broker setting may be altered at run time to this value; `per_broker` says for one broker rather
/// than as the cluster's default.
///
/// # Errors
/// Kafka's text, for INVALID_CONFIG or INVALID_REQUEST.
pub fn validate_dynamic(name: &str, value: &str, per_broker: bool) -> Result<(), String> {
    unimplemented!("{name} {value} {per_broker}")
}

/// Every broker setting, or those among `keys`, as DescribeConfigs tells it, in the order of names.
pub fn describe_broker(broker: &BrokerConfig, keys: Option<&[&str]>) -> Vec<DescribedConfig> {
    unimplemented!("{broker:?} {keys:?}")
}
