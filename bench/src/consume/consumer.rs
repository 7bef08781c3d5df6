//! One connection that fetches.

use super::{ConsumeSettings, Until, session::Session};
use crate::{
    client::{Client, check},
    clock::{Timeline, now_ns, sleep_until},
    latency::Latencies,
    payload::{Stamp, values},
    topic::Topic,
};
use anyhow::{Context, Result, anyhow, ensure};
use corelane_core::{error::ErrorCode, records::Batch, records::BatchFault, records::Batches};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, TopicName,
    fetch_request::{FetchPartition, FetchTopic},
    fetch_response::PartitionData,
};
use std::{collections::BTreeMap, thread, time::Duration};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// From scheduled arrival to receipt, of stamped records scheduled in the measured time.
    pub latencies: Latencies,
    /// Records received within the measured time.
    pub records_measured: u64,
    /// Bytes of batches received within the measured time, as they were on the wire.
    pub bytes_measured: u64,
    /// Fetch responses within the measured time.
    pub responses_measured: u64,
    /// Of those, the ones without a record.
    pub empty_measured: u64,
    /// Records received at any time.
    pub records: u64,
    /// Stamped records of this run received at any time.
    pub stamped: u64,
    /// Batches whose checksum is wrong.
    pub crc_mismatches: u64,
    /// Places at which offsets were missing.
    pub offset_gaps: u64,
    /// When the last record came.
    pub last_ns: u64,
    /// Responses for a partition that were an error, by its code.
    pub errors: BTreeMap<i16, u64>,
}

impl Tally {
    /// Adds another's.
    pub fn add(&mut self, other: &Tally) {
        self.latencies.add(&other.latencies);
        self.records_measured += other.records_measured;
        self.bytes_measured += other.bytes_measured;
        self.responses_measured += other.responses_measured;
        self.empty_measured += other.empty_measured;
        self.records += other.records;
        self.stamped += other.stamped;
        self.crc_mismatches += other.crc_mismatches;
        self.offset_gaps += other.offset_gaps;
        self.last_ns = self.last_ns.max(other.last_ns);
        for (code, responses) in &other.errors {
            *self.errors.entry(*code).or_default() += responses;
        }
    }
}

/// How far one partition is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    index: i32,
    next: i64,
    end: i64,
    /// What the broker's session has, if it has one.
    told: Option<i64>,
    /// Whether `next` is the end of a batch that was read, so that the next one must begin there.
    continues: bool,
}

impl Position {
    pub(super) fn new(index: i32, next: i64, end: i64) -> Position {
        Position { index, next, end, told: None, continues: false }
    }
}

/// From this version on Fetch names topics by id (KIP-516); sessions exist from 7.
const FETCH_BY_ID_VERSION: i16 = 13;
const FETCH_SESSION_VERSION: i16 = 7;

/// After an error of a partition: it may take a moment, and a loop helps no one.
const ERROR_PAUSE: Duration = Duration::from_millis(20);

/// One connection with its partitions.
pub(super) struct Consumer {
    client: Client,
    version: i16,
    topic: TopicName,
    topic_id: uuid::Uuid,
    settings: ConsumeSettings,
    session: Session,
    positions: Vec<Position>,
    tally: Tally,
}

impl Consumer {
    pub(super) fn new(
        client: Client,
        topic: &Topic,
        settings: ConsumeSettings,
        positions: Vec<Position>,
    ) -> Result<Consumer> {
        let mut version = client.served().newest::<FetchRequest>()?;
        if topic.id.is_nil() {
            version = version.min(FETCH_BY_ID_VERSION - 1);
        }
        let session = Session::new(settings.sessions && version >= FETCH_SESSION_VERSION);
        let (name, id) = (topic.name.clone(), topic.id);
        let tally = Tally::default();
        Ok(Consumer { client, version, topic: name, topic_id: id, settings, session, positions, tally })
    }

    pub(super) fn backlog(&self) -> u64 {
        self.positions.iter().map(|one| u64::try_from(one.end - one.next).unwrap_or(0)).sum()
    }

    pub(super) fn run(mut self, timeline: Timeline, until: &Until) -> Result<Tally> {
        sleep_until(timeline.start_ns);
        loop {
            let over = match until {
                Until::Time => now_ns() >= timeline.end_ns,
                Until::End => {
                    now_ns() >= timeline.end_ns || self.positions.iter().all(|one| one.next >= one.end)
                }
                Until::Received(progress) => now_ns() >= timeline.drain_ns || progress.is_complete(),
            };
            if over {
                return Ok(self.tally);
            }
            let stamped = self.tally.stamped;
            self.fetch(timeline)?;
            if let Until::Received(progress) = until {
                progress.receive(self.tally.stamped - stamped);
            }
        }
    }

    fn fetch(&mut self, timeline: Timeline) -> Result<()> {
        let request = self.request();
        let Consumer { client, positions, session, tally, settings, .. } = self;
        let troubled = client.call_with(self.version, &request, |response: &FetchResponse| {
            let now = now_ns();
            let mut intake = Intake { positions, tally, settings, timeline, now };
            intake.response(response, session)
        })?;
        if troubled {
            thread::sleep(ERROR_PAUSE);
        }
        Ok(())
    }

