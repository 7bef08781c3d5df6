//! Writing behind the journal: segments, their closing, checkpoints, and the removal of what is gone.
//!
//! One step per log is under way at a time, on a bounded number of logs at once, so that the flushes of segments do
//! not stand before the journal's.

use super::{
    super::{
        partition_log::{Life, PartitionLog},
        paths,
        segment::{Stage, block_floor},
    },
    Job, Operations, Slot, Store,
    cut::{self, Trim},
    log_of,
};
use crate::{
    error::Fatal,
    ids::{Offset, PartitionId},
};
use corelane_seam::{Allocation, BLOCK, ChunkWriter, FileOperation, FileResult, Flush, OpenHow, Slice};
use std::{io, path::PathBuf};

/// Logs that may have a step of segment work under way at once.
const WORKING_MAX: usize = 4;
/// Logs that are hurried at once. They go before the others, who keep a step of their own; each costs the disk a flush
/// that the journal's may have to wait for; and who waits longer to be hurried has more to write with that flush.
pub(super) const HURRIED_MAX: usize = WORKING_MAX - 1;
/// How many of these for want of memory: one is left to whoever holds back the journal.
const HURRIED_FILLED_MAX: usize = HURRIED_MAX - 1;
/// Logs that filled a chunk that are looked at per turn while memory is short.
const FILLED_SLICE: usize = 64;
/// A segment is flushed once so many bytes were written to it.
const FLUSH_BEHIND_BYTES: u64 = 4 * 1024 * 1024;

/// The next thing to do for a log's files.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    RemoveDirectory,
    /// The first segment's index goes first: without a segment nothing would tell whose it is.
    RemoveIndex,
    RemoveSegment,
    /// The same of the first segment that compaction replaced.
    RemoveReplacedIndex,
    RemoveReplaced,
    Open(usize),
    /// Away with the fragment that recovery found: the length, and its flush.
    Cut(usize),
    CutFlush(usize),
    Allocate(usize, u64),
    /// Up to this position; flushed, with all that was written before, if it says so.
    Write {
        index: usize,
        to: u64,
        flushed: bool,
    },
    SetLength(usize),
    Flush(usize),
    Index(usize),
    /// A recovery point of the segment.
    Point(usize),
    RemovePoint(usize),
    /// With this log start.
    Checkpoint(Offset),
    /// Of a cut.
    Trim(Trim),
}

impl Store {
    /// Queues a log if enough of it waits for its segment.
    pub(super) fn queue_write_behind(&mut self, slot: Slot) {
        let log = self.log(slot);
        let is_due = |index: usize| log.segments[index].is_write_due(log.durable_place);
        if log.open_segment().is_some_and(is_due) {
            self.queue_work(slot);
        }
    }

    pub(super) fn queue_work(&mut self, slot: Slot) {
        let Some(log) = self.get_mut(slot) else { return };
        if !std::mem::replace(&mut log.queued, true) {
            self.work.push_back(slot);
        }
    }

    /// Whether less than `max` logs are hurried.
    pub(super) fn may_hurry(&mut self, max: usize) -> bool {
        let slots = &mut self.slots;
        self.hurried.retain(|slot| log_of(slots, *slot).is_some_and(|log| log.urgent));
        self.hurried.len() < max
    }

    /// Writes and flushes whatever of a log fills a block, however little, before what others have to write.
    pub(super) fn hurry_work(&mut self, slot: Slot) {
        self.log_mut(slot).urgent = true;
        if !self.hurried.contains(&slot) {
            self.hurried.push(slot);
        }
    }

    /// Begins steps of logs that are hurried or queued, as many as may be under way.
    pub(super) fn start_work(&mut self, out: &mut Operations) {
        while self.working < WORKING_MAX && self.journal.failed.is_none() {
            let Some(slot) = self.hurried_now().or_else(|| self.next_queued()) else { return };
            if self.get(slot).is_some_and(|log| !log.busy) {
                self.step(slot, out);
            }
        }
    }

