//! One disturbance after the other, while clients of two stacks produce and read: nothing acknowledged is lost, nothing
//! is there twice, and after each the cluster is whole again within a bound.

use super::{
    Cluster, ClusterOptions, Load,
    disturbance::{BALLAST_TOPIC, Disturbance, Planned},
};
use crate::Stack;
use anyhow::{Context, ensure};
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

const TOPIC: &str = "jepsen";
const PARTITIONS: i32 = 6;

/// What produces and reads.
const STACKS: [Stack; 2] = [Stack::Java, Stack::Librdkafka];

/// Records a second, of each producer.
const RATE: u32 = 100;

/// Longest that a cluster may take after a disturbance until every replica is in sync.
const HEAL_PATIENCE: Duration = Duration::from_secs(60);

/// Longest that clients may take to find their way afterwards: they ask for metadata again after their own time-outs.
const CLIENT_PATIENCE: Duration = Duration::from_secs(60);

/// The file system of the node whose disk is filled; journals, segments and the reserve have to fit.
const SMALL_DISK_BYTES: u64 = 512 << 20;

/// How often, and by which seed.
#[derive(Clone, Debug)]
pub struct RoundsSettings {
    /// Disturbances.
    pub rounds: u32,
    /// For kinds, nodes and durations; what they meet is the machine's.
    pub seed: u64,
    /// Only these; none: all that are possible.
    pub only: Vec<Disturbance>,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct RoundsReport {
    /// Whether links could be cut.
    pub has_namespaces: bool,
    /// How often each came.
    pub disturbances: BTreeMap<Disturbance, u32>,
    /// Records that were acknowledged; all are there.
    pub acknowledged: usize,
    /// From the end of a disturbance until every replica was in sync, the longest.
    pub heal_max: Duration,
    /// The same until every producer had a record acknowledged in every partition and every reader had read all of them.
    pub clients_max: Duration,
    /// The longest time between two acknowledgements of one producer in one partition, and which.
    pub silence_max: (Duration, u32, i32),
}

impl fmt::Display for RoundsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ground = if self.has_namespaces { "in network namespaces" } else { "on loopback, without cuts" };
        let kinds = self.disturbances.iter().map(|(what, count)| format!("{count} {what:?}"));
        write!(
            f,
            "{} disturbances {ground} ({}): {} records acknowledged and there, once and in order; after a disturbance \
             every replica was in sync within {:.1?} and all clients went on within {:.1?}; the longest silence {:.1?}",
            self.disturbances.values().sum::<u32>(),
            kinds.collect::<Vec<_>>().join(", "),
            self.acknowledged,
            self.heal_max,
            self.clients_max,
            self.silence_max.0
        )?;
        write!(f, " (producer {} in partition {})", self.silence_max.1, self.silence_max.2)
    }
}

/// Runs it. What nodes and clients said stays in a directory, which is named, when something is wrong.
///
/// # Errors
/// Everything that must not happen.
pub fn run(settings: &RoundsSettings) -> anyhow::Result<RoundsReport> {
    let directory = tempfile::tempdir()?;
    let options = ClusterOptions { small_disk_bytes: Some(SMALL_DISK_BYTES), ..ClusterOptions::new() }
        // What is to be seen needs no more than a few seconds then.
        .with("broker.session.timeout.ms", 3000)
        .with("broker.heartbeat.interval.ms", 500)
        .with("replica.lag.time.max.ms", 4000)
        .with("corelane.journal.bytes.max", 32 << 20)
        .with("corelane.disk.reserve.bytes", 64 << 20);
    let mut cluster = Cluster::start(&options, directory.path())?;
    let outcome = Run::new(settings, &mut cluster).and_then(|mut run| {
        let outcome = run.all();
        let report = run.report.clone();
        outcome.map(|()| report.clone()).map_err(|error| {
            let round = report.disturbances.values().sum::<u32>();
            let written = run.write_history(directory.path());
            error.context(format!("seed {}, round {round}; history: {written:?}", settings.seed))
        })
    });
    outcome.map_err(|error| {
        let said = fs::write(directory.path().join("said"), cluster.said());
        let kept = directory.keep();
        error.context(format!("everything is in {} ({said:?})", kept.display()))
    })
}

struct Run<'a> {
    settings: &'a RoundsSettings,
    cluster: &'a mut Cluster,
    load: Load,
    chance: SmallRng,
    report: RoundsReport,
}

