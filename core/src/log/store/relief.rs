//! The journal's blocks come free again: who holds the low mark back is hurried, and the file grows where that is
//! not enough.
//!
//! Why a journal under pressure always comes free: blocks are freed from the low end only, so it is enough that the
//! log that holds the low mark can let go of it. Its whole blocks go to the segment; what then remains of it is less
//! than a block, or the begun batch. Remainders are copied forward, and the begun batch is ended, out of a reserve
//! that new data leaves free, a quarter of the file; [`Store::journal_bytes_least`] says that both fit in it. Nothing is
//! copied behind a log that does not let go yet, so the reserve is not spent on copies that free nothing. Each of
//! these steps is a group or an operation of the disk, whose answer brings the next turn.

use super::{
    super::{
        Fault,
        partition_log::{Life, Pin},
    },
    Job, Operations, Slot, Store,
    behind::HURRIED_MAX,
    commit::{MARK_RESERVE_BYTES, RESERVE_SHARE},
};
use crate::error::Fatal;
use corelane_seam::{Allocation, BLOCK, FileOperation};
use std::io;

/// The journal is zeroed in such steps when it grows.
const GROW_STEP_BYTES: u64 = 16 * 1024 * 1024;
/// The journal is at least so many blocks per log: remainders of under one block each can always be copied forward
/// within the reserve.
const BLOCKS_PER_LOG: u64 = 6;
/// Holders of the low mark that are looked at per turn, lowest first: each that lets go makes room for the next.
const RELIEF_SLICE: usize = 256;

/// How a log lets go of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LettingGo {
    /// By a copy, in the next group.
    Copies,
    /// When the disk has answered, or the begun batch is ended.
    Later,
    /// Not before a restart: it is offline.
    Never,
}

impl Store {
    /// Notes which group a log holds first, after its pins changed.
    pub(super) fn rehold(&mut self, slot: Slot) {
        let Some(log) = self.get_mut(slot) else { return };
        let held = log.first_held();
        let before = std::mem::replace(&mut log.held, held);
        if held == before {
            return;
        }
        if let Some(group) = before {
            self.journal.holds.remove(&(group, slot.index));
        }
        if let Some(group) = held {
            self.journal.holds.insert((group, slot.index));
        }
    }

    /// The pins that stand before those of `group` are needed no more: their bytes were copied into it, or are in
    /// flushed segments.
    pub(super) fn release_before(&mut self, slot: Slot, group: u64) {
        self.release_pins(slot, |pin, _| pin.group < group);
    }

    /// Releases what flushed segments hold by now.
    pub(super) fn release_persisted(&mut self, slot: Slot) {
        self.release_pins(slot, |pin, persisted| pin.to <= persisted);
    }

    /// Releases the first pins, as long as they are needed no more, of a log whose segments reach to a place.
    fn release_pins(&mut self, slot: Slot, unneeded: impl Fn(&Pin, u64) -> bool) {
        let Some(log) = self.get_mut(slot) else { return };
        if log.needs_cut() {
            return;
        }
        log.update_persisted();
        let persisted = log.persisted;
        while let Some(pin) = self.log_mut(slot).pins.pop_front_if(|pin| unneeded(pin, persisted)) {
            self.journal.ring.release(pin.group);
        }
        self.rehold(slot);
    }

    /// Hurries who holds the low mark back while the journal is more than half used and does not grow, or not fast enough.
    pub(super) fn relieve(&mut self) {
        // What a full disk has just refused it would refuse turn after turn.
        if !self.journal.is_pressed() || self.refused_write || self.settings.fault == Fault::ReuseNeededBlocks
        {
            return;
        }
        let outgrows = self.journal.ring.used() > self.journal.ring.size() / 8 * 5;
        if !outgrows && self.journal_bytes_wanted().is_some() {
            return;
        }
        let mut copies = true;
        let holders: Vec<(u64, u32)> = self.journal.holds.iter().take(RELIEF_SLICE).copied().collect();
        for (group, index) in holders {
            let slot = Slot { index, reuse: self.slots[index as usize].reuse };
            match self.hurry(slot, group) {
                LettingGo::Copies if copies => {
                    if !std::mem::replace(&mut self.log_mut(slot).copying, true) {
                        self.journal.copies.push_back(slot);
                    }
                }
                LettingGo::Copies => {}
                LettingGo::Later if !self.may_hurry(HURRIED_MAX) => break,
                LettingGo::Later => copies = false,
                LettingGo::Never => break,
            }
        }
        self.journal.flush_due |= self.journal.has_unflushed();
        self.journal.mark_due |= self.journal.ring.low_is_ahead() && self.journal.is_pressed();
    }

