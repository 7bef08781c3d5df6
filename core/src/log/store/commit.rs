//! The way of an append to stable storage: groups are sealed, written and flushed, one at a time.

use super::{
    super::{
        Fault,
        journal::{
            entry::{ENTRY_HEADER_BYTES, Entry, Kind},
            group::{self, GROUP_HEADER_BYTES, GroupHeader},
            ring::Ring,
        },
        partition_log::{Life, PartitionLog, Pin},
        recovery::CarriedGroup,
        segment::block_floor,
    },
    Event, Job, Operations, Slot, Store, is_due,
};
use crate::{
    error::Fatal,
    ids::{LeaderEpoch, Offset},
};
use corelane_seam::{BLOCK, ChunkWriter, FileHandle, FileOperation, FileResult, Now};
use std::{collections::VecDeque, io};

/// Bytes that one log gets of a group before it is the next one's turn.
const TURN_BYTES: u64 = 64 * 1024;
/// The journal's share that new data leaves free, so that remainders can always be copied forward: a quarter.
const RESERVE_SHARE: u64 = 4;
/// Blocks that are left free for groups that only state the low mark.
const MARK_RESERVE_BYTES: u64 = 4 * BLOCK as u64;
/// The journal is zeroed in such steps when it grows.
const GROW_STEP_BYTES: u64 = 16 * 1024 * 1024;
/// The journal is at least so many blocks per log: remainders of under one block each can always be copied forward
/// within the reserve.
const BLOCKS_PER_LOG: u64 = 6;
/// Holders of the low mark that are looked at per turn.
const RELIEF_SLICE: usize = 4096;
const HEAD: u64 = ENTRY_HEADER_BYTES as u64;

/// What is under way in the journal's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InFlight {
    Group { number: u64, flush: bool, written: bool },
    Flush,
}

/// A shard's journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: Option<FileHandle>,
    ring: Ring,
    /// Sequence of the next entry.
    sequence: u64,
    /// Sequences below are flushed.
    flushed_sequence: u64,
    in_flight: Option<InFlight>,
    /// Memory of the last group, for the next.
    spare: Option<ChunkWriter>,
    /// Logs with unsealed bytes, in turn.
    pub dirty: VecDeque<Slot>,
    /// The log of which a batch was begun in an earlier turn and is not sealed to its end. There is one at most: no
    /// segment takes any of such a batch, and so nothing gives back the blocks behind its beginning; a journal full
    /// of beginnings would never have room for an end.
    begun: Option<Slot>,
    /// Logs with a deletion or a log start to be sealed.
    pub control: VecDeque<Slot>,
    /// Logs whose remainder shall be copied forward.
    copies: VecDeque<Slot>,
    /// What was sealed and is not flushed yet.
    unflushed: Vec<Sealed>,
    growing: bool,
    /// Flush without waiting for an interval.
    pub flush_due: bool,
    /// State the low mark, even in a group without entries.
    mark_due: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Data { to: u64 },
    Copy,
    Start(Offset),
    Death,
}

