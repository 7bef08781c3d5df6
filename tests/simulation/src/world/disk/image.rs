//! The bytes of one file: as the page cache shows them, as they would be found after a power cut, and what lies
//! between the two.

use crate::rng::Rng;
use corelane_seam::BLOCK;
use std::{collections::BTreeMap, sync::Arc};

const BLOCK_BYTES: u64 = BLOCK as u64;

/// Sparse bytes: what was never written reads as zeros and takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    len: u64,
    blocks: BTreeMap<u64, Arc<[u8; BLOCK]>>,
}

impl Image {
    /// In bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Writes, extending when needed.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        for (place, part) in blocks_of(offset, data) {
            let block = self.blocks.entry(place / BLOCK_BYTES).or_insert_with(|| Arc::new([0; BLOCK]));
            let start = usize::try_from(place % BLOCK_BYTES).expect("below BLOCK");
            Arc::make_mut(block)[start..start + part.len()].copy_from_slice(part);
        }
        self.len = self.len.max(offset + data.len() as u64);
    }

    /// Fills `buffer` from `offset`; returns how many bytes there were.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let available = self.len.saturating_sub(offset).min(buffer.len() as u64);
        let count = usize::try_from(available).expect("at most the buffer's length");
        let mut done = 0;
        while done < count {
            let place = offset + done as u64;
            let start = usize::try_from(place % BLOCK_BYTES).expect("below BLOCK");
            let part = (BLOCK - start).min(count - done);
            match self.blocks.get(&(place / BLOCK_BYTES)) {
                Some(block) => buffer[done..done + part].copy_from_slice(&block[start..start + part]),
                None => buffer[done..done + part].fill(0),
            }
            done += part;
        }
        count
    }

    /// Everything.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).expect("a simulated file fits in memory")];
        self.read(0, &mut bytes);
        bytes
    }

    /// Cuts or extends with zeros.
    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.blocks.split_off(&len.div_ceil(BLOCK_BYTES));
            let tail = usize::try_from(len % BLOCK_BYTES).expect("below BLOCK");
            if tail > 0
                && let Some(block) = self.blocks.get_mut(&(len / BLOCK_BYTES))
            {
                Arc::make_mut(block)[tail..].fill(0);
            }
        }
        self.len = len;
    }

    /// Zeroes a range, extending when needed.
    pub fn zero(&mut self, offset: u64, len: u64) {
        let end = offset + len;
        let mut place = offset;
        while place < end {
            let start = usize::try_from(place % BLOCK_BYTES).expect("below BLOCK");
            let part = (BLOCK_BYTES - place % BLOCK_BYTES).min(end - place);
            if part == BLOCK_BYTES {
                self.blocks.remove(&(place / BLOCK_BYTES));
            } else if let Some(block) = self.blocks.get_mut(&(place / BLOCK_BYTES)) {
                let part = usize::try_from(part).expect("below BLOCK");
                Arc::make_mut(block)[start..start + part].fill(0);
            }
            place += part;
        }
        self.len = self.len.max(end);
    }
}

/// Cuts `data` at block bounds of the file: the pieces that a device writes wholly or not at all.
fn blocks_of(offset: u64, data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == data.len() {
            return None;
        }
        let place = offset + done as u64;
        let room = usize::try_from(BLOCK_BYTES - place % BLOCK_BYTES).expect("at most BLOCK");
        let part = &data[done..data.len().min(done + room)];
        done += part.len();
        Some((place, part))
    })
}

/// A change that the page cache shows and the medium may not have.
#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, data: Vec<u8> },
    SetLength(u64),
    Lengthen(u64),
}

/// How much of one unflushed write the medium kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Survival {
    None,
    Subset,
    All,
}

fn draw_survival(rng: &mut Rng) -> Survival {
    match rng.below(3) {
        0 => Survival::None,
        1 => Survival::Subset,
        _ => Survival::All,
    }
}

/// One file.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    live: Image,
    durable: Image,
    /// In the order in which they completed, each with its number.
    unflushed: Vec<(u64, Change)>,
    /// Blocks that a failed flush left clean in the page cache, whatever the medium took of them; and whether the
    /// cache will have dropped the block before someone writes to it.
    lost: BTreeMap<u64, bool>,
    changes: u64,
    allocated: u64,
}

impl Contents {
    /// As every reader of this machine sees it.
    pub fn live(&self) -> &Image {
        &self.live
    }

    /// What a power cut cannot take.
    pub fn durable(&self) -> &Image {
        &self.durable
    }

    /// Bytes that the file occupies, in whole blocks.
    pub fn occupied(&self) -> u64 {
        self.live.len.max(self.allocated).next_multiple_of(BLOCK_BYTES)
    }

