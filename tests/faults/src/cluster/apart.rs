//! Controllers and brokers as processes of their own, on loopback.

use super::{Ground, Load};
use crate::{Broker, BrokerOptions, Client, START_PATIENCE, binary};
use anyhow::{Context, Result, bail, ensure};
use corelane_core::config::formatted::{MetaProperties, directory_text};
use kafka_protocol::{
    messages::{
        AddRaftVoterRequest, CreateTopicsRequest, DescribeQuorumRequest, RemoveRaftVoterRequest, TopicName,
        add_raft_voter_request::Listener,
        create_topics_request::CreatableTopic,
        describe_quorum_request,
        describe_quorum_response::{DescribeQuorumResponse, ReplicaState},
    },
    protocol::StrBytes,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The topic that all is about.
pub const TOPIC: &str = "orders";
/// Of that topic.
pub const PARTITIONS: i32 = 6;
/// Until clients that had a node die have found the next: their own time-outs are half a minute.
pub const PATIENCE: Duration = Duration::from_secs(90);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_millis(20);

/// Places of the brokers.
pub const BROKERS: std::ops::Range<usize> = 0..2;
/// Places of the controllers that begin.
pub const CONTROLLERS: std::ops::Range<usize> = 2..5;
/// The place of a controller that comes later, if any does.
pub const LATER: usize = 5;

const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// Who says who votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voters {
    /// `controller.quorum.voters`.
    Configured,
    /// How the directories were formatted, and administrators from then on. One controller more is there.
    Formatted,
}

/// `node.id` of a place: a controller's number is its own, as administrators have it.
///
/// # Panics
/// When there is no such place.
pub fn id(place: usize) -> i32 {
    let number = i32::try_from(place).expect("six");
    if place >= CONTROLLERS.start { 3000 + number } else { 1 + number }
}

/// The ids of nodes.
pub fn ids(replicas: &[ReplicaState]) -> BTreeSet<i32> {
    replicas.iter().map(|it| it.replica_id.0).collect()
}

/// The directory's id that a controller begins with.
fn directory_id(place: usize) -> String {
    directory_text(u128::from(u32::try_from(place).expect("six")) << 64 | 7)
}

/// The nodes. All processes end with this.
pub struct Apart {
    ground: Ground,
    options: Vec<BrokerOptions>,
    nodes: Vec<Option<Broker>>,
    /// Where clients begin.
    pub bootstrap: String,
    directory: PathBuf,
    // Last: it is removed when no process needs it any more.
    _directory: tempfile::TempDir,
}

fn options(ground: &Ground, directory: &Path, place: usize, voters: Voters) -> BrokerOptions {
    let count = if voters == Voters::Formatted { LATER + 1 } else { CONTROLLERS.end };
    let address = |it: usize| ground.controller_address(it).to_string();
    let controllers: Vec<_> = (CONTROLLERS.start..count).map(address).collect();
    let named: Vec<_> = CONTROLLERS.map(|it| format!("{}@{}", id(it), address(it))).collect();
    let options = BrokerOptions::new(&directory.join(format!("node{place}")), 2)
        .with("node.id", id(place))
        .with("controller.listener.names", "CONTROLLER")
        .with("default.replication.factor", 2)
        .with("offsets.topic.replication.factor", 2)
        .with("group.initial.rebalance.delay.ms", 0);
    let options = if place >= CONTROLLERS.start {
        let listener = format!("CONTROLLER://{}", address(place));
        options.with("process.roles", "controller").with("listeners", listener)
    } else {
        let listener = format!("PLAINTEXT://{}", ground.client_address(place));
        options.with("process.roles", "broker").with("listeners", listener)
    };
    if voters == Voters::Formatted {
        // Which cluster it is of stands in the directory.
        return options.with("controller.quorum.bootstrap.servers", controllers.join(","));
    }
    let options = options.with("corelane.cluster.id", CLUSTER_ID);
    // Either way leads to the controllers.
    if place == 1 {
        options.with("controller.quorum.bootstrap.servers", controllers.join(","))
    } else {
        options.with("controller.quorum.voters", named.join(","))
    }
}

