//! A broker of a run: as in production, but small, so that journals wrap, segments roll and memory runs short.

use super::Options;
use crate::{
    client::quorum::{Controller, Voter},
    rng::Rng,
    world::{Accepting, Boot, Factory, Listener},
};
use corelane_core::{
    config::{
        BrokerConfig, ReadOptions, Source,
        formatted::{
            BOOTSTRAP_PROPERTIES, Beginning, InitialQuorum, InitialVoter, META_PROPERTIES, MetaProperties,
        },
    },
    ids::NodeId,
    log::Fault,
};
use corelane_seam::Disk;
use corelane_shard::{BrokerSettings, LogControl, Node, Report, assemble};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
};

/// Of the clients' listener.
const PORT: u16 = 9092;

/// Of the listener of those that have others.
const CONTROLLER_PORT: u16 = 9093;

/// Its name, as configurations have it that say nothing.
const CONTROLLER_LISTENER: &str = "CONTROLLER";

/// Where all is stored.
const DIRECTORY: &str = "/data";

/// Of a partition, where there are as many brokers.
const REPLICAS: usize = 3;

/// Which cluster.
const CLUSTER_ID: &str = "c2ltdWxhdGVkLWNsdXN0ZQ";

/// What all brokers of a cluster have in common.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// How many there are.
    pub brokers: usize,
    /// How many of them, the first ones, are controllers as well. The others never have a vote.
    pub voters: usize,
    /// How many of those vote at first, if they change.
    pub founders: Option<usize>,
    fault: Fault,
    times: Option<Times>,
}

/// After how long without a word brokers give each other up, in ms.
#[derive(Clone, Copy, Debug)]
struct Times {
    session: u64,
    heartbeat: u64,
    quorum: u64,
    lag: u64,
    fetch_wait: u64,
}

impl Times {
    /// Shorter than Kafka's defaults, so that a run meets what comes after them.
    fn draw(rng: &mut Rng) -> Times {
        let session = rng.between(1_500, 6_000);
        Times {
            session,
            heartbeat: session / rng.between(3, 6),
            quorum: rng.between(500, 2_000),
            lag: rng.between(2_000, 10_000),
            fetch_wait: rng.between(500, 1_500),
        }
    }
}

impl Cluster {
    /// Draws what the brokers have in common; of one, nothing.
    pub fn draw(rng: &mut Rng, options: &Options) -> Cluster {
        let Options { brokers, fault, founders, .. } = *options;
        let founders = founders.filter(|_| brokers > 1).map(|founders| founders.min(brokers));
        let times = (brokers > 1).then(|| Times::draw(&mut rng.fork("cluster")));
        let voters = if options.few_vote { brokers.saturating_sub(2).max(1) } else { brokers };
        Cluster { brokers, voters, founders, fault, times }
    }

    /// The node id of the broker at this place.
    pub fn node(index: usize) -> i32 {
        1 + i32::try_from(index).expect("few brokers")
    }

    fn directory(index: usize) -> u128 {
        1_000 + u128::try_from(index).expect("few brokers")
    }

    /// The machine of the broker at this place.
    pub fn host(index: usize) -> String {
        format!("broker-{index}")
    }
}

/// What makes a broker at every start, and where it reports.
pub(super) fn factory(rng: &mut Rng, cluster: &Cluster, index: usize) -> (Factory<Node>, Receiver<Report>) {
    let (reports, received) = channel();
    let config = Arc::new(config(rng, cluster, index));
    let (fault, ports) =
        (cluster.fault, cluster.listeners(index).iter().map(|it| it.port).collect::<Vec<u16>>());
    let factory = move |boot: &Boot| {
        let settings = BrokerSettings {
            log: LogControl::default(),
            config: Arc::clone(&config),
            shards: boot.shards,
            ports: ports.clone(),
            seed: boot.entropy,
            fault,
            reports: reports.clone(),
        };
        let assembled = assemble(&settings, Arc::new(boot.disk.clone()), boot.now)?;
        Ok(assembled.seeds.into_iter().map(|seed| seed.grow(boot.now)).collect())
    };
    (Box::new(factory), received)
}

impl Cluster {
    /// Where the one at this place listens.
    pub fn listeners(&self, index: usize) -> Vec<Listener> {
        let clients = Listener { port: PORT, accepting: Accepting::DataShards };
        let nodes = Listener { port: CONTROLLER_PORT, accepting: Accepting::LastShard };
        if self.brokers > 1 && index < self.voters { vec![clients, nodes] } else { vec![clients] }
    }

    /// All that may vote where that changes.
    pub fn controllers(&self) -> Vec<Controller> {
        let controller = |index| Controller {
            voter: Voter { node: Cluster::node(index), directory: Cluster::directory(index) },
            listener: CONTROLLER_LISTENER,
            host: Cluster::host(index).into(),
            port: CONTROLLER_PORT,
        };
        let count = self.founders.map_or(0, |_| self.voters);
        (0..count).map(controller).collect()
    }

