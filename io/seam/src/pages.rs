//! Memory in huge pages, and chunks of one size cut from it.
//!
//! A direct write is handed to the disk in pieces, one for each stretch of physical memory: from pages of 4 KiB a write
//! of a megabyte is 256 pieces, more than many disks take in one request, and where each takes a place in the disk's
//! queue it is all of the queue. And memory that is given back and taken anew costs a page fault, and the zeroing of a
//! page, for every 4 KiB that are then written.

use crate::{ChunkWriter, chunk::Memory};
use crossbeam_queue::SegQueue;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::{alloc::Layout, fmt, ptr::NonNull, sync::Arc};

/// What the kernel maps at once where it can.
pub(crate) const HUGE_PAGE: usize = 2 * 1024 * 1024;

/// Zeroed memory, in huge pages where the kernel gives such.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    size: usize,
}

impl Mapping {
    /// Of `size` bytes, rounded up to whole huge pages, and aligned to these, all there. Takes a while. Aborts as `Vec`
    /// does when memory is exhausted.
    pub(crate) fn populated(size: usize) -> Mapping {
        let mapping = Mapping::new(size);
        // SAFETY: whole pages of this mapping, which advice does not change. That it fails (before Linux 5.14; or there are
        // no huge pages to give) leaves pages as they are, and to those who first write to them.
        unsafe {
            let start = mapping.start.as_ptr().cast();
            let _ = madvise(start, mapping.size, Advice::LinuxHugepage);
            let _ = madvise(start, mapping.size, Advice::LinuxPopulateWrite);
        }
        mapping
    }

    /// The same of what pages the kernel gives to whoever first writes to them.
    fn new(size: usize) -> Mapping {
        let size = size.next_multiple_of(HUGE_PAGE);
        let mapped = size + HUGE_PAGE;
        // SAFETY: a new mapping, at no place that was asked for.
        let whole = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                mapped,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        };
        let exhausted = || -> ! {
            std::alloc::handle_alloc_error(
                Layout::from_size_align(size, HUGE_PAGE).expect("far below isize::MAX"),
            )
        };
        let Ok(whole) = whole else { exhausted() };
        let before = whole.addr().next_multiple_of(HUGE_PAGE) - whole.addr();
        // SAFETY: all three lie in the mapping, which is this function's own, one behind the other; nobody has looked at
        // the first and the last.
        let start = unsafe {
            let start = whole.byte_add(before);
            let _ = (before > 0).then(|| munmap(whole, before));
            let _ = (before < HUGE_PAGE).then(|| munmap(start.byte_add(size), HUGE_PAGE - before));
            start
        };
        let Some(start) = NonNull::new(start.cast()) else { exhausted() };
        Mapping { start, size }
    }

    /// Its first byte.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

// SAFETY: it is memory, owned; who may read and write it is decided by who holds it.
unsafe impl Send for Mapping {}
// SAFETY: as above; it gives away addresses only.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size, and unmapped once, here. Nothing can be done about a failure.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.size) };
    }
}

/// A huge page for a [`ChunkPool`].
pub struct Page(Mapping);

impl Page {
    /// One that is there: nobody waits for the kernel who writes to it. Making it takes 0.1 ms, and in a virtual machine
    /// whose host has to find it, 5 ms: no work for a shard's thread.
    pub fn populated() -> Page {
        Page(Mapping::populated(HUGE_PAGE))
    }