impl Apart {
    /// Starts all of them and waits until each serves.
    ///
    /// # Errors
    /// When one does not; what it said is in the text.
    pub fn start(voters: Voters) -> Result<Apart> {
        let directory = tempfile::tempdir()?;
        let places = 0..if voters == Voters::Formatted { LATER + 1 } else { CONTROLLERS.end };
        let ground = Ground::loopback(places.end)?;
        let clients: Vec<_> = BROKERS.map(|place| ground.client_address(place).to_string()).collect();
        let options = |place| options(&ground, directory.path(), place, voters);
        let mut scene = Apart {
            options: places.clone().map(options).collect(),
            nodes: places.clone().map(|_| None).collect(),
            bootstrap: clients.join(","),
            directory: directory.path().to_owned(),
            ground,
            _directory: directory,
        };
        if voters == Voters::Formatted {
            let founder = |place: usize| {
                format!("{}@{}:{}", id(place), scene.ground.controller_address(place), directory_id(place))
            };
            let founders = CONTROLLERS.map(founder).collect::<Vec<_>>().join(",");
            for place in places {
                match CONTROLLERS.contains(&place) {
                    true => scene.format(place, &["--initial-controllers", &founders])?,
                    false => scene.format(place, &["--no-initial-controllers"])?,
                }
            }
        }
        scene.start_all()?;
        Ok(scene)
    }

