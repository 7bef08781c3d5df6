//! From a configuration and a disk to the shards of one broker: recovery first, then one seed per thread.
//!
//! What a shard holds must not cross threads once it lives, so recovery's results travel as [`NodeSeed`]s and become
//! [`Node`]s on their own threads.

use crate::{
    data::{DataSettings, DataShard},
    formatted::{self, Formatted},
    load::Load,
    log_control::LogControl,
    node::{Broken, Node, Report},
    quorum::{Announcement, Member, QuorumShard, QuorumShardSettings},
    rules::Rules,
};
use corelane_core::{
    config::{Advertised, BrokerConfig, ClusterConfig, formatted::InitialQuorum},
    controller::{FEATURES, Lifecycle, RegisterBrokerRequest, Settings},
    engine::{Engine, LifeSettings, Place, Random},
    error::Fatal,
    ids::NodeId,
    log::{
        Boot, Fault, RecoveredLog, RecoveryReport, RecoverySettings, Store, StoreSettings, has_data, recover,
    },
    metadata::{Endpoint, SecurityProtocol},
};
use corelane_raft_meta::{
    Bounds, Observer, ObserverSettings, QuorumSettings, Seat, Timing, data_directory, is_formatted,
};
use corelane_seam::{Disk, Now, ShardId};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

/// How long a clean stop waits for other brokers to take over what this one leads, in ms.
const LEAVE_MS_MAX: u64 = 10_000;

/// File operations of the quorum carry tokens from here on; those of the logs stay below.
const QUORUM_FIRST_TOKEN: u64 = 1 << 62;

/// Journal bytes that are zeroed before a shard serves: a fraction of a second on a slow disk. It grows behind.
const JOURNAL_BYTES_INITIAL: u64 = 16 << 20;
/// What a start writes beside each journal: the manifest, checkpoints, indexes, the metadata's log.
const START_SLACK_BYTES: u64 = 1 << 20;

/// What a broker is made of.
#[derive(Clone)]
pub struct BrokerSettings {
    /// As read and checked.
    pub config: Arc<BrokerConfig>,
    /// Data shards.
    pub shards: u16,
    /// Ports really bound, in the order of the listeners: what an advertised port of 0 means.
    pub ports: Vec<u16>,
    /// For ids, salts and election time-outs.
    pub seed: u64,
    /// A bug on purpose, for tests that prove that tests can fail.
    pub fault: Fault,
    /// The log of this process.
    pub log: LogControl,
    /// Where shards report.
    pub reports: Sender<Report>,
}

/// The shards to be, data shards first, the quorum's last.
pub struct Assembled {
    /// One per thread.
    pub seeds: Vec<NodeSeed>,
    /// What recovery did.
    pub report: RecoveryReport,
}

/// A shard to be: may be moved to its thread.
pub enum NodeSeed {
    /// A data shard.
    Data(Box<DataSeed>),
    /// The quorum's shard.
    Quorum(Box<QuorumSeed>),
}

/// See [`NodeSeed::Data`].
pub struct DataSeed {
    place: Place,
    config: Arc<BrokerConfig>,
    store: StoreSettings,
    logs: Vec<RecoveredLog>,
    seed: u64,
    settings: DataSettings,
}

/// See [`NodeSeed::Quorum`].
pub struct QuorumSeed {
    settings: BrokerSettings,
    disk: Arc<dyn Disk>,
    random: Random,
}

/// Recovers the data directory and prepares every shard. Blocking; before anything serves.
///
/// # Errors
/// What recovery refuses.
pub fn assemble(settings: &BrokerSettings, disk: Arc<dyn Disk>, now: Now) -> Result<Assembled, Fatal> {
    let config = &settings.config;
    let mut random = Random(settings.seed);
    if !config.roles.broker {
        // Nothing but metadata is kept here.
        let settings = BrokerSettings { shards: 0, ..settings.clone() };
        let seeds = vec![NodeSeed::Quorum(Box::new(QuorumSeed { settings, disk, random }))];
        return Ok(Assembled { seeds, report: RecoveryReport { clean: true, ..RecoveryReport::default() } });
    }
    let drawn = random.uuid().as_u128();
    let new_directory = formatted::data_directory(&*disk, config)?.unwrap_or(drawn);
    if !has_data(&*disk, &config.data_dir)? {
        data_directory::begin(&*disk, &config.data_dir, config.node_id, new_directory)?;
    }
    let recovery = RecoverySettings {
        data_dir: config.data_dir.clone(),
        journal_dir: config.journal_dir.clone(),
        shards: settings.shards,
        salt: random.draw(),
        journal_bytes_initial: JOURNAL_BYTES_INITIAL.min(config.journal_bytes_max),
        unix_ms: now.unix_ms,
        fault: settings.fault,
    };
    let recovered = recover(&*disk, &recovery)?;
    let mut logs: Vec<Vec<RecoveredLog>> = (0..settings.shards).map(|_| Vec::new()).collect();
    for log in recovered.logs {
        logs[log.id.owner(settings.shards).index()].push(log);
    }
    let (max, max_per_address) = connection_bounds(config);
    let load = Load::new(settings.shards, max, max_per_address);
    let mut seeds: Vec<NodeSeed> = Vec::new();
    for (index, logs) in (0..settings.shards).zip(logs) {
        seeds.push(NodeSeed::Data(Box::new(data_seed(
            settings,
            ShardId(index),
            recovered.boot,
            logs,
            random.draw(),
            load.clone(),
        ))));
    }
    let quorum = QuorumSeed { settings: settings.clone(), disk, random };
    seeds.push(NodeSeed::Quorum(Box::new(quorum)));
    Ok(Assembled { seeds, report: recovered.report })
}

