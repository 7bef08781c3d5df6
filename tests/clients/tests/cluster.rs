//! Clients of a cluster whose brokers die under them, or are restarted in turn: they go on by themselves, their groups
//! where they had committed.

use anyhow::{Context, Result, ensure};
use corelane_fault_tests::{
    Stack,
    cluster::{Cluster, ClusterOptions, Load},
};
use std::time::Duration;

const TOPIC: &str = "orders";
/// Each broker leads some, so that every client is connected to every broker.
const PARTITIONS: i32 = 6;
/// Records a second, of each producer.
const RATE: u32 = 50;
/// Until clients that had a broker die have found the next: their own time-outs are half a minute.
const PATIENCE: Duration = Duration::from_secs(90);
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// A cluster with a producer and a group of one member of each stack, all at their defaults.
struct Scene {
    cluster: Cluster,
    load: Load,
    // Last: it is removed when no process needs it any more.
    _directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Result<Scene> {
        let directory = tempfile::tempdir()?;
        let options = ClusterOptions::new().with("group.initial.rebalance.delay.ms", 0);
        let mut cluster = Cluster::start(&options, directory.path())?;
        cluster.create_topic(TOPIC, PARTITIONS, &[("min.insync.replicas", "2")])?;
        let mut load = Load::new(cluster.bootstrap(), TOPIC, PARTITIONS);
        for stack in Stack::LOADING {
            load.add_producer(stack, RATE, &[])?;
            load.add_member(stack, &format!("{stack:?}"))?;
        }
        let mut scene = Scene { cluster, load, _directory: directory };
        scene.await_clients("at first")?;
        Ok(scene)
    }

    /// Every producer has something acknowledged in every partition, every group reads on, and nobody complains.
    fn await_clients(&mut self, when: &str) -> Result<Duration> {
        let readers = self.load.readers();
        let load = &mut self.load;
        let before = load.acknowledged();
        let producing = self
            .cluster
            .await_that(PATIENCE, "every producer goes on", |_| load.silent_since(&before).is_empty());
        let reading = producing.and_then(|took| {
            let read = |_: &Cluster| load.have_caught_up(&readers);
            Ok(took + self.cluster.await_that(PATIENCE, "every group reads on", read)?)
        });
        load.ensure_well().context(when.to_owned())?;
        let silent = load.silent_since(&before);
        reading.with_context(|| format!("{when}; (producer, partition) are silent: {silent:?}"))
    }

    fn await_whole(&mut self) -> Result<()> {
        self.cluster.await_whole(TOPIC, PATIENCE)?;
        self.cluster.ensure_well()
    }

    /// Nothing acknowledged is lost, nothing is there twice, and all groups have read all of it.
    fn judge(mut self) -> Result<()> {
        self.load.end_producers()?;
        let (load, readers) = (&self.load, self.load.readers());
        let read = |_: &Cluster| load.have_caught_up(&readers);
        self.cluster.await_that(PATIENCE, "every group reads everything", read)?;
        self.load.end_readers()?;
        let history = self.load.history();
        let anomalies = history.anomalies(&readers);
        let told: Vec<_> = anomalies.iter().map(ToString::to_string).collect();
        ensure!(told.is_empty(), "{}", told.join("\n"));
        let (silence, ..) = history.longest_silence().context("something was acknowledged")?;
        println!("{} records, the longest silence {silence:.1?}", history.acknowledged());
        Ok(())
    }
}

fn kill_each_in_turn() -> Result<()> {
    let mut scene = Scene::new()?;
    for node in 0..scene.cluster.len() {
        scene.cluster.kill(node);
        let took = scene.await_clients(&format!("while node {node} is dead"))?;
        println!("all go on {took:.1?} after the death of node {node}");
        scene.cluster.heal()?;
        scene.await_whole()?;
    }
    scene.load.replace_members()?;
    scene.await_clients("with new members")?;
    scene.judge()
}

fn restart_each_in_turn() -> Result<()> {
    let mut scene = Scene::new()?;
    for node in 0..scene.cluster.len() {
        scene.cluster.stop(node, STOP_PATIENCE)?;
        scene.cluster.heal()?;
        scene.await_whole()?;
        let took = scene.await_clients(&format!("after the restart of node {node}"))?;
        println!("all go on {took:.1?} after the restart of node {node}");
    }
    scene.judge()
}

#[test]
fn clients_of_a_dead_broker_go_on_by_themselves_and_groups_where_they_had_committed() {
    kill_each_in_turn().unwrap_or_else(|error| panic!("{error:#}"));
}

#[test]
fn a_rolling_restart_under_load_shows_no_client_an_error_that_it_does_not_retry() {
    restart_each_in_turn().unwrap_or_else(|error| panic!("{error:#}"));
}
