//! The way of an append to stable storage: groups are sealed, written and flushed.

use super::{
    super::{
        Fault,
        journal::{
            entry::{ENTRY_HEADER_BYTES, Entry},
            group::{self, GROUP_HEADER_BYTES, GroupHeader},
            ring::Ring,
            under_way::{GroupEnd, UnderWay},
        },
        partition_log::{Life, Pin},
        recovery::CarriedGroup,
        segment::block_floor,
    },
    Event, FlushPolicy, Job, Operations, Slot, Store, is_due,
    plan::{Planned, Room, What},
};
use crate::error::Fatal;
use corelane_seam::{BLOCK, ChunkWriter, FileHandle, FileOperation, FileResult, Flush, Now};
use std::{
    collections::{BTreeSet, VecDeque},
    io,
};

/// The journal's share that new data leaves free, so that remainders can always be copied forward: a quarter.
pub(super) const RESERVE_SHARE: u64 = 4;
/// Blocks that are left free for groups that only state the low mark.
pub(super) const MARK_RESERVE_BYTES: u64 = 4 * BLOCK as u64;
pub(super) const HEAD: u64 = ENTRY_HEADER_BYTES as u64;

/// A shard's journal.
#[derive(Debug)]
pub(super) struct Journal {
    pub file: Option<FileHandle>,
    pub ring: Ring,
    /// Sequence of the next entry.
    sequence: u64,
    /// Sequences below are flushed.
    flushed_sequence: u64,
    /// The groups that the disk has not answered yet.
    pub under_way: UnderWay,
    /// A flush of what was written before is under way; then no group is.
    flushing: bool,
    /// Memory of the last groups, for the next.
    spares: Vec<ChunkWriter>,
    /// Logs with unsealed bytes, in turn.
    pub dirty: VecDeque<Slot>,
    /// The log of which a batch was begun in an earlier turn and is not sealed to its end. There is one at most: no
    /// segment takes any of such a batch, and so nothing gives back the blocks behind its beginning; a journal full
    /// of beginnings would never have room for an end.
    pub begun: Option<Slot>,
    /// Logs with a deletion or a log start to be sealed.
    pub control: VecDeque<Slot>,
    /// Logs whose remainder shall be copied forward.
    pub copies: VecDeque<Slot>,
    /// By its number, the first group that each log holds, which holds any: who holds the low mark back stands first.
    pub holds: BTreeSet<(u64, u32)>,
    /// What was sealed and is not flushed yet.
    unflushed: Vec<Sealed>,
    pub growing: bool,
    /// Flush without waiting for an interval.
    pub flush_due: bool,
    /// State the low mark, even in a group without entries.
    pub mark_due: bool,
    pub failed: Option<Fatal>,
}

/// One entry of a sealed group, to be told when it is durable.
#[derive(Clone, Copy, Debug)]
struct Sealed {
    slot: Slot,
    group: u64,
    what: What,
    written: bool,
}

impl Journal {
    /// Over the groups that recovery wrote.
    pub fn new(mut carried: Vec<CarriedGroup>, group_bytes_max: usize) -> Journal {
        carried.sort_unstable_by_key(|group| group.number);
        let mut sequence = 0;
        let mut ring = Ring::new(carried.iter().map(|group| group.offset + group.bytes).max().unwrap_or(0));
        for group in carried {
            if group.number == ring.next_number() {
                // Who holds it is told by `hold`.
                ring.push(group.offset, group.bytes, 0, 0);
                sequence = group.next_sequence;
            }
        }
        Journal {
            file: None,
            ring,
            sequence,
            flushed_sequence: sequence,
            under_way: UnderWay::default(),
            flushing: false,
            spares: vec![ChunkWriter::in_huge_pages(group_bytes_max)],
            dirty: VecDeque::new(),
            begun: None,
            control: VecDeque::new(),
            copies: VecDeque::new(),
            holds: BTreeSet::new(),
            unflushed: Vec::new(),
            growing: false,
            flush_due: false,
            mark_due: false,
            failed: None,
        }
    }

    /// Whether everything that was appended is on stable storage.
    pub fn is_flushed(&self) -> bool {
        self.under_way.is_empty()
            && !self.flushing
            && self.dirty.is_empty()
            && self.control.is_empty()
            && self.unflushed.is_empty()
    }

