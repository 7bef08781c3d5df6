//! Sparse index of one segment, by offset and by time, and the aborted transactions that ended in it. It saves reading:
//! whatever it loses is found again in the segment itself, and in those before it, where the transactions began.

use super::producers::AbortedTransaction;
use crate::{ids::Offset, records::BatchHeader};

mod image;

pub use image::DamagedIndex;

/// One batch boundary. 24 bytes of memory; at the default `index.interval.bytes` of 4096 a full segment of 1 GiB has
/// 262,144 of them, 6 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// The latest timestamp of all batches before this one, or [`i64::MIN`].
    max_timestamp_before_ms: i64,
    /// Base offset of the batch that has it, less the segment's.
    max_timestamp_at: u32,
    /// Base offset of the batch here, less the segment's.
    offset: u32,
    /// Where the batch begins in the segment.
    position: u32,
}

const _: () = assert!(size_of::<Entry>() == 24);

/// The latest timestamp of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxTimestamp {
    /// In Unix milliseconds.
    pub timestamp_ms: i64,
    /// Base offset of the first batch that reaches it; the record in it is found by reading the batch.
    pub batch: Offset,
}

/// Bytes of a segment: from a batch boundary to a batch boundary or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub from: u32,
    /// Behind the last byte.
    pub to: u32,
}

/// A batch that this segment's index cannot hold; the segment should have been rolled before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unindexable {
    /// Its offset is below the segment's, below the batch before, or more than 2^32 beyond the segment's.
    #[error("batch at offset {0} does not belong behind what the index has seen")]
    Offset(Offset),
    /// It does not begin where the batch before ended.
    #[error("batch at position {given} where {expected} was expected")]
    Position {
        /// Where it begins.
        given: u64,
        /// Where the batch before ended.
        expected: u32,
    },
    /// It ends beyond 4 GiB, or its length field is less than a header's.
    #[error("batch at position {0} does not end within a segment")]
    Length(u32),
}

/// The index of one segment. Built by [`observe`](Self::observe), batch by batch, while the segment is written or
/// read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    base: Offset,
    interval_bytes: u32,
    entries: Vec<Entry>,
    /// Bytes of the segment that have been observed.
    observed: u32,
    /// The offset behind the last observed batch.
    next: Offset,
    max: Option<MaxTimestamp>,
    /// In the order of their markers, which lie in this segment.
    aborted: Vec<AbortedTransaction>,
}

impl SegmentIndex {
    /// Of a segment that begins at `base`, with an entry at least `interval_bytes` (`index.interval.bytes`) behind
    /// the one before.
    pub fn new(base: Offset, interval_bytes: u32) -> SegmentIndex {
        SegmentIndex {
            base,
            interval_bytes,
            entries: Vec::new(),
            observed: 0,
            next: base,
            max: None,
            aborted: Vec::new(),
        }
    }

    /// Where the segment begins.
    pub fn base(&self) -> Offset {
        self.base
    }

    /// Bytes of the segment that the index knows: reading goes on there after a [`decode`](Self::decode) or
    /// [`truncate`](Self::truncate).
    pub fn observed_bytes(&self) -> u32 {
        self.observed
    }

    /// The offset behind the last batch it knows.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// The latest timestamp, if any record has one.
    pub fn max_timestamp(&self) -> Option<MaxTimestamp> {
        self.max
    }

    /// Entries, for the accounting of memory (24 bytes each).
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Takes note of the next batch, whose header has been checked and whose first byte is at `position`.
    pub fn observe(&mut self, header: &BatchHeader, position: u64) -> Result<(), Unindexable> {
        if u64::from(self.observed) != position {
            return Err(Unindexable::Position { given: position, expected: self.observed });
        }
        let length = Unindexable::Length(self.observed);
        let bytes = u32::try_from(header.total_bytes().ok_or(length)?).map_err(|_| length)?;
        let end = self.observed.checked_add(bytes).ok_or(length)?;
        let at = header.base_offset();
        let offset = self.relative(at).filter(|_| at >= self.next && header.last_offset() >= at);
        let offset = offset.ok_or(Unindexable::Offset(at))?;

        let last = self.entries.last().map_or(0, |entry| entry.position);
        if self.entries.is_empty() || self.observed - last >= self.interval_bytes {
            let max = self.max.map(|max| (max.timestamp_ms, max.batch));
            let (max_timestamp_before_ms, max_at) = max.unwrap_or((i64::MIN, self.base));
            let max_timestamp_at = self.relative(max_at).expect("a batch that was observed");
            let position = self.observed;
            self.entries.push(Entry { max_timestamp_before_ms, max_timestamp_at, offset, position });
        }
        let timestamp_ms = header.max_timestamp_ms();
        // -1 says that no record has one; among equals the first counts. A batch that compaction emptied has a latest
        // timestamp and no record of it.
        if timestamp_ms >= 0
            && header.record_count() != 0
            && self.max.is_none_or(|max| timestamp_ms > max.timestamp_ms)
        {
            self.max = Some(MaxTimestamp { timestamp_ms, batch: at });
        }
        self.observed = end;
        self.next = header.next_offset();
        Ok(())
    }