fn data_seed(
    settings: &BrokerSettings,
    shard: ShardId,
    boot: Boot,
    logs: Vec<RecoveredLog>,
    seed: u64,
    load: Load,
) -> DataSeed {
    let config = &settings.config;
    let bytes = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let quorum = ShardId(settings.shards);
    let journal_bytes_initial = JOURNAL_BYTES_INITIAL.min(config.journal_bytes_max);
    let store = StoreSettings {
        journal_dir: config.journal_dir.clone(),
        journal_bytes_initial,
        journal_bytes_max: config.journal_bytes_max,
        group_bytes_max: config.journal_group_bytes_max,
        unsealed_bytes_max: config.unsealed_bytes_max,
        recovery_point_bytes: config.recovery_point_bytes,
        tail_cache_bytes: bytes(config.tail_cache_bytes),
        memory_bytes_max: bytes(config.shard_memory_bytes),
        disk_reserve_bytes: disk_reserve_bytes(
            config.disk_reserve_bytes,
            journal_bytes_initial,
            settings.shards,
        ),
        producer_expiration_ms: i64::from(config.producer_id_expiration_ms),
        fault: settings.fault,
        ..StoreSettings::new(shard, config.data_dir.clone(), boot)
    };
    DataSeed {
        place: Place { shard, shards: settings.shards, quorum, node: config.node_id },
        config: Arc::clone(config),
        store,
        logs,
        seed,
        settings: DataSettings {
            shard,
            quorum,
            frame_bytes_max: config.request_bytes_max,
            idle_max: idle_max(config),
            load,
            log: settings.log.clone(),
            reports: settings.reports.clone(),
        },
    }
}

/// `connections.max.idle.ms`, if it bounds.
pub(crate) fn idle_max(config: &BrokerConfig) -> Option<Duration> {
    config.connection_idle_ms_max.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
}

/// `max.connections` and `max.connections.per.ip`.
pub(crate) fn connection_bounds(config: &BrokerConfig) -> (usize, usize) {
    let bound = |max: i32| usize::try_from(max).unwrap_or(0);
    (bound(config.connections_max), bound(config.connections_per_ip_max))
}

/// The free space that is kept, unless none is: never less than what the next start needs, which writes a journal for
/// every shard before it gives up the old ones.
fn disk_reserve_bytes(wanted: u64, journal_bytes: u64, shards: u16) -> u64 {
    let start = u64::from(shards) * (journal_bytes + START_SLACK_BYTES);
    if wanted == 0 { 0 } else { wanted.max(start) }
}

impl NodeSeed {
    /// The shard, on the thread that calls. A quorum that cannot be opened becomes a shard that reports why and stops.
    pub fn grow(self, now: Now) -> Node {
        match self {
            NodeSeed::Data(seed) => {
                let store = Store::new(seed.store, seed.logs);
                let mut engine = Engine::new(seed.place, seed.config, store, seed.seed);
                engine.keep_loggers(seed.settings.log.loggers().clone());
                Node::Data(Box::new(DataShard::new(seed.settings, engine)))
            }
            NodeSeed::Quorum(seed) => seed.grow(now),
        }
    }
}