    fn hurried_now(&self) -> Option<Slot> {
        let is_next = |slot: &&Slot| self.get(**slot).is_some_and(|log| log.urgent && !log.busy);
        self.hurried.iter().find(is_next).copied()
    }

    fn next_queued(&mut self) -> Option<Slot> {
        let slot = self.work.pop_front()?;
        if let Some(log) = self.get_mut(slot) {
            log.queued = false;
        }
        Some(slot)
    }

    /// Asks for the log's next step, if there is one.
    fn step(&mut self, slot: Slot, out: &mut Operations) {
        self.swap_cleaned(slot);
        let log = self.log_mut(slot);
        cut::advance(log);
        let step = next_step(log);
        log.busy = step.is_some();
        let Some(step) = step else {
            log.urgent = false;
            return;
        };
        let (step, operation) = begin(log, step);
        self.working += 1;
        self.ask(Job::Segment(slot, step), operation, out);
    }

    /// Takes the answer of a log's step and asks for the next.
    pub(super) fn step_done(&mut self, slot: Slot, step: Step, result: FileResult, out: &mut Operations) {
        self.working -= 1;
        let Some(log) = self.get_mut(slot) else { return };
        log.busy = false;
        let is_flush = matches!(result, FileResult::Flushed(_));
        // What was hurried is where it shall be.
        log.urgent &= !matches!(step, Step::Flush(_) | Step::Write { flushed: true, .. });
        match finish(log, &step, result) {
            Ok(()) => {}
            // The same bytes are written again when there is space; nothing is flushed in between.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && !is_flush => {
                log.checkpoint_due |= matches!(step, Step::Checkpoint(_));
                log.urgent = false;
                self.write_refused();
                return;
            }
            Err(error) => {
                let directory = log.directory.display();
                let reason = Fatal::new(format!(
                    "{directory}: {step:?} failed: {error}. The partition is offline; its journal is kept. Check \
                     the disk and restart the broker."
                ));
                return self.partition_offline(slot, reason);
            }
        }
        match step {
            Step::RemoveDirectory => return self.bury(slot),
            Step::Flush(_) | Step::Index(_) | Step::CutFlush(_) | Step::Write { flushed: true, .. } => {
                self.release_persisted(slot);
                if self.log(slot).tail.can_drop(self.log(slot).persisted) {
                    self.cached.push_back(slot);
                }
            }
            Step::Checkpoint(_) => {
                self.release_starts(slot);
                self.cut_checkpointed(slot);
            }
            Step::Trim(trim) => self.trimmed(slot, trim),
            Step::Open(_)
            | Step::Cut(_)
            | Step::Allocate(..)
            | Step::Write { .. }
            | Step::SetLength(_)
            | Step::Point(_)
            | Step::RemovePoint(_)
            | Step::RemoveIndex
            | Step::RemoveSegment
            | Step::RemoveReplacedIndex
            | Step::RemoveReplaced => {}
        }
        // The queue's turn: one log with much to write does not stand before the others.
        self.queue_work(slot);
        self.start_work(out);
    }

    fn release_starts(&mut self, slot: Slot) {
        let log = self.log_mut(slot);
        let checkpointed = log.start_checkpointed;
        let released: Vec<u64> = log
            .start_pins
            .extract_if(.., |(_, offset)| *offset <= checkpointed)
            .map(|(group, _)| group)
            .collect();
        released.into_iter().for_each(|group| self.journal.ring.release(group));
        self.rehold(slot);
    }

    /// The end of a deleted log: its files are gone, so the journal need not say anything of it.
    fn bury(&mut self, slot: Slot) {
        let entry = &mut self.slots[slot.index as usize];
        let log = entry.log.take().expect("its step was under way");
        entry.reuse += 1;
        self.free.push(slot.index);
        self.memory -= log.counted_memory;
        self.cleaner.compacted.remove(&slot);
        log.held_groups().for_each(|group| self.journal.ring.release(group));
        if let Some(group) = log.held {
            self.journal.holds.remove(&(group, slot.index));
        }
        self.vacate(log.id);
    }

    /// A directory is rid of a log: if that was the last of its partition that was being deleted, the one that took its
    /// place may write.
    fn vacate(&mut self, id: PartitionId) {
        let left = self.dying.get_mut(&id).map_or(0, |dying| {
            *dying -= 1;
            *dying
        });
        if left > 0 {
            return;
        }
        self.dying.remove(&id);
        if let Some(slot) = self.slot(id) {
            let log = self.log_mut(slot);
            (log.awaits_removal, log.urgent) = (false, true);
            self.queue_work(slot);
        }
    }

    /// Gives memory back: first what is in segments, oldest first, down to the cache's size; and where that is not
    /// enough, hurries the segments of the logs that filled memory first.
    pub(super) fn drop_cached(&mut self) {
        let high = self.memory_max() / 4 * 3;
        let keep = self.settings.tail_cache_bytes.min(high);
        while self.memory > keep {
            let Some(slot) = self.cached.pop_front() else { break };
            let Some(log) = log_of(&mut self.slots, slot) else { continue };
            let persisted = log.persisted;
            if log.tail.drop_first(persisted) && log.tail.can_drop(persisted) {
                self.cached.push_back(slot);
            }
            self.count_memory(slot);
        }
        if self.memory > high {
            self.hurry_filled();
            self.journal.flush_due = true;
        }
        self.offer_room();
    }

    /// Hurries the segments of the logs that filled a chunk first. A log stays in the queue until its full chunks are
    /// in flushed segments; what it holds beyond them is cut to size.
    fn hurry_filled(&mut self) {
        for _ in 0..self.filled.len().min(FILLED_SLICE) {
            if !self.may_hurry(HURRIED_FILLED_MAX) {
                break;
            }
            let Some(slot) = self.filled.pop_front() else { break };
            let Some(log) = self.get_mut(slot) else { continue };
            log.filled = log.tail.must_persist(log.persisted) && log.offline.is_none();
            if !log.filled {
                let base = log.open_segment().map_or(log.persisted, |index| log.segments[index].place);
                let boundary = base + block_floor(log.persisted.saturating_sub(base));
                log.tail.shrink(boundary);
                self.count_memory(slot);
                continue;
            }
            if log.writable_bytes() > 0 {
                self.hurry_work(slot);
            }
            self.filled.push_back(slot);
        }
    }
}