    /// Sees to it that a log lets go of `group`.
    fn hurry(&mut self, slot: Slot, group: u64) -> LettingGo {
        let log = self.log_mut(slot);
        if log.stuck().is_some() {
            return LettingGo::Never;
        }
        if log.life != Life::Lives {
            // Its files go, and its pins with them.
        } else if log.offline.is_some() {
            // Its segments get nothing any more, but what it has in the journal is kept for the next start.
            return LettingGo::Copies;
        } else if log.start_pins.first().is_some_and(|(pinned, _)| *pinned == group) {
            log.checkpoint_due |= !log.busy;
        } else if !log.needs_cut() && log.writable_bytes() == 0 {
            return if log.can_copy() && !log.busy { LettingGo::Copies } else { LettingGo::Later };
        }
        if self.may_hurry(HURRIED_MAX) {
            self.hurry_work(slot);
        }
        LettingGo::Later
    }

    /// Whoever holds the low mark never lets go of it: an offline log, with why it is.
    pub(super) fn frozen(&self) -> Option<&Fatal> {
        let (_, index) = self.journal.holds.first()?;
        self.slots[*index as usize].log.as_deref()?.stuck()
    }

    /// Least size of the journal for a largest batch of so many bytes: the reserve, a share of it, holds the
    /// remainders of all logs and the end of that batch.
    fn journal_bytes_least(&self, batch_bytes: u64) -> u64 {
        let logs = BLOCKS_PER_LOG * BLOCK as u64 * self.slots.len() as u64;
        let batch = batch_bytes.saturating_add(MARK_RESERVE_BYTES).saturating_mul(RESERVE_SHARE);
        logs.saturating_add(batch)
    }

    /// The largest batch that may be begun in the journal's present size.
    pub(super) fn batch_bytes_begun_max(&self) -> u64 {
        let size = self.journal.ring.size();
        size.saturating_sub(self.journal_bytes_least(0)) / RESERVE_SHARE
    }

    /// Grows the file in the background when it is small for its logs or more than half used in spite of
    /// everything.
    pub(super) fn grow_journal(&mut self, out: &mut Operations) {
        let Some(wanted) = self.journal_bytes_wanted().filter(|_| !self.journal.growing) else { return };
        let size = self.journal.ring.size();
        let to = wanted.min(size + GROW_STEP_BYTES).next_multiple_of(BLOCK as u64);
        self.journal.growing = true;
        let file = self.journal.file.clone().expect("asked before");
        let operation = FileOperation::Allocate { file, offset: size, len: to - size, how: Allocation::Zero };
        self.ask(Job::JournalGrow { to }, operation, out);
    }

    /// The size to which the file grows now, if it is not large enough and the disk has room.
    fn journal_bytes_wanted(&self) -> Option<u64> {
        let size = self.journal.ring.size();
        let least = self.journal_bytes_least(self.largest_batch);
        let max = self.settings.journal_bytes_max.max(least);
        let usual = least.max(self.settings.journal_bytes_initial);
        let wanted = if self.journal.is_pressed() { usual.max((size * 2).min(max)) } else { usual };
        (wanted > size && !self.refused_write).then_some(wanted)
    }

    pub(super) fn journal_grown(&mut self, to: u64, result: io::Result<()>) {
        self.journal.growing = false;
        match result {
            Ok(()) => self.journal.ring.grow(to),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => self.write_refused(),
            Err(error) => self.directory_offline("Growing the journal", &error),
        }
    }
}