impl QuorumSeed {
    fn grow(mut self, now: Now) -> Node {
        let config = Arc::clone(&self.settings.config);
        let reports = self.settings.reports.clone();
        let opened = formatted::read(&*self.disk, &config).and_then(|formatted| {
            let levels = formatted.levels(&config);
            let member = match config.roles.controller {
                true => self.controller(formatted, now)?,
                false => self.observer(&formatted)?,
            };
            formatted::name(&*self.disk, &config, (member.cluster_id(), member.directory_id()))?;
            Ok((member, levels))
        });
        let (quorum, initial_levels) = match opened {
            Ok(quorum) => quorum,
            Err(fatal) => {
                let data_shards = self.settings.shards;
                return Node::Broken(Broken { fatal, data_shards, reports });
            }
        };
        let directories = match self.data_directory(&quorum) {
            Ok(directory) => directory.into_iter().collect(),
            Err(fatal) => {
                let data_shards = self.settings.shards;
                return Node::Broken(Broken { fatal, data_shards, reports });
            }
        };
        let registration = RegisterBrokerRequest {
            id: config.node_id,
            cluster_id: quorum.cluster_id().to_owned(),
            incarnation: self.random.uuid(),
            endpoints: endpoints(&config, &self.settings.ports),
            rack: config.rack.clone(),
            directories,
        };
        let controller = Settings {
            node: config.node_id,
            default_partitions: config.num_partitions,
            default_replication_factor: config.default_replication_factor,
            config_rules: Arc::new(Rules::new(Arc::clone(&config))),
            features: FEATURES,
            initial_levels,
            lifecycle: lifecycle(&config.cluster),
        };
        let life = LifeSettings {
            heartbeat_ms: config.cluster.heartbeat_ms,
            stop_patience_ms: if config.cluster.controlled_shutdown { LEAVE_MS_MAX } else { 0 },
        };
        let settings = QuorumShardSettings {
            node: config.node_id,
            data_shards: self.settings.shards,
            controller,
            broker: config.roles.broker.then_some((registration, life)),
            announcement: config.roles.controller.then(|| Announcement {
                node: config.node_id,
                endpoint: self.own_endpoint().filter(|_| config.voters.is_empty()),
                joins: config.joins_voters,
            }),
            seed: self.random.draw(),
            fault: self.settings.fault,
            config: Arc::clone(&config),
            log: self.settings.log.clone(),
            reports,
        };
        Node::Quorum(Box::new(QuorumShard::new(quorum, settings)))
    }

    /// The voters, as configured.
    fn voters(&self) -> Vec<(NodeId, String)> {
        let voters = self.settings.config.voters.iter();
        voters.map(|voter| (voter.node, format!("{}:{}", voter.host, voter.port))).collect()
    }

    /// The id of the directory of logs; none where there are no logs.
    fn data_directory(&self, quorum: &Member) -> Result<Option<uuid::Uuid>, Fatal> {
        let config = &self.settings.config;
        if !config.roles.broker {
            return Ok(None);
        }
        if self.settings.fault == Fault::ForgetDataDirectory {
            return Ok(Some(uuid::Uuid::from_u128(quorum.directory_id())));
        }
        let identity = (config.node_id, quorum.cluster_id());
        let id = data_directory::open(&*self.disk, &config.data_dir, identity, quorum.directory_id())?;
        Ok(Some(uuid::Uuid::from_u128(id)))
    }

    fn metadata_directory(&self) -> PathBuf {
        self.settings.config.metadata_dir.join("__cluster_metadata")
    }

    fn bootstrap(&self) -> Vec<String> {
        self.settings.config.bootstrap.iter().map(|(host, port)| format!("{host}:{port}")).collect()
    }

    /// `HOST:PORT` where other controllers reach this one.
    fn own_endpoint(&self) -> Option<String> {
        let config = &self.settings.config;
        let Advertised { name, host, port } = config.controller_endpoint.as_ref()?;
        let index = config.listeners.iter().position(|listener| listener.name == *name);
        let bound = index.and_then(|index| self.settings.ports.get(index)).copied();
        let port = if *port == 0 { bound.unwrap_or(0) } else { *port };
        Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
    }

