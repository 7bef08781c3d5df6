//! Many transactional producers, each of which writes a batch and commits it, again and again at fixed intervals.
//!
//! They speak version 2 of transactions (KIP-890): a partition becomes a part of a transaction by being written to, and
//! each transaction has an epoch of its own. Latency counts from when a transaction was to begin to the answer of its end.

mod writer;

use crate::{
    client::Client,
    clock::{Timeline, now_ns},
    coordinator::{self, KeyType},
    latency::Latencies,
    link::{Link, readable},
    schedule::{Rate, Schedule},
    topic::Topic,
};
use anyhow::{Context, Result, ensure};
use corelane_core::records::{BatchBuilder, NewRecord};
use kafka_protocol::{
    messages::{EndTxnRequest, ProduceRequest},
    protocol::StrBytes,
};
use std::{num::NonZeroU64, time::Duration};
use writer::{Shape, Writer};

/// What to do.
#[derive(Clone, Debug)]
pub struct TransactionSettings {
    /// Transactional ids, each with a connection to its coordinator and one to the leader of its partition.
    pub producers: usize,
    /// Between two transactions of one producer, in milliseconds.
    pub every_ms: u64,
    /// Records of a transaction, in one batch.
    pub records: usize,
    /// Bytes of each record's value.
    pub record_bytes: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Transactions whose commits were answered in the measured time.
    pub committed_measured: u64,
    /// Those that were due and are not committed; charged as if they were committed when the run gave up.
    pub unfinished: u64,
    /// How often a broker said to ask again.
    pub retries: u64,
    /// From when each was to begin to the answer of its end.
    pub latencies: Latencies,
}

/// Connected producers that have not begun.
pub struct Prepared {
    writers: Vec<Writer>,
    rate: NonZeroU64,
}

/// Version 2 of transactions: Produce adds partitions, EndTxn gives the next epoch.
const PRODUCE_VERSION_MIN: i16 = 12;
const END_VERSION_MIN: i16 = 5;

/// Connects all producers and gets their producer ids.
///
/// # Errors
/// The connections', the brokers', or when they do not speak version 2 of transactions.
pub fn prepare(broker: &str, topic: &Topic, settings: &TransactionSettings) -> Result<Prepared> {
    ensure!(settings.producers > 0 && settings.records > 0, "transactions need producers and records");
    ensure!(settings.every_ms > 0, "--every-ms must be 1 or more");
    let rate = settings.producers as u64 * 1_000 / settings.every_ms;
    let rate = NonZeroU64::new(rate).context("less than one transaction in a second")?;
    let mut client = Client::connect(broker)?;
    speaks_version_2(&mut client)?;
    let produce = client.served().newest::<ProduceRequest>()?;
    let end = client.served().newest::<EndTxnRequest>()?;
    ensure!(
        produce >= PRODUCE_VERSION_MIN && end >= END_VERSION_MIN,
        "the broker serves Produce {produce} and EndTxn {end}: version 2 of transactions needs {PRODUCE_VERSION_MIN} and \
         {END_VERSION_MIN}"
    );
    let shape = Shape {
        produce_version: produce,
        end_version: end,
        topic: topic.name.clone(),
        topic_id: topic.id,
        batch: batch(settings),
    };
    let partitions: Vec<(&String, i32)> = topic
        .leaders
        .iter()
        .flat_map(|(address, partitions)| partitions.iter().map(move |partition| (address, *partition)))
        .collect();
    let ids: Vec<StrBytes> = (0..settings.producers).map(transactional_id).collect();
    let coordinators = coordinator::find(&mut client, KeyType::Transaction, &ids)?;
    let mut writers = Vec::with_capacity(settings.producers);
    for (index, (id, coordinator)) in ids.into_iter().zip(coordinators).enumerate() {
        let (leader, partition) = partitions[index % partitions.len()];
        let mut coordinator = Client::connect(&coordinator)?;
        let producer = coordinator::new_producer(&mut coordinator, Some(&id))?;
        let links = [Link::new(coordinator.into_stream())?, Link::new(crate::client::open(leader)?)?];
        writers.push(Writer::new(id, producer, partition, links, shape.clone()));
    }
    Ok(Prepared { writers, rate })
}

fn speaks_version_2(client: &mut Client) -> Result<()> {
    let features = client.api_versions()?.finalized_features;
    let level = features.iter().find(|one| one.name.as_str() == "transaction.version");
    let level = level.map_or(0, |one| one.max_version_level);
    ensure!(
        level >= 2,
        "transaction.version of the cluster is {level}, 2 is needed: kafka-features --bootstrap-server {} upgrade \
         --feature transaction.version=2",
        client.address()
    );
    Ok(())
}

fn transactional_id(index: usize) -> StrBytes {
    StrBytes::from_string(format!("corelane-bench-{}-{index}", std::process::id()))
}

/// One batch of a transaction without its producer, which is put in when it is sent.
fn batch(settings: &TransactionSettings) -> BatchBuilder {
    let value = vec![b'x'; settings.record_bytes];
    let mut builder = BatchBuilder::new().transactional();
    for _ in 0..settings.records {
        builder.push(NewRecord {
            timestamp_ms: crate::clock::unix_ms(),
            key: None,
            value: Some(&value),
            headers: &[],
        });
    }
    builder
}

impl Prepared {
    /// Lets them go, in one thread, until the timeline ends.
    ///
    /// # Errors
    /// The first producer's that failed.
    pub fn run(mut self, timeline: Timeline) -> Result<Tally> {
        let count = self.writers.len();
        let rate = Rate::PerSecond(self.rate);
        let schedules: Vec<Schedule> =
            (0..count).map(|index| Schedule::new(rate, index, count, timeline)).collect();
        let mut tally = Tally::default();
        loop {
            let now = now_ns();
            for (writer, schedule) in self.writers.iter_mut().zip(&schedules) {
                writer.go_on(schedule, now)?;
            }
            if now >= timeline.end_ns {
                let left =
                    self.writers.iter().zip(&schedules).map(|(writer, schedule)| writer.left(schedule));
                tally.unfinished = left.sum();
                if tally.unfinished == 0 || now >= timeline.drain_ns {
                    for (writer, schedule) in self.writers.iter().zip(&schedules) {
                        writer.charge_left(schedule, now, &mut tally.latencies);
                    }
                    return Ok(tally);
                }
            }
            let ready = readable(self.writers.iter().flat_map(Writer::links), Duration::from_millis(1))?;
            for index in ready {
                let (writer, schedule) = (&mut self.writers[index / 2], &schedules[index / 2]);
                writer.hear(index % 2, schedule, &mut tally)?;
            }
        }
    }
}
