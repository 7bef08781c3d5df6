//! Controllers and brokers as processes of their own: whoever dies, clients go on; after a restart of everything all is there.

use anyhow::{Context, Result, bail, ensure};
use corelane_fault_tests::{
    Broker, BrokerOptions, Client, START_PATIENCE,
    cluster::{Ground, Load, Stack},
};
use kafka_protocol::{
    messages::{
        CreateTopicsRequest, DescribeClusterRequest, DescribeQuorumRequest, TopicName,
        create_topics_request::CreatableTopic,
        describe_quorum_request,
        describe_quorum_response::{DescribeQuorumResponse, ReplicaState},
    },
    protocol::StrBytes,
};
use std::{
    collections::BTreeSet,
    path::Path,
    thread,
    time::{Duration, Instant},
};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 6;
/// Records a second, of each producer.
const RATE: u32 = 50;
/// Until clients that had a node die have found the next: their own time-outs are half a minute.
const PATIENCE: Duration = Duration::from_secs(90);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_millis(20);

/// Places of the nodes: brokers first.
const BROKERS: std::ops::Range<usize> = 0..2;
const CONTROLLERS: std::ops::Range<usize> = 2..5;

/// `node.id` of a place: a controller's number is its own, as administrators have it.
fn id(place: usize) -> i32 {
    let place = i32::try_from(place).expect("five");
    if CONTROLLERS.contains(&usize::try_from(place).expect("as above")) { 3000 + place } else { 1 + place }
}

struct Scene {
    options: Vec<BrokerOptions>,
    nodes: Vec<Option<Broker>>,
    bootstrap: String,
    // Last: it is removed when no process needs it any more.
    _directory: tempfile::TempDir,
}

fn options(ground: &Ground, directory: &Path, place: usize) -> BrokerOptions {
    let controllers: Vec<_> = CONTROLLERS.map(|it| ground.controller_address(it).to_string()).collect();
    let voters: Vec<_> =
        CONTROLLERS.zip(&controllers).map(|(it, address)| format!("{}@{address}", id(it))).collect();
    let options = BrokerOptions::new(&directory.join(format!("node{place}")), 2)
        .with("node.id", id(place))
        .with("corelane.cluster.id", "MkU3OEVBNTcwNTJENDM2Qk")
        .with("controller.listener.names", "CONTROLLER")
        .with("default.replication.factor", 2)
        .with("offsets.topic.replication.factor", 2)
        .with("group.initial.rebalance.delay.ms", 0);
    if CONTROLLERS.contains(&place) {
        let listener = format!("CONTROLLER://{}", controllers[place - CONTROLLERS.start]);
        let options = options.with("process.roles", "controller").with("listeners", listener);
        return options.with("controller.quorum.voters", voters.join(","));
    }
    let listener = format!("PLAINTEXT://{}", ground.client_address(place));
    let options = options.with("process.roles", "broker").with("listeners", listener);
    // Either way leads to the controllers.
    if place == 0 {
        options.with("controller.quorum.voters", voters.join(","))
    } else {
        options.with("controller.quorum.bootstrap.servers", controllers.join(","))
    }
}

impl Scene {
    fn new() -> Result<Scene> {
        let directory = tempfile::tempdir()?;
        let ground = Ground::loopback(CONTROLLERS.end)?;
        let places = 0..CONTROLLERS.end;
        let clients: Vec<_> = BROKERS.map(|place| ground.client_address(place).to_string()).collect();
        let mut scene = Scene {
            options: places.clone().map(|place| options(&ground, directory.path(), place)).collect(),
            nodes: places.map(|_| None).collect(),
            bootstrap: clients.join(","),
            _directory: directory,
        };
        scene.start_all()?;
        Ok(scene)
    }

    /// Starts what is down, all at once, and waits until it serves.
    fn start_all(&mut self) -> Result<()> {
        let mut fresh = Vec::new();
        for (place, node) in self.nodes.iter_mut().enumerate().filter(|(_, node)| node.is_none()) {
            *node = Some(Broker::spawn(&self.options[place])?);
            fresh.push(place);
        }
        for place in fresh {
            let node = self.nodes[place].as_mut().context("started")?;
            node.await_serving(START_PATIENCE).with_context(|| format!("node {}", id(place)))?;
        }
        Ok(())
    }

    fn kill(&mut self, place: usize) {
        if let Some(mut node) = self.nodes[place].take() {
            node.kill();
        }
    }

    fn stop(&mut self, place: usize) -> Result<()> {
        let mut node = self.nodes[place].take().context("it runs")?;
        let status = node.terminate(STOP_PATIENCE)?;
        ensure!(status.success(), "node {} ended with {status}; it said:\n{}", id(place), node.said());
        Ok(())
    }

    /// A client of some broker that runs.
    fn client(&self) -> Result<Client> {
        let broker = BROKERS.filter_map(|place| self.nodes[place].as_ref()).next().context("a broker")?;
        Client::connect(broker.address())
    }

    fn await_that(&mut self, what: &str, mut is_so: impl FnMut(&Scene) -> bool) -> Result<Duration> {
        let begun = Instant::now();
        while !is_so(self) {
            for node in self.nodes.iter_mut().flatten() {
                node.ensure_running()?;
            }
            if begun.elapsed() > PATIENCE {
                let said: Vec<_> = self.nodes.iter().flatten().map(Broker::said).collect();
                bail!("not after {PATIENCE:?}: {what}; the nodes said:\n{}", said.join("\n---\n"));
            }
            thread::sleep(PACE);
        }
        Ok(begun.elapsed())
    }