    fn request(&mut self) -> FetchRequest {
        let (session_id, session_epoch) = self.session.request();
        let incremental = self.session.is_incremental();
        let mut partitions = Vec::new();
        for position in &mut self.positions {
            if incremental && position.told == Some(position.next) {
                continue;
            }
            position.told = Some(position.next);
            partitions.push(
                FetchPartition::default()
                    .with_partition(position.index)
                    .with_fetch_offset(position.next)
                    .with_partition_max_bytes(self.settings.partition_max_bytes),
            );
        }
        let topic = FetchTopic::default().with_partitions(partitions);
        let topic = match self.version >= FETCH_BY_ID_VERSION {
            true => topic.with_topic_id(self.topic_id),
            false => topic.with_topic(self.topic.clone()),
        };
        let topics = if topic.partitions.is_empty() { Vec::new() } else { vec![topic] };
        let request = FetchRequest::default()
            .with_max_wait_ms(self.settings.max_wait_ms)
            .with_min_bytes(self.settings.min_bytes)
            .with_max_bytes(self.settings.max_bytes)
            .with_topics(topics);
        match self.version >= FETCH_SESSION_VERSION {
            true => request.with_session_id(session_id).with_session_epoch(session_epoch),
            false => request,
        }
    }
}

/// Takes one response in.
struct Intake<'a> {
    positions: &'a mut [Position],
    tally: &'a mut Tally,
    settings: &'a ConsumeSettings,
    timeline: Timeline,
    now: u64,
}

impl Intake<'_> {
    /// Returns whether something in it was an error.
    fn response(&mut self, response: &FetchResponse, session: &mut Session) -> Result<bool> {
        let lost = [ErrorCode::FetchSessionIdNotFound, ErrorCode::InvalidFetchSessionEpoch];
        if ErrorCode::from_code(response.error_code).is_some_and(|code| lost.contains(&code)) {
            *self.tally.errors.entry(response.error_code).or_default() += 1;
            session.reset();
            return Ok(true);
        }
        check(response.error_code, "Fetch")?;
        session.answered(response.session_id);
        let before = self.tally.records;
        let mut troubled = false;
        for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
            troubled |= self.partition(data)?;
        }
        if self.timeline.measures(self.now) {
            self.tally.responses_measured += 1;
            self.tally.empty_measured += u64::from(self.tally.records == before);
        }
        Ok(troubled)
    }

    fn partition(&mut self, data: &PartitionData) -> Result<bool> {
        let place = self.positions.iter().position(|one| one.index == data.partition_index);
        let place = place.ok_or_else(|| anyhow!("Fetch answered for partition {}", data.partition_index))?;
        if data.error_code != 0 {
            *self.tally.errors.entry(data.error_code).or_default() += 1;
            // Asks again, also within a session.
            self.positions[place].told = None;
            return Ok(true);
        }
        let Some(records) = &data.records else { return Ok(false) };
        let before = self.positions[place].next;
        for batch in Batches::new(records) {
            match batch {
                Ok(batch) => self.batch(place, &batch)?,
                // A response may end in the middle of a batch; the next one brings it whole.
                Err(BatchFault::Truncated { .. }) => break,
                Err(fault) => return Err(fault).context("Fetch answered with something that is no batch"),
            }
        }
        let progressed = self.positions[place].next > before;
        ensure!(
            progressed || records.is_empty(),
            "partition {}: {} bytes at offset {before}, but no whole batch: raise --max-bytes",
            data.partition_index,
            records.len()
        );
        Ok(false)
    }

    fn batch(&mut self, place: usize, batch: &Batch<'_>) -> Result<()> {
        let position = &mut self.positions[place];
        let header = batch.header();
        let (base, after) = (header.base_offset().0, header.next_offset().0);
        if after <= position.next {
            return Ok(()); // read before: a fetch from the middle brings the whole batch
        }
        if self.settings.verify {
            self.tally.crc_mismatches += u64::from(!batch.checksum_matches());
            self.tally.offset_gaps +=
                u64::from(base > position.next || (position.continues && base < position.next));
        }
        let records = u64::try_from(after - base.max(position.next)).unwrap_or(0);
        (position.next, position.continues) = (after, true);
        self.tally.records += records;
        self.tally.last_ns = self.now;
        if self.timeline.measures(self.now) {
            self.tally.records_measured += records;
            self.tally.bytes_measured += batch.bytes().len() as u64;
        }
        let Some(run) = self.settings.stamp_run else { return Ok(()) };
        let (tally, timeline, now) = (&mut *self.tally, self.timeline, self.now);
        let taken = values(batch, |value| {
            let Some(stamp) = Stamp::read(value).filter(|stamp| stamp.run == run) else { return };
            tally.stamped += 1;
            if timeline.measures(stamp.scheduled_ns) {
                tally.latencies.record(stamp.scheduled_ns, now);
            }
        });
        taken.map_err(|what| anyhow!("partition {} at offset {base}: {what}", position.index))
    }
}
