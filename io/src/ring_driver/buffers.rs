//! Memory that the kernel puts received bytes into, of all connections of a shard: it takes a buffer when bytes are
//! there, so that a connection that is silent needs none.

use crate::uring::ring::Ring;
use io_uring::types::BufRingEntry;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::{
    io,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU16, Ordering},
};

/// How the ring calls the buffers.
pub(super) const GROUP: u16 = 0;
const BUFFERS: u16 = 512;
const BUFFER_BYTES: usize = 16 << 10;
/// Given to the kernel at first. It takes them in turn, so few that are used again and again stay in the CPU's caches.
const OFFERED_AT_FIRST: u16 = 64;

/// Whole pages of zeros, never written by the kernel beyond what was offered to it. Each is there from when it is first
/// used: what an allocator gives out aligned and zeroed it has written to, and an idle shard would own it all.
struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

impl Pages {
    fn new(bytes: usize) -> io::Result<Pages> {
        // SAFETY: new memory, where the kernel finds room.
        let start = unsafe {
            mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?
        };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Pages { start, bytes })
    }

    /// # Safety
    /// No one uses the memory any more, the kernel included.
    unsafe fn free(&self) {
        // SAFETY: these pages were mapped by `new`; the caller vouches for the rest.
        if let Err(error) = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) } {
            tracing::debug!(%error, "a shard's buffers are leaked");
        }
    }
}

/// The buffers of one shard. Leaked, unless they are [released](Self::release): the kernel may write into them for as
/// long as a receive is under way.
pub(super) struct Buffers {
    /// The queue in which buffers are offered to the kernel.
    queue: Pages,
    memory: Pages,
    /// Where the next one is offered.
    tail: u16,
    /// In the kernel's hands.
    offered: u16,
    /// How many shall be.
    wanted: u16,
    /// In ours. The one that was used last is offered next: its memory is warm.
    free: Vec<u16>,
}

impl Buffers {
    /// Makes them known to the ring.
    pub(super) fn register(ring: &Ring) -> io::Result<Buffers> {
        let queue = Pages::new(usize::from(BUFFERS) * size_of::<BufRingEntry>())?;
        let memory = Pages::new(usize::from(BUFFERS) * BUFFER_BYTES)?;
        let address = queue.start.as_ptr() as u64;
        // SAFETY: the queue has `BUFFERS` entries on whole pages, and lives until it is released, which unregisters it.
        let registered = unsafe { ring.submitter().register_buf_ring_with_flags(address, BUFFERS, GROUP, 0) };
        if let Err(error) = registered {
            // SAFETY: the kernel has refused the one and does not know of the other.
            unsafe {
                queue.free();
                memory.free();
            }
            return Err(error);
        }
        let free = (0..BUFFERS).rev().collect();
        let mut buffers = Buffers { queue, memory, tail: 0, offered: 0, wanted: OFFERED_AT_FIRST, free };
        buffers.offer();
        Ok(buffers)
    }

    /// The first `len` bytes of a buffer that the kernel has filled, and the buffer back.
    pub(super) fn take(&mut self, buffer: u16, len: usize) -> &[u8] {
        debug_assert!(len <= BUFFER_BYTES && buffer < BUFFERS && self.offered > 0);
        let len = len.min(BUFFER_BYTES);
        self.offered -= 1;
        self.free.push(buffer);
        // SAFETY: the kernel takes each of our buffers only after it was offered, and not again before the next `offer`,
        // which the borrow of the slice forbids. All memory was zeroed, so it is initialised.
        unsafe {
            let start = self.memory.start.as_ptr().add(usize::from(buffer) * BUFFER_BYTES);
            std::slice::from_raw_parts(start, len)
        }
    }

    /// The kernel wanted a buffer and found none: from now on it gets more, as far as there are more.
    pub(super) fn exhausted(&mut self) {
        self.wanted = self.wanted.saturating_mul(2).min(BUFFERS);
    }

    /// How many connections may safely be received from at once.
    pub(super) fn wanted(&self) -> usize {
        usize::from(self.wanted)
    }

    /// Offers to the kernel what it may have again.
    pub(super) fn offer(&mut self) {
        if self.offered >= self.wanted {
            return;
        }
        let entries: *mut BufRingEntry = self.queue.start.as_ptr().cast();
        while self.offered < self.wanted {
            let Some(buffer) = self.free.pop() else { break };
            let place = usize::from(self.tail & (BUFFERS - 1));
            // SAFETY: the place is one of the queue's; the kernel reads it only when the tail has moved past it, and has
            // done with it as no more than `BUFFERS` are offered. The buffer lies within the memory.
            unsafe {
                let entry = &mut *entries.add(place);
                entry.set_addr(self.memory.start.as_ptr().add(usize::from(buffer) * BUFFER_BYTES) as u64);
                entry.set_len(BUFFER_BYTES as u32);
                entry.set_bid(buffer);
            }
            self.tail = self.tail.wrapping_add(1);
            self.offered += 1;
        }
        // SAFETY: `entries` is the first entry, where the kernel looks for the tail, aligned as a u16; no reference to the
        // entry is alive.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// Gives the memory back.
    ///
    /// # Safety
    /// No receive is under way.
    pub(super) unsafe fn release(self, ring: &Ring) {
        match ring.submitter().unregister_buf_ring(GROUP) {
            // SAFETY: no receive is under way, and none that could begin would find a buffer.
            Ok(()) => unsafe {
                self.queue.free();
                self.memory.free();
            },
            Err(error) => tracing::debug!(%error, "a shard's buffers are leaked"),
        }
    }
}

// Power of two: places are found by a mask.
const _: () = assert!(BUFFERS.is_power_of_two() && OFFERED_AT_FIRST <= BUFFERS);

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of it that are in memory.
    fn resident(pages: &Pages) -> usize {
        let mut each = vec![0_u8; pages.bytes / 4096];
        // SAFETY: the range is mapped, and there is a byte for each of its pages.
        let told = unsafe { libc::mincore(pages.start.as_ptr().cast(), pages.bytes, each.as_mut_ptr()) };
        assert_eq!(told, 0, "{}", io::Error::last_os_error());
        each.iter().filter(|page| **page & 1 == 1).count()
    }

    #[test]
    fn buffers_that_were_never_used_take_no_memory() {
        let pages = Pages::new(usize::from(BUFFERS) * BUFFER_BYTES).expect("mapped");
        assert_eq!(resident(&pages), 0);
        // SAFETY: the first byte is ours alone.
        unsafe { pages.start.write(1) };
        assert!((1..=512).contains(&resident(&pages)), "a page, or a large one");
        // SAFETY: no one else knows of it.
        unsafe { pages.free() };
    }
}
