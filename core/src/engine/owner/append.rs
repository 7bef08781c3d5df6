//! Appends: validated, given to the log, and answered when the producer's condition is met.

use super::{Answers, Asker, JobId, Owner, confirmation::Unconfirmed, coordinators::Deferred};
use crate::{
    config::{self, CompressionType, TopicConfig},
    engine::{
        message::{Acks, AppendPartition, AppendRequest, AppendResult, Guard, What},
        partition::{Parked, Partition},
    },
    error::ErrorCode,
    groups::Transaction,
    ids::PartitionId,
    log::{AppendError, Slot, Store},
    records::{BatchHeader, Codec, ProduceRules, Rejected, TimestampType, validate},
};
use corelane_seam::Now;

/// An append that waits for room in the journal or in memory.
#[derive(Debug)]
pub(super) struct Delayed {
    pub job: JobId,
    pub acks: Acks,
    pub version: i16,
    pub checks_transactions: bool,
    pub partition: AppendPartition,
}

enum Placed {
    Done(AppendResult),
    Parked,
}

enum Refused {
    NoRoom,
    Because(Box<AppendResult>),
    /// As far as this broker knows: a leader that was replaced does not know what its successor has.
    IfLeader(Box<AppendResult>),
}

impl Owner {
    pub(super) fn append_all(
        &mut self,
        now: Now,
        asker: Asker,
        request: AppendRequest,
        answers: &mut Answers,
    ) {
        let job = self.jobs.append(asker, request.partitions.len());
        for partition in request.partitions {
            let AppendRequest { acks, version, checks_transactions, .. } = request;
            let delayed = Delayed { job, acks, version, checks_transactions, partition };
            if !self.delayed.is_empty() {
                self.delayed.push_back(delayed);
            } else if let Err(delayed) = self.append(now, delayed, answers) {
                self.delayed.push_back(delayed);
            }
        }
    }

    /// Room was made: go on in order.
    pub(super) fn append_delayed(&mut self, now: Now, answers: &mut Answers) {
        while let Some(delayed) = self.delayed.pop_front() {
            if let Err(delayed) = self.append(now, delayed, answers) {
                self.delayed.push_front(delayed);
                return;
            }
        }
    }

    /// Appends one partition's batch, or gives it back when there is no room.
    fn append(&mut self, now: Now, delayed: Delayed, answers: &mut Answers) -> Result<(), Delayed> {
        let place = delayed.partition.place;
        match self.try_append(now, &delayed) {
            Ok(Placed::Parked) => {}
            Ok(Placed::Done(result)) => self.append_done(delayed.job, place, result, answers),
            Err(Refused::NoRoom) => return Err(delayed),
            Err(Refused::Because(result)) => self.append_done(delayed.job, place, *result, answers),
            Err(Refused::IfLeader(result)) => {
                self.jobs.prepare(delayed.job, place, *result);
                let refusal = Unconfirmed::Refusal { job: delayed.job, place };
                self.answer_when_confirmed(now, delayed.partition.id, refusal, answers);
            }
        }
        Ok(())
    }

    fn try_append(&mut self, now: Now, delayed: &Delayed) -> Result<Placed, Refused> {
        let id = delayed.partition.id;
        let refuse =
            |error, message: String| Refused::Because(Box::new(AppendResult::failed(error, Some(message))));
        let Some(partition) = self.partitions.get_mut(&id) else {
            return Err(Refused::Because(Box::new(AppendResult::failed(
                ErrorCode::NotLeaderOrFollower,
                None,
            ))));
        };
        if let Some(reason) = partition.offline.as_ref().or(self.offline.as_ref()) {
            return Err(refuse(ErrorCode::KafkaStorageError, reason.clone()));
        }
        if delayed.acks == Acks::All && !partition.has_enough_in_sync() {
            let text = format!(
                "{} replicas in sync, min.insync.replicas is {}",
                partition.replicas.in_sync(),
                partition.config.insync_replicas_min
            );
            return Err(refuse(ErrorCode::NotEnoughReplicas, text));
        }
        let Some(slot) = self.store.slot(id) else {
            return Err(refuse(ErrorCode::KafkaStorageError, format!("{id} has no log")));
        };
        let epoch = partition.leader_epoch;
        let (appended, append_time_ms) = match &delayed.partition.what {
            What::Records(records) | What::Verified(records, _) => {
                if let Some((transaction, guard)) = to_check(delayed) {
                    match may_begin(partition, &self.store, slot, transaction, guard) {
                        Ok(None) => {}
                        Ok(Some(guard)) => return Ok(Placed::Done(AppendResult::unchecked(guard))),
                        Err((error, message)) => return Err(refuse(error, message.to_owned())),
                    }
                }
                let rules = produce_rules(&partition.config, delayed.version);
                let valid = validate(records, &rules, now.unix_ms, &mut self.scratch)
                    .map_err(|rejected| Refused::Because(Box::new(rejected.into())))?;
                (self.store.append(now, slot, epoch, &valid.batch), valid.facts.append_time_ms)
            }
            What::End(end) => {
                match self.groups.defers_marker(id) {
                    Some(Deferred::Refused(error)) => return Err(refuse(error, String::new())),
                    Some(Deferred::NoRoom) => return Err(Refused::NoRoom),
                    None => {}
                }
                let ended = self.store.end_transaction(now, slot, epoch, *end);
                if let Ok(ended) = &ended {
                    let marker = Transaction { producer: end.producer, epoch: end.epoch };
                    partition.markers.note(ended.base_offset, marker);
                    self.groups.transaction_ended(id, end);
                }
                (ended, None)
            }
        };
        let appended = appended.map_err(|error| match error {
            AppendError::Full => Refused::NoRoom,
            AppendError::Offline(reason) => refuse(ErrorCode::KafkaStorageError, reason.0),
            AppendError::DiskReserve => refuse(
                ErrorCode::KafkaStorageError,
                "the disk is full up to its reserve; free space or lower retention".to_owned(),
            ),
            AppendError::Producer(refused) if refused.code == ErrorCode::OutOfOrderSequenceNumber => {
                Refused::IfLeader(Box::new(AppendResult::failed(refused.code, Some(refused.message))))
            }
            AppendError::Producer(refused) => refuse(refused.code, refused.message),
            AppendError::Unknown => refuse(ErrorCode::KafkaStorageError, format!("{id} has no log")),
        })?;
        let done = AppendResult {
            error: ErrorCode::None,
            message: None,
            record_errors: Vec::new(),
            base_offset: appended.base_offset.0,
            log_append_time_ms: append_time_ms.unwrap_or(-1),
            log_start_offset: self.store.log_start(slot).0,
            unchecked: None,
        };
        let parked =
            Parked { until: appended.last_offset.plus(1), job: delayed.job, place: delayed.partition.place };
        let met = match delayed.acks {
            Acks::None => true,
            Acks::Leader => parked.until <= partition.written,
            Acks::All => parked.until <= partition.high_watermark,
        };
        if met {
            return Ok(Placed::Done(done));
        }
        if delayed.acks == Acks::Leader {
            partition.until_written.push(parked);
            self.store.await_write(slot);
        } else {
            partition.until_committed.push(parked);
        }
        self.jobs.prepare(parked.job, parked.place, done);
        Ok(Placed::Parked)
    }