/// What is to be done next for this log's files.
fn next_step(log: &PartitionLog) -> Option<Step> {
    match log.life {
        // What the cleaner makes meanwhile would make the directory anew.
        Life::Dead => return (!log.cleaning).then_some(Step::RemoveDirectory),
        Life::Dying => return None,
        Life::Lives => {}
    }
    if log.offline.is_some() || log.awaits_removal {
        return None;
    }
    if log.checkpoint_due {
        return Some(Step::Checkpoint(log.start));
    }
    if log.segments.front().is_some_and(|first| first.stage == Stage::Closed && first.next <= log.start) {
        return Some(if log.index_removed { Step::RemoveSegment } else { Step::RemoveIndex });
    }
    if !log.replaced.is_empty() {
        return Some(match log.replaced_index_removed {
            true => Step::RemoveReplaced,
            false => Step::RemoveReplacedIndex,
        });
    }
    if let Some(trim) = cut::next_trim(log) {
        return Some(Step::Trim(trim));
    }
    let index = log.open_segment()?;
    let segment = &log.segments[index];
    if segment.needs_cut {
        return Some(match (&segment.writer, segment.length_set) {
            (None, _) => Step::Open(index),
            (Some(_), false) => Step::Cut(index),
            (Some(_), true) => Step::CutFlush(index),
        });
    }
    if segment.is_point_due() {
        return Some(Step::Point(index));
    }
    let writable = segment.writable(log.durable_place);
    let ends = segment.stage == Stage::Closing && writable == segment.bytes;
    if writable > segment.written && (log.urgent || segment.is_write_due(log.durable_place)) {
        let allocate = segment.allocation(writable);
        return Some(match (&segment.writer, allocate) {
            (None, _) => Step::Open(index),
            (Some(_), 0) => Step::Write { index, to: writable, flushed: log.urgent },
            (Some(_), bytes) => Step::Allocate(index, bytes),
        });
    }
    if ends {
        return Some(match (segment.length_set, segment.flushed == segment.bytes) {
            _ if segment.writer.is_none() => Step::Open(index),
            (false, _) => Step::SetLength(index),
            (true, false) => Step::Flush(index),
            // Before it counts as closed, and may be cut.
            (true, true) if segment.has_point_file => Step::RemovePoint(index),
            (true, true) => Step::Index(index),
        });
    }
    let unflushed = segment.written - segment.flushed;
    (unflushed >= FLUSH_BEHIND_BYTES || (unflushed > 0 && log.urgent)).then_some(Step::Flush(index))
}

