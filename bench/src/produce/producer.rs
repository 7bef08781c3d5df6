//! One connection that produces.

use super::{
    ProduceSettings,
    flow::{Flow, Run},
};
use crate::{
    client::{CLIENT_ID, Served, check},
    clock::{Timeline, now_ns},
    coordinator::{Identity, producer_id_request},
    latency::Latencies,
    link::Link,
    payload::{Sender, Stamp, Template},
    topic::Topic,
};
use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use corelane_core::{
    ids::{ProducerEpoch, ProducerId},
    records::header::sequence_plus,
    wire,
};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, TopicName,
    produce_request::{PartitionProduceData, TopicProduceData},
};
use std::{
    collections::{BTreeMap, VecDeque},
    net::TcpStream,
};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// From scheduled arrival to acknowledgement, of records scheduled in the measured time.
    pub latencies: Latencies,
    /// Records acknowledged within the measured time: the throughput.
    pub acknowledged_measured: u64,
    /// Records acknowledged at any time.
    pub acknowledged: u64,
    /// Requests acknowledged within the measured time.
    pub requests_measured: u64,
    /// Batches acknowledged within the measured time.
    pub batches_measured: u64,
    /// Bytes of the batches sent, compressed as they were.
    pub batch_bytes_sent: u64,
    /// Records that an error answered, by its code.
    pub errors: BTreeMap<i16, u64>,
    /// Records that were sent but not answered when the run gave up; charged as if they were answered then.
    pub unanswered: u64,
    /// Records that had arrived and were never sent when the run gave up; charged likewise.
    pub unsent: u64,
}

impl Tally {
    /// Adds another's.
    pub fn add(&mut self, other: &Tally) {
        self.latencies.add(&other.latencies);
        self.acknowledged_measured += other.acknowledged_measured;
        self.acknowledged += other.acknowledged;
        self.requests_measured += other.requests_measured;
        self.batches_measured += other.batches_measured;
        self.batch_bytes_sent += other.batch_bytes_sent;
        for (code, records) in &other.errors {
            *self.errors.entry(*code).or_default() += records;
        }
        self.unanswered += other.unanswered;
        self.unsent += other.unsent;
    }
}

/// Requests sent before another producer of the thread gets its turn: without acknowledgements nothing else ends it.
const REQUESTS_AT_ONCE_MAX: usize = 16;

/// How requests look.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    produce_version: i16,
    producer_id_version: i16,
    topic: TopicName,
    topic_id: uuid::Uuid,
    acks: i16,
    stamp_run: Option<u64>,
}

/// From this version on Produce names topics by id (KIP-516).
const PRODUCE_BY_ID_VERSION: i16 = 13;

impl Wire {
    pub(super) fn new(served: &Served, topic: &Topic, settings: &ProduceSettings) -> Result<Wire> {
        let mut produce_version = served.newest::<ProduceRequest>()?;
        if topic.id.is_nil() {
            produce_version = produce_version.min(PRODUCE_BY_ID_VERSION - 1);
        }
        let producer_id_version =
            if settings.idempotent { served.newest::<InitProducerIdRequest>()? } else { 0 };
        Ok(Wire {
            produce_version,
            producer_id_version,
            topic: topic.name.clone(),
            topic_id: topic.id,
            acks: settings.acks.number(),
            stamp_run: settings.stamp_run,
        })
    }

    fn produce(&self, correlation_id: i32, partitions: Vec<PartitionProduceData>) -> Result<Bytes> {
        let data = TopicProduceData::default().with_partition_data(partitions);
        let data = match self.produce_version >= PRODUCE_BY_ID_VERSION {
            true => data.with_topic_id(self.topic_id),
            false => data.with_name(self.topic.clone()),
        };
        let request = ProduceRequest::default()
            .with_acks(self.acks)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![data]);
        Ok(wire::encode_request(correlation_id, Some(CLIENT_ID), self.produce_version, &request)?)
    }
}

