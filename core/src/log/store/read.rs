//! Reads: from memory where the log is recent, else ranges of files.

use super::{Job, Operations, Read, ReadError, ReadRequest, Slot, Store, lookup::Lookup};
use crate::{
    error::Fatal,
    ids::Offset,
    limits::INDEX_BYTES_MAX,
    log::{
        index::{SegmentIndex, Span},
        partition_log::{Life, PartitionLog},
        paths::{self, SegmentName},
        segment::{Segment, Stage},
    },
};
use corelane_seam::{FileHandle, FileOperation, FileResult, Now, OpenHow, Part};
use std::{ops::Range, sync::Arc};

/// Indexes of closed segments that are kept in memory (6 MiB each for a full segment at Kafka's defaults).
const INDEXES_MAX: usize = 32;
/// What an index is that does not fit.
const OF_ANOTHER: &str = "it is of another segment";

/// What is missing before a segment can be read.
pub(super) enum Missing {
    Reader,
    Index,
}

impl Store {
    /// Whole batches from `from` on, out of memory or files.
    ///
    /// A range of a file may begin before `from` and, when it is not the log's end, may end within a batch; clients
    /// skip and cut.
    ///
    /// # Errors
    /// [`ReadError::Later`]: [`Event::Readable`](super::Event::Readable) follows.
    pub fn read(
        &mut self,
        _now: Now,
        slot: Slot,
        request: ReadRequest,
        out: &mut Operations,
    ) -> Result<Read, ReadError> {
        let log = self.get(slot).filter(|log| log.life == Life::Lives).ok_or(ReadError::Unknown)?;
        let up_to = request.up_to.min(log.flushed.max(log.written));
        self.read_below(slot, ReadRequest { up_to, ..request }, out)
    }