    /// Leaves on a new disk what `kafka-storage format` does, if the voters change: the founders are the initial
    /// controllers, the others join them.
    pub fn format(&self, disk: &dyn Disk, index: usize) {
        let Some(founders) = self.founders else { return };
        let founder = |index| InitialVoter {
            node: NodeId(Cluster::node(index)),
            host: Cluster::host(index),
            port: CONTROLLER_PORT,
            directory: Cluster::directory(index),
        };
        let quorum = match index < founders {
            true => InitialQuorum::Voters((0..founders).map(founder).collect()),
            false => InitialQuorum::Existing,
        };
        let meta = MetaProperties {
            cluster_id: CLUSTER_ID.to_owned(),
            node_id: NodeId(Cluster::node(index)),
            directory_id: Some(Cluster::directory(index)),
        };
        let beginning = Beginning { quorum, levels: BTreeMap::new() };
        for (name, text) in [(META_PROPERTIES, meta.render()), (BOOTSTRAP_PROPERTIES, beginning.render())] {
            let path = Path::new(DIRECTORY).join(name);
            disk.replace(&path, text.as_bytes()).expect("a disk without faults");
        }
    }

    fn entries(&self, index: usize) -> Vec<(&'static str, String)> {
        let host = Cluster::host(index);
        let mut entries =
            vec![("log.dirs", DIRECTORY.to_owned()), ("auto.create.topics.enable", "false".to_owned())];
        if self.fault == Fault::TrustProducers {
            entries.push(("transaction.partition.verification.enable", "false".to_owned()));
        }
        if self.brokers == 1 {
            entries.push(("listeners", format!("PLAINTEXT://{host}:{PORT}")));
            return entries;
        }
        let endpoint = |index| format!("{}:{CONTROLLER_PORT}", Cluster::host(index));
        let voter = |index| format!("{}@{}", Cluster::node(index), endpoint(index));
        let controllers: (_, Vec<String>) = match self.founders {
            None => ("controller.quorum.voters", (0..self.voters).map(voter).collect()),
            Some(_) => ("controller.quorum.bootstrap.servers", (0..self.voters).map(endpoint).collect()),
        };
        let (roles, controller) = if index < self.voters {
            ("broker,controller", format!(",{CONTROLLER_LISTENER}://{host}:{CONTROLLER_PORT}"))
        } else {
            ("broker", String::new())
        };
        entries.extend([
            ("listeners", format!("PLAINTEXT://{host}:{PORT}{controller}")),
            ("node.id", Cluster::node(index).to_string()),
            ("process.roles", roles.to_owned()),
            (controllers.0, controllers.1.join(",")),
            ("corelane.cluster.id", CLUSTER_ID.to_owned()),
            ("default.replication.factor", self.brokers.min(REPLICAS).to_string()),
            ("min.insync.replicas", "2".to_owned()),
            // Unsaid, it would be however many there are when the topic is made.
            ("offsets.topic.replication.factor", self.brokers.min(REPLICAS).to_string()),
        ]);
        entries
    }
}

fn config(rng: &mut Rng, cluster: &Cluster, index: usize) -> BrokerConfig {
    let entries = cluster.entries(index).into_iter();
    let entries: Vec<_> = entries.map(|(key, value)| (Source::Override, key.to_owned(), value)).collect();
    let (mut config, _) = BrokerConfig::from_entries(&entries, &ReadOptions::default())
        .unwrap_or_else(|errors| panic!("the simulated broker's configuration: {errors:?}"));
    if let Some(times) = cluster.times {
        config.cluster.session_ms = times.session;
        config.cluster.heartbeat_ms = times.heartbeat;
        config.cluster.quorum_timeout_ms = times.quorum;
        config.replica_lag_ms_max = times.lag.cast_signed();
        config.replica_fetch_wait_ms_max = i32::try_from(times.fetch_wait).expect("seconds");
        config.replica_fetch_backoff_ms = 200;
    }
    // Far below what the configuration's tables allow.
    config.journal_bytes_max = 1 << rng.between(19, 22);
    // So small that a second one begins beside the first.
    config.journal_group_bytes_max = usize::try_from(config.journal_bytes_max / 64).expect("KiB");
    config.recovery_point_bytes = 1 << rng.between(12, 18);
    config.shard_memory_bytes = 1 << rng.between(21, 24);
    config.tail_cache_bytes = 1 << rng.between(12, 22);
    config.disk_reserve_bytes = 1 << 20;
    // Fifty would be most of what each start recovers.
    config.groups.topic_partitions = 3;
    config.transactions.topic_partitions = 3;
    config.transactions.timeout_check_ms = 1 << rng.between(6, 11);
    // As short as members of the classic protocol may have it: Kafka's default is most of an audit's time.
    config.groups.consumer.session_timeout_ms = 6_000;
    config.log_cleaner_backoff_ms = 1 << rng.between(3, 11);
    config.log_cleaner_dedupe_bytes = 1 << rng.between(7, 20);
    config
}
