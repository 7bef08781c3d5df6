//! What is done to a cluster, and when that has had its effect.

use super::{Cluster, Load, Sender, nodes::View};
use crate::{ACKS_LEADER, clock, payload::Stamp};
use anyhow::{Context, bail, ensure};
use corelane_core::{
    error::ErrorCode,
    records::{BatchBuilder, NewRecord},
};
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// Longest that the others may take to go on without a node: its session and some elections, on a busy machine.
const GO_ON_PATIENCE: Duration = Duration::from_secs(60);

/// How long a clean stop may take: other nodes take over what it leads first.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Longest of those that end before anyone has drawn consequences, or while they do.
const SHORT_MS_MAX: u64 = 4000;

/// One kind of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Disturbance {
    /// `kill -9` of a node.
    Kill,
    /// `kill -9` of all nodes at once.
    KillAll,
    /// SIGTERM, waited for.
    Stop,
    /// SIGSTOP.
    Pause,
    /// The other nodes neither hear the node nor it them; clients reach it.
    CutOff,
    /// Nobody hears it nor it anybody, clients neither.
    Isolate,
    /// Nothing that the other nodes say comes to it.
    Deafen,
    /// Nothing that it says comes to the other nodes.
    Mute,
    /// The node and the one behind it do not hear each other; both hear the others.
    CutPair,
    /// The file system of its data is full.
    FillDisk,
}

impl Disturbance {
    /// All that can be had in this cluster.
    pub fn possible(cluster: &Cluster) -> Vec<Disturbance> {
        use Disturbance::{CutOff, CutPair, Deafen, FillDisk, Isolate, Kill, KillAll, Mute, Pause, Stop};
        let mut all = vec![Kill, KillAll, Stop, Pause];
        if cluster.ground().can_cut() {
            all.extend([CutOff, Isolate, Deafen, Mute, CutPair]);
        }
        if (0..cluster.len()).any(|node| cluster.disk(node).is_some()) {
            all.push(FillDisk);
        }
        all
    }

    /// Whether the others lead everything once they have noticed.
    fn is_noticed(self) -> bool {
        !matches!(self, Disturbance::KillAll | Disturbance::CutPair | Disturbance::FillDisk)
    }
}

/// A disturbance of a certain node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What.
    pub what: Disturbance,
    /// Which, from 0.
    pub node: usize,
    /// None: until the others go on without the node.
    pub lasts: Option<Duration>,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Planned { what, node, lasts } = self;
        match lasts {
            Some(lasts) => write!(f, "{what:?} of node {node} for {lasts:?}"),
            None => write!(f, "{what:?} of node {node} until the others go on"),
        }
    }
}

impl Planned {
    /// One of those that are possible; `first` comes first, so that a few rounds see the most different ones.
    pub fn draw(what: Disturbance, cluster: &Cluster, chance: &mut SmallRng) -> Planned {
        let nodes: Vec<usize> = (0..cluster.len())
            .filter(|node| what != Disturbance::FillDisk || cluster.disk(*node).is_some())
            .collect();
        let lasts = Duration::from_millis(chance.random_range(0..SHORT_MS_MAX));
        Planned {
            what,
            node: *nodes.choose(chance).expect("a node"),
            lasts: chance.random_bool(0.4).then_some(lasts),
        }
    }

    /// Begins it, and comes back when it has lasted. [`Cluster::heal`] ends all but a full disk, [`Planned::end`] that
    /// one too.
    ///
    /// # Errors
    /// When it cannot be done, and when the others do not go on without the node.
    pub fn begin(&self, cluster: &mut Cluster, load: &Load, topic: &str) -> anyhow::Result<()> {
        self.apply(cluster)?;
        let begun = Instant::now();
        if let Some(lasts) = self.lasts {
            std::thread::sleep(lasts.saturating_sub(begun.elapsed()));
            return Ok(());
        }
        let witness = (self.node + 1) % cluster.len();
        let node = self.node;
        if self.what.is_noticed() {
            let goes_on = |view: anyhow::Result<View>| view.is_ok_and(|view| view.goes_on_without(node));
            let what = "the others lead everything";
            cluster.await_that(GO_ON_PATIENCE, what, |cluster| goes_on(cluster.view(witness, topic)))?;
        }
        if self.what == Disturbance::FillDisk {
            fill_up(cluster, node)?;
            // The others lead what it cannot store any more, and do not wait for it.
            let before = load.acknowledged();
            let silent = || load.silent_since(&before);
            cluster
                .await_that(GO_ON_PATIENCE, "every partition goes on", |_| silent().is_empty())
                .with_context(|| format!("(producer, partition) are silent: {:?}", silent()))?;
        } else if self.what != Disturbance::KillAll {
            let total = || load.acknowledged().values().sum::<u64>();
            let before = total();
            cluster.await_that(GO_ON_PATIENCE, "records are acknowledged", |_| total() >= before + 50)?;
        }
        Ok(())
    }

