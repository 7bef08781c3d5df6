//! A log's recent bytes in memory: everything that is not in a flushed segment yet, and, while memory lasts, what is.
//!
//! Bytes are addressed by *place*: a count of the bytes appended to this log since the store was made, which never
//! runs backwards. A segment knows the place of its first byte. Chunks are in the segment's layout, so that whole
//! blocks go to the segment's file, and ranges to sockets, without being copied.

use super::chunks::Chunks;
use crate::ids::Offset;
use corelane_seam::{BLOCK, ChunkWriter, Slice};
use std::{collections::VecDeque, ops::Range};

/// The bytes of one chunk, from a block boundary of its segment on.
#[derive(Debug)]
struct TailChunk {
    place: u64,
    writer: ChunkWriter,
}

impl TailChunk {
    fn end(&self) -> u64 {
        self.place + self.writer.len() as u64
    }
}

/// One batch in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Offset of its first record.
    pub base: Offset,
    /// The offset behind its last record.
    pub next: Offset,
    /// Place of its first byte.
    pub from: u64,
    /// Place behind its last byte.
    pub to: u64,
}

/// The tail of one log.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    chunks: VecDeque<TailChunk>,
    marks: VecDeque<Mark>,
    /// Where the next byte goes.
    end: u64,
    /// The next chunk begins a segment, whatever room the last one has.
    fresh: bool,
    /// Chunks have come to their largest size.
    is_grown: bool,
    /// No record from here to the first batch known here: compaction may have left a hole.
    gap: Option<Offset>,
}

/// Smallest chunk: one block, so that ten thousand idle logs take 40 MB.
const CHUNK_BYTES_MIN: usize = BLOCK;
/// Batches at the end that are looked at one by one: a search through all of them misses the cache at every step.
const NEAR_MARKS: usize = 4;

impl Tail {
    /// An empty tail of a log whose next byte has `place`.
    pub fn starting_at(place: u64) -> Tail {
        Tail { end: place, fresh: true, ..Tail::default() }
    }

    /// Place behind the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Place of the first byte in memory.
    pub fn start(&self) -> u64 {
        self.chunks.front().map_or(self.end, |chunk| chunk.place)
    }

    /// Bytes of memory that chunks and marks take.
    pub fn memory(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.writer.capacity()).sum::<usize>()
            + self.marks.len() * size_of::<Mark>()
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// A segment begins at the end: the next byte goes to a chunk of its own.
    pub fn begin_segment(&mut self) {
        self.fresh = true;
    }

    /// The log ends here before the next batch.
    pub fn note_end(&mut self, end: Offset) {
        if self.marks.is_empty() {
            self.gap = Some(end);
        }
    }

    /// The batch before the first one known here ends there.
    pub fn note_gap(&mut self, gap: Option<Offset>) {
        self.gap = gap;
    }

    /// Appends the bytes of the batch with offsets `base` to `next` (exclusive).
    pub fn append(&mut self, base: Offset, next: Offset, parts: [&[u8]; 2], chunks: &mut Chunks) {
        let from = self.end;
        for part in parts {
            self.append_bytes(part, chunks);
        }
        self.marks.push_back(Mark { base, next, from, to: self.end });
    }

    /// Appends bytes that are no batch of their own (what recovery carried over).
    pub fn append_bytes(&mut self, mut bytes: &[u8], chunks: &mut Chunks) {
        while !bytes.is_empty() {
            if self.fresh || self.chunks.back().is_none_or(|chunk| chunk.writer.remaining() == 0) {
                self.add_chunk(bytes.len(), chunks);
            }
            let chunk = self.chunks.back_mut().expect("just added");
            let (now, later) = bytes.split_at(bytes.len().min(chunk.writer.remaining()));
            chunk.writer.append(now);
            self.end += now.len() as u64;
            bytes = later;
        }
    }

    /// Notes a batch whose bytes were appended by [`append_bytes`](Self::append_bytes).
    pub fn mark(&mut self, mark: Mark) {
        self.marks.push_back(mark);
    }

    fn add_chunk(&mut self, needed: usize, chunks: &mut Chunks) {
        let last = self.chunks.back().map_or(0, |chunk| chunk.writer.capacity());
        self.is_grown &= last > 0;
        let wanted = needed.max(2 * last).max(CHUNK_BYTES_MIN);
        let writer = if self.is_grown {
            chunks.take(chunks.max())
        } else if wanted < chunks.max() {
            chunks.take(wanted)
        } else {
            self.is_grown = true;
            chunks.take_first()
        };
        self.chunks.push_back(TailChunk { place: self.end, writer });
        self.fresh = false;
    }