    /// Takes note that the batch observed last was the marker of an aborted transaction.
    pub fn note_aborted(&mut self, aborted: AbortedTransaction) {
        debug_assert!(
            aborted.last < self.next && aborted.last >= self.base,
            "its marker lies in this segment"
        );
        self.aborted.push(aborted);
    }

    /// The aborted transactions whose markers lie in this segment, in the order of these.
    pub fn aborted(&self) -> &[AbortedTransaction] {
        &self.aborted
    }

    /// The same, with at least `interval_bytes` between two entries: less to be written, more to be read for each search.
    pub fn thinned(&self, interval_bytes: u32) -> SegmentIndex {
        let mut entries: Vec<Entry> = Vec::new();
        for entry in &self.entries {
            if entries.last().is_none_or(|last| entry.position - last.position >= interval_bytes) {
                entries.push(*entry);
            }
        }
        SegmentIndex { entries, aborted: self.aborted.clone(), ..*self }
    }

    /// A batch begins here, and if it is not the segment's first, at least one more does before `position`.
    pub fn batch_well_before(&self, position: u64) -> u32 {
        let above = self.entries.partition_point(|entry| u64::from(entry.position) <= position);
        above.checked_sub(2).map_or(0, |at| self.entries[at].position)
    }

    /// Surely no record in front of `position` has this offset or a higher one.
    pub fn bound_at(&self, position: u64) -> Offset {
        let at = self.entries.partition_point(|entry| u64::from(entry.position) < position);
        self.entries.get(at).map_or(self.next, |entry| self.absolute(entry.offset))
    }

    /// Bytes that surely hold the batch with `offset`, if the segment has it at all: no more than the interval (that of a
    /// [recovery point](super::recovery_point) where the index came out of one) and one batch. None below the segment's base and beyond what was observed. Where compaction left a hole, the
    /// next batch may begin behind the span.
    pub fn find_offset(&self, offset: Offset) -> Option<Span> {
        if offset < self.base || offset >= self.next {
            return None;
        }
        let above = self.entries.partition_point(|entry| self.absolute(entry.offset) <= offset);
        Some(self.span_of_entry(above.saturating_sub(1)))
    }

    /// Bytes that surely hold the first batch that ends at or behind `offset`, also where compaction left holes: what
    /// lies before an entry may all lie below the offset, and then the batch begins at that entry.
    pub fn find_offset_or_next(&self, offset: Offset) -> Option<Span> {
        let span = self.find_offset(offset)?;
        Some(Span { to: self.span_behind(span.to).map_or(span.to, |next| next.to), ..span })
    }

    /// Where to begin reading for the first record at or after `target_ms`: no batch before has one. None if no
    /// batch has.
    pub fn find_timestamp(&self, target_ms: i64) -> Option<Span> {
        self.max.filter(|max| max.timestamp_ms >= target_ms)?;
        // The running maximum first reaches the target behind the last entry that is still below it.
        let above = self.entries.partition_point(|entry| entry.max_timestamp_before_ms < target_ms);
        Some(self.span_of_entry(above.saturating_sub(1)))
    }

    /// The span that begins at or behind `position`, where an earlier span ended. None at the end.
    pub fn span_behind(&self, position: u32) -> Option<Span> {
        let at = self.entries.partition_point(|entry| entry.position < position);
        (at < self.entries.len()).then(|| self.span_of_entry(at))
    }

    /// From an entry to the next one, or to the end.
    fn span_of_entry(&self, index: usize) -> Span {
        let from = self.entries.get(index).map_or(0, |entry| entry.position);
        let to = self.entries.get(index + 1).map_or(self.observed, |entry| entry.position);
        Span { from, to }
    }

    /// Forgets the batches from `position` on, and those between there and the entry before it: the caller observes
    /// again from [`observed_bytes`](Self::observed_bytes), which it also gets.
    pub fn truncate(&mut self, position: u32) -> u32 {
        if position >= self.observed {
            return self.observed;
        }
        let keep = self.entries.partition_point(|entry| entry.position <= position);
        let last = keep.checked_sub(1).map(|last| self.entries[last]);
        self.entries.truncate(keep.saturating_sub(1));
        match last {
            Some(entry) => {
                self.observed = entry.position;
                self.next = self.absolute(entry.offset);
                self.max = (entry.max_timestamp_before_ms >= 0).then(|| MaxTimestamp {
                    timestamp_ms: entry.max_timestamp_before_ms,
                    batch: self.absolute(entry.max_timestamp_at),
                });
            }
            None => *self = SegmentIndex::new(self.base, self.interval_bytes),
        }
        let next = self.next;
        self.aborted.truncate(self.aborted.partition_point(|aborted| aborted.last < next));
        self.observed
    }

    fn relative(&self, offset: Offset) -> Option<u32> {
        u32::try_from(offset.0.checked_sub(self.base.0)?).ok()
    }

    fn absolute(&self, relative: u32) -> Offset {
        // Only what `relative` accepted is stored, or what `decode` checked.
        Offset(self.base.0.saturating_add(i64::from(relative)))
    }
}

#[cfg(test)]
mod tests;