    fn controller(&mut self, formatted: Formatted, now: Now) -> Result<Member, Fatal> {
        let config = Arc::clone(&self.settings.config);
        let directory = self.metadata_directory();
        let mut bootstrap = if config.voters.is_empty() { self.bootstrap() } else { Vec::new() };
        let mut voters = self.voters();
        let (mut directories, mut joins) = (BTreeMap::new(), false);
        match formatted.initial_quorum(&config) {
            InitialQuorum::Voters(founders) => {
                joins = founders.iter().all(|founder| founder.node != config.node_id);
                directories = founders.iter().map(|founder| (founder.node, founder.directory)).collect();
                voters = founders.iter().map(|founder| (founder.node, founder.endpoint())).collect();
            }
            InitialQuorum::Existing => joins = true,
            InitialQuorum::Configured if !voters.is_empty() => {}
            InitialQuorum::Configured => {
                if config.bootstrap.len() > 1 && !is_formatted(&*self.disk, &directory)? {
                    return Err(Fatal::new(
                        "controller.quorum.bootstrap.servers names several controllers, and nothing says whether this one \
                         begins a cluster or joins theirs. Format it: kafka-storage format --standalone, \
                         --initial-controllers or --no-initial-controllers; or name the voters in \
                         controller.quorum.voters",
                    ));
                }
                // A quorum that no one named is this node alone.
                voters.push((config.node_id, self.own_endpoint().unwrap_or_default()));
            }
        }
        if joins {
            bootstrap.extend(voters.drain(..).map(|(_, endpoint)| endpoint));
            directories.clear();
        }
        let settings = QuorumSettings {
            node_id: config.node_id,
            voters,
            directories,
            joins,
            directory,
            cluster_id: config.cluster_id.clone(),
            new_cluster_id: corelane_core::ids::TopicId(self.random.uuid()).to_string(),
            new_directory_id: formatted.directory_id().unwrap_or(self.random.uuid().as_u128()),
            seed: self.random.draw(),
            first_token: QUORUM_FIRST_TOKEN,
            bounds: Bounds::default(),
            timing: timing(config.cluster.quorum_timeout_ms),
            fault: self.settings.fault,
        };
        Ok(Member::Controller(Box::new(Seat::open(settings, bootstrap, &*self.disk, now)?)))
    }

    fn observer(&mut self, formatted: &Formatted) -> Result<Member, Fatal> {
        let config = Arc::clone(&self.settings.config);
        let settings = ObserverSettings {
            node_id: config.node_id,
            voters: self.voters(),
            bootstrap: self.bootstrap(),
            directory: self.metadata_directory(),
            cluster_id: config.cluster_id.clone(),
            new_directory_id: formatted.directory_id().unwrap_or(self.random.uuid().as_u128()),
        };
        Ok(Member::Observer(Box::new(Observer::open(settings, &*self.disk)?)))
    }
}

/// A follower waits for the configured time, and up to twice as long; heartbeats are frequent enough that some may be
/// lost.
fn timing(timeout_ms: u64) -> Timing {
    Timing { heartbeat_ms: timeout_ms / 5, election_ms_min: timeout_ms, election_ms_max: 2 * timeout_ms }
}

fn lifecycle(config: &ClusterConfig) -> Lifecycle {
    Lifecycle {
        session_timeout_ms: config.session_ms,
        rebalance_interval_ms: config.rebalance_interval_ms,
        unclean_interval_ms: config.unclean_interval_ms,
        ..Lifecycle::default()
    }
}

/// Where clients reach each listener.
fn endpoints(config: &BrokerConfig, ports: &[u16]) -> Vec<Endpoint> {
    let clients = config.listeners.iter().enumerate().filter(|(_, listener)| !listener.controller);
    clients
        .filter_map(|(index, listener)| {
            let Advertised { name, host, port } =
                config.advertised.iter().find(|advertised| advertised.name == listener.name)?.clone();
            let port = if port == 0 { ports.get(index).copied().unwrap_or(listener.port) } else { port };
            Some(Endpoint { listener: name, host, port, security_protocol: SecurityProtocol::Plaintext })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_core::config::disk::DiskSettings;

    #[test]
    fn the_reserve_holds_a_journal_for_every_shard_of_the_next_start_unless_there_is_none() {
        const MIB: u64 = 1 << 20;
        assert_eq!(disk_reserve_bytes(256 * MIB, 16 * MIB, 4), 256 * MIB);
        assert_eq!(disk_reserve_bytes(256 * MIB, 16 * MIB, 32), 32 * 17 * MIB);
        assert_eq!(disk_reserve_bytes(0, 16 * MIB, 32), 0);
    }

    #[test]
    fn a_shards_journal_is_laid_out_as_the_configuration_says_for_its_disk() {
        let disk = DiskSettings {
            group_bytes_max: 256 << 10,
            unsealed_bytes_max: 3 << 20,
            journal_bytes_max: 100 << 20,
        };
        let settings = BrokerSettings {
            config: Arc::new(BrokerConfig::default().with_disk(disk)),
            shards: 1,
            ports: Vec::new(),
            seed: 1,
            fault: Fault::None,
            log: LogControl::default(),
            reports: std::sync::mpsc::channel().0,
        };
        let boot = Boot { generation: 1, salt: 1 };
        let store = data_seed(&settings, ShardId(0), boot, Vec::new(), 1, Load::new(1, 1, 1)).store;
        assert_eq!(store.group_bytes_max, disk.group_bytes_max);
        assert_eq!(store.unsealed_bytes_max, disk.unsealed_bytes_max);
        assert_eq!(store.journal_bytes_max, disk.journal_bytes_max);
    }
}
