//! A producer under load: several requests in flight, every answer in its ledger. An idempotent one sends again, after
//! a connection broke, what was not answered, as Kafka's clients do; a plain one leaves it unknown.

use crate::{
    Client, clock,
    ledger::{Acknowledged, Ledger, SentBatch},
    payload::Stamp,
    requests::{PRODUCE_VERSION, produce_request, produced},
};
use anyhow::{Context, bail};
use bytes::Bytes;
use corelane_core::{
    error::ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    records::{BatchBuilder, NewRecord},
};
use kafka_protocol::messages::ProduceRequest;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    ops::RangeInclusive,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

/// As many as Kafka's idempotent producer may have (`max.in.flight.requests.per.connection`).
const IN_FLIGHT_MAX: usize = 5;

/// What a producer does.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// As in [`Stamp::producer`].
    pub producer: u32,
    /// Where to.
    pub topic: String,
    /// It writes to partitions `0..partitions`.
    pub partitions: i32,
    /// Whether it asks for a producer id.
    pub idempotent: bool,
    /// -1, 1 or 0.
    pub acks: i16,
    /// Bytes of each record's value.
    pub record_bytes: RangeInclusive<usize>,
    /// Records of each batch.
    pub batch_records: RangeInclusive<u64>,
    /// Between two batches; bounds how much there is to read back.
    pub pause: Duration,
    /// For sizes and partitions.
    pub seed: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As was asked; everything is answered.
    Asked,
    /// The connection broke, or was not made.
    Disconnected,
}

/// See the module.
#[derive(Debug)]
pub struct Producer {
    settings: ProducerSettings,
    identity: Option<(ProducerId, ProducerEpoch)>,
    /// The next record's number, by partition.
    next: BTreeMap<i32, u64>,
    /// Sent and not answered: place in the ledger, partition, bytes.
    pending: VecDeque<(usize, i32, Bytes)>,
    ledger: Ledger,
    chance: SmallRng,
}

impl Producer {
    /// Has sent nothing so far.
    pub fn new(settings: ProducerSettings) -> Producer {
        Producer {
            identity: None,
            next: BTreeMap::new(),
            pending: VecDeque::new(),
            ledger: Ledger::new(settings.producer, settings.idempotent),
            chance: SmallRng::seed_from_u64(settings.seed),
            settings,
        }
    }

    /// What it sent and knows.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Produces until `stop` is set or the connection breaks.
    ///
    /// # Errors
    /// When the broker answers with an error, or not at all while the connection stands.
    pub fn run(&mut self, address: SocketAddr, stop: &AtomicBool) -> anyhow::Result<Ended> {
        let who = format!("producer {}", self.settings.producer);
        match self.produce(address, stop) {
            Ok(()) => Ok(Ended::Asked),
            Err(error) if is_disconnect(&error) => Ok(Ended::Disconnected),
            Err(error) => Err(error.context(who)),
        }
    }

    fn produce(&mut self, address: SocketAddr, stop: &AtomicBool) -> anyhow::Result<()> {
        let mut client = Client::connect(address)?;
        client.await_topic(
            &self.settings.topic,
            self.settings.partitions as usize,
            Duration::from_secs(20),
        )?;
        if self.settings.idempotent && self.identity.is_none() {
            self.identity = Some(client.init_producer_id()?);
        }
        if self.settings.idempotent {
            for (_, partition, batch) in &self.pending {
                self.send(&mut client, *partition, batch)?;
            }
        } else {
            self.pending.clear();
        }
        while !stop.load(Relaxed) {
            if client.in_flight() >= IN_FLIGHT_MAX {
                self.receive(&mut client)?;
            }
            let (partition, batch) = self.next_batch();
            self.send(&mut client, partition, &batch)?;
            if !self.settings.pause.is_zero() {
                std::thread::sleep(self.settings.pause);
            }
        }
        while client.in_flight() > 0 {
            self.receive(&mut client)?;
        }
        Ok(())
    }

    fn send(&self, client: &mut Client, partition: i32, batch: &Bytes) -> anyhow::Result<()> {
        let batches = [(partition, batch.clone())];
        let request = produce_request(&self.settings.topic, &batches, self.settings.acks);
        client.send(PRODUCE_VERSION, &request)
    }

    /// A new batch, noted as sent.
    fn next_batch(&mut self) -> (i32, Bytes) {
        let settings = &self.settings;
        let partition = self.chance.random_range(0..settings.partitions);
        let count = self.chance.random_range(settings.batch_records.clone());
        let first = *self.next.entry(partition).or_default();
        let mut batch = BatchBuilder::new();
        if let Some((id, epoch)) = self.identity {
            batch = batch.producer(id, epoch, i32::try_from(first).unwrap_or(i32::MAX));
        }
        for number in first..first + count {
            let length = self.chance.random_range(settings.record_bytes.clone());
            let value = Stamp { producer: settings.producer, number }.value(length);
            let record =
                NewRecord { timestamp_ms: clock::unix_ms(), value: Some(&value), ..NewRecord::default() };
            batch.push(record);
        }
        self.next.insert(partition, first + count);
        let bytes = batch.build();
        self.pending.push_back((self.ledger.batches.len(), partition, bytes.clone()));
        self.ledger.batches.push(SentBatch { partition, first, count, acknowledged: None });
        (partition, bytes)
    }

    fn receive(&mut self, client: &mut Client) -> anyhow::Result<()> {
        let (response, at) = client.receive::<ProduceRequest>(PRODUCE_VERSION)?;
        let answers = produced(&response)?;
        let (place, partition, _) = *self.pending.front().context("an answer to nothing")?;
        let [(answered, produced)] = &answers[..] else { bail!("answers: {answers:?}") };
        let batch = &mut self.ledger.batches[place];
        let what = format!("batch {}+{} to partition {partition}", batch.first, batch.count);
        if *answered != partition {
            bail!("{what}: partition {answered} was answered");
        }
        let base_offset = match produced.error {
            ErrorCode::None => Some(produced.base_offset).filter(|offset| *offset >= 0),
            ErrorCode::DuplicateSequenceNumber => None,
            error => bail!("{what}: {error} {:?}", produced.message),
        };
        batch.acknowledged = Some(Acknowledged { base_offset, at });
        self.pending.pop_front();
        Ok(())
    }
}

/// Whether the connection broke, rather than that the broker is silent or says something wrong.
pub fn is_disconnect(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|cause| {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof,
        };
        matches!(
            cause.kind(),
            BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | UnexpectedEof
        )
    })
}
