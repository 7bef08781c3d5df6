//! Controllers and brokers as processes of their own: whoever dies, clients go on; after a restart of everything all is there.

use anyhow::{Result, ensure};
use corelane_fault_tests::{
    Stack,
    cluster::{
        Load,
        apart::{Apart, BROKERS, CONTROLLERS, LATER, PARTITIONS, TOPIC, Voters, id, ids},
    },
};
use kafka_protocol::messages::{DescribeClusterRequest, describe_quorum_response::ReplicaState};
use std::collections::BTreeSet;

/// Records a second, of each producer.
const RATE: u32 = 50;

/// The leader tells of its voters, and of the brokers that follow without a vote, as far as they are.
fn quorum_is_described(scene: &mut Apart) -> Result<()> {
    let follows = |scene: &Apart| {
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
    let mut scene = Apart::start(Voters::Configured)?;
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
        scene.await_that("all replicas are in sync again", Apart::is_whole)?;
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
    quorum_is_described(&mut scene)?;
    judge(&mut scene, load)
}

/// Nothing acknowledged is lost, nothing is there twice, and all groups have read all of it.
fn judge(scene: &mut Apart, mut load: Load) -> Result<()> {
    load.end_producers()?;
    let readers = load.readers();
    scene.await_that("every group reads everything", |_| load.have_caught_up(&readers))?;
    load.end_readers()?;
    let history = load.history();
    let told: Vec<_> = history.anomalies(&readers).iter().map(ToString::to_string).collect();
    ensure!(told.is_empty(), "{}", told.join("\n"));
    println!("{} records", history.acknowledged());
    Ok(())
}

/// Who is to vote, and who is to follow besides the brokers.
fn await_members(scene: &mut Apart, voters: &[usize], others: &[usize]) -> Result<()> {
    let voters: BTreeSet<i32> = voters.iter().map(|place| id(*place)).collect();
    let others: BTreeSet<i32> = BROKERS.chain(others.iter().copied()).map(id).collect();
    let what = format!("{voters:?} vote, {others:?} follow");
    let is_so = |scene: &Apart| scene.members().is_ok_and(|it| it == (voters.clone(), others.clone()));
    scene.await_that(&what, is_so).map(drop)
}

fn voters_come_and_go() -> Result<()> {
    let mut scene = Apart::start(Voters::Formatted)?;
    let [first, second, third] = CONTROLLERS.collect::<Vec<_>>()[..] else { unreachable!("three") };
    // Who comes later follows from its start.
    await_members(&mut scene, &[first, second, third], &[LATER])?;
    scene.create_topic(TOPIC)?;
    let mut load = Load::new(scene.bootstrap.clone(), TOPIC, PARTITIONS);
    for stack in [Stack::Java, Stack::Librdkafka] {
        load.add_producer(stack, RATE, &[])?;
        load.add_member(stack, &format!("{stack:?}"))?;
    }
    scene.await_clients(&mut load, "at first")?;
    scene.add_voter(LATER)?;
    await_members(&mut scene, &[first, second, third, LATER], &[])?;
    scene.await_clients(&mut load, "with four voters")?;
    let directory = scene.directory_of(first)?;
    scene.remove_voter(first, directory)?;
    await_members(&mut scene, &[second, third, LATER], &[first])?;
    scene.await_clients(&mut load, "without the first one's vote")?;

    // Two of three decide, of which one is new.
    scene.kill(second);
    // What is asked of the one that is killed may be lost, of which clients ask again.
    scene.await_clients(&mut load, "with two of three voters")?;
    scene.create_topic("created-by-two")?;
    scene.start_all()?;
    let lost = scene.directory_of(third)?;
    scene.kill(third);
    scene.lose_disk(third)?;
    scene.remove_voter(third, lost)?;
    scene.format(third, &["--no-initial-controllers"])?;
    scene.start_all()?;
    ensure!(scene.directory_of(third)? != lost, "it is another directory");
    scene.add_voter(third)?;
    await_members(&mut scene, &[second, third, LATER], &[first])?;
    scene.await_clients(&mut load, "with a new disk")?;

    for place in BROKERS.chain(first..=LATER) {
        scene.stop(place)?;
    }
    scene.start_all()?;
    await_members(&mut scene, &[second, third, LATER], &[first])?;
    scene.create_topic("created-after-a-restart")?;
    scene.await_clients(&mut load, "after a restart of everything")?;
    judge(&mut scene, load)
}

#[test]
fn whoever_dies_of_separate_controllers_and_brokers_clients_go_on_and_nothing_is_lost() {
    whoever_dies().unwrap_or_else(|error| panic!("{error:#}"));
}

#[test]
fn voters_come_and_go_under_load_and_nothing_acknowledged_is_lost() {
    voters_come_and_go().unwrap_or_else(|error| panic!("{error:#}"));
}