    /// Memory of an earlier group that the disk is done with, and that has room for this one.
    fn spare(&mut self, needed: usize) -> Option<ChunkWriter> {
        for _ in 0..self.spares.len() {
            match self.spares.swap_remove(0).reclaim() {
                Ok(chunk) if chunk.capacity() >= needed => return Some(chunk),
                Ok(_) => {}
                Err(in_use) => self.spares.push(in_use),
            }
        }
        None
    }

    /// Whether more than half is used: then segments are hurried.
    pub fn is_pressed(&self) -> bool {
        self.ring.used() > self.ring.size() / 2
    }

    /// Whether something was sealed that is not flushed.
    pub fn has_unflushed(&self) -> bool {
        !self.unflushed.is_empty()
    }

    pub fn check(&self) {
        self.ring.check();
    }

    /// Number of the first group that is still needed.
    #[cfg(test)]
    pub fn low(&self) -> u64 {
        self.ring.low()
    }
}

impl Store {
    pub(super) fn journal_opened(&mut self, result: io::Result<(FileHandle, u64)>) {
        match result {
            Ok((file, length)) => {
                self.journal.ring.grow(block_floor(length).max(self.journal.ring.size()));
                if self.journal.ring.next_number() > 0 {
                    self.journal.ring.flushed(self.journal.ring.next_number() - 1);
                }
                self.journal.file = Some(file);
            }
            Err(error) => self.directory_offline("Opening the journal", &error),
        }
    }

    /// Whether something was appended that a turn's end would give to the journal now, and that nothing else will.
    pub fn awaits_turn_end(&self) -> bool {
        self.may_seal() && !self.journal.dirty.is_empty()
    }

    /// Whether a group may begin: none is under way, or there is a full one to be made ready and written while the one
    /// before is flushed. Less than a full one waits, and shares the next flush with what comes meanwhile.
    fn may_seal(&self) -> bool {
        let journal = &self.journal;
        let begins = match journal.under_way.is_empty() {
            true => !journal.flushing,
            false => {
                journal.under_way.takes_another() && self.unsealed >= self.settings.group_bytes_max as u64
            }
        };
        begins && journal.failed.is_none() && journal.file.is_some()
    }

    /// Seals one group of what waits, if it may begin.
    pub(super) fn seal(&mut self, now: Now, out: &mut Operations) {
        if !self.may_seal() {
            return;
        }
        self.grow_journal(out);
        let place = self.place_of_group();
        let is_ample = matches!(place, Some((_, Room::Ample(_))));
        let is_beside = !self.journal.under_way.is_empty();
        if is_beside && !is_ample {
            return;
        }
        if !is_ample && !self.journal.dirty.is_empty() && self.stays_full() {
            return;
        }
        // Without a place there is one block, for the low mark alone; it frees at least its own group's worth.
        self.journal.mark_due |= !is_ample && self.journal.ring.low_is_ahead();
        let mark_only = || self.journal.ring.place(BLOCK as u64, BLOCK as u64, 0).map(|(offset, _)| offset);
        let offset = place.map(|(offset, _)| offset).or_else(mark_only);
        let plan = place.map_or(Vec::new(), |(_, room)| self.plan(room));
        if let (Some(offset), false) = (offset, plan.is_empty() && !self.journal.mark_due) {
            self.issue(now, offset, &plan, out);
        } else if !is_beside && std::mem::take(&mut self.journal.flush_due) && self.journal.has_unflushed() {
            self.journal.flushing = true;
            let file = self.journal.file.clone().expect("asked above");
            self.ask(Job::JournalFlush, FileOperation::Flush { file }, out);
        }
    }

    /// Where the next group goes, and what it may hold.
    fn place_of_group(&self) -> Option<(u64, Room)> {
        let (ring, least) = (&self.journal.ring, BLOCK as u64);
        let wanted = self.settings.group_bytes_max as u64;
        let ample = ring.place(wanted, least, ring.size() / RESERVE_SHARE);
        let reserve = || ring.place(wanted, least, MARK_RESERVE_BYTES);
        ample
            .map(|(offset, bytes)| (offset, Room::Ample(bytes)))
            .or_else(|| reserve().map(|(offset, bytes)| (offset, Room::Reserve(bytes))))
    }

