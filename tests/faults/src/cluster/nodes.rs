//! The nodes of a cluster: brokers and voters in one, each a process of its own.

use super::{Ground, kafka::KafkaNode};
use crate::{Broker, BrokerOptions, Client, START_PATIENCE, small_disk::SmallDisk};
use anyhow::{Context, bail, ensure};
use corelane_core::error::ErrorCode;
use kafka_protocol::{
    messages::{
        CreateTopicsRequest, MetadataResponse, TopicName,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
    },
    protocol::StrBytes,
};
use std::{
    collections::VecDeque,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Between two looks at something that is waited for.
const PACE: Duration = Duration::from_millis(20);

/// Longest wait for one answer: a node that is paused or cut off gives none.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Earlier lives of a node whose words are kept for a failure's report.
const LIVES_KEPT: usize = 3;

/// Whose brokers they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Software {
    /// Ours.
    Corelane,
    /// What ours is held against; it takes no overrides.
    ApacheKafka,
}

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Ours, if not for a comparison.
    pub software: Software,
    /// How many; each is a broker and a voter.
    pub nodes: usize,
    /// `corelane.shards` of each.
    pub shards: u16,
    /// `key=value`, for all of them.
    pub overrides: Vec<String>,
    /// Each stands in a rack of its own, from `rack1` on.
    pub in_racks: bool,
    /// The last node's data is on a file system of this size, where this process may mount one.
    pub small_disk_bytes: Option<u64>,
}

impl ClusterOptions {
    /// Three nodes of two shards and little memory, everything else at its default.
    pub fn new() -> ClusterOptions {
        ClusterOptions {
            software: Software::Corelane,
            nodes: 3,
            shards: 2,
            overrides: ["corelane.shard.memory.bytes=134217728", "corelane.tail.cache.bytes=33554432"]
                .map(str::to_owned)
                .to_vec(),
            in_racks: false,
            small_disk_bytes: None,
        }
    }

    /// With a setting more.
    pub fn with(mut self, key: &str, value: impl ToString) -> ClusterOptions {
        self.overrides.push(format!("{key}={}", value.to_string()));
        self
    }
}

impl Default for ClusterOptions {
    fn default() -> Self {
        ClusterOptions::new()
    }
}

/// The nodes, numbered from 0 here; their ids are one more. All processes end with this.
#[derive(Debug)]
pub struct Cluster {
    ground: Ground,
    nodes: Vec<Node>,
}

#[derive(Debug)]
enum Program {
    Corelane(Box<BrokerOptions>),
    Kafka(KafkaNode),
}

#[derive(Debug)]
struct Node {
    program: Program,
    /// None while it is down.
    broker: Option<Broker>,
    is_paused: bool,
    disk: Option<SmallDisk>,
    /// What the last of those said that are gone.
    said: VecDeque<String>,
}

impl Cluster {
    /// Starts all of them, with their data below `directory`, and waits until each serves. This thread moves to where
    /// the clients are ([`Ground::new`]).
    ///
    /// # Errors
    /// When one does not; what it said is in the text.
    pub fn start(options: &ClusterOptions, directory: &Path) -> anyhow::Result<Cluster> {
        let ground = Ground::new(options.nodes)?;
        let nodes = (0..options.nodes).map(|index| Node::new(options, &ground, directory, index));
        let mut cluster = Cluster { nodes: nodes.collect::<anyhow::Result<_>>()?, ground };
        cluster.start_those_down()?;
        Ok(cluster)
    }

    /// Starts every node that is down, all at once, and waits until each serves.
    ///
    /// # Errors
    /// When one does not; what it said is in the text.
    pub fn start_those_down(&mut self) -> anyhow::Result<()> {
        let down: Vec<usize> = (0..self.nodes.len()).filter(|node| !self.is_up(*node)).collect();
        for node in &down {
            self.nodes[*node].spawn()?;
        }
        for node in down {
            self.await_serving(node).with_context(|| format!("node {node}"))?;
        }
        Ok(())
    }

    fn await_serving(&mut self, node: usize) -> anyhow::Result<()> {
        let Node { program, broker, .. } = &mut self.nodes[node];
        match program {
            Program::Corelane(_) => {
                broker.as_mut().context("it was spawned")?.await_serving(START_PATIENCE).map(drop)
            }
            // It says so only among much else; it listens when it serves.
            Program::Kafka(_) => {
                let listens = |cluster: &Cluster| cluster.client(node).is_ok();
                self.await_that(START_PATIENCE, "it listens", listens).map(drop)
            }
        }
    }

