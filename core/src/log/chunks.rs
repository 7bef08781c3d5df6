//! Memory for the tails of a shard's logs. Chunks of the largest size, which all is written through under load, are used
//! again: a new one costs a pass over its memory, and page faults, before the first byte is in it.

use corelane_seam::{BLOCK, ChunkWriter};

/// Bytes of chunks that nobody uses.
const SPARE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Where chunks come from, and where they go.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// Size of the largest chunk, in bytes.
    max: usize,
    spare: Vec<ChunkWriter>,
    /// How many logs came to the largest size.
    firsts: u64,
}

impl Chunks {
    /// None to spare; chunks have up to `max` bytes.
    pub fn of(max: usize) -> Chunks {
        Chunks { max, spare: Vec::new(), firsts: 0 }
    }

    /// Size of the largest chunk, in bytes.
    pub fn max(&self) -> usize {
        self.max
    }

    /// From now on chunks have up to `max` bytes.
    pub fn limit(&mut self, max: usize) {
        if self.max != max {
            (self.max, self.spare) = (max, Vec::new());
        }
    }

    /// An empty chunk of `capacity` bytes, rounded up to whole blocks.
    pub fn take(&mut self, capacity: usize) -> ChunkWriter {
        let spare = if capacity == self.max { self.spare.pop() } else { None };
        spare.unwrap_or_else(|| ChunkWriter::with_capacity(capacity))
    }

    /// The first chunk of a log that would have the largest size. It is shorter, by another part for each log: logs that
    /// are written alike, as those of a topic without keys, would want memory, fill it, and go to disk all at the same
    /// moment for as long as they live.
    pub fn take_first(&mut self) -> ChunkWriter {
        // The golden ratio's multiples, cut off before the point, lie evenly however many there are.
        let part = self.firsts.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        self.firsts += 1;
        let blocks = (self.max / BLOCK) as u64;
        let blocks = usize::try_from((part * blocks) >> 32).expect("fewer than a chunk has");
        self.take((blocks + 1) * BLOCK)
    }

    /// Takes a chunk back that its log needs no more. One that is still read from goes when it has been read.
    pub fn give_back(&mut self, chunk: ChunkWriter) {
        let is_wanted = chunk.capacity() == self.max && self.spare.len() < SPARE_BYTES_MAX / self.max;
        if is_wanted && let Ok(chunk) = chunk.reclaim() {
            self.spare.push(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a chunk lies.
    fn address(chunk: &mut ChunkWriter) -> usize {
        chunk.append(b"x");
        chunk.slice(0..1).as_ptr().addr()
    }

    #[test]
    fn a_chunk_is_used_again_once_nobody_reads_it() {
        let mut chunks = Chunks::of(4 * BLOCK);
        let mut first = chunks.take(4 * BLOCK);
        let at = address(&mut first);
        chunks.give_back(first);
        let mut again = chunks.take(4 * BLOCK);
        assert!(again.is_empty());
        assert_eq!(address(&mut again), at);
        let read = again.slice(0..1);
        chunks.give_back(again);
        let mut other = chunks.take(4 * BLOCK);
        assert_ne!(address(&mut other), at);
        assert_eq!(&read[..], b"x");
    }

    #[test]
    fn what_is_kept_is_bounded_and_of_one_size() {
        let mut chunks = Chunks::of(SPARE_BYTES_MAX / 2);
        let taken: Vec<_> = (0..3).map(|_| chunks.take(SPARE_BYTES_MAX / 2)).collect();
        taken.into_iter().for_each(|chunk| chunks.give_back(chunk));
        chunks.give_back(ChunkWriter::with_capacity(BLOCK));
        assert_eq!(chunks.spare.len(), 2);
        chunks.limit(BLOCK);
        assert_eq!(chunks.take(BLOCK).capacity(), BLOCK);
        assert!(chunks.spare.is_empty());
    }
}
