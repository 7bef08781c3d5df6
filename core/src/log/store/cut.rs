//! Cutting a log: its end goes back (a follower gives up what the leader does not have), or it begins anew elsewhere.
//!
//! A cut is one replacement of the log's checkpoint. Before it everything of the log is brought into closed segments, so
//! that the journal says nothing of it that counts any more, and the index of the segment that is cut is removed: a
//! start builds it again for whatever length the checkpoint then says. After it the index is written anew and the file
//! gets its true length. The checkpoint names the first serial that a later segment may have, so a start knows that
//! segments, pieces in journals and log starts from before are void. Whenever the power goes the log is as it was, or cut.
//!
//! While a log is cut nothing is appended to it. Files are removed by name only, so ranges of them that were handed out
//! stay. A file that gets shorter can be on its way to somebody: not to a consumer, whose ranges are below the high watermark,
//! which no cut crosses but a reset, but to a follower of the reign that is over. What comes short ends the connection, as
//! the seam says, and what was taken from under the send arrives as zeros, which no copier takes for a batch: the follower
//! asks whoever leads now.

use super::{
    super::{
        checkpoint::Snapshot,
        epochs::LeaderEpochs,
        index::SegmentIndex,
        partition_log::{Life, PartitionLog},
        paths::{self, SegmentName},
        producers::ProducerStates,
        segment::Stage,
        tail::Tail,
    },
    CutError, Event, Slot, Store,
};
use crate::{ids::Offset, records::BatchHeader};
use corelane_seam::{FileHandle, FileOperation, FileResult, Now, OpenHow, Slice};
use std::{io, sync::Arc};

/// One step of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) enum Trim {
    /// The index of the segment that holds the cut is opened, and read.
    OpenIndex,
    ReadIndex,
    /// Its file, and the span of it that the cut lies in.
    OpenSegment,
    Scan,
    /// Away with the old index; then the log is cut in memory, and its checkpoint is written.
    RemoveIndex,
    /// The new index, and the file's new length.
    WriteIndex,
    OpenWriter,
    SetLength,
    Flush,
}

/// How far a cut is.
#[derive(Debug)]
enum Progress {
    /// What is on its way comes into closed segments.
    Draining,
    /// In the segment of this name, the cut is looked for.
    Finding { name: SegmentName, next: Trim, file: Option<(FileHandle, u64)> },
    /// It was found: so much of the segment stays, with this index of it.
    Found { name: SegmentName, index: Box<SegmentIndex> },
    /// The log is cut in memory, its checkpoint is on its way; a segment of this name is cut in two.
    Swapping(Option<SegmentName>),
    /// The checkpoint says so.
    Mending { name: SegmentName, next: Trim },
}

/// A cut that is under way.
#[derive(Debug)]
pub(in crate::log) struct Cutting {
    to: Offset,
    /// Everything goes, and the log starts at `to`.
    resets: bool,
    progress: Progress,
}

impl Store {
    /// Takes away everything from `to` on, or from the beginning of the batch that holds it; [`Event::Cut`] follows when
    /// that is durable. Below the log start it is a [`reset`](Self::reset). Appends answer Full meanwhile.
    ///
    /// # Errors
    /// [`CutError::Committed`] below the high watermark, unless `even_committed`: of a follower that is not in sync an
    /// unclean election may have given up what was committed.
    pub fn truncate(
        &mut self,
        now: Now,
        slot: Slot,
        to: Offset,
        even_committed: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), CutError> {
        let log = self.may_cut(slot)?;
        if to < log.high_watermark && !even_committed {
            return Err(CutError::Committed { high_watermark: log.high_watermark });
        }
        if to < log.start {
            return self.reset(now, slot, to);
        }
        if to >= log.end {
            events.push(Event::Cut { slot, end: log.end });
            return Ok(());
        }
        self.begin_cut(slot, to, false);
        Ok(())
    }

    /// Takes everything away: the log is empty and starts at `start` (the leader's log starts beyond our end, or ends
    /// before our start). [`Event::Cut`] follows when that is durable.
    ///
    /// # Errors
    /// When it cannot be cut at all.
    pub fn reset(&mut self, _now: Now, slot: Slot, start: Offset) -> Result<(), CutError> {
        self.may_cut(slot)?;
        self.begin_cut(slot, start, true);
        Ok(())
    }

    /// Whether a cut of this log is not done yet.
    pub fn is_cutting(&self, slot: Slot) -> bool {
        self.log(slot).cut.is_some()
    }