    /// The same for a follower: also what no write has completed for, from memory, so that its flush and ours overlap.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_unflushed(
        &mut self,
        slot: Slot,
        request: ReadRequest,
        out: &mut Operations,
    ) -> Result<Read, ReadError> {
        let log = self.get(slot).filter(|log| log.life == Life::Lives).ok_or(ReadError::Unknown)?;
        let up_to = request.up_to.min(log.end);
        self.read_below(slot, ReadRequest { up_to, ..request }, out)
    }

    fn read_below(
        &mut self,
        slot: Slot,
        request: ReadRequest,
        out: &mut Operations,
    ) -> Result<Read, ReadError> {
        let log = self.get(slot).ok_or(ReadError::Unknown)?;
        if let Some(reason) = &log.offline {
            return Err(ReadError::Offline(reason.clone()));
        }
        let ReadRequest { from, up_to, .. } = request;
        if from < log.start || from > log.end {
            return Err(ReadError::OutOfRange { start: log.start, end: log.end });
        }
        if from >= up_to {
            return Ok(Read { end: from, ..Read::default() });
        }
        let range = log.tail.find(request.from, up_to, request.max_bytes as u64, request.at_least_one);
        let result = match range {
            Some(range) => {
                let end = log.tail.last_through(range.end).map_or(up_to, |last| last.next);
                memory_parts(log, range).map(|parts| (parts, end))
            }
            None => file_parts(log, &request),
        };
        match result {
            Ok((parts, end)) => {
                let bytes = parts.iter().map(Part::len).sum();
                Ok(Read { parts, bytes, end })
            }
            Err((name, missing)) => {
                self.fetch(slot, name, missing, None, out);
                Err(ReadError::Later)
            }
        }
    }

    /// Reads a range of a file that [`read`](Self::read) gave into memory, for this broker's own use; answered by
    /// [`Event::BytesRead`](super::Event::BytesRead) with this `job`.
    pub fn read_bytes(&mut self, job: u64, file: FileHandle, offset: u64, len: usize, out: &mut Operations) {
        self.ask(Job::Bytes(job), FileOperation::Read { file, offset, len }, out);
    }

    pub(super) fn bytes_read(&mut self, job: u64, result: FileResult) {
        let FileResult::Read(read) = result else { panic!("a read was answered with {result:?}") };
        let result = read
            .map(|slice| slice.to_vec())
            .map_err(|error| Fatal::new(format!("reading a segment failed: {error}")));
        self.events.push(super::Event::BytesRead { job, result });
    }

    /// Opens a segment for reading, or reads its index; then goes on with `lookup`, or tells that the log is
    /// readable.
    pub(super) fn fetch(
        &mut self,
        slot: Slot,
        name: SegmentName,
        missing: Missing,
        lookup: Option<Box<Lookup>>,
        out: &mut Operations,
    ) {
        let log = self.log_mut(slot);
        let segment = log.segments.iter_mut().find(|segment| segment.name() == name).expect("just found");
        // Readers are all told when the log is readable; one question serves them.
        if lookup.is_none() && std::mem::replace(&mut segment.asked_by_readers, true) {
            return;
        }
        match missing {
            Missing::Reader => {
                let path = paths::segment(&log.directory, name);
                self.ask(
                    Job::Reader { slot, name, lookup },
                    FileOperation::Open { path, how: OpenHow::Read },
                    out,
                );
            }
            Missing::Index => {
                let path = paths::index(&log.directory, name);
                self.ask(
                    Job::Index { slot, name, lookup },
                    FileOperation::Open { path, how: OpenHow::Read },
                    out,
                );
            }
        }
    }

    pub(super) fn reader_opened(
        &mut self,
        slot: Slot,
        name: SegmentName,
        lookup: Option<Box<Lookup>>,
        result: FileResult,
        out: &mut Operations,
    ) {
        let opened = super::opened(result);
        let Some(log) = self.get_mut(slot) else { return self.gone(lookup) };
        let start = log.start;
        match (opened, log.segments.iter_mut().find(|segment| segment.name() == name)) {
            (Ok((file, _)), Some(segment)) => {
                if segment.reader.replace(file).is_none() {
                    self.readers.push_back((slot, name));
                }
                self.close_readers();
            }
            // Retention was faster; the next read finds the new log start.
            (Err(_), Some(segment)) if segment.next <= start => {}
            (Err(error), Some(segment)) => {
                let path = paths::segment(&log.directory, segment.name());
                self.unreadable(slot, &path.display().to_string(), &error);
            }
            // Retention or compaction were; the next read finds what took its place.
            (_, None) => {}
        }
        self.readable(slot, name, lookup, out);
    }

    /// Reads of an index go by a handle that is opened for it and not kept.
    pub(super) fn index_read(
        &mut self,
        slot: Slot,
        name: SegmentName,
        lookup: Option<Box<Lookup>>,
        result: FileResult,
        out: &mut Operations,
    ) {
        let read = match result {
            FileResult::Opened(Ok((file, length))) => {
                let len = usize::try_from(length).unwrap_or(usize::MAX).min(INDEX_BYTES_MAX);
                let job = Job::Index { slot, name, lookup };
                return self.ask(job, FileOperation::Read { file, offset: 0, len }, out);
            }
            FileResult::Opened(Err(error)) => Err(error),
            FileResult::Read(read) => read,
            other => panic!("an index was answered with {other:?}"),
        };
        let Some(log) = self.get_mut(slot) else { return self.gone(lookup) };
        let (start, cut_serial) = (log.start, log.cut_serial);
        if let Some(segment) = log.segments.iter_mut().find(|segment| segment.name() == name) {
            let index = read.map_err(|error| error.to_string()).and_then(|bytes| {
                let index = SegmentIndex::decode(&bytes).map_err(|damage| damage.to_string())?;
                let fits = index.base() == segment.base && u64::from(index.observed_bytes()) == segment.bytes;
                fits.then_some(index).ok_or_else(|| OF_ANOTHER.to_owned())
            });
            match index {
                Ok(index) => {
                    // Several readers may have asked for it; counted twice it would be forgotten too early.
                    if segment.index.replace(Arc::new(index)).is_none() {
                        self.indexes.push_back((slot, name));
                    }
                    self.forget_indexes();
                }
                Err(_) if segment.next <= start => {}
                // A cut was faster; the next read finds the index of what is left.
                Err(damage) if damage == OF_ANOTHER && segment.serial < cut_serial => {}
                Err(damage) => {
                    let path = paths::index(&log.directory, segment.name());
                    let reason = Fatal::new(format!(
                        "{}: {damage}. Remove the file and restart the broker: it is built again from the segment.",
                        path.display()
                    ));
                    self.partition_offline(slot, reason);
                }
            }
        }
        self.readable(slot, name, lookup, out);
    }

    fn unreadable(&mut self, slot: Slot, path: &str, error: &std::io::Error) {
        let reason = Fatal::new(format!(
            "{path} cannot be opened for reading: {error}. Check the file and the limit of open files, and restart \
             the broker."
        ));
        self.partition_offline(slot, reason);
    }

    fn readable(&mut self, slot: Slot, name: SegmentName, lookup: Option<Box<Lookup>>, out: &mut Operations) {
        if let Some(lookup) = lookup {
            return self.look_up(*lookup, out);
        }
        let segments = &mut self.log_mut(slot).segments;
        if let Some(segment) = segments.iter_mut().find(|segment| segment.name() == name) {
            segment.asked_by_readers = false;
        }
        self.events.push(super::Event::Readable { slot });
    }

    fn close_readers(&mut self) {
        while self.readers.len() > self.settings.read_handles_max.max(1) {
            let Some((slot, name)) = self.readers.pop_front() else { return };
            let Some(log) = self.get_mut(slot) else { continue };
            if let Some(segment) = log.segments.iter_mut().find(|segment| segment.name() == name) {
                segment.reader = None;
            }
        }
    }

    fn forget_indexes(&mut self) {
        while self.indexes.len() > INDEXES_MAX {
            let Some((slot, name)) = self.indexes.pop_front() else { return };
            let Some(log) = self.get_mut(slot).filter(|log| log.cut.is_none()) else { continue };
            let closed = log
                .segments
                .iter_mut()
                .find(|segment| segment.name() == name && segment.stage == Stage::Closed);
            if let Some(segment) = closed {
                segment.index = None;
            }
        }
    }
}

