//! One data shard's journal and logs, behind one face.

use super::{LogSettings, RecoveredLog, StoreSettings};
use crate::{
    error::Fatal,
    ids::{LeaderEpoch, Offset, PartitionId},
};
use corelane_seam::{FileOperation, FileResult, Monotonic, Now, Part, Token};

/// What a store asks of the disk, in order.
pub type Operations = Vec<(Token, FileOperation)>;

/// A log of this store. Cheap to copy; a slot of a deleted log is never mistaken for its successor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    index: u32,
    reuse: u32,
}

/// Where an appended batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Of the first record.
    pub base_offset: Offset,
    /// Of the last record; the append is committed when the high watermark is beyond it.
    pub last_offset: Offset,
    /// The batch was there already (an idempotent producer's retry): these are the original's offsets, nothing was
    /// appended, and the reply waits for the original to be committed.
    pub duplicate: bool,
}

/// Why a batch was not appended. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Journal or memory are full; try again after [`Event::Room`].
    Full,
    /// The log, or the whole directory, is offline.
    Offline(Fatal),
    /// The disk is nearly full.
    DiskReserve,
    /// The idempotent producer's epoch or sequence does not fit.
    Producer(crate::error::ErrorCode),
    /// No such log.
    Unknown,
}

/// What happened in a store, for the engine to act on.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Everything below `end` has reached the kernel in the journal: it survives the process.
    Written {
        /// Whose.
        slot: Slot,
        /// Exclusive.
        end: Offset,
    },
    /// Everything below `end` is on stable storage. Always after the `Written` of the same end.
    Flushed {
        /// Whose.
        slot: Slot,
        /// Exclusive.
        end: Offset,
    },
    /// The log start is durably at `offset` (retention, or [`Store::advance_log_start`]).
    LogStartMoved {
        /// Whose.
        slot: Slot,
        /// New first offset.
        offset: Offset,
    },
    /// A truncation is durable.
    Truncated {
        /// Whose.
        slot: Slot,
        /// The new end.
        end: Offset,
    },
    /// Appends that answered [`AppendError::Full`] may be tried again.
    Room,
    /// A read that answered [`ReadError::Later`] may be tried again (it may also answer an error by now).
    Readable {
        /// Whose.
        slot: Slot,
    },
    /// One log is offline until a restart; the others go on.
    PartitionOffline {
        /// Whose.
        slot: Slot,
        /// Why, where, what to do.
        reason: Fatal,
    },
    /// The directory is offline until a restart: nothing is acknowledged after, ever.
    DirectoryOffline {
        /// Why, where, what to do.
        reason: Fatal,
    },
    /// The answer to [`Store::find_timestamp`].
    TimestampFound {
        /// As it was asked.
        job: u64,
        /// `None` when no record is that young.
        result: Result<Option<TimestampOffset>, ReadError>,
    },
    /// [`Store::stop`] is done.
    Stopped,
}

/// A record's time and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Its offset.
    pub offset: Offset,
    /// The epoch it was appended in.
    pub leader_epoch: LeaderEpoch,
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The first offset wanted; the answer may start before it (a batch is not cut; a cold read starts at an index
    /// entry) and the client skips.
    pub from: Offset,
    /// Most bytes.
    pub max_bytes: usize,
    /// Only whole batches below it: the high watermark, the last stable offset, or the log end for a follower.
    pub up_to: Offset,
    /// Give at least the first whole batch even when it is larger than `max_bytes` (KIP-74).
    pub at_least_one: bool,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// To be sent in order.
    pub parts: Vec<Part>,
    /// The sum of their lengths.
    pub bytes: u64,
}

/// Why nothing was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// `from` is below the log start or above the log end.
    OutOfRange {
        /// Log start.
        start: Offset,
        /// Log end.
        end: Offset,
    },
    /// The log is offline.
    Offline(Fatal),
    /// A file must be opened first; [`Event::Readable`] follows.
    Later,
    /// No such log.
    Unknown,
}

/// One data shard's journal and logs.
///
/// Calling order: [`start`](Self::start) once; then any of the others; [`file`](Self::file) with each answer of the
/// disk whose token this store [`owns`](Self::owns); [`end_of_turn`](Self::end_of_turn) when the turn's inputs are
/// handled; [`tick`](Self::tick) when [`next_tick`](Self::next_tick) comes due; [`stop`](Self::stop) last.
pub struct Store {
    _settings: StoreSettings,
}

impl Store {
    /// A store over what recovery left for this shard (only logs whose [`PartitionId::owner`] is this shard).
    pub fn new(settings: StoreSettings, recovered: Vec<RecoveredLog>) -> Store {
        unimplemented!("storage under construction")
    }

    /// Opens and zeroes the journal. Appends are taken from the start and wait for it.
    pub fn start(&mut self, now: Now, out: &mut Operations) {
        unimplemented!("storage under construction")
    }

    /// Whether the answer to this token is for this store.
    pub fn owns(token: Token) -> bool {
        unimplemented!("storage under construction")
    }

    /// A new, empty log, or the existing one with new settings. No file is made before a segment is written.
    pub fn create(&mut self, now: Now, id: PartitionId, settings: LogSettings) -> Slot {
        unimplemented!("storage under construction")
    }

    /// The log of a partition, if this store has it.
    pub fn slot(&self, id: PartitionId) -> Option<Slot> {
        unimplemented!("storage under construction")
    }