    /// Where the journal is full of what an offline log holds, nothing is journalled any more: that is said, not left
    /// to the clients' timeouts.
    fn stays_full(&mut self) -> bool {
        let Some(reason) = self.frozen().cloned() else { return false };
        self.fail(Fatal::new(format!(
            "The journal is full of what a partition holds that went offline, so nothing else can be made durable. {}",
            reason.0
        )));
        true
    }

    /// Writes the plan as a group at `offset`.
    fn issue(&mut self, now: Now, offset: u64, plan: &[Planned], out: &mut Operations) {
        let journal = &mut self.journal;
        journal.mark_due = false;
        let body: u64 = plan.iter().map(|planned| HEAD + planned.to - planned.from).sum();
        let header = GroupHeader {
            number: journal.ring.next_number(),
            offset,
            bytes: GROUP_HEADER_BYTES as u64 + body,
            first_sequence: journal.sequence,
            entries: plan.len() as u64,
            low: journal.ring.low(),
            flushed: journal.flushed_sequence,
        };
        let needed = usize::try_from(header.padded()).expect("bounded by group_bytes_max");
        let mut chunk = journal
            .spare(needed)
            .unwrap_or_else(|| ChunkWriter::in_huge_pages(needed.max(self.settings.group_bytes_max)));
        let slots = &self.slots;
        group::write(&mut chunk, self.settings.boot, self.settings.shard.0, &header, |group| {
            for planned in plan {
                let log = slots[planned.slot.index as usize].log.as_deref().expect("planned just now");
                let entry =
                    Entry { id: log.id, kind: planned.kind, leader_epoch: planned.epoch, sequence: 0 };
                let bytes = usize::try_from(planned.to - planned.from).expect("within a group");
                group.entry(entry, bytes, |space| {
                    if bytes > 0 {
                        log.tail.copy_to(planned.from..planned.to, space);
                    }
                });
            }
        });
        let pins = u32::try_from(plan.len()).expect("entries of a group");
        let number = journal.ring.push(offset, header.padded(), header.low, pins);
        journal.sequence = header.next_sequence();
        let data = chunk.slice(0..needed);
        journal.spares.push(chunk);
        let is_beside = !journal.under_way.is_empty();
        let mut is_due = std::mem::take(&mut journal.flush_due) || plan.is_empty() || is_beside;
        let mut write_awaited = false;
        for planned in plan {
            is_due |= self.note_sealed(now, number, planned);
            write_awaited |= self.take_write_awaited(planned);
        }
        let sequence = self.journal.sequence;
        self.journal.under_way.begin(GroupEnd { number, sequence }, is_due, !plan.is_empty());
        // The fault is one only where the write is told before its flush.
        write_awaited |= self.settings.fault == Fault::AcknowledgeBeforeFlush;
        let flush = match (is_due, write_awaited) {
            (false, _) => Flush::No,
            (true, false) => Flush::Within,
            (true, true) => Flush::After,
        };
        let file = self.journal.file.clone().expect("open before a group is sealed");
        self.ask(Job::JournalGroup { number }, FileOperation::Write { file, offset, data, flush }, out);
    }

    /// Pins what a group now holds. Gives whether it must be flushed at once.
    fn note_sealed(&mut self, now: Now, group: u64, planned: &Planned) -> bool {
        let (slot, what) = (planned.slot, planned.what);
        self.journal.unflushed.push(Sealed { slot, group, what, written: false });
        let log = self.log_mut(slot);
        log.planned_at = None;
        let is_due = match what {
            What::Data { .. } => {
                log.pins.push_back(Pin { group, to: planned.to });
                is_due(log.settings.flush, log.unflushed_records, log.unflushed_since, now.monotonic)
            }
            What::Copy => {
                log.pins.push_back(Pin { group, to: planned.to });
                true
            }
            What::Start(offset) => {
                log.start_pins.push((group, offset));
                true
            }
            What::Death => {
                log.death_pin = Some(group);
                true
            }
        };
        if log.held.is_none() {
            self.rehold(slot);
        }
        is_due
    }

    /// Whether someone waits for the write of what a group now holds, and not only for its flush.
    fn take_write_awaited(&mut self, planned: &Planned) -> bool {
        let What::Data { .. } = planned.what else { return false };
        let log = self.log_mut(planned.slot);
        let is_awaited = log.write_awaited || log.settings.flush != FlushPolicy::EveryGroup;
        log.write_awaited &= log.dirty;
        is_awaited
    }