/// One entry of a group that is being planned.
#[derive(Clone, Copy, Debug)]
struct Planned {
    slot: Slot,
    what: What,
    kind: Kind,
    epoch: LeaderEpoch,
    /// Places.
    from: u64,
    to: u64,
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
                ring.push(group.offset, group.bytes, 0, Vec::new());
                sequence = group.next_sequence;
            }
        }
        Journal {
            file: None,
            ring,
            sequence,
            flushed_sequence: sequence,
            in_flight: None,
            spare: Some(ChunkWriter::with_capacity(group_bytes_max)),
            dirty: VecDeque::new(),
            begun: None,
            control: VecDeque::new(),
            copies: VecDeque::new(),
            unflushed: Vec::new(),
            growing: false,
            flush_due: false,
            mark_due: false,
            failed: None,
        }
    }

    /// Takes a recovered log's pins.
    pub fn hold(&mut self, slot: Slot, log: &PartitionLog) {
        let pins = log.pins.iter().map(|pin| pin.group);
        pins.chain(log.start_pins.iter().map(|(group, _)| *group))
            .for_each(|group| self.ring.hold(group, slot.index));
    }

    /// Whether the flush of the group just written is still to be answered.
    pub fn awaits_flush(&self) -> bool {
        matches!(self.in_flight, Some(InFlight::Group { flush: true, written: false, .. }))
    }

    /// Whether everything that was appended is on stable storage.
    pub fn is_flushed(&self) -> bool {
        self.in_flight.is_none()
            && self.dirty.is_empty()
            && self.control.is_empty()
            && self.unflushed.is_empty()
    }

    /// Whether more than half is used: then segments are hurried.
    pub fn is_pressed(&self) -> bool {
        self.ring.used() > self.ring.size() / 2
    }

    /// Whether something was sealed that is not flushed.
    pub fn has_unflushed(&self) -> bool {
        !self.unflushed.is_empty()
    }

    pub fn release(&mut self, group: u64) {
        self.ring.release(group);
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

    /// Seals one group of what waits, unless one is under way.
    pub(super) fn seal(&mut self, now: Now, out: &mut Operations) {
        if self.journal.in_flight.is_some() || self.journal.failed.is_some() || self.journal.file.is_none() {
            return;
        }
        self.grow_journal(out);
        let ring = &self.journal.ring;
        let least = BLOCK as u64;
        let wanted = self.settings.group_bytes_max as u64;
        let ample = ring.place(wanted, least, ring.size() / RESERVE_SHARE);
        let scarce = || ring.place(wanted, least, MARK_RESERVE_BYTES);
        let (place, with_data) = match ample {
            Some(place) => (Some(place), true),
            None => (scarce().or_else(|| ring.place(least, least, 0)), false),
        };
        if ample.is_none() && ring.low_is_ahead() {
            self.journal.mark_due = true;
        }
        let plan = place.map_or(Vec::new(), |(_, capacity)| self.plan(capacity, with_data));
        if let (Some((offset, _)), false) = (place, plan.is_empty() && !self.journal.mark_due) {
            self.issue(now, offset, &plan, out);
        } else if self.journal.flush_due && !self.journal.unflushed.is_empty() {
            self.journal.flush_due = false;
            self.journal.in_flight = Some(InFlight::Flush);
            let file = self.journal.file.clone().expect("asked above");
            self.ask(Job::JournalFlush, FileOperation::Flush { file }, out);
        } else {
            self.journal.flush_due = false;
        }
    }

    /// What goes into a group of `capacity` bytes: control entries, the begun batch, remainders, then data, round-robin
    /// across logs.
    fn plan(&mut self, capacity: u64, with_data: bool) -> Vec<Planned> {
        let mut plan = Vec::new();
        let mut room = capacity - GROUP_HEADER_BYTES as u64;
        while room >= HEAD {
            let Some(slot) = self.journal.control.pop_front() else { break };
            if let Some(planned) = self.plan_control(slot) {
                plan.push(planned);
                room -= HEAD;
            }
        }
        self.plan_begun(&mut plan, &mut room, !with_data);
        while let Some(slot) = self.journal.copies.front().copied() {
            // Pins stand in the order of places: data of the log that is in the plan already may still grow.
            let fits = |log: &&mut PartitionLog| {
                log.life == Life::Lives && log.planned_at.is_none() && log.remainder_is_whole()
            };
            let Some(log) = self.get_mut(slot).filter(fits) else {
                self.journal.copies.pop_front();
                self.uncopy(slot);
                continue;
            };
            if room < HEAD + log.remainder() {
                break;
            }
            log.copying = false;
            let (from, to) = (log.persisted, log.sealed);
            plan.push(plan_bytes(slot, log, What::Copy, from, to));
            room -= HEAD + (to - from);
            self.journal.copies.pop_front();
        }
        if with_data {
            self.plan_data(&mut plan, room);
        }
        plan
    }

    /// The begun batch. In the reserve it goes to its end, before copies and instead of other data: without its end
    /// the blocks behind its beginning are never free. Else its log gets the first turn.
    fn plan_begun(&mut self, plan: &mut Vec<Planned>, room: &mut u64, to_its_end: bool) {
        self.journal.begun = self.journal.begun.filter(|slot| self.get(*slot).is_some_and(|log| log.dirty));
        let Some(begun) = self.journal.begun else { return };
        self.journal.dirty.retain(|slot| *slot != begun);
        while *room > HEAD && self.take_turn(plan, begun, room) {
            if !to_its_end || self.journal.begun.is_none() {
                break;
            }
        }
        self.go_on_later(begun);
    }

    /// Data of dirty logs, in turn.
    fn plan_data(&mut self, plan: &mut Vec<Planned>, mut room: u64) {
        // Large batches of others, while one is begun.
        let mut deferred = VecDeque::new();
        while room > HEAD {
            let Some(slot) = self.journal.dirty.pop_front() else { break };
            if !self.get(slot).is_some_and(|log| log.dirty) {
                continue;
            }
            let ends = self.journal.begun == Some(slot);
            if self.take_turn(plan, slot, &mut room) {
                self.go_on_later(slot);
            } else {
                deferred.push_back(slot);
                if room <= HEAD + TURN_BYTES {
                    break;
                }
            }
            if ends && self.journal.begun.is_none() {
                deferred.drain(..).rev().for_each(|slot| self.journal.dirty.push_front(slot));
            }
        }
        deferred.drain(..).rev().for_each(|slot| self.journal.dirty.push_front(slot));
    }

    /// Puts one turn of a dirty log into the plan. Gives whether anything fits.
    fn take_turn(&mut self, plan: &mut Vec<Planned>, slot: Slot, room: &mut u64) -> bool {
        let may_begin = self.journal.begun.is_none_or(|begun| begun == slot);
        let log = self.log_mut(slot);
        let Some(turn) = turn_of(log, plan, *room, may_begin) else { return false };
        let (from, end) = (log.sealed, turn.end);
        *room -= end - from;
        match turn.merged {
            Some(at) => {
                plan[at].to = end;
                plan[at].what = What::Data { to: end };
            }
            None => {
                *room -= HEAD;
                log.planned_at = Some(plan.len());
                plan.push(plan_bytes(slot, log, What::Data { to: end }, from, end));
            }
        }
        log.sealed = end;
        log.dirty = log.unsealed() > 0;
        self.unsealed -= end - from;
        if turn.within_batch {
            self.journal.begun = Some(slot);
        } else if self.journal.begun == Some(slot) {
            self.journal.begun = None;
        }
        true
    }

    fn go_on_later(&mut self, slot: Slot) {
        if self.log(slot).dirty {
            self.journal.dirty.push_back(slot);
        }
    }

    fn uncopy(&mut self, slot: Slot) {
        if let Some(log) = self.get_mut(slot) {
            log.copying = false;
        }
    }

    fn plan_control(&mut self, slot: Slot) -> Option<Planned> {
        let log = self.get_mut(slot)?;
        let (what, kind) = match (log.life, log.start_wanted) {
            (Life::Dying, _) => (What::Death, Kind::Deleted),
            (Life::Lives, Some(offset)) => (What::Start(offset), Kind::LogStart { offset }),
            (Life::Lives, None) | (Life::Dead, _) => return None,
        };
        Some(Planned { slot, what, kind, epoch: LeaderEpoch::UNKNOWN, from: 0, to: 0 })
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
        let spare = journal.spare.take().and_then(|chunk| chunk.reclaim().ok());
        let mut chunk = spare
            .filter(|chunk| chunk.capacity() >= needed)
            .unwrap_or_else(|| ChunkWriter::with_capacity(needed.max(self.settings.group_bytes_max)));
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
        let holders = plan.iter().map(|planned| planned.slot.index).collect();
        let number = journal.ring.push(offset, header.padded(), header.low, holders);
        journal.sequence = header.next_sequence();
        let data = chunk.slice(0..needed);
        journal.spare = Some(chunk);
        let mut flush = std::mem::take(&mut journal.flush_due) || plan.is_empty();
        for planned in plan {
            flush |= self.note_sealed(now, number, planned);
        }
        self.journal.in_flight = Some(InFlight::Group { number, flush, written: false });
        let file = self.journal.file.clone().expect("open before a group is sealed");
        self.ask(Job::JournalGroup, FileOperation::Write { file, offset, data, flush }, out);
    }

    /// Pins what a group now holds. Gives whether it must be flushed at once.
    fn note_sealed(&mut self, now: Now, group: u64, planned: &Planned) -> bool {
        let (slot, what) = (planned.slot, planned.what);
        self.journal.unflushed.push(Sealed { slot, group, what, written: false });
        let log = self.log_mut(slot);
        log.planned_at = None;
        match what {
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
        }
    }

    pub(super) fn group_answered(&mut self, _now: Now, result: FileResult) {
        let Some(InFlight::Group { number, flush, .. }) = self.journal.in_flight else {
            panic!("a group was answered that is not under way")
        };
        match result {
            FileResult::Written(Ok(())) => {
                self.group_written();
                if flush {
                    self.journal.in_flight = Some(InFlight::Group { number, flush, written: true });
                    if self.settings.fault == Fault::AcknowledgeBeforeFlush {
                        self.tell_flushed();
                    }
                } else {
                    self.journal.in_flight = None;
                }
            }
            FileResult::Flushed(Ok(())) => self.journal_flushed(Ok(())),
            FileResult::Written(Err(error)) => self.directory_offline("Writing the journal", &error),
            FileResult::Flushed(Err(error)) => self.journal_flushed(Err(error)),
            other => panic!("a group was answered with {other:?}"),
        }
    }

    fn group_written(&mut self) {
        let mut sealed = std::mem::take(&mut self.journal.unflushed);
        for entry in sealed.iter_mut().filter(|entry| !entry.written) {
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

    /// A flush covers every group that was written before.
    pub(super) fn journal_flushed(&mut self, result: io::Result<()>) {
        self.journal.in_flight = None;
        if let Err(error) = result {
            return self.directory_offline("Flushing the journal", &error);
        }
        self.journal.flushed_sequence = self.journal.sequence;
        self.journal.ring.flushed(self.journal.ring.next_number() - 1);
        self.tell_flushed();
        if self.settings.fault == Fault::ReuseNeededBlocks {
            self.journal.ring.forget_pins();
        }
    }

    fn tell_flushed(&mut self) {
        for sealed in std::mem::take(&mut self.journal.unflushed) {
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

    /// The pins that stand before those of `group` are needed no more: their bytes were copied into it, or are in
    /// flushed segments.
    fn release_before(&mut self, slot: Slot, group: u64) {
        let Some(log) = self.get_mut(slot) else { return };
        if log.segments.iter().any(|segment| segment.needs_cut) {
            return;
        }
        let count = log.pins.partition_point(|pin| pin.group < group);
        let released: Vec<Pin> = log.pins.drain(..count).collect();
        released.iter().for_each(|pin| self.journal.ring.release(pin.group));
    }

    /// Releases what flushed segments hold by now.
    pub(super) fn release_persisted(&mut self, slot: Slot) {
        let log = self.log_mut(slot);
        if log.segments.iter().any(|segment| segment.needs_cut) {
            return;
        }
        log.update_persisted();
        let count = log.pins.partition_point(|pin| pin.to <= log.persisted);
        let released: Vec<Pin> = log.pins.drain(..count).collect();
        released.iter().for_each(|pin| self.journal.ring.release(pin.group));
    }

    /// Hurries who holds the low mark back while the journal is more than half used: whole blocks go to segments,
    /// remainders are copied forward.
    pub(super) fn relieve(&mut self, _out: &mut Operations) {
        if !self.journal.is_pressed() || self.settings.fault == Fault::ReuseNeededBlocks {
            return;
        }
        let holders: Vec<(u64, u32)> = self
            .journal
            .ring
            .holders()
            .flat_map(|(group, slots)| slots.iter().map(move |slot| (group, *slot)))
            .take(RELIEF_SLICE)
            .collect();
        // The ring is freed from its low end only: behind a group that a copy cannot free now, copies would use the
        // reserve up and free nothing.
        let mut stuck_at = u64::MAX;
        for (group, index) in holders {
            let entry = &self.slots[index as usize];
            let slot = Slot { index, reuse: entry.reuse };
            let Some(log) = self.get_mut(slot) else { continue };
            if log.start_pins.iter().any(|(pinned, _)| *pinned == group) {
                log.checkpoint_due = true;
                self.queue_work(slot);
                stuck_at = stuck_at.min(group);
                continue;
            }
            if log.pins.front().is_none_or(|pin| pin.group > group) {
                continue;
            }
            let copies = log.remainder_is_whole() && log.writable_bytes() == 0;
            if log.offline.is_some() || log.busy || !copies {
                stuck_at = stuck_at.min(group);
            }
            if log.offline.is_some() || log.busy {
                continue;
            }
            if log.writable_bytes() > 0 {
                log.urgent = true;
                self.queue_work(slot);
            } else if copies && group <= stuck_at && !std::mem::replace(&mut log.copying, true) {
                self.journal.copies.push_back(slot);
            }
        }
        self.journal.flush_due |= !self.journal.unflushed.is_empty();
        self.journal.mark_due |= self.journal.ring.low_is_ahead() && self.journal.is_pressed();
    }

    /// Grows the file in the background when it is small for its logs or more than half used in spite of
    /// everything.
    fn grow_journal(&mut self, out: &mut Operations) {
        let size = self.journal.ring.size();
        let logs = BLOCKS_PER_LOG * BLOCK as u64 * self.slots.len() as u64;
        // The reserve holds the end of the begun batch beside the remainders.
        let batch = self.largest_batch.saturating_add(MARK_RESERVE_BYTES).saturating_mul(RESERVE_SHARE);
        let least = logs.saturating_add(batch);
        let pressed = self.journal.ring.used() > size / RESERVE_SHARE * 2;
        let max = self.settings.journal_bytes_max.max(least);
        let wanted =
            if pressed { (size * 2).min(max) } else { least.max(self.settings.journal_bytes_initial) };
        if self.journal.growing || wanted <= size {
            return;
        }
        let to = wanted.min(size + GROW_STEP_BYTES).next_multiple_of(BLOCK as u64);
        self.journal.growing = true;
        let file = self.journal.file.clone().expect("asked before");
        let operation = FileOperation::Allocate { file, offset: size, len: to - size, zero: true };
        self.ask(Job::JournalGrow { to }, operation, out);
    }

    pub(super) fn journal_grown(&mut self, to: u64, result: io::Result<()>) {
        self.journal.growing = false;
        match result {
            Ok(()) => self.journal.ring.grow(to),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => self.disk_full = true,
            Err(error) => self.directory_offline("Growing the journal", &error),
        }
    }
}

/// What one log gets of a group in one turn.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// A place.
    end: u64,
    /// Whether the end lies within a batch.
    within_batch: bool,
    /// The entry of the plan that it goes on with.
    merged: Option<usize>,
}

/// The next unsealed bytes of a log, as far as its turn and `room` (more than an entry's header) go: whole batches,
/// or a part of one that is larger, where the log `may_begin` one. A begun batch ends before anything else of its
/// log. `None` when nothing fits.
fn turn_of(log: &PartitionLog, plan: &[Planned], room: u64, may_begin: bool) -> Option<Turn> {
    let from = log.sealed;
    let segment_end = log.segment_at(from).expect("unsealed bytes are in a segment").end_place();
    let merged = log.planned_at.filter(|at| {
        let earlier = &plan[*at];
        earlier.to == from
            && log.segment_at(earlier.from).map(|segment| segment.end_place()) == Some(segment_end)
    });
    let room = if merged.is_some() { room } else { room - HEAD };
    let limit = segment_end.min(from + TURN_BYTES.min(room));
    let batch = log.tail.batch_at(from).expect("unsealed bytes are of a batch in memory");
    let whole =
        if batch.from < from { batch.to } else { log.tail.last_through(limit).map_or(from, |last| last.to) };
    let within_batch = whole <= from || whole > limit;
    let end = if within_batch { limit } else { whole };
    (may_begin || !within_batch).then_some(Turn { end, within_batch, merged })
}

fn plan_bytes(slot: Slot, log: &PartitionLog, what: What, from: u64, to: u64) -> Planned {
    let segment = log.segment_at(from).expect("bytes that are not persisted are in an open segment");
    let kind = Kind::Append { base: segment.base, serial: segment.serial, position: from - segment.place };
    let epoch = log.epochs.latest().map_or(LeaderEpoch::UNKNOWN, |latest| latest.epoch);
    Planned { slot, what, kind, epoch, from, to }
}