    /// A write that completed. The page cache marks whole blocks, so what a failed flush lost of a block is written
    /// again with what is written to it next; unless the cache dropped the block before and reads it from the medium.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let mut end = offset + data.len() as u64;
        let touched = offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES);
        let lost: Vec<(u64, bool)> =
            self.lost.range(touched).map(|(block, drops)| (*block, *drops)).collect();
        let mut start = offset;
        for (block, drops) in lost {
            self.lost.remove(&block);
            if drops {
                self.reload(block);
            } else {
                start = start.min(block * BLOCK_BYTES);
                end = end.max(self.live.len.min((block + 1) * BLOCK_BYTES));
            }
        }
        self.live.write(offset, data);
        let mut written = vec![0; usize::try_from(end - start).expect("hardly more than the data")];
        self.live.read(start, &mut written);
        self.note(Change::Write { offset: start, data: written });
    }

    /// Shows of a block what the medium holds. The file's length is not the cache's to forget.
    fn reload(&mut self, block: u64) {
        let start = block * BLOCK_BYTES;
        let len = self.live.len.saturating_sub(start).min(BLOCK_BYTES);
        let mut bytes = vec![0; usize::try_from(len).expect("a block")];
        self.durable.read(start, &mut bytes);
        self.live.write(start, &bytes);
    }

    /// A write of which some blocks went through before it failed, or before its process died.
    pub fn write_subset(&mut self, offset: u64, data: &[u8], rng: &mut Rng) {
        for (place, part) in blocks_of(offset, data) {
            if rng.below(2) == 0 {
                self.write(place, part);
            }
        }
    }

    /// Cuts or extends; as a write, not durable before a flush.
    pub fn set_len(&mut self, len: u64) {
        self.live.set_len(len);
        self.allocated = self.allocated.min(len);
        self.note(Change::SetLength(len));
    }

    /// Reserves room; the length stays (`FALLOC_FL_KEEP_SIZE`).
    pub fn allocate(&mut self, end: u64) {
        self.allocated = self.allocated.max(end);
    }

    /// Reserves room and makes the file as long as that; as a write, not durable before a flush.
    pub fn lengthen(&mut self, end: u64) {
        self.allocate(end);
        self.live.set_len(self.live.len.max(end));
        self.note(Change::Lengthen(end));
    }

    /// Zeroes a range durably: zeros written, then a flush, which covers whatever was written before.
    pub fn zero(&mut self, offset: u64, len: u64) {
        self.live.zero(offset, len);
        self.flush(self.changes);
        self.durable.zero(offset, len);
        self.allocate(offset + len);
    }

    /// Replaces everything, durably (the new file behind a rename).
    pub fn durable_from(data: &[u8]) -> Contents {
        let mut image = Image::default();
        image.write(0, data);
        Contents { live: image.clone(), durable: image, ..Contents::default() }
    }

    /// The number of the last change: what a flush that is asked for now covers.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Makes every change up to `covered` durable.
    pub fn flush(&mut self, covered: u64) {
        let kept = self.unflushed.partition_point(|(number, _)| *number <= covered);
        for (_, change) in self.unflushed.drain(..kept) {
            apply(&mut self.durable, &change);
        }
    }

    /// A failed fdatasync: the kernel marks the pages clean although some never reached the medium, so later flushes
    /// do not cover them either, while the cache goes on showing them.
    pub fn flush_failed(&mut self, rng: &mut Rng) {
        for (_, change) in std::mem::take(&mut self.unflushed) {
            survive(&mut self.durable, &change, rng);
            if let Change::Write { offset, data } = change {
                let end = offset + data.len() as u64;
                let blocks = offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES);
                self.lost.extend(blocks.map(|block| (block, rng.below(2) == 0)));
            }
        }
    }

    /// Whether the range could look different after a power cut.
    pub fn is_unflushed(&self, offset: u64, len: u64) -> bool {
        self.durable.len < self.live.len.min(offset + len)
            || self.unflushed.iter().any(|(_, change)| match change {
                Change::Write { offset: start, data } => {
                    *start < offset + len && offset < start + data.len() as u64
                }
                Change::SetLength(cut) => *cut < offset + len,
                Change::Lengthen(_) => false,
            })
    }

    /// The power goes: of each unflushed change survives all, some blocks, or nothing; of a grown length as much as
    /// the file system's journal had caught.
    pub fn power_cut(&mut self, rng: &mut Rng) {
        let promised = self.durable.len;
        for (_, change) in std::mem::take(&mut self.unflushed) {
            survive(&mut self.durable, &change, rng);
        }
        if self.durable.len > promised && rng.below(4) == 0 {
            let len = rng.between(promised, self.durable.len);
            self.durable.set_len(len);
        }
        self.live = self.durable.clone();
        self.lost.clear();
        self.allocated = self.allocated.min(self.live.len);
    }

    fn note(&mut self, change: Change) {
        self.changes += 1;
        self.unflushed.push((self.changes, change));
    }
}

fn apply(image: &mut Image, change: &Change) {
    match change {
        Change::Write { offset, data } => image.write(*offset, data),
        Change::SetLength(len) => image.set_len(*len),
        Change::Lengthen(len) => image.set_len(image.len.max(*len)),
    }
}