/// A range of places: memory, and in front of it what is only in the segment's file.
fn memory_parts(log: &PartitionLog, range: Range<u64>) -> Result<Vec<Part>, (SegmentName, Missing)> {
    let mut parts = Vec::new();
    let memory = log.tail.start().clamp(range.start, range.end);
    if range.start < memory {
        let open = log.segments.iter().find(|segment| {
            segment.place <= range.start && range.start < segment.end_place() && segment.in_tail
        });
        let segment = open.expect("batches in the tail are in a segment of this boot");
        let file = segment.reader.clone().ok_or((segment.name(), Missing::Reader))?;
        parts.push(Part::File { file, offset: range.start - segment.place, len: memory - range.start });
    }
    parts.extend(log.tail.slices(memory..range.end).map(Part::Memory));
    Ok(parts)
}

/// A range of the file of the segment that holds `from`, and an offset that nothing in it reaches.
fn file_parts(
    log: &PartitionLog,
    request: &ReadRequest,
) -> Result<(Vec<Part>, Offset), (SegmentName, Missing)> {
    let nothing = (Vec::new(), request.from);
    let Some(segment) = log.segment_of(request.from).map(|index| &log.segments[index]) else {
        return Ok(nothing);
    };
    let file: FileHandle = segment.reader.clone().ok_or((segment.name(), Missing::Reader))?;
    let index = segment.index.as_ref().ok_or((segment.name(), Missing::Index))?;
    // A copy of a compacted log has its holes in segments that were never compacted here.
    let has_holes = segment.cleaning > 0 || log.settings.compact;
    let Some(span) = find(has_holes, index, request.from.max(segment.base)) else { return Ok(nothing) };
    // What the tail holds is read from there; only bytes in front of it are surely in the file.
    let in_file = match segment.in_tail {
        true => segment.bytes.min(
            log.tail.marks().front().map_or(log.persisted, |mark| mark.from).saturating_sub(segment.place),
        ),
        false => segment.bytes,
    };
    // Everything in front of the first batch that the tail knows lies below that batch's offset.
    let known = log.tail.marks().front().map_or(log.flushed, |mark| mark.base);
    let all_below = segment.next <= request.up_to || (segment.in_tail && known <= request.up_to);
    let readable = match all_below {
        true => in_file,
        false => in_file.min(undecided_at(log, segment, request.up_to).unwrap_or_else(|| {
            // Between two entries of the index nothing is known.
            below(index, request.up_to)
        })),
    };
    let (from, least) = (u64::from(span.from), u64::from(span.to).min(readable));
    let most = (from + request.max_bytes as u64).min(readable);
    let end = if request.at_least_one { most.max(least) } else { most };
    let whole = end > from && (end >= least || request.at_least_one);
    if !whole {
        return Ok(nothing);
    }
    let reached = index.bound_at(end);
    Ok((vec![Part::File { file, offset: from, len: end - from }], reached))
}

/// Where in a segment the first undecided transaction begins, if that is where the reader's view ends: it sees everything
/// in front of it, however long the transaction takes.
fn undecided_at(log: &PartitionLog, segment: &Segment, up_to: Offset) -> Option<u64> {
    let (first, spot) = log.producers.first_undecided()?;
    let spot = spot.filter(|spot| spot.serial == segment.serial && segment.cleaning == 0)?;
    (first == up_to).then_some(u64::from(spot.position))
}

/// Where what is asked for is, or what comes next where compaction left a hole.
fn find(has_holes: bool, index: &SegmentIndex, from: Offset) -> Option<Span> {
    if has_holes { index.find_offset_or_next(from) } else { index.find_offset(from) }
}

/// Bytes of a segment that surely lie below an offset.
fn below(index: &SegmentIndex, up_to: Offset) -> u64 {
    index.find_offset(up_to).map_or(u64::from(index.observed_bytes()), |span| u64::from(span.from))
}