impl<'a> Run<'a> {
    fn new(settings: &'a RoundsSettings, cluster: &'a mut Cluster) -> anyhow::Result<Run<'a>> {
        let configs = [("min.insync.replicas", "2"), ("segment.bytes", "1048576")];
        cluster.create_topic(TOPIC, PARTITIONS, &configs)?;
        let configs = [("retention.bytes", "1048576"), ("segment.bytes", "1048576")];
        cluster.create_topic(BALLAST_TOPIC, PARTITIONS, &configs)?;
        let mut load = Load::new(cluster.bootstrap(), TOPIC, PARTITIONS);
        for stack in STACKS {
            load.add_producer(stack, RATE, producer_settings(stack))?;
            load.add_reader(stack, reader_settings(stack))?;
        }
        Ok(Run {
            settings,
            load,
            chance: SmallRng::seed_from_u64(settings.seed),
            report: RoundsReport { has_namespaces: cluster.ground().can_cut(), ..RoundsReport::default() },
            cluster,
        })
    }

    fn all(&mut self) -> anyhow::Result<()> {
        self.await_clients().context("before the first round")?;
        let mut ahead = Vec::new();
        for _ in 0..self.settings.rounds {
            if ahead.is_empty() {
                let only = &self.settings.only;
                ahead = Disturbance::possible(self.cluster);
                ahead.retain(|what| only.is_empty() || only.contains(what));
                ahead.shuffle(&mut self.chance);
            }
            let what = ahead.pop().context("none of these disturbances is possible here")?;
            let planned = Planned::draw(what, self.cluster, &mut self.chance);
            self.round(planned).with_context(|| planned.to_string())?;
        }
        self.end()
    }

    fn round(&mut self, planned: Planned) -> anyhow::Result<()> {
        println!("{planned}");
        planned.begin(self.cluster, &self.load, TOPIC)?;
        planned.end(self.cluster)?;
        let healed = self.cluster.await_whole(TOPIC, HEAL_PATIENCE)?;
        let went_on = healed + self.await_clients()?;
        self.cluster.ensure_well()?;
        *self.report.disturbances.entry(planned.what).or_default() += 1;
        self.report.heal_max = self.report.heal_max.max(healed);
        self.report.clients_max = self.report.clients_max.max(went_on);
        println!("    whole after {healed:.1?}, all clients after {went_on:.1?}");
        Ok(())
    }

    /// Waits until every producer has had something acknowledged in every partition, and every reader has read all that
    /// was acknowledged.
    fn await_clients(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let before = self.load.acknowledged();
        let (cluster, load) = (&mut *self.cluster, &mut self.load);
        cluster
            .await_that(CLIENT_PATIENCE, "every producer goes on in every partition", |_| {
                load.silent_since(&before).is_empty()
            })
            .with_context(|| format!("(producer, partition) are silent: {:?}", load.silent_since(&before)))?;
        let readers = load.readers();
        cluster.await_that(CLIENT_PATIENCE, "every reader reads on", |_| load.have_caught_up(&readers))?;
        load.ensure_well()?;
        Ok(begun.elapsed())
    }

    /// Producers end; then those that have read all along, and others that read everything anew, have to agree.
    fn end(&mut self) -> anyhow::Result<()> {
        self.load.end_producers()?;
        for stack in STACKS {
            self.load.add_reader(stack, reader_settings(stack))?;
        }
        let readers = self.load.readers();
        let load = &self.load;
        self.cluster.await_that(2 * CLIENT_PATIENCE, "new readers read everything", |_| {
            load.have_caught_up(&readers)
        })?;
        self.load.end_readers()?;
        let history = self.load.history();
        let anomalies = history.anomalies(&readers);
        let told = anomalies.iter().map(ToString::to_string).collect::<Vec<_>>();
        ensure!(anomalies.is_empty(), "{}", told.join("\n"));
        self.report.acknowledged = history.acknowledged();
        self.report.silence_max = history.longest_silence().context("acknowledgements")?;
        Ok(())
    }

    fn write_history(&self, directory: &Path) -> anyhow::Result<String> {
        let path = directory.join("history");
        let events = self.load.history();
        let lines = events.events().iter().map(|event| format!("{event:?}\n")).collect::<String>();
        fs::write(&path, lines)?;
        Ok(path.display().to_string())
    }
}

/// Clients give up a request to a node that is silent after seconds, not half a minute; all else is at its default.
fn producer_settings(stack: Stack) -> &'static [(&'static str, &'static str)] {
    match stack {
        Stack::Java => &[("request.timeout.ms", "5000")],
        Stack::Librdkafka => &[("socket.timeout.ms", "5000"), ("request.timeout.ms", "5000")],
        Stack::FranzGo | Stack::KafkaPython | Stack::Aiokafka => &[],
    }
}

fn reader_settings(stack: Stack) -> &'static [(&'static str, &'static str)] {
    match stack {
        Stack::Java => &[("request.timeout.ms", "5000")],
        Stack::Librdkafka => &[("socket.timeout.ms", "5000")],
        Stack::FranzGo | Stack::KafkaPython | Stack::Aiokafka => &[],
    }
}