    /// As much memory in pages of any size, which the kernel gives to who first writes to them. For tests and
    /// simulations.
    pub fn plain() -> Page {
        Page(Mapping::new(HUGE_PAGE))
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

/// Chunks of one size, cut from huge pages and used over and over. Pages go back to the kernel when the pool and all its
/// chunks are gone.
pub struct ChunkPool {
    pool: Arc<Pool>,
    pages: usize,
}

pub(crate) struct Pool {
    size: usize,
    free: SegQueue<NonNull<u8>>,
    /// Kept for the chunks.
    pages: SegQueue<Page>,
}

// SAFETY: what is free is nobody's memory until one thread takes it.
unsafe impl Send for Pool {}
// SAFETY: as above; both queues may be used by many threads.
unsafe impl Sync for Pool {}

impl Pool {
    /// Takes a chunk's memory back. Any thread may: it waits for none.
    pub(crate) fn give_back(&self, start: NonNull<u8>) {
        self.free.push(start);
    }
}

impl ChunkPool {
    /// Bytes of a page.
    pub const PAGE: usize = HUGE_PAGE;

    /// Of chunks of `size` bytes, without any.
    ///
    /// # Panics
    /// When that is not a part of a huge page that is a power of two, and at least a block.
    pub fn new(size: usize) -> ChunkPool {
        let is_part = size.is_power_of_two() && (crate::BLOCK..=HUGE_PAGE).contains(&size);
        assert!(is_part, "{size} bytes are no part of a huge page");
        ChunkPool { pool: Arc::new(Pool { size, free: SegQueue::new(), pages: SegQueue::new() }), pages: 0 }
    }

    /// Size of a chunk, in bytes.
    pub fn chunk_size(&self) -> usize {
        self.pool.size
    }

    /// How many pages it has.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Cuts a page into chunks.
    pub fn add(&mut self, page: Page) {
        let start = page.0.start();
        self.pool.pages.push(page);
        self.pages += 1;
        for offset in (0..HUGE_PAGE).step_by(self.pool.size) {
            // SAFETY: within the page, which lives as long as the pool.
            self.pool.free.push(unsafe { start.byte_add(offset) });
        }
    }

    /// An empty chunk, if one is free. It may hold what another one held before.
    pub fn take(&self) -> Option<ChunkWriter> {
        let start = self.pool.free.pop()?;
        Some(ChunkWriter::of(Memory::pooled(start, Arc::clone(&self.pool)), self.pool.size))
    }
}

impl fmt::Debug for ChunkPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ChunkPool({} of {} bytes free in {} pages)",
            self.pool.free.len(),
            self.pool.size,
            self.pages
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BLOCK;

    fn pool(size: usize, pages: usize) -> ChunkPool {
        let mut pool = ChunkPool::new(size);
        (0..pages).for_each(|_| pool.add(Page::populated()));
        pool
    }

    /// Where a chunk lies.
    fn address(chunk: &mut ChunkWriter) -> usize {
        chunk.append(b"x");
        chunk.slice(0..1).as_ptr().addr()
    }

    #[test]
    fn chunks_are_whole_parts_of_their_pages_and_do_not_overlap() {
        let pool = pool(HUGE_PAGE / 4, 2);
        let mut chunks: Vec<ChunkWriter> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!((chunks.len(), pool.pages()), (8, 2));
        for (number, chunk) in chunks.iter_mut().enumerate() {
            let number = u8::try_from(number).expect("few");
            chunk.append_with(HUGE_PAGE / 4, |space| {
                assert!(space.iter().all(|byte| *byte == 0), "a new page is zeroed");
                space.fill(number + 1);
            });
        }
        let mut pages: Vec<usize> = Vec::new();
        for (number, chunk) in chunks.iter().enumerate() {
            let all = chunk.slice(0..HUGE_PAGE / 4);
            assert!(all.is_aligned() && all.iter().all(|byte| usize::from(*byte) == number + 1));
            pages.push(all.as_ptr().addr() / HUGE_PAGE);
        }
        pages.dedup();
        assert_eq!(pages.len(), 2);
    }

    #[test]
    fn memory_is_used_again_when_nobody_reads_it_whoever_read_it_last() {
        let pool = pool(HUGE_PAGE, 1);
        let mut first = pool.take().expect("a page was added");
        let at = address(&mut first);
        let slice = first.slice(0..1);
        drop(first);
        assert!(pool.take().is_none(), "it is still read");
        std::thread::spawn(move || assert_eq!(&slice[..], b"x")).join().expect("it read");
        assert_eq!(pool.take().map(|mut chunk| address(&mut chunk)), Some(at));
    }

    #[test]
    fn a_chunk_outlives_its_pool() {
        let pool = pool(BLOCK, 1);
        let mut chunk = pool.take().expect("a page was added");
        drop(pool);
        chunk.append(&[7; BLOCK]);
        assert_eq!(chunk.slice(0..BLOCK)[..], [7; BLOCK]);
    }

    #[test]
    #[should_panic(expected = "no part of a huge page")]
    fn what_does_not_divide_a_page_is_no_chunk() {
        ChunkPool::new(3 * BLOCK);
    }
}
