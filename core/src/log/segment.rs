//! One segment of a log: a file of contiguous record batches, written behind the journal.

use super::{
    checkpoint::Snapshot,
    index::{MaxTimestamp, SegmentIndex},
    paths::SegmentName,
    recovery_point::RecoveryPoint,
};
use crate::ids::Offset;
use corelane_seam::{BLOCK, FileHandle};
use std::sync::Arc;

/// First preallocation of a segment's file; each further one doubles what there is.
const ALLOCATE_BYTES_MIN: u64 = 64 * 1024;
/// Largest step of preallocation: what a quiet log may hold of the disk without using it.
const ALLOCATE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A log's whole blocks are written once there are so many bytes of them: large writes, and few.
const WRITE_BEHIND_BYTES: u64 = 256 * 1024;

/// How far a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Takes appends.
    Active,
    /// Takes no more; its last bytes, its length and its index are being written.
    Closing,
    /// Whole, flushed, indexed. Never written again.
    Closed,
}

/// A segment.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Offset of its first record.
    pub base: Offset,
    /// Its number in the log.
    pub serial: u32,
    /// How often compaction rewrote it: its offsets may have holes then.
    pub cleaning: u32,
    /// The offset behind its last record.
    pub next: Offset,
    /// Place of its first byte in the [tail](super::tail); means nothing when it was closed before this boot.
    pub place: u64,
    /// It was begun in this boot, or carried into it: its places are true.
    pub in_tail: bool,
    /// Bytes appended.
    pub bytes: u64,
    /// Bytes written to the file: whole blocks, until the last write of a closing segment.
    pub written: u64,
    /// Bytes flushed in the file.
    pub flushed: u64,
    /// Bytes the file has room for.
    pub allocated: u64,
    /// How far it is.
    pub stage: Stage,
    /// While closing: the file has its true length.
    pub length_set: bool,
    /// Recovery found the beginning of a batch behind the end of the file's whole batches: the file is cut at
    /// `flushed`, and flushed, before any pin is released.
    pub needs_cut: bool,
    /// The latest timestamp.
    pub max_timestamp: Option<MaxTimestamp>,
    /// The latest timestamp of the first batch, for `max.compaction.lag.ms`.
    pub first_timestamp_ms: Option<i64>,
    /// When the first record came (wall clock), for the roll by time.
    pub first_append_ms: i64,
    /// Markers of aborted transactions lie in it: its index names these.
    pub has_aborted: bool,
    /// When it takes no more: every transaction that ends behind it begins at or behind this.
    pub open_from: Offset,
    /// Always there until closed, then while memory lasts.
    pub index: Option<Arc<SegmentIndex>>,
    /// For writing, until closed.
    pub writer: Option<FileHandle>,
    /// For reading, while it is among those that are kept open.
    pub reader: Option<FileHandle>,
    /// Its file is being opened, or its index read, for whoever reads the log.
    pub asked_by_readers: bool,
    /// Waits for the file to be flushed up to it.
    pub point: Option<Box<RecoveryPoint>>,
    /// Where the last one was taken.
    pub point_taken_at: u64,
    /// There may be a file with one.
    pub has_point_file: bool,
    /// While closing: the log's state at its end, for the checkpoint.
    pub snapshot: Option<Snapshot>,
}

impl Segment {
    /// An empty one that takes appends from `base` on.
    pub fn new(base: Offset, serial: u32, place: u64, index_interval_bytes: u32) -> Segment {
        Segment {
            base,
            serial,
            cleaning: 0,
            next: base,
            place,
            in_tail: true,
            bytes: 0,
            written: 0,
            flushed: 0,
            allocated: 0,
            stage: Stage::Active,
            length_set: false,
            needs_cut: false,
            max_timestamp: None,
            first_timestamp_ms: None,
            first_append_ms: 0,
            has_aborted: false,
            open_from: base,
            index: Some(Arc::new(SegmentIndex::new(base, index_interval_bytes))),
            writer: None,
            reader: None,
            asked_by_readers: false,
            point: None,
            point_taken_at: 0,
            has_point_file: false,
            snapshot: None,
        }
    }

    /// What its files are called.
    pub fn name(&self) -> SegmentName {
        SegmentName { base: self.base, serial: self.serial, cleaning: self.cleaning }
    }

    /// Whether `name` is its own, and a recovery point may be there under it.
    pub fn has_point(&self, name: SegmentName) -> bool {
        self.has_point_file && self.name() == name
    }

    /// Place behind its last byte.
    pub fn end_place(&self) -> u64 {
        self.place + self.bytes
    }

    /// How far the file may be written when the journal holds whole batches up to `durable_place`: whole blocks, or everything when the segment takes no more.
    pub fn writable(&self, durable_place: u64) -> u64 {
        let durable = durable_place.saturating_sub(self.place).min(self.bytes);
        if self.stage == Stage::Closing && durable == self.bytes { durable } else { block_floor(durable) }
    }

    /// Whether what may be written shall be: as much as makes a large write, or the rest of one that takes no more.
    pub fn is_write_due(&self, durable_place: u64) -> bool {
        let unwritten = self.writable(durable_place).saturating_sub(self.written);
        self.stage == Stage::Closing || unwritten >= WRITE_BEHIND_BYTES
    }

    /// Whether the file is flushed as far as its waiting recovery point says.
    pub fn is_point_due(&self) -> bool {
        self.stage == Stage::Active
            && self.point.as_ref().is_some_and(|point| point.position() <= self.flushed)
    }

    /// How many bytes to allocate so that `end` fits; 0 when it does.
    pub fn allocation(&self, end: u64) -> u64 {
        if end <= self.allocated {
            return 0;
        }
        let step = self.allocated.clamp(ALLOCATE_BYTES_MIN, ALLOCATE_BYTES_MAX);
        (end.next_multiple_of(BLOCK as u64) - self.allocated).next_multiple_of(step)
    }
}

/// `bytes` less what does not fill a block.
pub(crate) fn block_floor(bytes: u64) -> u64 {
    bytes / BLOCK as u64 * BLOCK as u64
}
