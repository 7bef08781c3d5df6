//! What a store is asked, and what it answers.

use super::super::producers::Refused;
use crate::{
    error::Fatal,
    ids::{LeaderEpoch, Offset},
};
use corelane_seam::{FileOperation, Part, Token};

/// What a store asks of the disk, in order.
pub type Operations = Vec<(Token, FileOperation)>;

/// A log of this store. Cheap to copy; a slot of a deleted log is never mistaken for its successor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub(super) index: u32,
    pub(super) reuse: u32,
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
    Producer(Refused),
    /// No such log.
    Unknown,
}

/// Why a leader's batches were not all appended. Those before are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// The log is empty and starts within the first batch, which begins at this offset: the leader's log start is not
    /// the beginning of a batch (DeleteRecords). The log must begin there.
    BeginsBefore(Offset),
    /// No batch, a damaged one, or one that does not go on where the log ends: nothing that a sound leader sends.
    Unsound(String),
    /// As when a client's batch is appended.
    Append(AppendError),
}

/// Why a log is not cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutError {
    /// It would take away what is known to be committed.
    Committed {
        /// Everything below is.
        high_watermark: Offset,
    },
    /// The log, or the whole directory, is offline.
    Offline(Fatal),
    /// Another cut of it is not done yet.
    UnderWay,
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
    /// What [`Store::truncate`] or [`Store::reset`] asked for is done and on stable storage; the log takes appends again.
    Cut {
        /// Whose.
        slot: Slot,
        /// Where the log ends now: at the end of a batch, at or below what was asked for.
        end: Offset,
    },
    /// Appends that answered [`AppendError::Full`] may be tried again.
    Room,
    /// The disk is full from now on: appends answer [`AppendError::DiskReserve`]; or it has room again. At first it has.
    DiskFull(bool),
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
    /// The answer to [`Store::read_bytes`].
    BytesRead {
        /// As it was asked.
        job: u64,
        /// What the file gave; fewer bytes at its end.
        result: Result<Vec<u8>, Fatal>,
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
    /// No record among them has this offset or a higher one.
    pub end: Offset,
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