    /// How many nodes there are, up or down.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Where they stand.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Where clients start: all nodes, as `bootstrap.servers` has them.
    pub fn bootstrap(&self) -> String {
        let addresses = (0..self.len()).map(|node| self.ground.client_address(node).to_string());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Whether a node's process is there, paused or not.
    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].broker.is_some()
    }

    /// The small file system of a node, if it has one.
    pub fn disk(&self, node: usize) -> Option<&SmallDisk> {
        self.nodes[node].disk.as_ref()
    }

    /// `kill -9`.
    pub fn kill(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        if let Some(mut broker) = node.broker.take() {
            broker.kill();
            node.remember(broker.said());
        }
        node.is_paused = false;
    }

    /// SIGTERM, and waits until it is gone.
    ///
    /// # Errors
    /// When it still runs after `patience`, or did not end well.
    pub fn stop(&mut self, node: usize, patience: Duration) -> anyhow::Result<()> {
        let stopped = &mut self.nodes[node];
        let mut broker = stopped.broker.take().context("it is up")?;
        let status = broker.terminate(patience).with_context(|| format!("node {node}"))?;
        stopped.remember(broker.said());
        // A JVM that ends in order after SIGTERM says so by 128 + 15.
        let is_well =
            status.success() || matches!(stopped.program, Program::Kafka(_)) && status.code() == Some(143);
        ensure!(is_well, "node {node} ended with {status}; it said:\n{}", broker.said());
        Ok(())
    }

    /// SIGSTOP.
    pub fn pause(&mut self, node: usize) {
        self.signal(node, libc::SIGSTOP);
        self.nodes[node].is_paused = true;
    }

    /// SIGCONT.
    pub fn resume(&mut self, node: usize) {
        self.signal(node, libc::SIGCONT);
        self.nodes[node].is_paused = false;
    }

    fn signal(&self, node: usize, signal: libc::c_int) {
        if let Some(broker) = &self.nodes[node].broker {
            broker.signal(signal);
        }
    }

    /// Nothing is paused, cut or down any more; waits until every node serves.
    ///
    /// # Errors
    /// When one does not start.
    pub fn heal(&mut self) -> anyhow::Result<()> {
        self.ground.heal()?;
        for node in 0..self.len() {
            if self.nodes[node].is_paused {
                self.resume(node);
            }
        }
        self.start_those_down()
    }

    /// No process has ended that was not ended.
    ///
    /// # Errors
    /// With what it said.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if let Some(broker) = &mut node.broker {
                broker.ensure_running().with_context(|| format!("node {index}"))?;
            }
        }
        Ok(())
    }

    /// Neither has any ended by itself, nor has anything panicked in one, this life or an earlier one.
    ///
    /// # Errors
    /// With what it said.
    pub fn ensure_well(&mut self) -> anyhow::Result<()> {
        self.ensure_running()?;
        for (index, node) in self.nodes.iter().enumerate() {
            let mut lives = node.said.iter().cloned().chain(node.broker.iter().map(Broker::said));
            if let Some(said) = lives.find(|said| said.contains("panicked")) {
                bail!("node {index} has panicked; it said:\n{said}");
            }
        }
        Ok(())
    }

    /// Everything that the nodes say, for a failure's report.
    pub fn said(&self) -> String {
        let said = self.nodes.iter().enumerate().map(|(index, node)| {
            let lives = node.said.iter().cloned().chain(node.broker.iter().map(Broker::said));
            format!("== node {index}\n{}", lives.collect::<Vec<_>>().join("\n-- next life\n"))
        });
        said.collect::<Vec<_>>().join("\n")
    }

    /// A connection to a node.
    ///
    /// # Errors
    /// When it takes none.
    pub fn client(&self, node: usize) -> anyhow::Result<Client> {
        let client = Client::connect_within(self.ground.client_address(node), ANSWER_PATIENCE)?;
        client.set_patience(ANSWER_PATIENCE)?;
        Ok(client)
    }

    /// What a node says of a topic; it may know nothing.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn view(&self, node: usize, topic: &str) -> anyhow::Result<View> {
        View::of(&self.client(node)?.metadata(&[topic])?)
    }

    /// Creates a topic, with a replica on every node.
    ///
    /// # Errors
    /// What the cluster says, and when it does not become whole in time.
    pub fn create_topic(
        &mut self,
        topic: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let nodes = self.len();
        self.await_views(START_PATIENCE, "all brokers live", topic, |view| view.brokers == nodes)?;
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let configs = configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        });
        let wanted = CreatableTopic::default()
            .with_name(TopicName(text(topic)))
            .with_num_partitions(partitions)
            .with_replication_factor(i16::try_from(self.len())?)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default().with_timeout_ms(30_000).with_topics(vec![wanted]);
        let mut client = self.client(0)?;
        client.set_patience(START_PATIENCE)?;
        let created = client.call(7, &request)?.topics.pop().context("no topic in the answer")?;
        let error = ErrorCode::from_code(created.error_code).context("an error code")?;
        ensure!(error.is_none(), "{topic}: {error} {:?}", created.error_message);
        self.await_whole(topic, START_PATIENCE).map(drop)
    }

    /// Waits until every node says that all partitions of a topic have a leader and all their replicas in sync; how long
    /// that took.
    ///
    /// # Errors
    /// When that takes longer, with what each node says instead.
    pub fn await_whole(&mut self, topic: &str, patience: Duration) -> anyhow::Result<Duration> {
        self.await_views(patience, "every replica is in sync", topic, View::is_whole)
    }

    fn await_views(
        &mut self,
        patience: Duration,
        what: &str,
        topic: &str,
        is_so: impl Fn(&View) -> bool,
    ) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            self.ensure_running()?;
            let views: Vec<_> = (0..self.len()).map(|node| self.view(node, topic)).collect();
            if views.iter().all(|view| view.as_ref().is_ok_and(&is_so)) {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > patience {
                let views = views.into_iter().map(|view| format!("{view:?}")).collect::<Vec<_>>();
                bail!("not after {patience:?}: {what}. The nodes say:\n{}", views.join("\n"));
            }
            thread::sleep(PACE);
        }
    }

    /// Waits until something holds, looked at now and then.
    ///
    /// # Errors
    /// When it does not in time, or a node has ended by itself.
    pub fn await_that(
        &mut self,
        patience: Duration,
        what: &str,
        mut is_so: impl FnMut(&Cluster) -> bool,
    ) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        while !is_so(self) {
            self.ensure_running()?;
            ensure!(begun.elapsed() <= patience, "not after {patience:?}: {what}");
            thread::sleep(PACE);
        }
        Ok(begun.elapsed())
    }
}