    /// Whether a transaction has begun in a partition, or may under this guard; the guard that it needs, if it has none.
    ///
    /// # Errors
    /// With words for people.
    pub fn may_begin(
        &self,
        id: PartitionId,
        transaction: Transaction,
        guard: Option<Guard>,
    ) -> Result<Option<Guard>, (ErrorCode, &'static str)> {
        match (self.partitions.get(&id), self.store.slot(id)) {
            (Some(partition), Some(slot)) => may_begin(partition, &self.store, slot, transaction, guard),
            _ => Err((ErrorCode::NotLeaderOrFollower, "")),
        }
    }

    fn append_done(&mut self, job: JobId, place: u32, result: AppendResult, answers: &mut Answers) {
        self.jobs.prepare(job, place, result);
        self.jobs.settle(job, place, None, answers);
    }
}

impl From<Rejected> for AppendResult {
    fn from(rejected: Rejected) -> AppendResult {
        let records = rejected.records.into_iter();
        AppendResult {
            record_errors: records.map(|record| (record.index, record.message)).collect(),
            ..AppendResult::failed(rejected.code, Some(rejected.message))
        }
    }
}

/// Whether a producer may go on with a transaction in a partition, or begin one: what its guard says, or, without one, the
/// guard that it needs (`UnifiedLog.batchMissingRequiredVerification`).
fn may_begin(
    partition: &Partition,
    store: &Store,
    slot: Slot,
    transaction: Transaction,
    guard: Option<Guard>,
) -> Result<Option<Guard>, (ErrorCode, &'static str)> {
    let Transaction { producer, epoch } = transaction;
    if store.is_in_transaction(slot, producer, epoch) {
        return Ok(None);
    }
    let Some(guard) = guard else {
        let (leader_epoch, at) = (partition.leader_epoch, store.log_end(slot));
        return Ok(Some(Guard { leader_epoch, at, has_own_epoch: false }));
    };
    if guard.leader_epoch != partition.leader_epoch {
        let text = "The partition has another leader since its transaction was checked";
        return Err((ErrorCode::NotLeaderOrFollower, text));
    }
    match partition.markers.have_ended(guard, transaction) {
        Some(false) => Ok(None),
        Some(true) => Err((ErrorCode::InvalidTxnState, "Record was not part of an ongoing transaction")),
        None => Err((ErrorCode::NotEnoughReplicas, "It took too long to check the batch's transaction")),
    }
}

/// The transaction that a batch is of, if that is to be looked at, and its guard.
fn to_check(delayed: &Delayed) -> Option<(Transaction, Option<Guard>)> {
    let (records, guard) = match &delayed.partition.what {
        What::Records(records) if delayed.checks_transactions => (records, None),
        What::Verified(records, guard) => (records, Some(*guard)),
        What::Records(_) | What::End(_) => return None,
    };
    // What is no batch is refused by whoever looks closer.
    let batch = BatchHeader::view(records).filter(|batch| batch.is_transactional())?;
    let producer = batch.producer()?;
    Some((Transaction { producer: producer.id, epoch: producer.epoch }, guard))
}

/// What a topic's settings demand of a batch.
fn produce_rules(config: &TopicConfig, produce_version: i16) -> ProduceRules {
    ProduceRules {
        message_bytes_max: usize::try_from(config.message_bytes_max).unwrap_or(0),
        timestamp_type: match config.timestamp_type {
            config::TimestampType::CreateTime => TimestampType::CreateTime,
            config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.timestamp_before_ms_max,
        timestamp_after_max_ms: config.timestamp_after_ms_max,
        compacted: config.cleanup.compact,
        compression: match config.compression {
            CompressionType::Producer => None,
            CompressionType::Uncompressed => Some(Codec::None),
            CompressionType::Gzip => Some(Codec::Gzip),
            CompressionType::Snappy => Some(Codec::Snappy),
            CompressionType::Lz4 => Some(Codec::Lz4),
            CompressionType::Zstd => Some(Codec::Zstd),
        },
        produce_version,
    }
}
