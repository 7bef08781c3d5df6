//! Which blocks of the journal may be written again.
//!
//! Groups stand one behind the other and wrap at the end of the file. A group is *pinned* by every partition whose
//! bytes in it are not yet in a flushed segment. The low mark is the first pinned group. It frees blocks only once a
//! flushed group says so: if the blocks behind the low mark were overwritten before, and the overwriting group were
//! torn, recovery would miss groups that no group said are unneeded.

use corelane_seam::BLOCK;
use std::collections::VecDeque;

const BLOCK_BYTES: u64 = BLOCK as u64;

/// One group of the ring.
#[derive(Debug)]
struct GroupPlace {
    offset: u64,
    /// Padded to whole blocks.
    bytes: u64,
    pins: u32,
    flushed: bool,
    /// The low mark that the group's header states.
    states_low: u64,
}

/// The ring's bookkeeping. Group numbers and byte offsets only; the bytes are elsewhere.
#[derive(Debug)]
pub(crate) struct Ring {
    size: u64,
    /// Where the next group goes.
    head: u64,
    /// Number of the first group in `groups`, whose blocks are the first that may not be written again.
    first: u64,
    groups: VecDeque<GroupPlace>,
    /// Number of the first group that is pinned or unflushed.
    low: u64,
}

impl Ring {
    /// Of a file of `size` zeroed bytes.
    pub fn new(size: u64) -> Ring {
        Ring { size, head: 0, first: 0, groups: VecDeque::new(), low: 0 }
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file grew.
    pub fn grow(&mut self, size: u64) {
        assert!(size >= self.size, "a journal never shrinks");
        self.size = size;
    }

    /// Number that the next group gets.
    pub fn next_number(&self) -> u64 {
        self.first + self.groups.len() as u64
    }

    /// The first group that is still needed (or not flushed), for the next header to state.
    pub fn low(&self) -> u64 {
        self.low
    }

    /// Whether stating the low mark in a flushed group would free blocks.
    pub fn low_is_ahead(&self) -> bool {
        self.low > self.first
    }

    /// Bytes from the first block that may not be written again to the head, the skipped end included.
    pub fn used(&self) -> u64 {
        match self.groups.front() {
            None => 0,
            Some(front) if self.head > front.offset => self.head - front.offset,
            Some(front) => self.size - front.offset + self.head,
        }
    }

    /// Where a group of at most `wanted` bytes could go: offset and contiguous bytes there (whole blocks). The
    /// end of the file is skipped when less than `least` is left there. `None` when `least` fits nowhere, always
    /// leaving `reserve` bytes free.
    pub fn place(&self, wanted: u64, least: u64, reserve: u64) -> Option<(u64, u64)> {
        let (wanted, least) = (wanted.next_multiple_of(BLOCK_BYTES), least.next_multiple_of(BLOCK_BYTES));
        let Some(front) = self.groups.front() else {
            return (least + reserve <= self.size).then(|| (0, wanted.min(self.size)));
        };
        let budget = (self.size - self.used()).saturating_sub(reserve);
        if self.head <= front.offset {
            // Also the full ring: then nothing is left.
            let here = (front.offset - self.head).min(budget);
            return (least <= here).then(|| (self.head, wanted.min(here)));
        }
        let here = (self.size - self.head).min(budget);
        if least <= here {
            return Some((self.head, wanted.min(here)));
        }
        let skipped = self.size - self.head;
        let there = front.offset.min(budget.saturating_sub(skipped));
        (least <= there).then(|| (0, wanted.min(there)))
    }

    /// Notes a group of `bytes` (whole blocks) at `offset`, as [`place`](Self::place) gave it, pinned so often.
    /// Gives its number.
    pub fn push(&mut self, offset: u64, bytes: u64, states_low: u64, pins: u32) -> u64 {
        assert!(bytes.is_multiple_of(BLOCK_BYTES) && offset + bytes <= self.size, "whole blocks of the file");
        let number = self.next_number();
        self.groups.push_back(GroupPlace { offset, bytes, pins, flushed: false, states_low });
        self.head = offset + bytes;
        number
    }

    /// All groups up to and with `number` are on stable storage.
    pub fn flushed(&mut self, number: u64) {
        let mut frees_below = self.first;
        let count = usize::try_from(number + 1 - self.first).expect("groups in memory");
        for group in self.groups.iter_mut().take(count).rev().take_while(|group| !group.flushed) {
            group.flushed = true;
            frees_below = frees_below.max(group.states_low);
        }
        while self.first < frees_below {
            let freed = self.groups.pop_front().expect("a stated low mark is below its group");
            assert!(freed.pins == 0 && freed.flushed, "only unneeded groups are below the low mark");
            self.first += 1;
        }
        self.move_low();
    }

    /// One more pin, of a log that recovery carried into group `number`.
    pub fn hold(&mut self, number: u64) {
        self.group_mut(number).pins += 1;
    }

    /// Takes a pin off group `number`.
    pub fn release(&mut self, number: u64) {
        let group = self.group_mut(number);
        group.pins = group.pins.checked_sub(1).expect("a pin is released once");
        self.move_low();
    }

    fn group_mut(&mut self, number: u64) -> &mut GroupPlace {
        let index = usize::try_from(number - self.first).expect("groups in memory");
        self.groups.get_mut(index).expect("a pinned group is in the ring")
    }

    fn move_low(&mut self) {
        while let Some(group) = self.groups.get(usize::try_from(self.low - self.first).unwrap_or(usize::MAX))
        {
            if group.pins > 0 || !group.flushed {
                break;
            }
            self.low += 1;
        }
    }

    /// A bug on purpose ([`Fault::ReuseNeededBlocks`](crate::log::Fault)): forgets all flushed groups' pins.
    pub fn forget_pins(&mut self) {
        for group in &mut self.groups {
            group.pins = 0;
        }
        self.move_low();
    }

    /// Panics when the ring contradicts itself.
    pub fn check(&self) {
        assert!(self.first <= self.low && self.low <= self.next_number(), "low mark within the ring");
        assert!(self.used() <= self.size, "no more used than there is");
        let mut bytes = 0;
        for (index, group) in self.groups.iter().enumerate() {
            bytes += group.bytes;
            assert!(group.states_low <= self.first + index as u64, "a group states a mark below itself");
        }
        assert!(bytes <= self.used(), "groups do not overlap");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCKS: u64 = BLOCK_BYTES;

    #[test]
    fn a_pinned_group_is_never_placed_over() {
        let mut ring = Ring::new(4 * BLOCKS);
        let first = ring.push(0, 2 * BLOCKS, 0, 1);
        ring.flushed(first);
        let (offset, bytes) = ring.place(4 * BLOCKS, BLOCKS, 0).unwrap();
        assert_eq!((offset, bytes), (2 * BLOCKS, 2 * BLOCKS));
        let second = ring.push(offset, bytes, ring.low(), 1);
        ring.flushed(second);
        assert_eq!(ring.place(BLOCKS, BLOCKS, 0), None);
        ring.release(first);
        ring.check();
        assert!(ring.low_is_ahead());
        assert_eq!(ring.place(BLOCKS, BLOCKS, 0), None, "free only when a flushed group says so");
    }

    #[test]
    fn blocks_are_free_once_a_flushed_group_states_the_low_mark() {
        let mut ring = Ring::new(4 * BLOCKS);
        let first = ring.push(0, 3 * BLOCKS, 0, 1);
        ring.flushed(first);
        ring.release(first);
        let mark = ring.push(3 * BLOCKS, BLOCKS, ring.low(), 0);
        assert_eq!(ring.place(BLOCKS, BLOCKS, 0), None);
        ring.flushed(mark);
        assert_eq!(ring.place(9 * BLOCKS, BLOCKS, 0), Some((0, 3 * BLOCKS)));
        assert_eq!(ring.place(9 * BLOCKS, BLOCKS, 2 * BLOCKS), Some((0, BLOCKS)));
    }

    proptest! {
        /// Whatever is placed, flushed and released in whatever order: no two live groups share a block.
        #[test]
        fn live_groups_never_overlap(steps in prop::collection::vec((0u8..4, 1u64..6, 0usize..8), 1..200)) {
            let mut ring = Ring::new(16 * BLOCKS);
            let mut pinned: Vec<u64> = Vec::new();
            for (what, blocks, which) in steps {
                match what {
                    0 | 1 => if let Some((offset, bytes)) = ring.place(blocks * BLOCKS, BLOCKS, 0) {
                        for group in &ring.groups {
                            prop_assert!(offset + bytes <= group.offset || group.offset + group.bytes <= offset);
                        }
                        let low = ring.low();
                        pinned.push(ring.push(offset, bytes, low, 1));
                    },
                    2 => if ring.next_number() > ring.first {
                        ring.flushed(ring.next_number() - 1);
                    },
                    _ => if !pinned.is_empty() {
                        ring.release(pinned.remove(which % pinned.len()));
                    },
                }
                ring.check();
            }
        }
    }
}