impl Node {
    fn new(
        options: &ClusterOptions,
        ground: &Ground,
        directory: &Path,
        index: usize,
    ) -> anyhow::Result<Node> {
        if options.software == Software::ApacheKafka {
            let program = Program::Kafka(KafkaNode::new(ground, options.nodes, directory, index)?);
            return Ok(Node { program, broker: None, is_paused: false, disk: None, said: VecDeque::new() });
        }
        let disk = match options.small_disk_bytes {
            Some(bytes) if index + 1 == options.nodes => match SmallDisk::new(bytes) {
                Ok(disk) => Some(disk),
                Err(error) => {
                    println!("without a disk that fills: {error:#}");
                    None
                }
            },
            _ => None,
        };
        let data = match &disk {
            Some(disk) => disk.path().join("data"),
            None => directory.join(format!("node{index}")),
        };
        let voters =
            (0..options.nodes).map(|node| format!("{}@{}", node + 1, ground.controller_address(node)));
        let listeners = format!(
            "PLAINTEXT://{},CONTROLLER://{}",
            ground.client_address(index),
            ground.controller_address(index)
        );
        let mut broker = BrokerOptions::new(&data, options.shards)
            .with("node.id", index + 1)
            .with("process.roles", "broker,controller")
            .with("corelane.cluster.id", "MkU3OEVBNTcwNTJENDM2Qk")
            .with("listeners", listeners)
            .with("controller.listener.names", "CONTROLLER")
            .with("controller.quorum.voters", voters.collect::<Vec<_>>().join(","))
            .with("offsets.topic.replication.factor", options.nodes);
        if options.in_racks {
            broker = broker.with("broker.rack", format!("rack{}", index + 1));
        }
        broker.overrides.extend_from_slice(&options.overrides);
        broker.wrapper = ground.wrapper(index);
        let program = Program::Corelane(Box::new(broker));
        Ok(Node { program, broker: None, is_paused: false, disk, said: VecDeque::new() })
    }

    fn remember(&mut self, said: String) {
        self.said.push_back(said);
        if self.said.len() > LIVES_KEPT {
            self.said.pop_front();
        }
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        self.broker = Some(match &self.program {
            Program::Corelane(options) => Broker::spawn(options)?,
            Program::Kafka(node) => Broker::spawn_command(&mut node.command()?)?,
        });
        Ok(())
    }
}

/// What one node says of the cluster and of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Brokers that live.
    pub brokers: usize,
    /// The controller's node, from 0.
    pub controller: Option<usize>,
    /// In the order of their numbers.
    pub partitions: Vec<PartitionView>,
}

/// What one node says of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// Its node, from 0; None if there is none.
    pub leader: Option<usize>,
    /// Replicas in sync.
    pub in_sync: usize,
    /// Replicas.
    pub replicas: usize,
}

impl View {
    fn of(metadata: &MetadataResponse) -> anyhow::Result<View> {
        let node = |id: i32| usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        let topic = metadata.topics.first().context("no topic in the answer")?;
        let mut partitions: Vec<_> = topic.partitions.iter().collect();
        partitions.sort_by_key(|partition| partition.partition_index);
        let partitions = partitions.into_iter().map(|partition| PartitionView {
            leader: node(partition.leader_id.0),
            in_sync: partition.isr_nodes.len(),
            replicas: partition.replica_nodes.len(),
        });
        Ok(View {
            brokers: metadata.brokers.len(),
            controller: node(metadata.controller_id.0),
            partitions: partitions.collect(),
        })
    }

    /// There are partitions, each has a leader and all its replicas in sync.
    pub fn is_whole(&self) -> bool {
        let is_whole =
            |partition: &PartitionView| partition.leader.is_some() && partition.in_sync == partition.replicas;
        !self.partitions.is_empty() && self.partitions.iter().all(is_whole)
    }

    /// All partitions are led, by others than this node.
    pub fn goes_on_without(&self, node: usize) -> bool {
        let led = |partition: &PartitionView| partition.leader.is_some_and(|leader| leader != node);
        !self.partitions.is_empty() && self.partitions.iter().all(led)
    }
}