    /// The parts of memory that hold `range`.
    ///
    /// # Panics
    /// When it is not all in memory.
    pub fn slices(&self, range: Range<u64>) -> impl Iterator<Item = Slice> {
        let is_here = range.start >= self.start() && range.end <= self.end;
        assert!(is_here || range.is_empty(), "{range:?} is in memory");
        let first = self.chunks.partition_point(|chunk| chunk.end() <= range.start);
        self.chunks.iter().skip(first).map_while(move |chunk| {
            let from = range.start.max(chunk.place);
            let to = range.end.min(chunk.end());
            let at = |place: u64| usize::try_from(place - chunk.place).expect("within a chunk");
            (from < to).then(|| chunk.writer.slice(at(from)..at(to)))
        })
    }

    /// Copies `range` into `space`, which is as long.
    pub fn copy_to(&self, range: Range<u64>, space: &mut [u8]) {
        let mut rest = space;
        for slice in self.slices(range) {
            let (now, later) = rest.split_at_mut(slice.len());
            now.copy_from_slice(&slice);
            rest = later;
        }
        assert!(rest.is_empty(), "as long as the range");
    }

    /// Places of whole batches: the first that holds an offset at or after `from`, and as many more as fit in
    /// `max_bytes` and end at or below `up_to`; empty when there are none. `None` when `from` lies before the first
    /// batch that is known here. Of the first batch known, the beginning may be in the file only.
    pub fn find(
        &self,
        from: Offset,
        up_to: Offset,
        max_bytes: u64,
        at_least_one: bool,
    ) -> Option<Range<u64>> {
        let first = self.marks.partition_point(|mark| mark.next <= from);
        // Nothing known at or behind `from`: all of it is in files.
        let mark = self.marks.get(first)?;
        if first == 0 && mark.base > from && self.gap.is_none_or(|gap| from < gap) {
            return None;
        }
        let start = mark.from;
        let mut end = start;
        for mark in self.marks.range(first..) {
            let fits = mark.to - start <= max_bytes || (at_least_one && end == start);
            if mark.next > up_to || !fits {
                break;
            }
            end = mark.to;
        }
        Some(start..end)
    }

    /// The batches in memory, oldest first.
    pub fn marks(&self) -> &VecDeque<Mark> {
        &self.marks
    }

    /// The last batch that ends at or below `place`, if it is known.
    pub fn last_through(&self, place: u64) -> Option<Mark> {
        self.marks.get(self.count_through(place).checked_sub(1)?).copied()
    }

    /// The batch that holds the byte at `place`, if it is known.
    pub fn batch_at(&self, place: u64) -> Option<Mark> {
        self.marks.get(self.count_through(place)).copied().filter(|mark| mark.from <= place)
    }

    /// How many batches end at or below `place`. Nearly all who ask mean the last few.
    fn count_through(&self, place: u64) -> usize {
        let near = self.marks.iter().rev().take(NEAR_MARKS).position(|mark| mark.to <= place);
        match near {
            Some(above) => self.marks.len() - above,
            None => self.marks.partition_point(|mark| mark.to <= place),
        }
    }

    /// The bytes from `from` to at most `to`, as far as they lie in one chunk.
    pub fn first_slice(&self, from: u64, to: u64) -> Slice {
        self.slices(from..to).next().expect("the range is not empty")
    }

    /// Whether the first chunk lies below `place` (in flushed segments) and nothing more goes into it.
    pub fn can_drop(&self, place: u64) -> bool {
        self.first_full().is_some_and(|end| end <= place)
    }

    /// Whether nothing more goes into the first chunk and not all of it lies below `place`.
    pub fn must_persist(&self, place: u64) -> bool {
        self.first_full().is_some_and(|end| end > place)
    }

    /// The end of the first chunk, if nothing more goes into it.
    fn first_full(&self) -> Option<u64> {
        let full = self.fresh || self.chunks.len() > 1;
        let first = self.chunks.front().filter(|chunk| full || chunk.writer.remaining() == 0);
        first.map(TailChunk::end)
    }

    /// Gives the first chunk back if it [can](Self::can_drop). Tells whether it did.
    pub fn drop_first(&mut self, place: u64) -> bool {
        if !self.can_drop(place) {
            return false;
        }
        self.chunks.pop_front();
        self.forget_marks();
        true
    }

    /// Moves what lies at or behind `place` (a block boundary of the segment) of an only, partly used chunk to one
    /// that is just large enough. For logs that went quiet while memory is short.
    pub fn shrink(&mut self, place: u64) -> bool {
        let [chunk] = self.chunks.make_contiguous() else { return false };
        if self.fresh || place <= chunk.place || place > chunk.end() || chunk.writer.capacity() == BLOCK {
            return false;
        }
        let at = usize::try_from(place - chunk.place).expect("within a chunk");
        let rest = chunk.writer.slice(at..chunk.writer.len());
        let mut writer = ChunkWriter::with_capacity(rest.len() + 1);
        if writer.capacity() >= chunk.writer.capacity() {
            return false;
        }
        writer.append(&rest);
        *chunk = TailChunk { place, writer };
        self.is_grown = false;
        self.forget_marks();
        true
    }

