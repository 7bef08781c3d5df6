//! Producing at a rate that is fixed in advance.

pub mod flow;
mod producer;
mod worker;

pub use producer::Tally;

use crate::{
    client::Client,
    clock::Timeline,
    coordinator::{self, Identity},
    payload::Payload,
    schedule::{Rate, Schedule},
    topic::Topic,
};
use anyhow::{Context, Result, anyhow, ensure};
use corelane_core::records::Codec;
use flow::{Flow, FlowLimits, Spread};
use producer::{Producer, Wire};
use std::thread::{self, JoinHandle};

/// When a producer is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Never: a record counts as acknowledged once the kernel has taken its request.
    None,
    /// When the leader has appended.
    Leader,
    /// When all in-sync replicas have.
    All,
}

impl Acks {
    /// As on the wire.
    pub fn number(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// What all producers of a population have in common.
#[derive(Clone, Debug)]
pub struct ProduceSettings {
    /// Connections.
    pub producers: usize,
    /// Threads that serve them.
    pub threads: usize,
    /// Over all of them.
    pub rate: Rate,
    /// Bytes of each key; 0 is none.
    pub key_bytes: usize,
    /// Bytes of each value.
    pub record_bytes: usize,
    /// Of a batch, before compression.
    pub batch_bytes: usize,
    /// Of a request, before compression.
    pub request_bytes: usize,
    /// How long a record waits for its batch to fill.
    pub linger_ns: u64,
    /// Requests without an answer, of each connection.
    pub requests_in_flight: usize,
    /// When they are answered.
    pub acks: Acks,
    /// Whether batches carry producer id and sequence.
    pub idempotent: bool,
    /// Of the batches.
    pub codec: Codec,
    /// Of the values.
    pub payload: Payload,
    /// Over the partitions.
    pub spread: Spread,
    /// Whether each value carries its scheduled arrival, and of which run.
    pub stamp_run: Option<u64>,
    /// How close to the next arrival a thread stops sleeping and spins.
    pub spin_ns: u64,
}

/// A record's attributes, deltas and lengths: at most so many bytes beside the value.
const RECORD_OVERHEAD_BYTES: usize = 16;

impl ProduceSettings {
    /// Records that fill a batch: at least one, however large.
    pub fn batch_records(&self) -> u64 {
        (self.batch_bytes / self.encoded_bytes()).max(1) as u64
    }

    /// Bytes of a record in a batch, roughly.
    fn encoded_bytes(&self) -> usize {
        self.key_bytes + self.record_bytes + RECORD_OVERHEAD_BYTES
    }

    fn limits(&self, partitions: usize) -> FlowLimits {
        let batch_records = self.batch_records();
        let request_records = (self.request_bytes / self.encoded_bytes()).max(1) as u64;
        FlowLimits {
            partitions,
            batch_records: batch_records.min(request_records),
            request_records,
            linger_ns: self.linger_ns,
            requests_in_flight: self.requests_in_flight,
            spread: self.spread,
        }
    }
}

/// Connected producers that have not begun.
pub struct Prepared {
    settings: ProduceSettings,
    connections: Vec<Connected>,
}

struct Connected {
    client: Client,
    partitions: Vec<i32>,
    identity: Option<Identity>,
    wire: Wire,
}

/// Connects all producers and gets their producer ids.
///
/// # Errors
/// The connections', or the broker's.
pub fn prepare(topic: &Topic, settings: ProduceSettings) -> Result<Prepared> {
    ensure!(
        !settings.idempotent || settings.acks == Acks::All,
        "--idempotent needs --acks all: without it a broker refuses the batches"
    );
    let mut connections = Vec::new();
    for assignment in topic.split(settings.producers, true)? {
        let mut client = Client::connect(&assignment.address)?;
        let identity =
            if settings.idempotent { Some(coordinator::new_producer(&mut client, None)?) } else { None };
        let wire = Wire::new(client.served(), topic, &settings)?;
        connections.push(Connected { client, partitions: assignment.partitions, identity, wire });
    }
    Ok(Prepared { settings, connections })
}

/// Producers at work.
pub struct Running {
    threads: Vec<JoinHandle<Result<Tally>>>,
}

impl Prepared {
    /// Lets them go.
    ///
    /// # Errors
    /// When a socket cannot be made nonblocking.
    pub fn start(self, timeline: Timeline) -> Result<Running> {
        let Prepared { settings, connections } = self;
        let count = connections.len();
        let threads = settings.threads.clamp(1, count);
        let mut groups: Vec<Vec<Producer>> = (0..threads).map(|_| Vec::new()).collect();
        for (index, connected) in connections.into_iter().enumerate() {
            let schedule = Schedule::new(settings.rate, index, count, timeline);
            let flow = Flow::new(schedule, settings.limits(connected.partitions.len()), index);
            let address = connected.client.address().to_owned();
            groups[index % threads].push(
                Producer::new(connected.client.into_stream(), flow, connected.wire)?
                    .at(index, address)
                    .with_partitions(connected.partitions)
                    .with_identity(connected.identity),
            );
        }
        let spawn = |(index, producers): (usize, Vec<Producer>)| {
            let settings = settings.clone();
            thread::Builder::new()
                .name(format!("produce-{index}"))
                .spawn(move || worker::run(producers, &settings, timeline))
                .context("cannot start a thread")
        };
        Ok(Running { threads: groups.into_iter().enumerate().map(spawn).collect::<Result<_>>()? })
    }
}

impl Running {
    /// Waits for them to end, which they do by the timeline.
    ///
    /// # Errors
    /// The first producer's that failed.
    pub fn join(self) -> Result<Tally> {
        let mut total = Tally::default();
        for thread in self.threads {
            total.add(&thread.join().map_err(|_| anyhow!("a producer's thread panicked"))??);
        }
        Ok(total)
    }
}
