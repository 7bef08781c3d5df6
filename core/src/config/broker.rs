//! What the broker as a whole is told (`server.properties`).

use super::{
    check,
    cluster::ClusterConfig,
    describe::{ConfigSource, DescribedConfig, Synonym},
    disk::DiskSettings,
    groups::GroupsConfig,
    listener::{Advertised, Listener},
    network::{self, Network},
    read::{self, Findings},
    roles,
    settings::Settings,
    source::{ConfigError, Source, Warning},
    table::{self, Kind, Row, Status, Update, broker_row, broker_rows},
    throttle::QuotaSettings,
    transactions::TransactionsConfig,
};
use crate::{ids::NodeId, limits};
use std::path::{Path, PathBuf};

const JOURNAL_BYTES_MAX: &str = "corelane.journal.bytes.max";

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
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Unknown names warn instead of refusing (`--allow-unknown`).
    pub allow_unknown: bool,
    /// This machine's canonical host name: what is advertised for a listener on every interface. Called only where there
    /// is one, because whoever knows the name may ask resolvers for it.
    pub host_name: fn() -> String,
    /// The cluster that a metadata directory was formatted for (`kafka-storage format`), if it was.
    pub formatted_for: fn(&Path) -> Option<String>,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions { allow_unknown: false, host_name: || "localhost".into(), formatted_for: |_| None }
    }
}

/// Where the quorum is.
struct Quorum {
    voters: Vec<Voter>,
    bootstrap: Vec<(String, u16)>,
}