    /// Formats a node's directory, as its configuration and these options of `kafka-storage` say.
    ///
    /// # Errors
    /// With what the tool said.
    pub fn format(&self, place: usize, how: &[&str]) -> Result<()> {
        let options = &self.options[place];
        let config = self.directory.join(format!("node{place}.properties"));
        let lines = options.overrides.join("\n");
        fs::write(&config, format!("{lines}\nlog.dirs={}\n", options.data_dir.display()))?;
        let mut command = Command::new(binary()?);
        command.args(["kafka-storage", "format", "-t", CLUSTER_ID, "-c"]).arg(&config).args(how);
        let output = command.output()?;
        let said = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "formatting node {}: {}", id(place), String::from_utf8_lossy(&said));
        Ok(())
    }

    /// Starts what is down, all at once, and waits until it serves.
    ///
    /// # Errors
    /// When something does not.
    pub fn start_all(&mut self) -> Result<()> {
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

    /// Kills a node.
    pub fn kill(&mut self, place: usize) {
        if let Some(mut node) = self.nodes[place].take() {
            node.kill();
        }
    }

    /// Stops a node in order.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn stop(&mut self, place: usize) -> Result<()> {
        let mut node = self.nodes[place].take().context("it runs")?;
        let status = node.terminate(STOP_PATIENCE)?;
        ensure!(status.success(), "node {} ended with {status}; it said:\n{}", id(place), node.said());
        Ok(())
    }

    /// A client of some broker that runs.
    ///
    /// # Errors
    /// When none runs, or it cannot be reached.
    pub fn client(&self) -> Result<Client> {
        let broker = BROKERS.filter_map(|place| self.nodes[place].as_ref()).next().context("a broker")?;
        Client::connect(broker.address())
    }

    /// Waits until something holds.
    ///
    /// # Errors
    /// When it does not in time, or a node has ended by itself.
    pub fn await_that(&mut self, what: &str, mut is_so: impl FnMut(&Apart) -> bool) -> Result<Duration> {
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

    /// Creates a topic on both brokers.
    ///
    /// # Errors
    /// When it cannot.
    pub fn create_topic(&self, name: &'static str) -> Result<()> {
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

    /// What the active controller says of the quorum.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn describe_quorum(&self) -> Result<DescribeQuorumResponse> {
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(TopicName(StrBytes::from_static_str("__cluster_metadata")))
            .with_partitions(vec![describe_quorum_request::PartitionData::default()]);
        let response = self.client()?.call(2, &DescribeQuorumRequest::default().with_topics(vec![topic]))?;
        ensure!(response.error_code == 0, "{response:?}");
        Ok(response)
    }

    /// The place of the controller that leads.
    ///
    /// # Errors
    /// When none does.
    pub fn active(&self) -> Result<usize> {
        let leader = self.describe_quorum()?.topics[0].partitions[0].leader_id.0;
        (CONTROLLERS.start..=LATER).find(|place| id(*place) == leader).context("no controller leads")
    }

    /// All replicas are in sync, as some broker says.
    pub fn is_whole(&self) -> bool {
        let metadata = self.client().and_then(|mut client| client.metadata(&[TOPIC]));
        metadata.is_ok_and(|metadata| {
            let partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
            metadata.topics.len() == 1 && { partitions }
                .all(|it| it.leader_id.0 >= 0 && it.isr_nodes.len() == 2)
        })
    }

    /// Every producer has something acknowledged in every partition, every group reads on, and nobody complains.
    ///
    /// # Errors
    /// When not, with when that was.
    pub fn await_clients(&mut self, load: &mut Load, when: &str) -> Result<()> {
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

    /// Takes a controller's disk away while it is down.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn lose_disk(&self, place: usize) -> Result<()> {
        Ok(fs::remove_dir_all(&self.options[place].data_dir)?)
    }

    /// The id of a controller's directory, as the directory says.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn directory_of(&self, place: usize) -> Result<u128> {
        let text = fs::read_to_string(self.options[place].data_dir.join("meta.properties"))?;
        MetaProperties::parse(&text).map_err(anyhow::Error::msg)?.directory_id.context("an id")
    }

    /// Asks for a vote for a controller until it has one.
    ///
    /// # Errors
    /// When it is refused for good, or too late.
    pub fn add_voter(&mut self, place: usize) -> Result<()> {
        let address = self.ground.controller_address(place);
        let listener = Listener::default()
            .with_name(StrBytes::from_static_str("CONTROLLER"))
            .with_host(StrBytes::from_string(address.ip().to_string()))
            .with_port(address.port());
        let request = AddRaftVoterRequest::default()
            .with_cluster_id(Some(StrBytes::from_static_str(CLUSTER_ID)))
            .with_timeout_ms(30_000)
            .with_voter_id(id(place))
            .with_voter_directory_id(uuid::Uuid::from_u128(self.directory_of(place)?))
            .with_listeners(vec![listener]);
        let ask = move |scene: &Apart| {
            let answer = scene.client()?.call(0, &request)?;
            Ok((answer.error_code, answer.error_message.map(|text| text.to_string())))
        };
        // DUPLICATE_VOTER: what was asked before has come to be.
        self.change("a vote is given", &[0, 126], ask)
    }

    /// Asks for a controller's vote to be taken until that is done.
    ///
    /// # Errors
    /// When it is refused for good, or too late.
    pub fn remove_voter(&mut self, place: usize, directory: u128) -> Result<()> {
        let request = RemoveRaftVoterRequest::default()
            .with_cluster_id(None)
            .with_voter_id(id(place))
            .with_voter_directory_id(uuid::Uuid::from_u128(directory));
        let ask = move |scene: &Apart| {
            let answer = scene.client()?.call(0, &request)?;
            Ok((answer.error_code, answer.error_message.map(|text| text.to_string())))
        };
        // VOTER_NOT_FOUND: what was asked before has come to be.
        self.change("a vote is taken", &[0, 127], ask)
    }

    /// Until it is done; what only came too early is asked again: REQUEST_TIMED_OUT, NOT_CONTROLLER.
    fn change(
        &mut self,
        what: &str,
        done: &[i16],
        ask: impl Fn(&Apart) -> Result<(i16, Option<String>)>,
    ) -> Result<()> {
        let mut refused = None;
        self.await_that(what, |scene| match ask(scene) {
            Ok((code, _)) if done.contains(&code) => true,
            Ok((7 | 41, _)) => false,
            Ok(answer) => {
                refused = Some(answer);
                true
            }
            // Whoever was asked may have gone.
            Err(_) => false,
        })?;
        ensure!(refused.is_none(), "not {what}: {refused:?}");
        Ok(())
    }

    /// Who has a vote as the active controller says, and who follows without.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn members(&self) -> Result<(BTreeSet<i32>, BTreeSet<i32>)> {
        let response = self.describe_quorum()?;
        let partition = &response.topics[0].partitions[0];
        Ok((ids(&partition.current_voters), ids(&partition.observers)))
    }
}
