//! Memory for the tails of a shard's logs. Chunks of the largest size, which all is written through under load, lie on huge
//! pages, as far as there are some: a shard asks for a page when it would have used one, and does not wait for it.

use corelane_seam::{BLOCK, ChunkPool, ChunkWriter, Page};

/// Where chunks come from.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// Of the largest.
    pool: ChunkPool,
    /// One of these was wanted when none was free.
    is_short: bool,
    /// How many logs came to the largest size.
    firsts: u64,
}

impl Chunks {
    /// Chunks have up to `max` bytes, a power of two.
    pub fn of(max: usize) -> Chunks {
        Chunks { pool: ChunkPool::new(max), is_short: false, firsts: 0 }
    }

    /// Size of the largest chunk, in bytes.
    pub fn max(&self) -> usize {
        self.pool.chunk_size()
    }

    /// From now on chunks have up to `max` bytes, rounded down to a power of two.
    pub fn limit(&mut self, max: usize) {
        let max = 1 << max.ilog2();
        if self.max() != max {
            self.pool = ChunkPool::new(max);
        }
    }

    /// An empty chunk of `capacity` bytes, rounded up to whole blocks.
    pub fn take(&mut self, capacity: usize) -> ChunkWriter {
        let pooled = (capacity == self.max()).then(|| self.pool.take());
        self.is_short |= matches!(pooled, Some(None));
        pooled.flatten().unwrap_or_else(|| ChunkWriter::with_capacity(capacity))
    }

    /// Whether a page was missed since this was last asked, and all pages together would not be more than `bytes`.
    pub fn wants_page(&mut self, bytes: usize) -> bool {
        let has_room = (self.pool.pages() + 1) * ChunkPool::PAGE <= bytes;
        std::mem::take(&mut self.is_short) && has_room
    }

    /// A page came.
    pub fn add(&mut self, page: Page) {
        self.pool.add(page);
    }

    /// The first chunk of a log that would have the largest size. It is shorter, by another part for each log: logs that
    /// are written alike, as those of a topic without keys, would want memory, fill it, and go to disk all at the same
    /// moment for as long as they live.
    pub fn take_first(&mut self) -> ChunkWriter {
        // The golden ratio's multiples, cut off before the point, lie evenly however many there are.
        let part = self.firsts.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        self.firsts += 1;
        let blocks = (self.max() / BLOCK) as u64;
        let blocks = usize::try_from((part * blocks) >> 32).expect("fewer than a chunk has");
        self.take((blocks + 1) * BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_chunks_come_from_pages_and_a_page_is_wanted_for_each_that_did_not() {
        let mut chunks = Chunks::of(ChunkPool::PAGE / 2);
        let small = chunks.take(BLOCK);
        assert!(!chunks.wants_page(usize::MAX), "that was none of the largest");
        let outside = chunks.take(chunks.max());
        assert!(chunks.wants_page(usize::MAX) && !chunks.wants_page(usize::MAX));
        chunks.add(Page::plain());
        let inside = [chunks.take(chunks.max()), chunks.take(chunks.max())];
        assert!(!chunks.wants_page(usize::MAX));
        drop((small, outside, inside));
        drop([chunks.take(chunks.max()), chunks.take(chunks.max())]);
        assert!(!chunks.wants_page(usize::MAX), "these were there again");
    }

    #[test]
    fn pages_are_bounded() {
        let mut chunks = Chunks::of(ChunkPool::PAGE);
        chunks.add(Page::plain());
        let taken = [chunks.take(chunks.max()), chunks.take(chunks.max())];
        assert!(!chunks.wants_page(2 * ChunkPool::PAGE - 1));
        drop(taken);
    }

    #[test]
    fn a_limit_holds_for_what_is_taken_from_then_on() {
        let mut chunks = Chunks::of(16 * BLOCK);
        let large = chunks.take(16 * BLOCK);
        chunks.limit(7 * BLOCK);
        assert_eq!((large.capacity(), chunks.max()), (16 * BLOCK, 4 * BLOCK));
        assert_eq!(chunks.take(chunks.max()).capacity(), 4 * BLOCK);
    }

    #[test]
    fn first_chunks_of_the_largest_size_have_every_length_there_is() {
        let mut chunks = Chunks::of(16 * BLOCK);
        let mut lengths: Vec<usize> = (0..64).map(|_| chunks.take_first().capacity() / BLOCK).collect();
        lengths.sort_unstable();
        lengths.dedup();
        assert_eq!(lengths, (1..=16).collect::<Vec<_>>());
    }
}