    fn create_topic(&self, name: &'static str) -> Result<()> {
        let topic = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_static_str(name)))
            .with_num_partitions(PARTITIONS)
            .with_replication_factor(2);
        let request = CreateTopicsRequest::default().with_timeout_ms(30_000).with_topics(vec![topic]);
        let mut client = self.client()?;
        let response = client.call(7, &request)?;
        ensure!(response.topics.iter().all(|topic| topic.error_code == 0), "{response:?}");
        client.await_topic(name, usize::try_from(PARTITIONS)?, PATIENCE)
    }

    fn describe_quorum(&self) -> Result<DescribeQuorumResponse> {
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(TopicName(StrBytes::from_static_str("__cluster_metadata")))
            .with_partitions(vec![describe_quorum_request::PartitionData::default()]);
        let response = self.client()?.call(2, &DescribeQuorumRequest::default().with_topics(vec![topic]))?;
        ensure!(response.error_code == 0, "{response:?}");
        Ok(response)
    }

    /// The place of the controller that leads.
    fn active(&self) -> Result<usize> {
        let leader = self.describe_quorum()?.topics[0].partitions[0].leader_id.0;
        CONTROLLERS.into_iter().find(|place| id(*place) == leader).context("no controller leads")
    }

    /// All replicas are in sync, as some broker says.
    fn is_whole(&self) -> bool {
        let metadata = self.client().and_then(|mut client| client.metadata(&[TOPIC]));
        metadata.is_ok_and(|metadata| {
            let partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
            metadata.topics.len() == 1 && { partitions }
                .all(|it| it.leader_id.0 >= 0 && it.isr_nodes.len() == 2)
        })
    }

    /// Every producer has something acknowledged in every partition, every group reads on, and nobody complains.
    fn await_clients(&mut self, load: &mut Load, when: &str) -> Result<()> {
        let (before, readers) = (load.acknowledged(), load.readers());
        let took = self
            .await_that("every producer goes on", |_| load.silent_since(&before).is_empty())
            .and_then(|took| {
                Ok(took + self.await_that("every group reads on", |_| load.have_caught_up(&readers))?)
            })
            .with_context(|| format!("{when}; silent: {:?}", load.silent_since(&before)))?;
        println!("all go on {took:.1?}: {when}");
        load.ensure_well().context(when.to_owned())
    }
}

/// The leader tells of its voters, and of the brokers that follow without a vote, as far as they are.
fn quorum_is_described(scene: &mut Scene) -> Result<()> {
    let ids = |replicas: &[ReplicaState]| replicas.iter().map(|it| it.replica_id.0).collect::<BTreeSet<_>>();
    let follows = |scene: &Scene| {
        let response = scene.describe_quorum();
        response.is_ok_and(|response| {
            let partition = &response.topics[0].partitions[0];
            let behind = |it: &&ReplicaState| {
                it.log_end_offset < partition.high_watermark
                    || it.last_caught_up_timestamp <= 0
                    || it.replica_directory_id.is_nil()
            };
            ids(&partition.current_voters) == CONTROLLERS.map(id).collect()
                && ids(&partition.observers) == BROKERS.map(id).collect()
                && partition.observers.iter().find(behind).is_none()
        })
    };
    scene.await_that("brokers follow without a vote", follows).map(drop)
}

fn whoever_dies() -> Result<()> {
    let mut scene = Scene::new()?;
    quorum_is_described(&mut scene)?;
    let cluster = scene.client()?.call(1, &DescribeClusterRequest::default().with_endpoint_type(1))?;
    let told: BTreeSet<i32> = cluster.brokers.iter().map(|broker| broker.broker_id.0).collect();
    ensure!(told == BROKERS.map(id).collect(), "controllers are no brokers: {told:?}");
    ensure!(
        told.contains(&cluster.controller_id.0),
        "whom clients ask is a broker: {}",
        cluster.controller_id.0
    );
    scene.create_topic(TOPIC)?;
    let mut load = Load::new(scene.bootstrap.clone(), TOPIC, PARTITIONS);
    for stack in [Stack::Java, Stack::Librdkafka] {
        load.add_producer(stack, RATE, &[])?;
        load.add_member(stack, &format!("{stack:?}"))?;
    }
    scene.await_clients(&mut load, "at first")?;

    let active = scene.active()?;
    scene.kill(active);
    scene.await_clients(&mut load, "without the controller that led")?;
    scene.create_topic("created-by-the-next")?;
    ensure!(scene.active()? != active, "it is dead");
    scene.start_all()?;
    for place in BROKERS {
        scene.kill(place);
        scene.await_clients(&mut load, "without a broker")?;
        scene.start_all()?;
        scene.await_that("all replicas are in sync again", Scene::is_whole)?;
    }
    let active = scene.active()?;
    scene.stop(active)?;
    scene.create_topic("created-after-a-stop")?;
    scene.start_all()?;
    scene.await_clients(&mut load, "after a controller's restart")?;

    // In the order of an administrator who means well; they come back all at once.
    for place in BROKERS.chain(CONTROLLERS) {
        scene.stop(place)?;
    }
    scene.start_all()?;
    scene.await_clients(&mut load, "after a restart of everything")?;
    load.end_producers()?;
    let readers = load.readers();
    scene.await_that("every group reads everything", |_| load.have_caught_up(&readers))?;
    load.end_readers()?;
    quorum_is_described(&mut scene)?;
    let history = load.history();
    let told: Vec<_> = history.anomalies(&readers).iter().map(ToString::to_string).collect();
    ensure!(told.is_empty(), "{}", told.join("\n"));
    println!("{} records", history.acknowledged());
    Ok(())
}

#[test]
fn whoever_dies_of_separate_controllers_and_brokers_clients_go_on_and_nothing_is_lost() {
    whoever_dies().unwrap_or_else(|error| panic!("{error:#}"));
}
