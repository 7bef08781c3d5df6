//! Aligned memory with one writer and any number of readers of what is already written.
//!
//! The log's tail and the journal's groups are both of this shape: bytes are appended once, may be patched only
//! while they are being appended, and are then read by sockets and by the disk without a copy and without a lock.

use crate::pages::{Mapping, Pool};
use std::{
    alloc::{self, Layout},
    fmt,
    ops::{Deref, Range},
    ptr::NonNull,
    sync::Arc,
};

/// Alignment and granule of direct I/O. Devices report less; 4 KiB is right for all of them (and for the page cache).
pub const BLOCK: usize = 4096;

/// Who gets the memory back.
enum Owner {
    /// The allocator.
    Heap(Layout),
    /// The kernel, when it is dropped.
    Pages {
        _mapping: Mapping,
    },
    Pool(Arc<Pool>),
}

pub(crate) struct Memory {
    start: NonNull<u8>,
    owner: Owner,
}

impl Memory {
    /// `size` zeroed bytes.
    fn zeroed(size: usize) -> Memory {
        let layout = Layout::from_size_align(size, BLOCK).expect("size is far below isize::MAX");
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc::alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(layout) };
        Memory { start, owner: Owner::Heap(layout) }
    }

    /// `size` zeroed bytes and what else is in their pages, which are huge where the kernel gives such.
    fn in_huge_pages(size: usize) -> Memory {
        let mapping = Mapping::populated(size);
        Memory { start: mapping.start(), owner: Owner::Pages { _mapping: mapping } }
    }

    /// Of a pool, which no one else was given.
    pub(crate) fn pooled(start: NonNull<u8>, pool: Arc<Pool>) -> Memory {
        Memory { start, owner: Owner::Pool(pool) }
    }
}

// SAFETY: the memory is written only through the one `ChunkWriter` (beyond what any `Slice` covers) and read only
// through `Slice`s (which cover written bytes that never change again), so sharing it between threads races on nothing.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        match &self.owner {
            // SAFETY: `start` was allocated with this very layout and is freed once, here.
            Owner::Heap(layout) => unsafe { alloc::dealloc(self.start.as_ptr(), *layout) },
            Owner::Pages { .. } => {}
            Owner::Pool(pool) => pool.give_back(self.start),
        }
    }
}

/// The writing end of a chunk. Not `Clone`: there is one.
pub struct ChunkWriter {
    memory: Arc<Memory>,
    capacity: usize,
    written: usize,
}

impl ChunkWriter {
    /// A zeroed chunk of `capacity` bytes, rounded up to whole blocks, aligned to [`BLOCK`].
    ///
    /// # Panics
    /// When `capacity` is 0; aborts as `Vec` does when memory is exhausted.
    pub fn with_capacity(capacity: usize) -> ChunkWriter {
        ChunkWriter::on(capacity, Memory::zeroed)
    }

    /// The same in huge pages, where the kernel has some: for large chunks that are written to the disk over and over. It
    /// takes up to 2 MiB more memory than was asked for, and time.
    ///
    /// # Panics
    /// As [`with_capacity`](Self::with_capacity).
    pub fn in_huge_pages(capacity: usize) -> ChunkWriter {
        ChunkWriter::on(capacity, Memory::in_huge_pages)
    }

    fn on(capacity: usize, memory: fn(usize) -> Memory) -> ChunkWriter {
        assert!(capacity > 0, "a chunk of no bytes");
        let capacity = capacity.div_ceil(BLOCK) * BLOCK;
        ChunkWriter::of(memory(capacity), capacity)
    }

    /// On memory of `capacity` bytes, all initialised.
    pub(crate) fn of(memory: Memory, capacity: usize) -> ChunkWriter {
        ChunkWriter { memory: Arc::new(memory), capacity, written: 0 }
    }

    /// Bytes that fit in all.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.written
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Bytes that still fit.
    pub fn remaining(&self) -> usize {
        self.capacity() - self.written
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// When they do not fit; ask [`remaining`](Self::remaining) first.
    pub fn append(&mut self, bytes: &[u8]) {
        self.append_with(bytes.len(), |space| space.copy_from_slice(bytes));
    }

    /// Appends `len` bytes that `fill` writes in place. What `fill` leaves alone holds zeros, or, in a chunk that
    /// was [reclaimed](Self::reclaim) or is of a [pool](crate::ChunkPool), whatever stood there before.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn append_with<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        assert!(len <= self.remaining(), "{len} bytes do not fit in {}", self.remaining());
        // SAFETY: `written..written + len` lies inside the allocation, is initialised (it was zeroed), and no `Slice`
        // reaches beyond `written`; `&mut self` makes this the only writer.
        let space =
            unsafe { std::slice::from_raw_parts_mut(self.memory.start.as_ptr().add(self.written), len) };
        let result = fill(space);
        self.written += len;
        result
    }

