//! A long backlog, read from its beginning while producing goes on.

use crate::{
    ACKS_ALL, Broker, BrokerOptions, Client, FetchWanted, Producer, ProducerSettings, hostile, payload::Stamp,
};
use anyhow::{Context, ensure};
use corelane_core::{
    error::ErrorCode,
    records::{Batches, DecodedBatch, Scratch},
};
use std::{
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

const TOPIC: &str = "backlog";

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct BacklogReport {
    bytes: u64,
    produce: Duration,
    read: Duration,
    /// Produced meanwhile.
    meanwhile: u64,
    memory_bytes: u64,
}

impl fmt::Display for BacklogReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |time: Duration| self.bytes as f64 / time.as_secs_f64() / 1e6;
        write!(
            f,
            "{} MiB produced at {:.0} MB/s, read back and each byte checked at {:.0} MB/s while {} records more were \
             produced; {} MiB of memory",
            self.bytes >> 20,
            rate(self.produce),
            rate(self.read),
            self.meanwhile,
            self.memory_bytes >> 20
        )
    }
}

/// Produces `bytes` to one partition, then reads them while another producer writes to the same partition.
///
/// # Errors
/// When a byte is not as it was written, or the broker takes more than `memory_max`.
pub fn run(bytes: usize, memory_max: u64) -> anyhow::Result<BacklogReport> {
    let directory = tempfile::tempdir()?;
    // Little is kept in memory, so that most comes from files.
    let options = BrokerOptions::new(directory.path(), 2).with("corelane.tail.cache.bytes", 16 << 20);
    let mut broker = Broker::start(&options)?;
    let address = broker.address();
    let mut client = Client::connect(address)?;
    client.create_topics(&[TOPIC], 1, &[("segment.bytes", "67108864")])?;
    client.await_topic(TOPIC, 1, Duration::from_secs(10))?;
    let began = Instant::now();
    hostile::fill(address, TOPIC, 0, bytes)?;
    let produce = began.elapsed();
    let stop = AtomicBool::new(false);
    let mut producer = Producer::new(ProducerSettings {
        producer: 0,
        topic: TOPIC.to_owned(),
        partitions: 1,
        idempotent: true,
        acks: ACKS_ALL,
        record_bytes: 100..=1000,
        batch_records: 1..=10,
        pause: Duration::from_millis(1),
        seed: 0,
    });
    let began = Instant::now();
    let (read, backlog) = thread::scope(|scope| {
        let producing = scope.spawn(|| producer.run(address, &stop));
        let read = read_all_of(address, bytes);
        let time = began.elapsed();
        stop.store(true, Relaxed);
        producing.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
        anyhow::Ok((time, read?))
    })
    .with_context(|| format!("the broker said:\n{}", broker.said()))?;
    broker.ensure_running()?;
    let memory_bytes = broker.memory_bytes()?;
    ensure!(memory_bytes <= memory_max, "the broker holds {memory_bytes} bytes of memory");
    let meanwhile = producer.ledger().acknowledged_records();
    ensure!(meanwhile > 0, "nothing was produced meanwhile");
    Ok(BacklogReport { bytes: backlog, produce, read, meanwhile, memory_bytes })
}

/// Reads until so many bytes of the backlog's own records were there, each of them checked and in order; how many.
fn read_all_of(address: SocketAddr, bytes: usize) -> anyhow::Result<u64> {
    let mut client = Client::connect(address)?;
    let mut scratch = Scratch::new();
    let (mut read, mut next, mut number) = (0, 0, 0);
    let wanted = FetchWanted { bytes_max: 8 << 20, wait_ms_max: 1000 };
    while read < bytes as u64 {
        let fetched = client.fetch(TOPIC, 0, next, wanted)?;
        ensure!(fetched.error == ErrorCode::None, "offset {next}: {}", fetched.error);
        ensure!(!fetched.records.is_empty(), "offset {next}: nothing comes, {read} bytes were there");
        for batch in Batches::new(&fetched.records) {
            let batch = batch?;
            ensure!(batch.checksum_matches(), "offset {next}: a wrong checksum");
            for record in DecodedBatch::new(batch, &mut scratch)?.records() {
                let record = record?;
                if record.offset.0 < next {
                    continue;
                }
                ensure!(record.offset.0 == next, "offset {} where {next} belongs", record.offset.0);
                next += 1;
                let value = record.value.context("a null value")?;
                let stamp = Stamp::of(value).with_context(|| format!("offset {next}: damaged"))?;
                if stamp.producer == hostile::FILLER {
                    ensure!(stamp.number == number, "{stamp:?} where {number} belongs");
                    number += 1;
                    read += value.len() as u64;
                }
            }
        }
    }
    Ok(read)
}
