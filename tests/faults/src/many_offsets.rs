//! Very many committed offsets: a kill, and all of them are there again soon, while the same shards serve others.

use crate::{
    ACKS_ALL, Broker, BrokerOptions, Client,
    group_requests::{COMMIT_VERSION, Identity, commit_request},
    hostile::small_batch,
    payload::Stamp,
};
use anyhow::{Context, ensure};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use std::{
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const SHARDS: u16 = 2;
const TOPIC: &str = "read";
const BESIDE: &str = "beside";
/// Commits under way at once.
const IN_FLIGHT: usize = 16;

/// How many.
#[derive(Clone, Copy, Debug)]
pub struct ManyOffsetsSettings {
    /// Groups.
    pub groups: usize,
    /// Partitions of the topic that they all read.
    pub partitions: i32,
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct ManyOffsetsReport {
    settings: ManyOffsetsSettings,
    commit: Duration,
    restart: Duration,
    load: Duration,
    produces: usize,
    slowest_produce: Duration,
    memory_bytes: u64,
}

impl fmt::Display for ManyOffsetsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ManyOffsetsSettings { groups, partitions } = self.settings;
        write!(
            f,
            "{} offsets of {groups} groups: committed in {:?}; after kill -9 the broker serves in {:?} and has all of \
             them {:?} later; {} records produced meanwhile, the slowest in {:?}; {} MiB of memory",
            groups * partitions as usize,
            self.commit,
            self.restart,
            self.load,
            self.produces,
            self.slowest_produce,
            self.memory_bytes >> 20
        )
    }
}

fn group(number: usize) -> String {
    format!("group-{number}")
}

/// What a group has committed for a partition.
fn offset(number: usize, partition: i32) -> i64 {
    number as i64 * 1_000_000 + i64::from(partition)
}

/// Runs it.
///
/// # Errors
/// When a commit is refused or lost, or the broker does not load them in a minute.
pub fn run(settings: ManyOffsetsSettings) -> anyhow::Result<ManyOffsetsReport> {
    let directory = tempfile::tempdir()?;
    let options = BrokerOptions::new(directory.path(), SHARDS).with("corelane.disk.reserve.bytes", 0);
    let mut broker = Broker::start(&options)?;
    let mut client = Client::connect(broker.address())?;
    client.create_topics(&[TOPIC], settings.partitions, &[])?;
    client.create_topics(&[BESIDE], i32::from(SHARDS), &[])?;
    client.await_topic(TOPIC, settings.partitions as usize, Duration::from_secs(60))?;
    client.await_topic(BESIDE, usize::from(SHARDS), Duration::from_secs(60))?;
    client.await_coordinator(&group(0))?;

    let began = Instant::now();
    for number in 0..settings.groups {
        if client.in_flight() >= IN_FLIGHT {
            committed(&mut client)?;
        }
        client.send(COMMIT_VERSION, &commit(number, settings.partitions))?;
    }
    while client.in_flight() > 0 {
        committed(&mut client)?;
    }
    let commit = began.elapsed();
    broker.ensure_running()?;
    broker.kill();

    let began = Instant::now();
    let mut broker = Broker::start(&options)?;
    let restart = began.elapsed();
    let address = broker.address();
    let began = Instant::now();
    let loaded = AtomicBool::new(false);
    let (load, (produces, slowest_produce)) = std::thread::scope(|scope| {
        let beside = scope.spawn(|| produce_until(address, &loaded));
        let load = read_all(address, settings).map(|()| began.elapsed());
        loaded.store(true, Ordering::Relaxed);
        let beside = beside.join().expect("it does not panic")?;
        Ok::<_, anyhow::Error>((load?, beside))
    })
    .with_context(|| format!("the broker said:\n{}", broker.said()))?;
    let memory_bytes = broker.memory_bytes()?;
    broker.ensure_running()?;
    let status = broker.terminate(Duration::from_secs(60))?;
    ensure!(status.success(), "the broker ended with {status}");
    Ok(ManyOffsetsReport { settings, commit, restart, load, produces, slowest_produce, memory_bytes })
}

fn commit(number: usize, partitions: i32) -> OffsetCommitRequest {
    let offsets = (0..partitions).map(|partition| (partition, offset(number, partition)));
    commit_request(&group(number), &Identity::none(), TOPIC, offsets, |_| String::new())
}

fn committed(client: &mut Client) -> anyhow::Result<()> {
    let (response, _): (OffsetCommitResponse, _) = client.receive::<OffsetCommitRequest>(COMMIT_VERSION)?;
    let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let refused = partitions.find(|partition| partition.error_code != 0);
    ensure!(refused.is_none(), "a commit was refused: {refused:?}");
    Ok(())
}

/// Reads every group's offsets, as soon as its coordinator has them.
fn read_all(address: SocketAddr, settings: ManyOffsetsSettings) -> anyhow::Result<()> {
    let mut client = Client::connect(address)?;
    for number in 0..settings.groups {
        let told = client.committed_offsets(&group(number))?;
        let told: Vec<i64> = told.iter().map(|it| it.offset).collect();
        let expected: Vec<i64> =
            (0..settings.partitions).map(|partition| offset(number, partition)).collect();
        ensure!(told == expected, "group {number} has {} offsets, or wrong ones", told.len());
    }
    Ok(())
}

/// Small records, one after another, to a partition of each shard; how many, and how long the slowest took.
fn produce_until(address: SocketAddr, done: &AtomicBool) -> anyhow::Result<(usize, Duration)> {
    let mut client = Client::connect(address)?;
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while !done.load(Ordering::Relaxed) {
        let batch = small_batch(Stamp { producer: 0, number: count as u64 });
        let began = Instant::now();
        let partition = (count % usize::from(SHARDS)) as i32;
        let produced = client.produce(BESIDE, partition, batch, ACKS_ALL)?;
        ensure!(produced.error.is_none(), "{produced:?}");
        slowest = slowest.max(began.elapsed());
        count += 1;
    }
    Ok((count, slowest))
}
