//! Idempotence and transactions of one partition (KIP-98, KIP-360): what each producer appended last, so that a sequence
//! gap, a duplicate and a fenced incarnation are told apart, and which transactions are not decided.

use crate::{
    error::ErrorCode,
    ids::{Offset, ProducerEpoch, ProducerId},
    records::{BatchHeader, Marker, NO_SEQUENCE, Outcome, ProducerBatch},
};
use smallvec::SmallVec;
use std::collections::BTreeMap;

mod snapshot;
mod undecided;

pub use snapshot::DamagedProducers;
pub use undecided::{AbortedTransaction, Spot};
use undecided::{Ended, Undecided};

/// Batches per producer that a retry is recognised by: clients keep at most this many requests in flight when they
/// are idempotent (`max.in.flight.requests.per.connection`).
pub const BATCHES_KEPT_PER_PRODUCER: usize = 5;

/// Producers remembered per partition. An entry takes under 300 bytes, so this bounds a partition's to about 20 MB,
/// whoever asks for how many producer ids. Past it the longest silent ones without an open transaction are forgotten,
/// as if they had expired.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 65_536;

/// How many are forgotten at once when the bound is reached, so that finding the silent ones costs little per append.
const FORGOTTEN_AT_ONCE: usize = PRODUCERS_PER_PARTITION_MAX / 16;

const _: () = assert!(FORGOTTEN_AT_ONCE > 0);

/// A batch that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// Sequence of its first record.
    pub base_sequence: i32,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its max timestamp, in Unix milliseconds.
    pub timestamp_ms: i64,
}

/// What is remembered of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its incarnation.
    pub epoch: ProducerEpoch,
    /// The latest batches of that incarnation, oldest first.
    pub batches: SmallVec<[AppendedBatch; BATCHES_KEPT_PER_PRODUCER]>,
    /// When it last appended, in Unix milliseconds; it expires by this.
    pub last_seen_ms: i64,
    /// First offset of its open transaction.
    pub transaction_start: Option<Offset>,
    /// Of the coordinator that wrote its latest marker, or [`NO_COORDINATOR`].
    pub coordinator_epoch: i32,
}

/// Stands for "no marker seen"; epochs are not negative.
pub const NO_COORDINATOR: i32 = -1;

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one: append it.
    Append,
    /// It is already in the log: answer as the original was answered, and under the original's condition.
    Duplicate {
        /// Offset of the original's first record.
        base_offset: Offset,
        /// Offset of the original's last record: the answer waits until that is committed.
        last_offset: Offset,
        /// The original's max timestamp, in Unix milliseconds.
        timestamp_ms: i64,
    },
}

/// Why a batch may not be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Kafka's code.
    pub code: ErrorCode,
    /// What is wrong, with both numbers.
    pub message: String,
}

/// All producers of one partition. Ordered by id, so that iteration is the same in every run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    producers: BTreeMap<ProducerId, Producer>,
    undecided: Undecided,
}