    fn may_cut(&mut self, slot: Slot) -> Result<&PartitionLog, CutError> {
        if let Some(reason) = &self.journal.failed {
            return Err(CutError::Offline(reason.clone()));
        }
        let log = self.get(slot).filter(|log| log.life == Life::Lives).ok_or(CutError::Unknown)?;
        match (&log.offline, &log.cut) {
            (Some(reason), _) => Err(CutError::Offline(reason.clone())),
            (None, Some(_)) => Err(CutError::UnderWay),
            (None, None) => Ok(log),
        }
    }

    fn begin_cut(&mut self, slot: Slot, to: Offset, resets: bool) {
        let log = self.log_mut(slot);
        log.cut = Some(Box::new(Cutting { to, resets, progress: Progress::Draining }));
        log.roll();
        log.urgent = true;
        self.journal.flush_due = true;
        self.queue_work(slot);
    }

    /// The checkpoint of a log was written: if it is that of a cut, the cut holds.
    pub(super) fn cut_checkpointed(&mut self, slot: Slot) {
        let log = self.log_mut(slot);
        let Some(cut) = log.cut.as_deref_mut() else { return };
        let Progress::Swapping(name) = cut.progress else { return };
        // The checkpoint has the last word on where the log starts.
        let starts: Vec<u64> = log.start_pins.drain(..).map(|(group, _)| group).collect();
        match name {
            Some(name) => cut.progress = Progress::Mending { name, next: Trim::WriteIndex },
            None => self.end_cut(slot),
        }
        starts.into_iter().for_each(|group| self.journal.ring.release(group));
        self.rehold(slot);
    }

    /// A step of a cut is done.
    pub(super) fn trimmed(&mut self, slot: Slot, trim: Trim) {
        match trim {
            Trim::RemoveIndex => self.count_memory(slot),
            Trim::Flush => self.end_cut(slot),
            Trim::OpenIndex
            | Trim::ReadIndex
            | Trim::OpenSegment
            | Trim::Scan
            | Trim::WriteIndex
            | Trim::OpenWriter
            | Trim::SetLength => {}
        }
    }

    fn end_cut(&mut self, slot: Slot) {
        let log = self.log_mut(slot);
        log.cut = None;
        let end = log.end;
        self.count_memory(slot);
        self.watermarks.is_due |= self.log(slot).is_replicated;
        self.events.push(Event::Cut { slot, end });
        // Appends to this log waited for it.
        self.room_wanted = true;
        self.offer_room();
    }
}

/// Whether all of a log is in closed segments, and nothing of it is on its way.
fn is_drained(log: &PartitionLog) -> bool {
    let closed = |segment: &super::super::segment::Segment| {
        segment.stage == Stage::Closed || (segment.bytes == 0 && !segment.needs_cut)
    };
    log.unsealed() == 0
        && log.flushed_place == log.tail.end()
        && log.segments.iter().all(closed)
        && log.start_wanted.is_none()
        && log.segments.front().is_none_or(|first| first.next > log.start)
        && log.replaced.is_empty()
        && !(log.checkpoint_due || log.cleaning || log.busy)
        && log.life == Life::Lives
        && log.offline.is_none()
}

/// Begins with the files of a log that is to be cut, once all of it is in them.
pub(super) fn advance(log: &mut PartitionLog) {
    let Some(cut) = log.cut.as_deref() else { return };
    if !matches!(cut.progress, Progress::Draining) || !is_drained(log) {
        return;
    }
    let (to, resets) = (cut.to, cut.resets);
    let split = log.segments.iter().find(|segment| !resets && segment.base < to && to < segment.next);
    let Some(segment) = split else { return apply(log, None) };
    let next = if segment.index.is_some() { Trim::OpenSegment } else { Trim::OpenIndex };
    let progress = Progress::Finding { name: segment.name(), next, file: None };
    log.cut.as_deref_mut().expect("it is being cut").progress = progress;
}

/// The next step of a log's cut, if there is one now.
pub(super) fn next_trim(log: &PartitionLog) -> Option<Trim> {
    match &log.cut.as_deref()?.progress {
        Progress::Draining | Progress::Swapping(_) => None,
        Progress::Finding { next, .. } | Progress::Mending { next, .. } => Some(*next),
        Progress::Found { .. } => Some(Trim::RemoveIndex),
    }
}