    /// Forgets batches that are wholly in files.
    fn forget_marks(&mut self) {
        let start = self.start();
        let gone = self.marks.partition_point(|mark| mark.to <= start);
        self.gap = self.marks.drain(..gone).next_back().map(|mark| mark.next).or(self.gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail() -> Tail {
        let (mut tail, mut chunks) = (Tail::starting_at(0), Chunks::of(2 * BLOCK));
        for batch in 0..6 {
            let bytes = vec![u8::try_from(batch).unwrap(); 3_000];
            tail.append(Offset(batch), Offset(batch + 1), [&bytes[..61], &bytes[61..]], &mut chunks);
        }
        tail
    }

    #[test]
    fn whole_batches_are_found_within_both_bounds() {
        let tail = tail();
        assert_eq!(tail.find(Offset(1), Offset(6), 7_000, false), Some(3_000..9_000));
        assert_eq!(tail.find(Offset(1), Offset(2), 7_000, false), Some(3_000..6_000));
        assert_eq!(tail.find(Offset(1), Offset(6), 10, false), Some(3_000..3_000));
        assert_eq!(tail.find(Offset(1), Offset(6), 10, true), Some(3_000..6_000));
        assert_eq!(tail.find(Offset(1), Offset(1), 10, true), Some(3_000..3_000), "never beyond up_to");
    }

    #[test]
    fn logs_that_are_written_alike_begin_their_chunks_at_different_times() {
        let mut chunks = Chunks::of(16 * BLOCK);
        let mut tails: Vec<Tail> = (0..64).map(|_| Tail::starting_at(0)).collect();
        let most_at_once = (0..200).map(|batch| {
            let begun = tails.iter_mut().filter_map(|tail| {
                let before = tail.chunks();
                tail.append(Offset(batch), Offset(batch + 1), [&[1; 1_000], &[]], &mut chunks);
                (tail.chunks() > before).then_some(())
            });
            (begun.count(), batch)
        });
        // The first chunks are small, and alike.
        let (most, _) = most_at_once.filter(|(_, batch)| *batch >= 80).max().unwrap();
        assert!((1..16).contains(&most), "{most} of 64 logs began a chunk with the same batch");
        let last = tails[0].chunks.back().unwrap();
        assert_eq!(last.writer.capacity(), chunks.max());
    }

    #[test]
    fn a_log_that_went_quiet_begins_with_small_chunks_again() {
        let (mut tail, mut chunks) = (Tail::starting_at(0), Chunks::of(16 * BLOCK));
        tail.append_bytes(&vec![1; 60 * BLOCK + 100], &mut chunks);
        assert_eq!(tail.chunks.back().unwrap().writer.capacity(), chunks.max());
        while tail.drop_first(60 * BLOCK as u64) {}
        assert!(tail.shrink(60 * BLOCK as u64));
        tail.append_bytes(&vec![1; BLOCK], &mut chunks);
        let capacities: Vec<usize> = tail.chunks.iter().map(|chunk| chunk.writer.capacity()).collect();
        assert_eq!(capacities, [BLOCK, 2 * BLOCK]);
    }

    #[test]
    fn an_empty_range_has_no_slices_also_below_what_is_in_memory() {
        let mut tail = tail();
        assert!(tail.drop_first(12_000));
        assert_eq!(tail.slices(0..0).count(), 0);
    }

    #[test]
    fn a_range_is_read_across_chunks() {
        let tail = tail();
        let mut bytes = vec![9; 7_000];
        tail.copy_to(2_000..9_000, &mut bytes);
        let expected = (2_000..9_000).map(|place| u8::try_from(place / 3_000).unwrap());
        assert!(bytes.into_iter().eq(expected));
    }

    #[test]
    fn the_batch_at_a_place_is_found_near_the_end_and_far_from_it() {
        let tail = tail();
        let base = |mark: Option<Mark>| mark.map(|mark| mark.base.0);
        for place in 0..18_000 {
            let batch = i64::try_from(place / 3_000).unwrap();
            assert_eq!(base(tail.batch_at(place)), Some(batch), "{place}");
            assert_eq!(base(tail.last_through(place)), (batch > 0).then_some(batch - 1), "{place}");
        }
        assert_eq!((base(tail.batch_at(18_000)), base(tail.last_through(18_000))), (None, Some(5)));
    }

    #[test]
    fn only_what_is_persisted_is_dropped_and_a_batch_that_reaches_on_is_kept_in_mind() {
        let mut tail = tail();
        let first = tail.slices(0..18_000).next().unwrap().len() as u64;
        assert!(!tail.drop_first(first - 1));
        assert!(tail.drop_first(first));
        assert_eq!(tail.start(), first);
        let kept = tail.marks().front().copied().unwrap();
        assert!(kept.from < first && first < kept.to, "{kept:?}");
        assert_eq!(tail.find(Offset(0), Offset(6), 10, true), None, "it is in the file");
    }
}