/// The operation of a step, and the step as it will be noted when that is done.
fn begin(log: &mut PartitionLog, mut step: Step) -> (Step, FileOperation) {
    let writer = |index: usize| log.segments[index].writer.clone().expect("opened before");
    let operation = match step {
        Step::RemoveDirectory => FileOperation::Remove { path: log.directory.clone() },
        Step::RemoveIndex => {
            FileOperation::Remove { path: paths::index(&log.directory, log.segments[0].name()) }
        }
        Step::RemoveReplacedIndex => {
            FileOperation::Remove { path: paths::index(&log.directory, log.replaced[0]) }
        }
        Step::RemoveReplaced => {
            FileOperation::Remove { path: paths::segment(&log.directory, log.replaced[0]) }
        }
        Step::RemoveSegment => FileOperation::Remove { path: segment_path(log, 0) },
        Step::Open(index) => FileOperation::Open { path: segment_path(log, index), how: OpenHow::Direct },
        Step::Allocate(index, len) => {
            let offset = log.segments[index].allocated;
            FileOperation::Allocate { file: writer(index), offset, len, how: Allocation::Lengthen }
        }
        Step::Write { index, to, flushed } => {
            let segment = &log.segments[index];
            let data = blocks_to_write(log, index, to);
            let reached = to.min(segment.written + data.len() as u64);
            let much = reached - segment.flushed >= FLUSH_BEHIND_BYTES;
            // One that takes no more is flushed when its length is set.
            let flushed = (much || flushed && reached == to) && segment.stage != Stage::Closing;
            step = Step::Write { index, to: reached, flushed };
            let flush = if flushed { Flush::Within } else { Flush::No };
            FileOperation::Write { file: writer(index), offset: segment.written, data, flush }
        }
        Step::SetLength(index) => {
            FileOperation::SetLength { file: writer(index), len: log.segments[index].bytes }
        }
        Step::Cut(index) => {
            FileOperation::SetLength { file: writer(index), len: log.segments[index].flushed }
        }
        Step::Flush(index) | Step::CutFlush(index) => FileOperation::Flush { file: writer(index) },
        Step::Index(index) => {
            let segment = &log.segments[index];
            let content = segment.index.as_ref().expect("an open segment has its index").encode();
            let path = paths::index(&log.directory, segment.name());
            FileOperation::Replace { path, data: Slice::copy_from(&content) }
        }
        Step::Point(index) => {
            let segment = &mut log.segments[index];
            segment.has_point_file = true;
            let content = segment.point.as_ref().expect("it is due").encode();
            let path = paths::point(&log.directory, segment.name());
            FileOperation::Replace { path, data: Slice::copy_from(&content) }
        }
        Step::RemovePoint(index) => {
            FileOperation::Remove { path: paths::point(&log.directory, log.segments[index].name()) }
        }
        Step::Trim(trim) => cut::begin(log, trim),
        Step::Checkpoint(_) => {
            log.checkpoint_due = false;
            let data = Slice::copy_from(&log.checkpoint().encode());
            FileOperation::Replace { path: paths::checkpoint(&log.directory), data }
        }
    };
    (step, operation)
}

fn segment_path(log: &PartitionLog, index: usize) -> PathBuf {
    paths::segment(&log.directory, log.segments[index].name())
}

