//! Very many partitions, each written once and left alone: the remainder of each lies in the journal, under one block,
//! and would hold its low mark back for ever, were it not copied forward.

use crate::{
    ACKS_ALL, Broker, BrokerOptions, Client,
    hostile::small_batch,
    payload::Stamp,
    read_back::read_all,
    requests::{PRODUCE_VERSION, produce_request, produced},
};
use anyhow::{Context, ensure};
use bytes::Bytes;
use corelane_core::records::{BatchBuilder, NewRecord};
use kafka_protocol::messages::ProduceRequest;
use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

const HOT: &str = "hot";
const SHARDS: u16 = 2;
const CREATE_AT_ONCE: usize = 50;
/// What both shards' logs may hold in memory (`corelane.shard.memory.bytes`' default), and what the rest takes.
const MEMORY_BYTES_MAX: u64 = SHARDS as u64 * (256 << 20) + (192 << 20);

/// How many, and how much beside them.
#[derive(Clone, Copy, Debug)]
pub struct ManyTopicsSettings {
    /// Topics.
    pub topics: usize,
    /// Partitions of each.
    pub partitions: i32,
    /// `corelane.journal.bytes.max`, of each shard.
    pub journal_bytes: usize,
    /// Produced afterwards, far more than all journals hold.
    pub hot_bytes: usize,
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct ManyTopicsReport {
    settings: ManyTopicsSettings,
    create: Duration,
    write: Duration,
    hot: Duration,
    restart: Duration,
    read: Duration,
    memory_bytes: u64,
}

impl fmt::Display for ManyTopicsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ManyTopicsSettings { topics, partitions, journal_bytes, hot_bytes } = self.settings;
        write!(
            f,
            "{topics} topics × {partitions}: created in {:?}, each partition written once in {:?}; {} MiB produced \
             past them in {:?} through journals of {} MiB each; restart after kill -9 in {:?}, all read in {:?}; {} \
             MiB of memory",
            self.create,
            self.write,
            hot_bytes >> 20,
            self.hot,
            journal_bytes >> 20,
            self.restart,
            self.read,
            self.memory_bytes >> 20
        )
    }
}

/// Runs it.
///
/// # Errors
/// When anything is refused, delayed for good, or lost.
pub fn run(settings: ManyTopicsSettings) -> anyhow::Result<ManyTopicsReport> {
    let directory = tempfile::tempdir()?;
    let options = BrokerOptions::new(directory.path(), SHARDS)
        .with("corelane.journal.bytes.max", settings.journal_bytes)
        .with("corelane.disk.reserve.bytes", 0);
    let mut broker = Broker::start(&options)?;
    let names: Vec<String> = (0..settings.topics).map(|number| format!("quiet-{number}")).collect();

    let began = Instant::now();
    let mut client = Client::connect(broker.address())?;
    for names in names.chunks(CREATE_AT_ONCE) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        client.create_topics(&names, settings.partitions, &[])?;
    }
    client.create_topics(&[HOT], i32::from(SHARDS) * 2, &[("segment.bytes", "16777216")])?;
    client.await_topic(HOT, usize::from(SHARDS) * 2, Duration::from_secs(60))?;
    if let Some(last) = names.last() {
        client.await_topic(last, settings.partitions as usize, Duration::from_secs(60))?;
    }
    let create = began.elapsed();

    let began = Instant::now();
    for (number, name) in (0..).zip(&names) {
        write_once(&mut client, name, number, settings.partitions)?;
    }
    let write = began.elapsed();

    let began = Instant::now();
    produce_much(broker.address(), settings.hot_bytes)
        .with_context(|| format!("past the quiet ones; the broker said:\n{}", broker.said()))?;
    let hot = began.elapsed();
    let memory_bytes = broker.memory_bytes()?;
    ensure!(memory_bytes <= MEMORY_BYTES_MAX, "the broker takes {} MiB of memory", memory_bytes >> 20);
    broker.ensure_running()?;
    broker.kill();

    let began = Instant::now();
    let mut broker = Broker::start(&options)?;
    let restart = began.elapsed();
    let began = Instant::now();
    let mut client = Client::connect(broker.address())?;
    for (number, name) in (0..).zip(&names) {
        for partition in 0..settings.partitions {
            let log = read_all(&mut client, name, partition)?;
            let wanted = [Stamp { producer: number, number: partition as u64 }];
            ensure!(log == wanted, "{name}-{partition} holds {log:?}");
        }
    }
    let read = began.elapsed();
    broker.ensure_running()?;
    let status = broker.terminate(Duration::from_secs(60))?;
    ensure!(status.success(), "the broker ended with {status}");
    Ok(ManyTopicsReport { settings, create, write, hot, restart, read, memory_bytes })
}

/// One record to each partition of a topic, in one request.
fn write_once(client: &mut Client, topic: &str, number: u32, partitions: i32) -> anyhow::Result<()> {
    let batches: Vec<(i32, Bytes)> = (0..partitions)
        .map(|partition| (partition, small_batch(Stamp { producer: number, number: partition as u64 })))
        .collect();
    let response = client.call(PRODUCE_VERSION, &produce_request(topic, &batches, ACKS_ALL))?;
    let answers = produced(&response)?;
    ensure!(answers.len() == batches.len(), "{} partitions were answered", answers.len());
    for (partition, produced) in answers {
        ensure!(produced.error.is_none() && produced.base_offset == 0, "{topic}-{partition}: {produced:?}");
    }
    Ok(())
}

/// Large batches, round-robin over the hot topic's partitions, a few in flight.
fn produce_much(address: SocketAddr, bytes: usize) -> anyhow::Result<()> {
    const RECORD: usize = 500_000;
    let mut client = Client::connect(address)?;
    let value = Stamp { producer: u32::MAX, number: 0 }.value(RECORD);
    let mut batch = BatchBuilder::new();
    let record =
        NewRecord { timestamp_ms: crate::clock::unix_ms(), value: Some(&value), ..NewRecord::default() };
    batch.push(record);
    let batch = batch.build();
    for number in 0..bytes.div_ceil(RECORD) {
        if client.in_flight() >= 4 {
            receive(&mut client)?;
        }
        let partition = (number % usize::from(SHARDS * 2)) as i32;
        client.send(PRODUCE_VERSION, &produce_request(HOT, &[(partition, batch.clone())], ACKS_ALL))?;
    }
    while client.in_flight() > 0 {
        receive(&mut client)?;
    }
    Ok(())
}

fn receive(client: &mut Client) -> anyhow::Result<()> {
    let (response, _) = client.receive::<ProduceRequest>(PRODUCE_VERSION)?;
    for (partition, produced) in produced(&response)? {
        ensure!(produced.error.is_none(), "{HOT}-{partition}: {produced:?}");
    }
    Ok(())
}