/// The operation of a step.
pub(super) fn begin(log: &PartitionLog, trim: Trim) -> FileOperation {
    let cut = log.cut.as_deref().expect("a step of a cut");
    let name = cut.segment().expect("a segment is cut in two");
    let segment =
        log.segments.iter().find(|segment| segment.name() == name).expect("nothing else removes it");
    let index_path = paths::index(&log.directory, name);
    let segment_path = paths::segment(&log.directory, name);
    let writer = || segment.writer.clone().expect("opened before");
    match trim {
        Trim::OpenIndex => FileOperation::Open { path: index_path, how: OpenHow::Read },
        Trim::OpenSegment => FileOperation::Open { path: segment_path, how: OpenHow::Read },
        Trim::ReadIndex => {
            let (file, len) = cut.file();
            FileOperation::Read { file, offset: 0, len: usize::try_from(len).unwrap_or(usize::MAX) }
        }
        Trim::Scan => {
            let index = segment.index.as_ref().expect("read before");
            let span = index.find_offset(cut.to).expect("the cut lies within the segment");
            let len = usize::try_from(span.to - span.from).expect("a span is below 4 GiB");
            FileOperation::Read { file: cut.file().0, offset: u64::from(span.from), len }
        }
        Trim::RemoveIndex => FileOperation::Remove { path: index_path },
        Trim::WriteIndex => {
            let content = segment.index.as_ref().expect("cut with its segment").encode();
            FileOperation::Replace { path: index_path, data: Slice::copy_from(&content) }
        }
        Trim::OpenWriter => FileOperation::Open { path: segment_path, how: OpenHow::Direct },
        Trim::SetLength => FileOperation::SetLength { file: writer(), len: segment.bytes },
        Trim::Flush => FileOperation::Flush { file: writer() },
    }
}

/// Notes that a step was done.
pub(super) fn finish(log: &mut PartitionLog, trim: Trim, result: FileResult) -> io::Result<()> {
    let cut = log.cut.as_deref_mut().expect("a step of a cut");
    let name = cut.segment().expect("a segment is cut in two");
    let to = cut.to;
    let segment =
        log.segments.iter_mut().find(|segment| segment.name() == name).expect("nothing else removes it");
    let next = match (trim, result) {
        (Trim::OpenIndex | Trim::OpenSegment, FileResult::Opened(result)) => {
            let next = if trim == Trim::OpenIndex { Trim::ReadIndex } else { Trim::Scan };
            cut.progress = Progress::Finding { name, next, file: Some(result?) };
            return Ok(());
        }
        (Trim::ReadIndex, FileResult::Read(result)) => {
            let damaged = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
            let index = SegmentIndex::decode(&result?).map_err(|damage| damaged(damage.to_string()))?;
            if index.base() != segment.base || u64::from(index.observed_bytes()) != segment.bytes {
                return Err(damaged("the index is of another segment".to_owned()));
            }
            segment.index = Some(Arc::new(index));
            cut.progress = Progress::Finding { name, next: Trim::OpenSegment, file: None };
            return Ok(());
        }
        (Trim::Scan, FileResult::Read(result)) => {
            let index = segment.index.as_ref().expect("read before");
            let index = Box::new(cut_index(index, to, &result?)?);
            cut.progress = Progress::Found { name, index };
            return Ok(());
        }
        (Trim::RemoveIndex, FileResult::Done(result)) => {
            result?;
            let progress = std::mem::replace(&mut cut.progress, Progress::Draining);
            let Progress::Found { index, .. } = progress else { panic!("{trim:?} after {progress:?}") };
            apply(log, Some((name, *index)));
            return Ok(());
        }
        (Trim::WriteIndex, FileResult::Done(result)) => {
            result?;
            Trim::OpenWriter
        }
        (Trim::OpenWriter, FileResult::Opened(result)) => {
            segment.writer = Some(result?.0);
            Trim::SetLength
        }
        (Trim::SetLength, FileResult::Done(result)) => {
            result?;
            Trim::Flush
        }
        (Trim::Flush, FileResult::Flushed(result)) => {
            result?;
            (segment.writer, segment.index) = (None, None);
            return Ok(());
        }
        (trim, result) => panic!("{trim:?} was answered with {result:?}"),
    };
    cut.progress = Progress::Mending { name, next };
    Ok(())
}

impl Cutting {
    /// The segment that is cut in two.
    fn segment(&self) -> Option<SegmentName> {
        match &self.progress {
            Progress::Draining => None,
            Progress::Finding { name, .. }
            | Progress::Found { name, .. }
            | Progress::Mending { name, .. } => Some(*name),
            Progress::Swapping(name) => *name,
        }
    }

    fn file(&self) -> (FileHandle, u64) {
        match &self.progress {
            Progress::Finding { file: Some((file, len)), .. } => (file.clone(), *len),
            other => panic!("no file is open while {other:?}"),
        }
    }
}