    /// Fills with zeros up to the next whole block.
    pub fn pad_to_block(&mut self) {
        let pad = self.written.next_multiple_of(BLOCK) - self.written;
        self.append_with(pad, |space| space.fill(0));
    }

    /// A view of bytes that are already written.
    ///
    /// # Panics
    /// When the range reaches beyond them.
    pub fn slice(&self, range: Range<usize>) -> Slice {
        assert!(
            range.start <= range.end && range.end <= self.written,
            "{range:?} of {} written",
            self.written
        );
        Slice { memory: Arc::clone(&self.memory), start: range.start, len: range.end - range.start }
    }

    /// Starts over with the same memory if no [`Slice`] of it is alive any more, else gives the writer back.
    pub fn reclaim(mut self) -> Result<ChunkWriter, ChunkWriter> {
        if Arc::get_mut(&mut self.memory).is_some() {
            self.written = 0;
            Ok(self)
        } else {
            Err(self)
        }
    }
}

impl fmt::Debug for ChunkWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkWriter({} of {})", self.written, self.capacity())
    }
}

/// A shared view of written, unchanging bytes. Cheap to clone; keeps its chunk alive.
#[derive(Clone)]
pub struct Slice {
    memory: Arc<Memory>,
    start: usize,
    len: usize,
}

impl Slice {
    /// Copies `bytes` into a chunk of its own.
    pub fn copy_from(bytes: &[u8]) -> Slice {
        let mut chunk = ChunkWriter::with_capacity(bytes.len().max(1));
        chunk.append(bytes);
        chunk.slice(0..bytes.len())
    }

    /// A part of this view.
    ///
    /// # Panics
    /// When the range reaches beyond it.
    pub fn slice(&self, range: Range<usize>) -> Slice {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        Slice {
            memory: Arc::clone(&self.memory),
            start: self.start + range.start,
            len: range.end - range.start,
        }
    }

    /// Whether start and length are whole blocks, as a direct write demands.
    pub fn is_aligned(&self) -> bool {
        self.start.is_multiple_of(BLOCK) && self.len.is_multiple_of(BLOCK)
    }
}

impl Deref for Slice {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the range was checked against the written part when the view was made; written bytes stay put and
        // unchanged until every view is gone (`reclaim` demands that).
        unsafe { std::slice::from_raw_parts(self.memory.start.as_ptr().add(self.start), self.len) }
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({}+{})", self.start, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::HUGE_PAGE;

    #[test]
    fn a_slice_keeps_its_bytes_while_the_writer_appends_behind_it() {
        let mut chunk = ChunkWriter::with_capacity(10);
        assert_eq!(chunk.capacity(), BLOCK);
        chunk.append(b"abc");
        let early = chunk.slice(0..3);
        chunk.append_with(3, |space| {
            assert_eq!(space, [0, 0, 0]);
            space.copy_from_slice(b"def");
        });
        assert_eq!((&early[..], &chunk.slice(1..6)[..]), (&b"abc"[..], &b"bcdef"[..]));
        assert_eq!(&early.slice(1..2)[..], b"b");
    }

    #[test]
    fn memory_is_reclaimed_only_when_no_slice_is_left() {
        let mut chunk = ChunkWriter::with_capacity(BLOCK);
        chunk.append(b"abc");
        let slice = chunk.slice(0..3);
        let chunk = chunk.reclaim().expect_err("a slice is alive");
        assert_eq!(&slice[..], b"abc");
        drop(slice);
        let chunk = chunk.reclaim().expect("no slice is alive");
        assert!(chunk.is_empty());
    }

    #[test]
    fn padding_fills_the_block_with_zeros_even_in_reclaimed_memory() {
        let mut chunk = ChunkWriter::with_capacity(BLOCK);
        chunk.append(&[7; BLOCK]);
        let mut chunk = chunk.reclaim().expect("no slice is alive");
        chunk.append(&[1]);
        chunk.pad_to_block();
        let block = chunk.slice(0..BLOCK);
        assert!(block.is_aligned());
        assert_eq!((block[0], block[1..].iter().all(|byte| *byte == 0)), (1, true));
    }

    #[test]
    fn a_chunk_in_huge_pages_begins_one_and_holds_what_was_asked_for_and_zeros() {
        let mut chunk = ChunkWriter::in_huge_pages(HUGE_PAGE / 2 + 1);
        let capacity = HUGE_PAGE / 2 + BLOCK;
        assert_eq!(chunk.capacity(), capacity);
        chunk.append_with(capacity, |space| assert!(space.iter().all(|byte| *byte == 0)));
        let all = chunk.slice(0..capacity);
        assert!(all.as_ptr().addr().is_multiple_of(HUGE_PAGE) && all.is_aligned());
    }

    #[test]
    #[should_panic(expected = "of 3 written")]
    fn a_slice_beyond_what_is_written_is_a_bug() {
        let mut chunk = ChunkWriter::with_capacity(BLOCK);
        chunk.append(b"abc");
        chunk.slice(0..4);
    }
}