    fn apply(&self, cluster: &mut Cluster) -> anyhow::Result<()> {
        let node = self.node;
        let others = (0..cluster.len()).filter(|other| *other != node);
        match self.what {
            Disturbance::Kill => cluster.kill(node),
            Disturbance::KillAll => (0..cluster.len()).for_each(|node| cluster.kill(node)),
            Disturbance::Stop => cluster.stop(node, STOP_PATIENCE)?,
            Disturbance::Pause => cluster.pause(node),
            Disturbance::CutOff => {
                for other in others {
                    cluster.ground().cut(Sender::Node(other), node)?;
                    cluster.ground().cut(Sender::Node(node), other)?;
                }
            }
            Disturbance::Isolate => {
                cluster.ground().cut(Sender::Clients, node)?;
                for other in others {
                    cluster.ground().cut(Sender::Node(other), node)?;
                    cluster.ground().cut(Sender::Node(node), other)?;
                }
            }
            Disturbance::Deafen => {
                for other in others {
                    cluster.ground().cut(Sender::Node(other), node)?;
                }
            }
            Disturbance::Mute => {
                for other in others {
                    cluster.ground().cut(Sender::Node(node), other)?;
                }
            }
            Disturbance::CutPair => {
                let other = (node + 1) % cluster.len();
                cluster.ground().cut(Sender::Node(other), node)?;
                cluster.ground().cut(Sender::Node(node), other)?;
            }
            Disturbance::FillDisk => cluster.disk(node).context("a disk of its own")?.fill()?,
        }
        Ok(())
    }

    /// Ends it; all nodes serve.
    ///
    /// # Errors
    /// When one does not.
    pub fn end(&self, cluster: &mut Cluster) -> anyhow::Result<()> {
        if let Some(disk) = cluster.disk(self.node) {
            disk.empty()?;
        }
        cluster.heal()
    }
}

/// What is written to make a full disk felt.
pub const BALLAST_TOPIC: &str = "ballast";
/// Values of that topic.
const BALLAST_BYTES: usize = 200_000;
/// As many of them are far more than a disk that is full can take.
const BALLAST_RECORDS_MAX: u64 = 500;

/// Writes to every partition that the node leads until it refuses: as long as little is written, a full disk is not felt.
fn fill_up(cluster: &Cluster, node: usize) -> anyhow::Result<()> {
    let led = cluster.view(node, BALLAST_TOPIC)?.partitions;
    let led = (0..).zip(led).filter(|(_, partition)| partition.leader == Some(node));
    let mut client = cluster.client(node)?;
    client.set_patience(GO_ON_PATIENCE)?;
    for (partition, _) in led {
        for number in 0..BALLAST_RECORDS_MAX {
            let value = Stamp { producer: 0, number }.value(BALLAST_BYTES);
            let mut batch = BatchBuilder::new();
            batch.push(NewRecord {
                timestamp_ms: clock::unix_ms(),
                value: Some(&value),
                ..NewRecord::default()
            });
            let produced = client.produce(BALLAST_TOPIC, partition, batch.build(), ACKS_LEADER)?;
            match produced.error {
                ErrorCode::None => ensure!(number + 1 < BALLAST_RECORDS_MAX, "a full disk takes everything"),
                // What it cannot store, others lead soon.
                ErrorCode::KafkaStorageError | ErrorCode::NotLeaderOrFollower => break,
                error => bail!("{BALLAST_TOPIC}-{partition}: {error} {:?}", produced.message),
            }
        }
    }
    Ok(())
}
