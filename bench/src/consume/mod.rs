//! Consuming assigned partitions, without a group.

mod consumer;
mod session;

pub use consumer::Tally;

use crate::{
    client::Client,
    clock::Timeline,
    topic::{From, Topic, offsets},
};
use anyhow::{Context, Result, anyhow};
use consumer::{Consumer, Position};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

/// What all consumers have in common.
#[derive(Clone, Debug)]
pub struct ConsumeSettings {
    /// Connections, one thread each.
    pub consumers: usize,
    /// Where they begin.
    pub from: From,
    /// Fetch's min_bytes.
    pub min_bytes: i32,
    /// Fetch's max_bytes.
    pub max_bytes: i32,
    /// Fetch's bound for one partition.
    pub partition_max_bytes: i32,
    /// Fetch's max_wait_ms.
    pub max_wait_ms: i32,
    /// Whether fetch sessions (KIP-227) are used.
    pub sessions: bool,
    /// Whether checksums and the contiguity of offsets are verified.
    pub verify: bool,
    /// Of which run the stamps are looked for, if any.
    pub stamp_run: Option<u64>,
}

/// When consumers end.
#[derive(Clone, Debug)]
pub enum Until {
    /// With the measured time.
    Time,
    /// At the end that the partitions had when the consumers connected, or with the measured time.
    End,
    /// When all stamped records have come, or the timeline gives up.
    Received(Arc<Progress>),
}

/// How far an end-to-end run is.
#[derive(Debug, Default)]
pub struct Progress {
    produced: AtomicU64,
    all_produced: AtomicBool,
    received: AtomicU64,
}

impl Progress {
    /// All producers have ended, with so many records acknowledged.
    pub fn set_produced(&self, records: u64) {
        self.produced.store(records, Ordering::SeqCst);
        self.all_produced.store(true, Ordering::SeqCst);
    }

    fn receive(&self, records: u64) {
        self.received.fetch_add(records, Ordering::Relaxed);
    }

    fn is_complete(&self) -> bool {
        self.all_produced.load(Ordering::SeqCst)
            && self.received.load(Ordering::SeqCst) >= self.produced.load(Ordering::SeqCst)
    }
}

/// Connected consumers that know where to begin.
pub struct Prepared {
    consumers: Vec<Consumer>,
}

/// Connects all consumers and looks up their offsets.
///
/// # Errors
/// The connections', or the broker's.
pub fn prepare(topic: &Topic, settings: &ConsumeSettings) -> Result<Prepared> {
    let mut consumers = Vec::new();
    for assignment in topic.split(settings.consumers, false)? {
        let mut client = Client::connect(&assignment.address)?;
        let begins = offsets(&mut client, topic, &assignment.partitions, settings.from)?;
        let ends = offsets(&mut client, topic, &assignment.partitions, From::Latest)?;
        let positions = assignment.partitions.iter().zip(begins.iter().zip(ends));
        let positions = positions.map(|(index, (begin, end))| Position::new(*index, *begin, end)).collect();
        consumers.push(Consumer::new(client, topic, settings.clone(), positions)?);
    }
    Ok(Prepared { consumers })
}

/// Consumers at work.
pub struct Running {
    threads: Vec<JoinHandle<Result<Tally>>>,
}

impl Prepared {
    /// Records between where the consumers begin and where their partitions ended.
    pub fn backlog(&self) -> u64 {
        self.consumers.iter().map(Consumer::backlog).sum()
    }

    /// Lets them go.
    ///
    /// # Errors
    /// When there are no threads left.
    pub fn start(self, timeline: Timeline, until: &Until) -> Result<Running> {
        let spawn = |(index, consumer): (usize, Consumer)| {
            let until = until.clone();
            thread::Builder::new()
                .name(format!("consume-{index}"))
                .spawn(move || consumer.run(timeline, &until))
                .context("cannot start a thread")
        };
        Ok(Running { threads: self.consumers.into_iter().enumerate().map(spawn).collect::<Result<_>>()? })
    }
}

impl Running {
    /// Waits for them to end.
    ///
    /// # Errors
    /// The first consumer's that failed.
    pub fn join(self) -> Result<Tally> {
        let mut total = Tally::default();
        for thread in self.threads {
            total.add(&thread.join().map_err(|_| anyhow!("a consumer's thread panicked"))??);
        }
        Ok(total)
    }
}