/// A request whose answer is awaited.
enum Awaited {
    Produce(Vec<Run>),
    ProducerId,
}

/// One connection with its arrivals, its requests on their way and its results.
pub(super) struct Producer {
    index: usize,
    address: String,
    link: Link,
    flow: Flow,
    wire: Wire,
    partitions: Vec<i32>,
    sequences: Vec<i32>,
    identity: Option<Identity>,
    /// After an error in an idempotent batch its sequence is lost: drain, then go on under a new producer id.
    renewing: bool,
    awaited: VecDeque<(i32, Awaited)>,
    correlation_id: i32,
    tally: Tally,
}

impl Producer {
    pub(super) fn new(stream: TcpStream, flow: Flow, wire: Wire) -> Result<Producer> {
        Ok(Producer {
            index: 0,
            address: String::new(),
            link: Link::new(stream)?,
            flow,
            wire,
            partitions: Vec::new(),
            sequences: Vec::new(),
            identity: None,
            renewing: false,
            awaited: VecDeque::new(),
            correlation_id: 1 << 16,
            tally: Tally::default(),
        })
    }

    pub(super) fn at(mut self, index: usize, address: String) -> Producer {
        (self.index, self.address) = (index, address);
        self
    }

    pub(super) fn with_partitions(mut self, partitions: Vec<i32>) -> Producer {
        self.sequences = vec![0; partitions.len()];
        self.partitions = partitions;
        self
    }