/// The next blocks of a segment, out of one chunk of memory; the last of a closing segment padded with zeros.
fn blocks_to_write(log: &PartitionLog, index: usize, to: u64) -> Slice {
    let segment = &log.segments[index];
    let whole = block_floor(to);
    if whole > segment.written {
        return log.tail.first_slice(segment.place + segment.written, segment.place + whole);
    }
    let mut chunk = ChunkWriter::with_capacity(BLOCK);
    let rest = usize::try_from(to - segment.written).expect("less than a block");
    chunk.append_with(rest, |space| {
        log.tail.copy_to(segment.place + segment.written..segment.place + to, space);
    });
    chunk.pad_to_block();
    chunk.slice(0..BLOCK)
}

/// Notes that a step was done.
fn finish(log: &mut PartitionLog, step: &Step, result: FileResult) -> io::Result<()> {
    match (step, result) {
        (Step::Open(index), FileResult::Opened(result)) => {
            let (file, length) = result?;
            let segment = &mut log.segments[*index];
            segment.writer = Some(file);
            segment.allocated = segment.allocated.max(block_floor(length));
        }
        (Step::Allocate(index, bytes), FileResult::Done(result)) => {
            result?;
            log.segments[*index].allocated += bytes;
        }
        (Step::Write { index, to, .. }, FileResult::Written(result)) => {
            result?;
            log.segments[*index].written = *to;
        }
        (Step::Write { index, to, flushed: true }, FileResult::Flushed(result)) => {
            result?;
            let segment = &mut log.segments[*index];
            (segment.written, segment.flushed) = (*to, *to);
        }
        (Step::SetLength(index), FileResult::Done(result)) => {
            result?;
            log.segments[*index].length_set = true;
        }
        (Step::Cut(index), FileResult::Done(result)) => {
            result?;
            log.segments[*index].length_set = true;
        }
        (Step::CutFlush(index), FileResult::Flushed(result)) => {
            result?;
            let segment = &mut log.segments[*index];
            (segment.needs_cut, segment.length_set, segment.allocated) = (false, false, segment.flushed);
        }
        (Step::Flush(index), FileResult::Flushed(result)) => {
            result?;
            let segment = &mut log.segments[*index];
            segment.flushed = segment.written;
        }
        (Step::Index(index), FileResult::Done(result)) => {
            result?;
            let segment = &mut log.segments[*index];
            segment.stage = Stage::Closed;
            (segment.writer, segment.index) = (None, None);
            log.snapshot = segment.snapshot.take().unwrap_or_else(|| log.snapshot.clone());
            log.checkpoint_due = true;
        }
        (Step::Point(index), FileResult::Done(result)) => {
            // The one before is still there, or this one: either is true, and the next one comes.
            if let Err(error) = result {
                tracing::warn!(partition = %log.id, %error, "a recovery point could not be written");
            }
            log.segments[*index].point = None;
        }
        (Step::RemovePoint(index), FileResult::Done(result)) => {
            result?;
            log.segments[*index].has_point_file = false;
        }
        (Step::Checkpoint(start), FileResult::Done(result)) => {
            result?;
            log.start_checkpointed = *start;
        }
        (Step::RemoveIndex, FileResult::Done(result)) => {
            result?;
            log.index_removed = true;
        }
        (Step::RemoveSegment, FileResult::Done(result)) => {
            result?;
            log.index_removed = false;
            log.segments.pop_front();
        }
        (Step::RemoveReplacedIndex, FileResult::Done(result)) => {
            result?;
            log.replaced_index_removed = true;
        }
        (Step::RemoveReplaced, FileResult::Done(result)) => {
            result?;
            log.replaced_index_removed = false;
            log.replaced.pop_front();
        }
        (Step::RemoveDirectory, FileResult::Done(result)) => result?,
        (Step::Trim(trim), result) => cut::finish(log, *trim, result)?,
        (step, result) => panic!("{step:?} was answered with {result:?}"),
    }
    Ok(())
}