    /// All logs, in order of their ids.
    pub fn slots(&self) -> impl Iterator<Item = (PartitionId, Slot)> {
        std::iter::empty()
    }

    /// Takes new settings.
    pub fn configure(&mut self, slot: Slot, settings: LogSettings) {
        unimplemented!("storage under construction")
    }

    /// Deletes a log for good. Its files go after the deletion is in the journal; reads under way keep theirs.
    pub fn delete(&mut self, now: Now, slot: Slot) {
        unimplemented!("storage under construction")
    }

    /// Appends one validated batch (magic 2, one whole batch, CRC right), in which the log writes offset and leader
    /// epoch. Producer id, epoch and sequence are checked and recorded.
    pub fn append(
        &mut self,
        now: Now,
        slot: Slot,
        leader_epoch: LeaderEpoch,
        batch: &[u8],
    ) -> Result<Appended, AppendError> {
        unimplemented!("storage under construction")
    }

    /// Seals and issues the next journal group if none is in flight, and whatever else is due.
    pub fn end_of_turn(&mut self, now: Now, out: &mut Operations) {
        unimplemented!("storage under construction")
    }

    /// Takes an answer of the disk.
    pub fn file(
        &mut self,
        now: Now,
        token: Token,
        result: FileResult,
        out: &mut Operations,
        events: &mut Vec<Event>,
    ) {
        unimplemented!("storage under construction")
    }

    /// What comes due by time: segment roll, retention, interval flushes, the disk's free space.
    pub fn tick(&mut self, now: Now, out: &mut Operations, events: &mut Vec<Event>) {
        unimplemented!("storage under construction")
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_tick(&self) -> Monotonic {
        unimplemented!("storage under construction")
    }

    /// Whole batches from `from` on.
    pub fn read(
        &mut self,
        now: Now,
        slot: Slot,
        request: ReadRequest,
        out: &mut Operations,
    ) -> Result<Read, ReadError> {
        unimplemented!("storage under construction")
    }

    /// The first record whose timestamp is at least `target`, among those below `up_to`; answered by
    /// [`Event::TimestampFound`] with this `job`, maybe at once.
    pub fn find_timestamp(
        &mut self,
        now: Now,
        slot: Slot,
        target: i64,
        up_to: Offset,
        job: u64,
        out: &mut Operations,
        events: &mut Vec<Event>,
    ) {
        unimplemented!("storage under construction")
    }

    /// The record with the largest timestamp (KIP-734), answered likewise.
    pub fn find_max_timestamp(
        &mut self,
        now: Now,
        slot: Slot,
        up_to: Offset,
        job: u64,
        out: &mut Operations,
        events: &mut Vec<Event>,
    ) {
        unimplemented!("storage under construction")
    }

    /// The first offset that is served.
    pub fn log_start(&self, slot: Slot) -> Offset {
        unimplemented!("storage under construction")
    }
    /// The offset that the next record gets.
    pub fn log_end(&self, slot: Slot) -> Offset {
        unimplemented!("storage under construction")
    }
    /// Everything below it has reached the kernel.
    pub fn written_end(&self, slot: Slot) -> Offset {
        unimplemented!("storage under construction")
    }
    /// Everything below it is on stable storage.
    pub fn flushed_end(&self, slot: Slot) -> Offset {
        unimplemented!("storage under construction")
    }
    /// The log's size in bytes, tail included.
    pub fn size_bytes(&self, slot: Slot) -> u64 {
        unimplemented!("storage under construction")
    }
    /// The last epoch in which a record was appended.
    pub fn last_epoch(&self, slot: Slot) -> Option<LeaderEpoch> {
        unimplemented!("storage under construction")
    }
    /// For OffsetForLeaderEpoch: the largest epoch not above `epoch` that the log knows, and the end offset of it.
    pub fn epoch_end(&self, slot: Slot, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        unimplemented!("storage under construction")
    }
    /// The epoch of the record at `offset`.
    pub fn epoch_at(&self, slot: Slot, offset: Offset) -> Option<LeaderEpoch> {
        unimplemented!("storage under construction")
    }

    /// Tells the high watermark: retention stays below it, checkpoints hold it.
    pub fn set_high_watermark(&mut self, slot: Slot, offset: Offset) {
        unimplemented!("storage under construction")
    }

    /// Moves the log start up (DeleteRecords); [`Event::LogStartMoved`] follows when that is durable, at once when
    /// it is not above the present one.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] above the high watermark.
    pub fn advance_log_start(
        &mut self,
        now: Now,
        slot: Slot,
        offset: Offset,
        events: &mut Vec<Event>,
    ) -> Result<(), ReadError> {
        unimplemented!("storage under construction")
    }

    /// Cuts the log so that `to` is its end (a follower's divergence); [`Event::Truncated`] follows when durable.
    pub fn truncate(&mut self, now: Now, slot: Slot, to: Offset) {
        unimplemented!("storage under construction")
    }

    /// Begins a clean stop: everything is flushed and checkpointed; [`Event::Stopped`] follows.
    pub fn stop(&mut self, now: Now, out: &mut Operations, events: &mut Vec<Event>) {
        unimplemented!("storage under construction")
    }

    /// Whether nothing is outstanding.
    pub fn is_idle(&self) -> bool {
        unimplemented!("storage under construction")
    }

    /// Panics when an invariant does not hold. For tests and the simulator.
    pub fn check(&self) {
        unimplemented!("storage under construction")
    }
}