/// The index of what stays of a segment in which only batches below `to` are kept. `span`: the bytes of it that hold
/// `to`, by its index.
fn cut_index(index: &SegmentIndex, to: Offset, span: &[u8]) -> io::Result<SegmentIndex> {
    let damaged = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let place = index.find_offset(to).expect("the cut lies within the segment");
    let mut headers = Vec::new();
    let (mut position, mut rest) = (u64::from(place.from), span);
    while !rest.is_empty() {
        let header = BatchHeader::view(rest).ok_or_else(|| damaged("a batch is cut short".to_owned()))?;
        if header.last_offset() >= to {
            break;
        }
        headers.push((*header, position));
        let total = header.total_bytes().filter(|total| *total > 0 && *total <= rest.len());
        let total = total.ok_or_else(|| damaged(format!("no whole batch at {position}")))?;
        (position, rest) = (position + total as u64, &rest[total..]);
    }
    let mut kept = index.clone();
    let from = kept.truncate(u32::try_from(position).expect("a segment is below 4 GiB"));
    let known = kept.aborted().len();
    for (header, position) in headers.iter().filter(|(_, position)| *position >= u64::from(from)) {
        kept.observe(header, *position).map_err(|why| damaged(why.to_string()))?;
    }
    let end = kept.next_offset();
    let again = index.aborted()[known..].iter().take_while(|aborted| aborted.last < end);
    again.for_each(|aborted| kept.note_aborted(*aborted));
    Ok(kept)
}

/// Cuts the log in memory and has its checkpoint written. Of the segment that holds the cut, what its new index knows
/// stays.
fn apply(log: &mut PartitionLog, split: Option<(SegmentName, SegmentIndex)>) {
    let cut = log.cut.as_deref().expect("it is being cut");
    let (to, resets) = (cut.to, cut.resets);
    let keep = if resets { 0 } else { log.segments.partition_point(|segment| segment.next <= to) };
    let mut end = if resets || keep == 0 { to } else { log.segments[keep - 1].next };
    let mut gone: Vec<SegmentName> = log.segments.range(keep..).map(|segment| segment.name()).collect();
    let mut mended = None;
    // What would be left of the segment may all lie below the log start, which need not be the beginning of a batch.
    let start = log.start;
    let stays = |index: &SegmentIndex| index.observed_bytes() > 0 && index.next_offset() > start;
    if let Some((name, index)) = split.filter(|(_, index)| stays(index)) {
        let segment = &mut log.segments[keep];
        debug_assert_eq!(
            segment.name(),
            name,
            "the segment that holds the cut is the first that does not stay whole"
        );
        gone.retain(|other| *other != name);
        let bytes = u64::from(index.observed_bytes());
        (segment.bytes, segment.written, segment.flushed, segment.allocated) = (bytes, bytes, bytes, bytes);
        (segment.next, segment.max_timestamp) = (index.next_offset(), index.max_timestamp());
        segment.has_aborted = !index.aborted().is_empty();
        end = segment.next;
        segment.index = Some(Arc::new(index));
        mended = Some(name);
        log.segments.truncate(keep + 1);
    } else {
        if keep < log.segments.len() && !resets {
            end = log.segments[keep].base.min(to).max(start);
        }
        log.segments.truncate(keep);
    }
    log.segments.iter_mut().for_each(|segment| segment.in_tail = false);
    log.replaced.extend(gone);
    log.tail = Tail::starting_at(log.tail.end());
    log.update_persisted();
    (log.end, log.written, log.flushed) = (end, end, end);
    if resets {
        (log.start, log.high_watermark, log.cleaned_to) = (end, end, end);
        (log.epochs, log.producers) = (LeaderEpochs::new(), ProducerStates::new());
    } else {
        log.high_watermark = log.high_watermark.min(end);
        log.epochs.truncate_from_end(end);
        log.producers.truncate(end);
        if let Some(segment) = log.segments.back_mut().filter(|segment| Some(segment.name()) == mended) {
            segment.open_from = log.producers.first_open_transaction().unwrap_or(end);
        }
        log.cleaned_to = log.cleaned_to.min(end);
    }
    (log.unflushed_records, log.unflushed_since) = (0, None);
    log.next_serial += 1;
    log.cut_serial = log.next_serial;
    log.snapshot = Snapshot::take(end, &log.epochs, &log.producers);
    log.checkpoint_due = true;
    log.cut.as_deref_mut().expect("it is being cut").progress = Progress::Swapping(mended);
}