impl ProducerStates {
    /// Without any.
    pub fn new() -> ProducerStates {
        ProducerStates::default()
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// One of them.
    pub fn get(&self, id: ProducerId) -> Option<&Producer> {
        self.producers.get(&id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &Producer)> {
        self.producers.iter().map(|(id, producer)| (*id, producer))
    }

    /// Judges a client's batch against what was recorded. Changes nothing: [`record`](Self::record) does, once the
    /// batch has its offsets.
    ///
    /// - A producer that is not known may begin with any sequence: its state may have expired or been deleted with
    ///   its records (KIP-360).
    /// - An older epoch: `INVALID_PRODUCER_EPOCH`.
    /// - A new epoch begins at sequence 0, else `OUT_OF_ORDER_SEQUENCE_NUMBER`.
    /// - The sequences of one of the last five batches: a duplicate.
    /// - Anything else but the next sequence: `OUT_OF_ORDER_SEQUENCE_NUMBER`, also for duplicates older than those
    ///   five (the client can tell by what was acknowledged to it).
    /// - A batch outside the producer's open transaction: `INVALID_TXN_STATE`.
    ///
    /// What a coordinator appends in the producer's name has no sequence, and is judged by its epoch only.
    pub fn check(&self, batch: &ProducerBatch) -> Result<Verdict, Refused> {
        let Some(known) = self.producers.get(&batch.id) else {
            return Ok(Verdict::Append);
        };
        if batch.epoch < known.epoch {
            return Err(refused(
                ErrorCode::InvalidProducerEpoch,
                format!(
                    "Epoch of producer {} is {}, which is smaller than the last seen epoch {}",
                    batch.id.0, batch.epoch.0, known.epoch.0
                ),
            ));
        }
        if batch.epoch == known.epoch && batch.base_sequence != NO_SEQUENCE {
            let original = known.batches.iter().find(|kept| {
                kept.base_sequence == batch.base_sequence && kept.last_sequence == batch.last_sequence
            });
            if let Some(original) = original {
                return Ok(Verdict::Duplicate {
                    base_offset: original.base_offset,
                    last_offset: original.last_offset,
                    timestamp_ms: original.timestamp_ms,
                });
            }
            check_next_in_sequence(known, batch)?;
        } else if batch.epoch != known.epoch && batch.base_sequence > 0 {
            return Err(refused(
                ErrorCode::OutOfOrderSequenceNumber,
                format!(
                    "Epoch {} of producer {} begins with sequence {} instead of 0 (last seen epoch {})",
                    batch.epoch.0, batch.id.0, batch.base_sequence, known.epoch.0
                ),
            ));
        }
        if known.transaction_start.is_some() && !batch.transactional {
            return Err(refused(
                ErrorCode::InvalidTxnState,
                format!("Producer {} sent a batch outside its open transaction", batch.id.0),
            ));
        }
        Ok(Verdict::Append)
    }

    /// Judges a coordinator's marker. Changes nothing: [`replay`](Self::replay) of its batch does.
    ///
    /// - An older epoch than the producer's: `INVALID_PRODUCER_EPOCH`. In transactions of version 2 (KIP-890) a marker
    ///   has an epoch of its own, so the producer's own is refused as well, unless nothing is open (the marker came
    ///   twice) or there is no later one.
    /// - An older coordinator than one that wrote before: `TRANSACTION_COORDINATOR_FENCED`.
    pub fn check_marker(
        &self,
        id: ProducerId,
        epoch: ProducerEpoch,
        marker: Marker,
        transaction_version: u8,
    ) -> Result<(), Refused> {
        let Some(known) = self.producers.get(&id) else { return Ok(()) };
        let is_late = transaction_version >= 2
            && epoch == known.epoch
            && known.transaction_start.is_some()
            && epoch.0 != i16::MAX;
        if epoch < known.epoch || is_late {
            return Err(refused(
                ErrorCode::InvalidProducerEpoch,
                format!(
                    "Marker of epoch {} for producer {}, whose last seen epoch is {}",
                    epoch.0, id.0, known.epoch.0
                ),
            ));
        }
        if marker.coordinator_epoch < known.coordinator_epoch {
            return Err(refused(
                ErrorCode::TransactionCoordinatorFenced,
                format!(
                    "Marker of coordinator epoch {} for producer {}, for whom {} was seen",
                    marker.coordinator_epoch, id.0, known.coordinator_epoch
                ),
            ));
        }
        Ok(())
    }

    /// Notes that a batch was appended. Believes it: a follower and a recovering log take what the leader decided.
    ///
    /// `spot` is where it begins in the log's files; `last_seen_ms` is the time of the append, or of the recovery when the log is read again: the batch's own
    /// timestamps are the producer's and may be years old, by which it would expire at once.
    pub fn record(
        &mut self,
        batch: &ProducerBatch,
        base_offset: Offset,
        last_offset: Offset,
        timestamp_ms: i64,
        spot: Spot,
        last_seen_ms: i64,
    ) {
        self.make_room_for(batch.id);
        let producer = self.producers.entry(batch.id).or_insert_with(|| Producer::new(batch.epoch));
        producer.enter(batch.epoch);
        if batch.base_sequence != NO_SEQUENCE {
            if producer.batches.len() == BATCHES_KEPT_PER_PRODUCER {
                producer.batches.remove(0);
            }
            producer.batches.push(AppendedBatch {
                base_sequence: batch.base_sequence,
                last_sequence: batch.last_sequence,
                base_offset,
                last_offset,
                timestamp_ms,
            });
        }
        producer.last_seen_ms = last_seen_ms;
        if batch.transactional && producer.transaction_start.is_none() {
            producer.transaction_start = Some(base_offset);
            self.undecided.begin(base_offset, batch.id, Some(spot));
        }
    }

    /// [`record`](Self::record) from a batch in the log: what recovery, truncation and followers call for each batch
    /// behind a snapshot. A batch without a producer changes nothing. `marker` is what a control batch holds, if it is
    /// a transaction's; it ends its producer's transaction, which is given if it was aborted.
    pub fn replay(
        &mut self,
        header: &BatchHeader,
        marker: Option<Marker>,
        spot: Spot,
        last_seen_ms: i64,
    ) -> Option<AbortedTransaction> {
        let batch = header.producer()?;
        if !header.is_control() {
            let (base, last) = (header.base_offset(), header.last_offset());
            self.record(&batch, base, last, header.max_timestamp_ms(), spot, last_seen_ms);
            return None;
        }
        // A control batch without a marker was emptied by a cleaner: all of its transaction is gone.
        let marker = marker?;
        let first =
            self.end_transaction(batch.id, batch.epoch, marker, header.base_offset(), last_seen_ms)?;
        let aborted = marker.outcome == Outcome::Abort;
        aborted.then(|| AbortedTransaction { first, last: header.base_offset(), producer: batch.id })
    }

    /// Notes a marker of `epoch` at an offset: the producer's transaction is over, and batches of an older epoch are
    /// fenced from here on, also from a producer that had not been seen. Gives where the transaction began.
    fn end_transaction(
        &mut self,
        id: ProducerId,
        epoch: ProducerEpoch,
        marker: Marker,
        at: Offset,
        last_seen_ms: i64,
    ) -> Option<Offset> {
        self.make_room_for(id);
        let producer = self.producers.entry(id).or_insert_with(|| Producer::new(epoch));
        let (epoch_before, coordinator_before) = (producer.epoch, producer.coordinator_epoch);
        producer.enter(epoch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.last_seen_ms = last_seen_ms;
        let start = producer.transaction_start.take()?;
        self.undecided.end(start, Ended { marker: at, epoch_before, coordinator_before });
        Some(start)
    }

    /// Forgets the batches from `end` on, where the log now ends, and the markers there: their transactions are open
    /// again. A producer of which none is left is forgotten: it has no more than five batches in flight, so whatever it
    /// appended before the last five was acknowledged to it and does not come again.
    ///
    /// A transaction whose marker was committed is not opened again, should an unclean election cut that off: its
    /// coordinator is done with it, and nothing would ever end it.
    pub fn truncate(&mut self, end: Offset) {
        for (start, id, ended) in self.undecided.truncate(end) {
            let producer = self.producers.entry(id).or_insert_with(|| Producer::new(ended.epoch_before));
            producer.enter(ended.epoch_before);
            producer.coordinator_epoch = ended.coordinator_before;
            producer.transaction_start = Some(start);
        }
        self.producers.retain(|_, producer| {
            producer.batches.retain(|batch| batch.last_offset < end);
            producer.transaction_start = producer.transaction_start.filter(|start| *start < end);
            !producer.batches.is_empty() || producer.transaction_start.is_some()
        });
    }

    /// Everything below is committed: a marker there has decided its transaction.
    pub fn commit(&mut self, high_watermark: Offset) {
        self.undecided.commit(high_watermark);
    }

    /// Where the earliest transaction begins that is open, or whose marker is not committed; and where that is in the
    /// log's files, if it is known.
    pub fn first_undecided(&self) -> Option<(Offset, Option<Spot>)> {
        self.undecided.first()
    }

    /// Where the earliest open transaction begins.
    pub fn first_open_transaction(&self) -> Option<Offset> {
        self.undecided.first_open()
    }

    /// Forgets who has been silent for `expiration_ms` (`producer.id.expiration.ms`), but never one with an open
    /// transaction. Gives how many.
    pub fn expire(&mut self, now_unix_ms: i64, expiration_ms: i64) -> usize {
        let before = self.producers.len();
        self.producers.retain(|_, producer| {
            producer.transaction_start.is_some()
                || now_unix_ms.saturating_sub(producer.last_seen_ms) < expiration_ms
        });
        before - self.producers.len()
    }

    /// Keeps the bound before `id` is added. Where every producer has an open transaction nothing can be forgotten
    /// and the bound is left behind: transactions are bounded by their coordinator.
    fn make_room_for(&mut self, id: ProducerId) {
        if self.producers.len() < PRODUCERS_PER_PARTITION_MAX || self.producers.contains_key(&id) {
            return;
        }
        let mut silent: Vec<(i64, ProducerId)> = self
            .producers
            .iter()
            .filter(|(_, producer)| producer.transaction_start.is_none())
            .map(|(id, producer)| (producer.last_seen_ms, *id))
            .collect();
        silent.sort_unstable();
        for (_, id) in silent.into_iter().take(FORGOTTEN_AT_ONCE) {
            self.producers.remove(&id);
        }
    }
}

impl Producer {
    fn new(epoch: ProducerEpoch) -> Producer {
        Producer {
            epoch,
            batches: SmallVec::new(),
            last_seen_ms: 0,
            transaction_start: None,
            coordinator_epoch: NO_COORDINATOR,
        }
    }

    /// Goes on in `epoch`; the batches of another one are no duplicates of anything that may still come.
    fn enter(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }
}

fn check_next_in_sequence(known: &Producer, batch: &ProducerBatch) -> Result<(), Refused> {
    // Without a batch in this epoch (a transaction marker began it) the first sequence is 0.
    let last = known.batches.last().map_or(-1, |latest| latest.last_sequence);
    let next = if last == i32::MAX { 0 } else { last + 1 };
    if batch.base_sequence == next {
        return Ok(());
    }
    Err(refused(
        ErrorCode::OutOfOrderSequenceNumber,
        format!(
            "Out of order sequence number for producer {}: {} (incoming), {last} (last in the log)",
            batch.id.0, batch.base_sequence
        ),
    ))
}

fn refused(code: ErrorCode, message: String) -> Refused {
    Refused { code, message }
}

#[cfg(test)]
mod tests;
