//! One transactional producer: a batch, then the end of its transaction, then the next one when that is due.

use super::Tally;
use crate::{
    client::{CLIENT_ID, error_name},
    clock::now_ns,
    coordinator::{Identity, passes},
    latency::Latencies,
    link::Link,
    schedule::Schedule,
};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use corelane_core::{
    error::ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    records::BatchBuilder,
    wire,
};
use kafka_protocol::{
    messages::{
        EndTxnRequest, EndTxnResponse, ProduceRequest, ProduceResponse, TopicName,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};

/// How requests look.
#[derive(Clone)]
pub(super) struct Shape {
    pub produce_version: i16,
    pub end_version: i16,
    pub topic: TopicName,
    pub topic_id: uuid::Uuid,
    /// Without its producer.
    pub batch: BatchBuilder,
}

/// From this version on Produce names topics by id (KIP-516).
const PRODUCE_BY_ID_VERSION: i16 = 13;

/// As Java's producer waits before it asks a coordinator again (`TransactionManager`).
const AGAIN_NS: u64 = 20_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    Producing,
    Ending,
}

/// Which connection.
const COORDINATOR: usize = 0;
const LEADER: usize = 1;

pub(super) struct Writer {
    id: StrBytes,
    producer: Identity,
    partition: i32,
    /// The coordinator's and the leader's.
    links: [Link; 2],
    shape: Shape,
    doing: Doing,
    /// Transactions that are committed.
    done: u64,
    /// When to ask for the same again.
    again_at: Option<u64>,
}

impl Writer {
    pub fn new(id: StrBytes, producer: Identity, partition: i32, links: [Link; 2], shape: Shape) -> Writer {
        Writer { id, producer, partition, links, shape, doing: Doing::Nothing, done: 0, again_at: None }
    }

    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// Transactions that were due by the end and are not committed.
    pub fn left(&self, schedule: &Schedule) -> u64 {
        schedule.total().saturating_sub(self.done)
    }

    /// Counts what is [left](Self::left) as if it were committed now: a broker that does not finish is not the faster for it.
    pub fn charge_left(&self, schedule: &Schedule, now_ns: u64, latencies: &mut Latencies) {
        let due = (self.done..schedule.total()).map(|number| schedule.at(number));
        due.filter(|due| schedule.timeline().measures(*due)).for_each(|due| latencies.record(due, now_ns));
    }

    /// Begins what is due, and asks again what is to be asked again.
    pub fn go_on(&mut self, schedule: &Schedule, now_ns: u64) -> Result<()> {
        if self.doing == Doing::Nothing && self.done < schedule.total() && schedule.at(self.done) <= now_ns {
            self.doing = Doing::Producing;
            self.ask()?;
        } else if self.again_at.is_some_and(|at| at <= now_ns) {
            self.again_at = None;
            self.ask()?;
        }
        for link in &mut self.links {
            if link.has_unsent() {
                link.flush()?;
            }
        }
        Ok(())
    }

    fn ask(&mut self) -> Result<()> {
        let (link, frame) = match self.doing {
            Doing::Nothing => return Ok(()),
            Doing::Producing => (LEADER, self.produce()?),
            Doing::Ending => (COORDINATOR, self.end()?),
        };
        self.links[link].send(frame);
        self.links[link].flush()?;
        Ok(())
    }

    /// The first batch of its epoch: a transaction has one.
    fn produce(&self) -> Result<Bytes> {
        let Identity { id, epoch } = self.producer;
        let batch = self.shape.batch.clone().producer(id, epoch, 0).build();
        let partition = PartitionProduceData::default().with_index(self.partition).with_records(Some(batch));
        let data = TopicProduceData::default().with_partition_data(vec![partition]);
        let version = self.shape.produce_version;
        let data = match version >= PRODUCE_BY_ID_VERSION {
            true => data.with_topic_id(self.shape.topic_id),
            false => data.with_name(self.shape.topic.clone()),
        };
        let request = ProduceRequest::default()
            .with_transactional_id(Some(self.id.clone().into()))
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![data]);
        Ok(wire::encode_request(0, Some(CLIENT_ID), version, &request)?)
    }

    fn end(&self) -> Result<Bytes> {
        let Identity { id, epoch } = self.producer;
        let request = EndTxnRequest::default()
            .with_transactional_id(self.id.clone().into())
            .with_producer_id(id.0.into())
            .with_producer_epoch(epoch.0)
            .with_committed(true);
        Ok(wire::encode_request(0, Some(CLIENT_ID), self.shape.end_version, &request)?)
    }

    /// Takes what came over a connection.
    pub fn hear(&mut self, link: usize, schedule: &Schedule, tally: &mut Tally) -> Result<()> {
        self.links[link].fill().with_context(|| format!("a connection of {:?}", self.id))?;
        while let Some(frame) = self.links[link].next_frame()? {
            let (what, code) = match link {
                LEADER => ("Produce", self.produced(&frame)?),
                _ => ("EndTxn", self.ended(&frame)?),
            };
            match (ErrorCode::from_code(code), self.doing) {
                (Some(ErrorCode::None), Doing::Producing) => {
                    self.doing = Doing::Ending;
                    self.ask()?;
                }
                (Some(ErrorCode::None), _) => self.committed(schedule, tally),
                (Some(error), _) if passes(error) => {
                    tally.retries += 1;
                    self.again_at = Some(now_ns() + AGAIN_NS);
                }
                _ => bail!("{what} of {:?}: {}", self.id, error_name(code)),
            }
        }
        Ok(())
    }

    fn committed(&mut self, schedule: &Schedule, tally: &mut Tally) {
        let (due, now, timeline) = (schedule.at(self.done), now_ns(), schedule.timeline());
        if timeline.measures(now) {
            tally.committed_measured += 1;
        }
        if timeline.measures(due) {
            tally.latencies.record(due, now);
        }
        self.done += 1;
        self.doing = Doing::Nothing;
    }

    fn produced(&self, frame: &Bytes) -> Result<i16> {
        let (_, response) = wire::decode_response::<ProduceResponse>(self.shape.produce_version, frame)?;
        let topic = response.responses.first().context("Produce was answered without the topic")?;
        let partition = topic.partition_responses.first();
        Ok(partition.context("Produce was answered without the partition")?.error_code)
    }

    /// Its error; the next epoch is taken over.
    fn ended(&mut self, frame: &Bytes) -> Result<i16> {
        let (_, response) = wire::decode_response::<EndTxnResponse>(self.shape.end_version, frame)?;
        if response.error_code == 0 {
            let epoch = ProducerEpoch(response.producer_epoch);
            self.producer = Identity { id: ProducerId(response.producer_id.0), epoch };
        }
        Ok(response.error_code)
    }
}