    pub(super) fn group_answered(&mut self, number: u64, result: FileResult) {
        if self.journal.failed.is_some() {
            // Another group was: nothing is acknowledged any more.
            return;
        }
        let fault = self.settings.fault;
        match result {
            FileResult::Written(Ok(())) => {
                let tells_early =
                    fault == Fault::AcknowledgeBeforeFlush && self.journal.under_way.flush_follows(number);
                if let Some(last) = self.journal.under_way.written(number) {
                    self.groups_written(last);
                    if tells_early {
                        self.tell_flushed(last);
                    }
                }
            }
            FileResult::Flushed(Ok(())) => {
                if let Some(end) = self.journal.under_way.flushed(number) {
                    self.groups_flushed(end);
                } else if fault == Fault::TellGroupsAlone {
                    self.groups_written(number);
                    self.tell_flushed(number);
                }
            }
            FileResult::Written(Err(error)) => self.directory_offline("Writing the journal", &error),
            FileResult::Flushed(Err(error)) => self.directory_offline("Flushing the journal", &error),
            other => panic!("a group was answered with {other:?}"),
        }
    }

    /// All groups up to and with `last` are written.
    fn groups_written(&mut self, last: u64) {
        let mut sealed = std::mem::take(&mut self.journal.unflushed);
        for entry in sealed.iter_mut().filter(|entry| !entry.written && entry.group <= last) {
            entry.written = true;
            let What::Data { to } = entry.what else { continue };
            let Some(log) = self.get_mut(entry.slot) else { continue };
            // Also of a log that was deleted meanwhile: its flush is told in places too.
            log.written_place = log.written_place.max(to);
            let end = log.tail.last_through(to).map_or(log.written, |mark| mark.next);
            if end > log.written && log.life == Life::Lives {
                log.written = end;
                self.events.push(Event::Written { slot: entry.slot, end });
            }
        }
        self.journal.unflushed = sealed;
    }

    /// A flush that was asked for alone is done: it covers every group that was written before.
    pub(super) fn journal_flushed(&mut self, result: io::Result<()>) {
        self.journal.flushing = false;
        match result {
            Ok(()) => {
                let number = self.journal.ring.next_number() - 1;
                self.groups_flushed(GroupEnd { number, sequence: self.journal.sequence });
            }
            Err(error) => self.directory_offline("Flushing the journal", &error),
        }
    }

    /// Everything up to `end` is on stable storage.
    fn groups_flushed(&mut self, end: GroupEnd) {
        self.journal.flushed_sequence = end.sequence;
        self.journal.ring.flushed(end.number);
        self.tell_flushed(end.number);
        if self.settings.fault == Fault::ReuseNeededBlocks {
            self.journal.ring.forget_pins();
        }
    }

    /// Tells whom it concerns that all groups up to and with `last` are flushed.
    fn tell_flushed(&mut self, last: u64) {
        let mut told = std::mem::take(&mut self.journal.unflushed);
        if told.last().is_some_and(|sealed| sealed.group > last) {
            let later = told.partition_point(|sealed| sealed.group <= last);
            self.journal.unflushed = told.split_off(later);
        }
        for sealed in told {
            let slot = sealed.slot;
            let Some(log) = self.get_mut(slot) else { continue };
            match sealed.what {
                What::Data { to } => {
                    log.flushed_place = log.flushed_place.max(to);
                    let last = log.tail.last_through(to);
                    log.durable_place = log.durable_place.max(last.map_or(0, |mark| mark.to));
                    let end = last.map_or(log.flushed, |mark| mark.next);
                    (log.unflushed_records, log.unflushed_since) = (0, None);
                    if end > log.flushed && log.life == Life::Lives {
                        log.flushed = end;
                        self.events.push(Event::Flushed { slot, end });
                    }
                    self.queue_write_behind(slot);
                }
                What::Copy => self.release_before(slot, sealed.group),
                What::Start(offset) => self.start_moved(slot, offset),
                What::Death => {
                    log.life = Life::Dead;
                    self.queue_work(slot);
                }
            }
        }
    }
}