fn survive(image: &mut Image, change: &Change, rng: &mut Rng) {
    match (change, draw_survival(rng)) {
        (_, Survival::None) | (Change::SetLength(_) | Change::Lengthen(_), Survival::Subset) => {}
        (_, Survival::All) => apply(image, change),
        (Change::Write { offset, data }, Survival::Subset) => {
            for (place, part) in blocks_of(*offset, data) {
                if rng.below(2) == 0 {
                    image.write(place, part);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_seeds(mut outcome: impl FnMut(&mut Rng) -> Vec<u8>) -> Vec<Vec<u8>> {
        let mut outcomes: Vec<Vec<u8>> = (0..200).map(|seed| outcome(&mut Rng::new(seed))).collect();
        outcomes.sort();
        outcomes.dedup();
        outcomes
    }

    #[test]
    fn an_image_reads_back_what_was_written_across_blocks() {
        let mut image = Image::default();
        image.write(4090, &[7; 12]);
        let mut buffer = [9; 20];
        assert_eq!(image.read(4086, &mut buffer), 16);
        assert_eq!(buffer[..16], [0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
        image.set_len(4091);
        image.set_len(4102);
        assert_eq!(image.read(4090, &mut buffer), 12);
        assert_eq!(buffer[..12], [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "what was cut does not come back");
        image.zero(4090, 1);
        assert_eq!(image.to_vec(), vec![0; 4102]);
    }

    #[test]
    fn an_unflushed_write_survives_wholly_in_any_subset_of_blocks_or_not() {
        let outcomes = over_seeds(|rng| {
            let mut file = Contents::default();
            file.write(0, &[1; 2 * BLOCK]);
            file.flush(file.changes());
            file.write(0, &[2; 2 * BLOCK]);
            file.power_cut(rng);
            let bytes = file.live().to_vec();
            vec![bytes[0], bytes[BLOCK - 1], bytes[BLOCK], bytes[2 * BLOCK - 1]]
        });
        assert_eq!(outcomes, [[1, 1, 1, 1], [1, 1, 2, 2], [2, 2, 1, 1], [2, 2, 2, 2]]);
    }

    #[test]
    fn a_flushed_write_always_survives() {
        let outcomes = over_seeds(|rng| {
            let mut file = Contents::default();
            file.write(0, b"promised");
            file.flush(file.changes());
            file.write(8, b"not");
            file.power_cut(rng);
            file.live().to_vec()[..8].to_vec()
        });
        assert_eq!(outcomes, [b"promised".to_vec()]);
    }

    #[test]
    fn a_flush_does_not_cover_what_completed_after_it_was_asked_for() {
        let outcomes = over_seeds(|rng| {
            let mut file = Contents::default();
            file.write(0, b"a");
            let covered = file.changes();
            file.write(0, b"b");
            file.flush(covered);
            file.power_cut(rng);
            file.live().to_vec()
        });
        assert_eq!(outcomes, [b"a".to_vec(), b"b".to_vec()]);
    }

    #[test]
    fn after_a_failed_flush_a_later_success_promises_nothing_of_before() {
        let outcomes = over_seeds(|rng| {
            let mut file = Contents::default();
            file.write(0, b"a");
            file.flush_failed(rng);
            file.flush(file.changes());
            assert_eq!(file.live().to_vec(), b"a", "the cache still shows it");
            file.power_cut(rng);
            file.live().to_vec()
        });
        assert_eq!(outcomes, [b"".to_vec(), b"a".to_vec()]);
    }

    #[test]
    fn what_is_written_behind_a_failed_flush_saves_at_most_the_block_that_it_shares() {
        let outcomes = over_seeds(|rng| {
            let mut file = Contents::default();
            file.write(0, &[1; BLOCK + 8]);
            file.flush_failed(rng);
            file.write(BLOCK_BYTES + 8, &[2; 8]);
            file.flush(file.changes());
            assert_eq!(file.live().to_vec()[..BLOCK], [1; BLOCK], "the cache still shows it");
            let shared = file.live().to_vec()[BLOCK];
            file.power_cut(rng);
            let bytes = file.live().to_vec();
            assert_eq!(bytes[BLOCK..], [[shared; 8], [2; 8]].concat(), "flushed as it was seen");
            vec![bytes[0], bytes[BLOCK]]
        });
        assert_eq!(outcomes, [[0, 0], [0, 1], [1, 0], [1, 1]]);
    }

    #[test]
    fn zeroing_is_durable_and_is_not_undone_by_an_older_write() {
        let outcomes = over_seeds(|rng| {
            let mut file = Contents::default();
            file.write(0, &[5; BLOCK]);
            file.zero(0, 8);
            file.power_cut(rng);
            file.live().to_vec()[..8].to_vec()
        });
        assert_eq!(outcomes, [vec![0; 8]]);
    }
}