/// The broker's settings, typed and checked against each other. Immutable: a dynamic change makes a new one
/// ([`BrokerConfig::with_dynamic`]).
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// `node.id` (or `broker.id`).
    pub node_id: NodeId,
    /// `process.roles`.
    pub roles: Roles,
    /// `corelane.cluster.id` (`CLUSTER_ID`), else what the directory was formatted for: the identity that the data
    /// directory must bear; `None` takes what it bears, or makes one.
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
    /// `controller.quorum.voters`; none: this node alone, or whoever is at `bootstrap`.
    pub voters: Vec<Voter>,
    /// `controller.quorum.bootstrap.servers`, where a node without a vote finds controllers.
    pub bootstrap: Vec<(String, u16)>,
    /// The first of `controller.listener.names`.
    pub controller_listener: String,
    /// Where that listener of this node is reached, if it has it.
    pub controller_endpoint: Option<Advertised>,
    /// `controller.quorum.auto.join.enable`: this controller asks for a vote by itself.
    pub joins_voters: bool,
    /// How this node lives with others.
    pub cluster: ClusterConfig,
    /// `num.partitions`: of a topic created without a number.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `replica.selector.class`: whether consumers are sent to a replica in their own rack.
    pub reads_from_nearest: bool,
    /// `leader.replication.throttled.rate`, `replication.quota.window.num` and `.size.seconds`.
    pub leader_throttle: QuotaSettings,
    /// The same of `follower.replication.throttled.rate`.
    pub follower_throttle: QuotaSettings,
    /// `replica.lag.time.max.ms`: after so long without having caught up a follower is not in sync.
    pub replica_lag_ms_max: i64,
    /// `replica.fetch.backoff.ms`.
    pub replica_fetch_backoff_ms: i32,
    /// `replica.fetch.max.bytes`, of a partition.
    pub replica_fetch_bytes_max: i32,
    /// `replica.fetch.min.bytes`.
    pub replica_fetch_bytes_min: i32,
    /// `replica.fetch.response.max.bytes`, of all partitions of a fetch.
    pub replica_fetch_response_bytes_max: i32,
    /// `replica.fetch.wait.max.ms`.
    pub replica_fetch_wait_ms_max: i32,
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
    /// `log.cleaner.enable`.
    pub log_cleaner_enable: bool,
    /// `log.cleaner.backoff.ms`.
    pub log_cleaner_backoff_ms: i64,
    /// `log.cleaner.dedupe.buffer.size`, of all shards together.
    pub log_cleaner_dedupe_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`.
    pub log_cleaner_load_factor: f64,
    /// `log.cleaner.io.max.bytes.per.second`, of all shards together.
    pub log_cleaner_bytes_per_second_max: f64,
    /// `producer.id.expiration.ms`: how long an idle producer's sequence state is kept.
    pub producer_id_expiration_ms: i32,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval_ms: i32,
    /// Groups of consumers.
    pub groups: GroupsConfig,
    /// Transactions.
    pub transactions: TransactionsConfig,
    /// `corelane.shards`; `None` is what affinity and quota allow.
    pub shards: Option<u16>,
    /// `corelane.journal.bytes.max`: of one shard's journal.
    pub journal_bytes_max: u64,
    /// Bytes of one group of a shard's journal. No setting: [`limits`], or what a measured disk asks for.
    pub journal_group_bytes_max: usize,
    /// Bytes that wait before a shard's journal, past which appends wait. Likewise.
    pub unsealed_bytes_max: u64,
    /// An active segment's growth at which a recovery point of it is written.
    pub recovery_point_bytes: u64,
    /// `corelane.shard.memory.bytes`: what requests and responses under way may hold, per shard.
    pub shard_memory_bytes: u64,
    /// `corelane.tail.cache.bytes`: the recent log kept in memory, per shard.
    pub tail_cache_bytes: u64,
    /// `corelane.disk.reserve.bytes`: free space below which produce is refused.
    pub disk_reserve_bytes: u64,
    /// `corelane.cpu.pin`.
    pub cpu_pin: CpuPin,
    /// What all of this was read from, and what topics inherit.
    pub(super) settings: Settings,
}

impl BrokerConfig {
    /// Reads entries over the defaults: a file yields to the environment and that to an override; within one of them
    /// the last entry of a key wins.
    ///
    /// # Errors
    /// Every problem at once, each naming its line, variable or override.
    pub fn from_entries(
        entries: &[(Source, String, String)],
        options: &ReadOptions,
    ) -> Result<(BrokerConfig, Vec<Warning>), Vec<ConfigError>> {
        let mut findings = Findings::default();
        let mut settings = read::settings(entries, options.allow_unknown, &mut findings);
        let node_id = identify(&mut settings, &mut findings);
        listen_where_advertised(&mut settings, &mut findings);
        let roles = roles::roles(&settings, &mut findings);
        let network = network::network(&settings, roles, options.host_name, &mut findings);
        let data_dir = data_dir(&settings, &mut findings);
        adopt_cluster(&mut settings, &data_dir, options);
        let voters = network::voters(&settings, node_id, &mut findings);
        roles::quorum(&settings, (roles, node_id), &voters, &mut findings);
        let quorum = Quorum { voters, bootstrap: roles::bootstrap(&settings, &mut findings) };
        check::relations(&settings, &mut findings);
        check::promises(&settings, &mut findings);
        if !findings.errors.is_empty() {
            return Err(findings.errors);
        }
        Ok((typed(settings, (node_id, roles), quorum, network, data_dir), findings.warnings))
    }

    /// Where this node keeps things: a node that is only a controller, nothing but metadata.
    pub fn directories(&self) -> Vec<&PathBuf> {
        if self.roles.broker {
            vec![&self.data_dir, &self.journal_dir, &self.metadata_dir]
        } else {
            vec![&self.metadata_dir]
        }
    }

    /// Where it keeps most.
    pub fn main_directory(&self) -> &Path {
        if self.roles.broker { &self.data_dir } else { &self.metadata_dir }
    }

    /// This configuration with what a measured disk asks for. What the user has set stays.
    #[must_use]
    pub fn with_disk(mut self, disk: DiskSettings) -> BrokerConfig {
        self.journal_group_bytes_max = disk.group_bytes_max;
        self.unsealed_bytes_max = disk.unsealed_bytes_max;
        if self.settings.given(JOURNAL_BYTES_MAX).is_none() {
            self.journal_bytes_max = disk.journal_bytes_max;
            // As it is described to clients, too.
            self.settings.fixed.insert(JOURNAL_BYTES_MAX.into(), disk.journal_bytes_max.to_string());
        }
        self
    }

    /// This configuration with the cluster's and this broker's dynamic settings over it. Settings that do not read
    /// are passed over: they were checked by [`validate_dynamic`] before they were recorded.
    #[must_use]
    pub fn with_dynamic(
        &self,
        cluster: &imbl::OrdMap<String, String>,
        broker: &imbl::OrdMap<String, String>,
    ) -> BrokerConfig {
        let alterable = |layer: &imbl::OrdMap<String, String>| -> imbl::OrdMap<String, String> {
            let known = layer.iter().filter(|(name, _)| broker_row(name).is_some_and(is_alterable));
            known.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let mut next = self.clone();
        next.settings.cluster = alterable(cluster);
        next.settings.node = alterable(broker);
        next.connections_max = next.settings.int("max.connections");
        next.connections_per_ip_max = next.settings.int("max.connections.per.ip");
        next.producer_id_expiration_ms = next.settings.int("producer.id.expiration.ms");
        next.log_cleaner_backoff_ms = next.settings.integer("log.cleaner.backoff.ms");
        next.log_cleaner_dedupe_bytes = next.settings.size("log.cleaner.dedupe.buffer.size");
        next.log_cleaner_load_factor = next.settings.real("log.cleaner.io.buffer.load.factor");
        next.log_cleaner_bytes_per_second_max = next.settings.real("log.cleaner.io.max.bytes.per.second");
        next.leader_throttle.rate = throttled_rate(&next.settings, "leader.replication.throttled.rate");
        next.follower_throttle.rate = throttled_rate(&next.settings, "follower.replication.throttled.rate");
        next.groups.consumer.assignment_interval_ms =
            next.settings.int("group.consumer.assignment.interval.ms");
        next.transactions.verifies_partitions =
            next.settings.boolean("transaction.partition.verification.enable");
        next
    }
}

impl Default for BrokerConfig {
    /// What `corelane` alone runs with.
    fn default() -> BrokerConfig {
        let (config, _) = BrokerConfig::from_entries(&[], &ReadOptions::default())
            .expect("the tables' defaults agree with each other, which a test proves");
        config
    }
}

/// `*.replication.throttled.rate`. Kafka writes "without bound" as the largest number there is.
fn throttled_rate(settings: &Settings, name: &str) -> Option<u64> {
    u64::try_from(settings.integer(name)).ok().filter(|rate| *rate < i64::MAX.unsigned_abs())
}

/// A directory that was formatted says which cluster it is of, unless the configuration does.
fn adopt_cluster(settings: &mut Settings, data_dir: &Path, options: &ReadOptions) {
    const KEY: &str = "corelane.cluster.id";
    let metadata_dir = settings.text("metadata.log.dir").map_or(data_dir, Path::new);
    if settings.text(KEY).is_none()
        && let Some(cluster) = (options.formatted_for)(metadata_dir)
    {
        settings.fixed.insert(KEY.into(), cluster);
    }
}

/// The node's id, by either name, and both names set to it, as Kafka describes them.
fn identify(settings: &mut Settings, findings: &mut Findings) -> NodeId {
    let old =
        settings.given("broker.id").and_then(|(_, value)| value.parse::<i32>().ok()).filter(|id| *id >= 0);
    let new = settings.given("node.id").and_then(|(_, value)| value.parse::<i32>().ok());
    if let (Some(old), Some(new)) = (old, new)
        && old != new
    {
        findings.refuse(
            "broker.id",
            format!("broker.id is {old}, but node.id is {new}"),
            "both name this node, and it can have one number only",
            "remove broker.id",
        );
    }
    let id = new.or(old).unwrap_or_else(|| settings.int("node.id"));
    if new.or(old).is_some() {
        settings.fixed.insert("node.id".into(), id.to_string());
        settings.fixed.insert("broker.id".into(), id.to_string());
    }
    NodeId(id)
}

/// Containers are often told only what to advertise: their images then listen on the same ports of every interface.
fn listen_where_advertised(settings: &mut Settings, findings: &mut Findings) {
    let from_environment =
        matches!(findings.origin("advertised.listeners"), Some(Source::Environment { .. }));
    if !from_environment || settings.given("listeners").is_some() {
        return;
    }
    let told = settings.list("advertised.listeners");
    let parsed: Vec<_> = told.iter().filter_map(|text| super::listener::parse(text).ok()).collect();
    let listeners: Vec<_> = parsed.iter().map(|(name, _, port)| format!("{name}://0.0.0.0:{port}")).collect();
    if listeners.len() == told.len() && !listeners.is_empty() {
        let listeners = listeners.join(",");
        findings.warn("advertised.listeners", format!("listeners is not set: listening on {listeners}"));
        settings.fixed.insert("listeners".into(), listeners);
    }
}

fn data_dir(settings: &Settings, findings: &mut Findings) -> PathBuf {
    let key = if settings.text("log.dirs").is_some() { "log.dirs" } else { "log.dir" };
    let dirs = settings.list(key);
    if dirs.len() > 1 {
        findings.refuse(
            key,
            format!("{key} names {} directories, but several log directories are not built yet", dirs.len()),
            "data in the further ones would be neither read nor written",
            format!("name one directory, for instance {key}={}", dirs[0]),
        );
    } else if dirs.is_empty() {
        findings.refuse(
            key,
            format!("{key} is empty"),
            "a broker without a directory has nowhere to keep its data",
            format!("write {key}=./corelane-data, or remove the setting"),
        );
    }
    dirs.first().map(PathBuf::from).unwrap_or_default()
}

fn typed(
    settings: Settings,
    (node_id, roles): (NodeId, Roles),
    quorum: Quorum,
    network: Network,
    data_dir: PathBuf,
) -> BrokerConfig {
    let directory = |name: &str| settings.text(name).map_or_else(|| data_dir.clone(), PathBuf::from);
    // Below zero stands for "as the kernel likes".
    let buffer = |name: &str| usize::try_from(settings.integer(name)).ok();
    let shards = u16::try_from(settings.integer("corelane.shards")).ok().filter(|shards| *shards > 0);
    let idle_ms = settings.integer("connections.max.idle.ms");
    let throttle = QuotaSettings {
        rate: None,
        samples: usize::try_from(settings.integer("replication.quota.window.num"))
            .expect("the row begins at 1"),
        sample_ms: settings.size("replication.quota.window.size.seconds").saturating_mul(1000),
    };
    BrokerConfig {
        node_id,
        roles,
        cluster_id: settings.text("corelane.cluster.id").map(str::to_owned),
        rack: settings.text("broker.rack").map(str::to_owned),
        metadata_dir: directory("metadata.log.dir"),
        journal_dir: directory("corelane.journal.dir"),
        listeners: network.listeners,
        advertised: network.advertised,
        inter_broker_listener: network.inter_broker_listener,
        voters: quorum.voters,
        bootstrap: quorum.bootstrap,
        controller_endpoint: network.controller,
        joins_voters: settings.boolean("controller.quorum.auto.join.enable"),
        controller_listener: settings
            .list("controller.listener.names")
            .first()
            .map_or_else(String::new, |name| name.to_ascii_uppercase()),
        cluster: ClusterConfig::new(&settings),
        num_partitions: settings.int("num.partitions"),
        default_replication_factor: i16::try_from(settings.int("default.replication.factor"))
            .expect("the relations were checked"),
        reads_from_nearest: settings.text("replica.selector.class") == Some(check::RACK_AWARE_SELECTOR),
        leader_throttle: throttle,
        follower_throttle: throttle,
        replica_lag_ms_max: settings.integer("replica.lag.time.max.ms"),
        replica_fetch_backoff_ms: settings.int("replica.fetch.backoff.ms"),
        replica_fetch_bytes_max: settings.int("replica.fetch.max.bytes"),
        replica_fetch_bytes_min: settings.int("replica.fetch.min.bytes"),
        replica_fetch_response_bytes_max: settings.int("replica.fetch.response.max.bytes"),
        replica_fetch_wait_ms_max: settings.int("replica.fetch.wait.max.ms"),
        auto_create_topics: settings.boolean("auto.create.topics.enable"),
        delete_topic: settings.boolean("delete.topic.enable"),
        request_bytes_max: usize::try_from(settings.integer("socket.request.max.bytes"))
            .expect("the row begins at 1"),
        listen_backlog: u32::try_from(settings.integer("socket.listen.backlog.size"))
            .expect("the row begins at 1"),
        send_buffer_bytes: buffer("socket.send.buffer.bytes"),
        receive_buffer_bytes: buffer("socket.receive.buffer.bytes"),
        connection_idle_ms_max: (idle_ms >= 0).then_some(idle_ms),
        connections_max: settings.int("max.connections"),
        connections_per_ip_max: settings.int("max.connections.per.ip"),
        fetch_bytes_max: settings.int("fetch.max.bytes"),
        fetch_session_slots: usize::try_from(settings.integer("max.incremental.fetch.session.cache.slots"))
            .expect("the row begins at 0"),
        request_partitions_max: settings.int("max.request.partition.size.limit"),
        retention_check_interval_ms: settings.integer("log.retention.check.interval.ms"),
        log_cleaner_enable: settings.boolean("log.cleaner.enable"),
        log_cleaner_backoff_ms: settings.integer("log.cleaner.backoff.ms"),
        log_cleaner_dedupe_bytes: settings.size("log.cleaner.dedupe.buffer.size"),
        log_cleaner_load_factor: settings.real("log.cleaner.io.buffer.load.factor"),
        log_cleaner_bytes_per_second_max: settings.real("log.cleaner.io.max.bytes.per.second"),
        producer_id_expiration_ms: settings.int("producer.id.expiration.ms"),
        producer_id_expiration_check_interval_ms: settings.int("producer.id.expiration.check.interval.ms"),
        groups: GroupsConfig::new(&settings),
        transactions: TransactionsConfig::new(&settings),
        shards,
        journal_bytes_max: settings.size(JOURNAL_BYTES_MAX),
        journal_group_bytes_max: limits::JOURNAL_GROUP_BYTES_MAX,
        unsealed_bytes_max: limits::UNSEALED_BYTES_MAX as u64,
        recovery_point_bytes: limits::RECOVERY_POINT_BYTES,
        shard_memory_bytes: settings.size("corelane.shard.memory.bytes"),
        tail_cache_bytes: settings.size("corelane.tail.cache.bytes"),
        disk_reserve_bytes: settings.size("corelane.disk.reserve.bytes"),
        cpu_pin: match settings.text("corelane.cpu.pin") {
            Some("true") => CpuPin::Always,
            Some("false") => CpuPin::Never,
            _ => CpuPin::Auto,
        },
        data_dir,
        settings,
    }
}

/// Whether a setting takes effect here without a restart.
fn is_alterable(row: &Row) -> bool {
    row.status == Status::Honoured && matches!(row.update, Update::ClusterWide | Update::Dynamic)
}

/// Whether this broker setting may be altered at run time to this value; `per_broker` says for one broker rather
/// than as the cluster's default.
///
/// # Errors
/// Kafka's text, for INVALID_REQUEST or INVALID_CONFIG.
pub fn validate_dynamic(name: &str, value: &str, per_broker: bool) -> Result<(), String> {
    let Some(row) = broker_row(name) else { return Err(format!("Unknown broker config name: {name}")) };
    if row.update == Update::PerBroker && !per_broker {
        return Err(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: [{name}]"
        ));
    }
    if !is_alterable(row) {
        return Err(format!("Cannot update these configs dynamically: [{name}]"));
    }
    row.check(value)?;
    match check::alone(name, value.trim()) {
        Some(wrong) => Err(format!("Invalid value {} for configuration {name}: {wrong}", value.trim())),
        None => Ok(()),
    }
}

/// Whether settings that are altered at run time agree with all others; each was validated by itself.
///
/// # Errors
/// What does not agree, for INVALID_REQUEST.
pub fn validate_dynamic_together(
    broker: &BrokerConfig,
    overrides: &imbl::OrdMap<String, String>,
    per_broker: bool,
) -> Result<(), String> {
    let mut settings = broker.settings.clone();
    if per_broker {
        settings.node.clone_from(overrides);
    } else {
        settings.cluster.clone_from(overrides);
    }
    let mut findings = Findings::default();
    check::relations(&settings, &mut findings);
    findings.errors.into_iter().next().map_or(Ok(()), |error| Err(error.wrong))
}

/// Every broker setting, or those among `keys`, as DescribeConfigs tells it, in the order of names.
pub fn describe_broker(broker: &BrokerConfig, keys: Option<&[&str]>) -> Vec<DescribedConfig> {
    let mut rows: Vec<_> = broker_rows()
        .filter(|row| row.update != Update::Internal)
        .filter(|row| row.update != Update::Dynamic || broker.settings.given(row.name).is_some())
        .filter(|row| keys.is_none_or(|keys| keys.contains(&row.name)))
        .collect();
    rows.sort_by_key(|row| row.name);
    rows.into_iter().map(|row| describe_row(broker, row)).collect()
}

/// What is set at run time for the whole cluster, or what of it is among `keys`, in the order of names. Some of it may
/// not be in force, because this broker is told otherwise.
pub fn describe_broker_default(broker: &BrokerConfig, keys: Option<&[&str]>) -> Vec<DescribedConfig> {
    let set = broker.settings.cluster.iter().filter_map(|(name, value)| Some((broker_row(name)?, value)));
    set.filter(|(row, _)| keys.is_none_or(|keys| keys.contains(&row.name)))
        .map(|(row, value)| {
            let value = Some(value.trim().to_owned()).filter(|_| row.kind != Kind::Password);
            let source = ConfigSource::DynamicDefaultBroker;
            let synonyms = vec![Synonym { name: row.name, value: value.clone(), source }];
            DescribedConfig {
                sensitive: row.kind == Kind::Password,
                ..DescribedConfig::alterable(row, value, synonyms)
            }
        })
        .collect()
}

fn describe_row(broker: &BrokerConfig, row: &'static Row) -> DescribedConfig {
    let names = match table::broker_synonyms(row.name) {
        [] => std::slice::from_ref(&row.name),
        names => names,
    };
    let sensitive = row.kind == Kind::Password;
    // What wins over this setting in its meaning does not change what this setting itself is.
    let mut synonyms: Vec<Synonym> =
        broker.settings.synonyms(names).into_iter().skip_while(|it| it.name != row.name).collect();
    if row.update == Update::Dynamic {
        // Kafka knows no default of these.
        synonyms.retain(|it| it.source != ConfigSource::Default);
    }
    let source = synonyms.first().map_or(ConfigSource::Default, |first| first.source);
    DescribedConfig {
        name: row.name,
        value: broker.settings.winning(row).map(|(_, value)| value.to_owned()).filter(|_| !sensitive),
        source,
        is_default: source == ConfigSource::Default,
        read_only: !is_alterable(row),
        sensitive,
        synonyms,
        config_type: row.kind.code(),
        documentation: row.doc,
    }
}
