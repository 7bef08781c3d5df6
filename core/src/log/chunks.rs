//! Memory for the tails of a shard's logs. Chunks of the largest size, which all is written through under load, are used
//! again: a new one costs a pass over its memory, and page faults, before the first byte is in it.

use corelane_seam::ChunkWriter;

/// Bytes of chunks that nobody uses.
const SPARE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Where chunks come from, and where they go.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// Size of the largest chunk, in bytes.
    max: usize,
    spare: Vec<ChunkWriter>,
}

impl Chunks {
    /// None to spare; chunks have up to `max` bytes.
    pub fn of(max: usize) -> Chunks {
        Chunks { max, spare: Vec::new() }
    }

    /// Size of the largest chunk, in bytes.
    pub fn max(&self) -> usize {
        self.max
    }

    /// From now on chunks have up to `max` bytes.
    pub fn limit(&mut self, max: usize) {
        if self.max != max {
            *self = Chunks::of(max);
        }
    }

    /// An empty chunk of `capacity` bytes, rounded up to whole blocks.
    pub fn take(&mut self, capacity: usize) -> ChunkWriter {
        let spare = if capacity == self.max { self.spare.pop() } else { None };
        spare.unwrap_or_else(|| ChunkWriter::with_capacity(capacity))
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
    use corelane_seam::BLOCK;

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