    pub(super) fn with_identity(mut self, identity: Option<Identity>) -> Producer {
        self.identity = identity;
        self
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn is_done(&self, now_ns: u64) -> bool {
        self.flow.is_done(now_ns)
    }

    /// When this producer has something to do, if the connection is silent until then.
    pub(super) fn wake_at(&self, now_ns: u64) -> Option<u64> {
        if self.renewing { None } else { self.flow.wake_at(now_ns) }
    }

    /// Takes answers in, if the connection is readable, and sends what is due.
    ///
    /// # Errors
    /// The connection's, or an answer that makes no sense.
    pub(super) fn pump(&mut self, readable: bool, template: &mut Template) -> Result<()> {
        self.exchange(readable, template).with_context(|| {
            format!(
                "producer {} at {}, with {} requests in flight: the broker ended the connection or broke the protocol",
                self.index,
                self.address,
                self.awaited.len()
            )
        })
    }

    fn exchange(&mut self, readable: bool, template: &mut Template) -> Result<()> {
        if readable {
            self.link.fill()?;
            // One instant for all that came at once.
            let now = now_ns();
            while let Some(frame) = self.link.next_frame()? {
                self.answered(&frame, now)?;
            }
        }
        let mut runs = Vec::new();
        for _ in 0..REQUESTS_AT_ONCE_MAX {
            if self.renewing {
                break;
            }
            self.flow.next_request(now_ns(), &mut runs);
            if runs.is_empty() {
                break;
            }
            self.send(std::mem::take(&mut runs), template)?;
            self.flush()?;
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.link.flush()?;
        if self.wire.acks == 0 && written > 0 {
            let now = now_ns();
            for _ in 0..written {
                let (_, awaited) =
                    self.awaited.pop_front().context("a request was written that was not sent")?;
                if let Awaited::Produce(runs) = awaited {
                    self.flow.answered();
                    self.tally.requests_measured += u64::from(self.timeline().measures(now));
                    runs.iter().for_each(|run| self.acknowledge(run, now));
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, runs: Vec<Run>, template: &mut Template) -> Result<()> {
        let mut data = Vec::with_capacity(runs.len());
        for run in &runs {
            let sequence = &mut self.sequences[run.partition];
            let sender = self.identity.map(|known| Sender {
                id: known.id,
                epoch: known.epoch,
                base_sequence: *sequence,
            });
            *sequence = sequence_plus(*sequence, i32::try_from(run.count)?);
            let stamp = self.wire.stamp_run.map(|of_run| {
                let flow = &self.flow;
                move |place| Stamp { scheduled_ns: flow.scheduled_ns(run, place), run: of_run }
            });
            let stamp = stamp.as_ref().map(|stamp| stamp as &dyn Fn(u64) -> Stamp);
            let batch = template.batch(run.count, sender, stamp);
            self.tally.batch_bytes_sent += batch.len() as u64;
            let partition = self.partitions[run.partition];
            data.push(PartitionProduceData::default().with_index(partition).with_records(Some(batch)));
        }
        let id = self.next_correlation_id();
        self.link.send(self.wire.produce(id, data)?);
        self.awaited.push_back((id, Awaited::Produce(runs)));
        Ok(())
    }

    fn next_correlation_id(&mut self) -> i32 {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        self.correlation_id
    }

    fn answered(&mut self, frame: &Bytes, now_ns: u64) -> Result<()> {
        let (expected, awaited) = self.awaited.pop_front().context("an answer that no request asked for")?;
        match awaited {
            Awaited::Produce(runs) => {
                let (id, response) =
                    wire::decode_response::<ProduceResponse>(self.wire.produce_version, frame)?;
                ensure!(id == expected, "answers out of order: {id} instead of {expected}");
                self.flow.answered();
                self.produced(&runs, &response, now_ns)?;
            }
            Awaited::ProducerId => {
                let version = self.wire.producer_id_version;
                let (id, response) = wire::decode_response::<InitProducerIdResponse>(version, frame)?;
                ensure!(id == expected, "answers out of order: {id} instead of {expected}");
                check(response.error_code, "InitProducerId")?;
                let epoch = ProducerEpoch(response.producer_epoch);
                self.identity = Some(Identity { id: ProducerId(response.producer_id.0), epoch });
                self.sequences.fill(0);
                self.renewing = false;
            }
        }
        if self.renewing && self.awaited.is_empty() {
            let id = self.next_correlation_id();
            let version = self.wire.producer_id_version;
            self.link.send(wire::encode_request(id, Some(CLIENT_ID), version, &producer_id_request(None))?);
            self.awaited.push_back((id, Awaited::ProducerId));
        }
        Ok(())
    }

    fn produced(&mut self, runs: &[Run], response: &ProduceResponse, now_ns: u64) -> Result<()> {
        self.tally.requests_measured += u64::from(self.timeline().measures(now_ns));
        let answers =
            response.responses.first().map(|topic| &topic.partition_responses[..]).unwrap_or_default();
        for run in runs {
            let partition = self.partitions[run.partition];
            let answer = answers
                .iter()
                .find(|answer| answer.index == partition)
                .ok_or_else(|| anyhow!("no answer for partition {partition}"))?;
            if answer.error_code == 0 {
                self.acknowledge(run, now_ns);
            } else {
                *self.tally.errors.entry(answer.error_code).or_default() += run.count;
                self.renewing = self.identity.is_some();
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, run: &Run, now_ns: u64) {
        self.flow.charge(run, now_ns, &mut self.tally.latencies);
        self.tally.acknowledged += run.count;
        if self.timeline().measures(now_ns) {
            self.tally.acknowledged_measured += run.count;
            self.tally.batches_measured += 1;
        }
    }

    fn timeline(&self) -> Timeline {
        self.flow.timeline()
    }

    /// Gives up what is still awaited or unsent, and says how it went.
    pub(super) fn finish(mut self, now_ns: u64) -> Tally {
        for (_, awaited) in std::mem::take(&mut self.awaited) {
            let Awaited::Produce(runs) = awaited else { continue };
            for run in runs {
                self.flow.charge(&run, now_ns, &mut self.tally.latencies);
                self.tally.unanswered += run.count;
            }
        }
        self.tally.unsent = self.flow.charge_unsent(now_ns, &mut self.tally.latencies);
        self.tally
    }
}
