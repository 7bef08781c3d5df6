//! How long a producer waits when the broker that leads its partition is gone: the time from the last acknowledgement
//! before to the first one after, with all of the cluster and of the producer at their defaults.

use super::{
    Cluster, ClusterOptions, Load,
    disturbance::{Disturbance, Planned},
    nodes::Software,
};
use crate::Stack;
use anyhow::{Context, ensure};
use std::{collections::BTreeMap, fmt, time::Duration};

const TOPIC: &str = "failover";
/// Each node leads one.
const PARTITIONS: i32 = 3;
/// The one that is looked at; whoever leads it is disturbed.
const PARTITION: i32 = 0;
/// Records a second, of each producer: what is measured is no finer than the time between two in a partition.
const RATE: u32 = 300;
/// Records of each producer in that partition before the first disturbance, so that a JVM has compiled what it needs.
const WARM_RECORDS: u64 = 1000;
/// Two minutes are a producer's own patience.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Clone, Debug)]
pub struct FailoverSettings {
    /// Of whom.
    pub software: Software,
    /// How often each.
    pub repeats: u32,
    /// Which.
    pub kinds: Vec<Disturbance>,
}

/// By what was done and by whose producer: each time that was waited.
#[derive(Clone, Debug)]
pub struct FailoverReport {
    software: Software,
    outages: BTreeMap<(Disturbance, &'static str), Vec<Duration>>,
}

impl fmt::Display for FailoverReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}: outages as producers see them", self.software)?;
        writeln!(f, "| the leader's | producer | median | longest | times |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for ((what, stack), times) in &self.outages {
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let (median, longest) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
            writeln!(f, "| {what:?} | {stack} | {median:.2?} | {longest:.2?} | {} |", times.len())?;
        }
        Ok(())
    }
}

/// Measures.
///
/// # Errors
/// When the cluster, or a client, does not come back.
pub fn run(settings: &FailoverSettings) -> anyhow::Result<FailoverReport> {
    let directory = tempfile::tempdir()?;
    let options = ClusterOptions { software: settings.software, ..ClusterOptions::new() };
    let mut cluster = Cluster::start(&options, directory.path())?;
    cluster.create_topic(TOPIC, PARTITIONS, &[("min.insync.replicas", "2")])?;
    let mut load = Load::new(cluster.bootstrap(), TOPIC, PARTITIONS);
    let stacks = [(Stack::Java, "Java"), (Stack::Librdkafka, "librdkafka")];
    let producers = stacks.map(|(stack, name)| load.add_producer(stack, RATE, &[]).map(|it| (it, name)));
    let producers = producers.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let warm = |_: &Cluster| {
        let acknowledged = load.acknowledged();
        let count = |it: &u32| acknowledged.get(&(*it, PARTITION)).copied().unwrap_or(0);
        producers.iter().all(|(it, _)| count(it) >= WARM_RECORDS)
    };
    cluster.await_that(PATIENCE, "the first records are acknowledged", warm)?;

    let mut report = FailoverReport { software: settings.software, outages: BTreeMap::new() };
    for round in 0..settings.repeats {
        for what in &settings.kinds {
            let outages = measure(*what, &mut cluster, &load, &producers)
                .with_context(|| format!("{what:?}, round {round}"))?;
            println!("{what:?}: {outages:.2?}");
            for (name, outage) in outages {
                report.outages.entry((*what, name)).or_default().push(outage);
            }
            load.ensure_well()?;
        }
    }
    load.end_producers()?;
    Ok(report)
}

fn measure(
    what: Disturbance,
    cluster: &mut Cluster,
    load: &Load,
    producers: &[(u32, &'static str)],
) -> anyhow::Result<Vec<(&'static str, Duration)>> {
    cluster.await_whole(TOPIC, PATIENCE)?;
    let leader = |view: super::nodes::View| view.partitions.first().and_then(|partition| partition.leader);
    let node = leader(cluster.view(0, TOPIC)?).context("it is whole, so it has a leader")?;
    let go_on = |cluster: &mut Cluster| {
        let before = load.acknowledged();
        cluster.await_that(PATIENCE, "producers go on", |_| {
            !load.silent_since(&before).iter().any(|(_, partition)| *partition == PARTITION)
        })
    };
    go_on(cluster)?;
    let from = load.now();
    let planned = Planned { what, node, lasts: Some(Duration::ZERO) };
    planned.begin(cluster, load, TOPIC)?;
    let witness = (node + 1) % cluster.len();
    cluster.await_that(PATIENCE, "another leads", |cluster| {
        cluster.view(witness, TOPIC).is_ok_and(|view| leader(view).is_some_and(|leader| leader != node))
    })?;
    go_on(cluster)?;
    planned.end(cluster)?;
    let history = load.history();
    ensure!(history.unknown() == 0, "a producer has given a record up");
    Ok(producers.iter().map(|(it, name)| (*name, history.silence(*it, PARTITION, from))).collect())
}
