//! One log's files and journal entries, made one again.

use super::{
    super::{
        Fault,
        checkpoint::{Checkpoint, Closed, Snapshot},
        epochs::LeaderEpochs,
        index::SegmentIndex,
        paths::{self, SegmentName},
        producers::ProducerStates,
        recovery_point::RecoveryPoint,
        segment::{Segment, Stage, block_floor},
        tail::Mark,
    },
    RecoveredLog, RecoveryReport, RecoverySettings, failed,
    journals::{Piece, Replay},
    kept, list,
    scan::{Content, Stop, offline, scan, spot},
};
use crate::{
    error::Fatal,
    ids::{Offset, PartitionId},
};
use corelane_seam::{BLOCK, Disk};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Distance of index entries in an index that is built again (`index.interval.bytes`' default).
const INDEX_INTERVAL_BYTES: u32 = 4096;

/// A log under recovery.
struct Work<'a> {
    disk: &'a dyn Disk,
    directory: PathBuf,
    unix_ms: i64,
    fault: Fault,
    log: RecoveredLog,
}

/// What was read of a segment that no checkpoint knows.
struct OpenSegment {
    segment: Segment,
    index: SegmentIndex,
    /// The last ones: at least those that reach into the last block, and the one before.
    marks: Vec<Mark>,
}

/// Recovers one log; `None` if it was deleted.
pub(super) fn recover_log(
    disk: &dyn Disk,
    settings: &RecoverySettings,
    id: PartitionId,
    replay: &Replay,
    report: &mut RecoveryReport,
) -> Result<Option<RecoveredLog>, Fatal> {
    let directory = paths::log_directory(&settings.data_dir, id);
    if replay.deleted {
        disk.remove(&directory).map_err(|error| failed("removing", &directory, &error))?;
        return Ok(None);
    }
    // The deleted log's files go before the next one writes any.
    if replay.serial_min > 0 && !holds_from(disk, &directory, replay.serial_min)? {
        disk.remove(&directory).map_err(|error| failed("removing", &directory, &error))?;
    }
    let log = RecoveredLog {
        id,
        start: Offset::ZERO,
        end: Offset::ZERO,
        offline: None,
        next_serial: 0,
        cleaned_to: Offset::ZERO,
        cut_serial: 0,
        high_watermark: Offset::ZERO,
        segments: Vec::new(),
        epochs: LeaderEpochs::new(),
        producers: ProducerStates::new(),
        snapshot: Snapshot::take(Offset::ZERO, &LeaderEpochs::new(), &ProducerStates::new()),
        carried: Vec::new(),
        marks: Vec::new(),
        gap: None,
        carried_in: None,
        was_offline: false,
    };
    let mut work = Work { disk, directory, unix_ms: settings.unix_ms, fault: settings.fault, log };
    let found = kept::read(disk, &work.directory, replay)?;
    work.log.was_offline = found.is_some();
    let replay = match found {
        None => replay,
        Some(Ok(ref kept)) => kept,
        Some(Err(damage)) => {
            work.log.offline = Some(damage);
            return Ok(Some(work.log));
        }
    };
    match work.run(replay, report) {
        Ok(()) => {}
        Err(Stop::Fatal(fatal)) => return Err(fatal),
        Err(Stop::Offline(reason)) => {
            kept::write(disk, &work.directory, replay)?;
            work.log.segments.clear();
            (work.log.carried, work.log.marks) = (Vec::new(), Vec::new());
            work.log.end = work.log.end.max(work.log.start);
            work.log.offline = Some(reason);
        }
    }
    Ok(Some(work.log))
}

/// Whether what stands in a log's directory is of a log whose serials begin with `serial`.
fn holds_from(disk: &dyn Disk, directory: &Path, serial: u32) -> Result<bool, Fatal> {
    let path = paths::checkpoint(directory);
    let checkpoint = disk.read(&path).map_err(|error| failed("reading", &path, &error))?;
    if checkpoint.as_deref().and_then(Checkpoint::decode).is_some_and(|it| it.next_serial >= serial) {
        return Ok(true);
    }
    let entries = list(disk, directory)?;
    Ok(entries
        .iter()
        .filter_map(|entry| paths::parse_segment(&entry.path))
        .any(|(name, _)| name.serial >= serial))
}

impl Work<'_> {
    fn run(&mut self, replay: &Replay, report: &mut RecoveryReport) -> Result<(), Stop> {
        let checkpoint = self.load_checkpoint()?;
        let checkpointed_start = self.log.start;
        let cut_serial = self.log.cut_serial;
        let replayed = replay.log_start.filter(|(serial, _)| *serial >= cut_serial);
        self.log.start = self.log.start.max(replayed.map_or(Offset::ZERO, |(_, start)| start));
        let mut files = self.segment_files()?;
        let has_checkpoint = checkpoint.is_some();
        let (mut known, mut next) = (None, None);
        for closed in checkpoint.map(|checkpoint| checkpoint.closed).unwrap_or_default() {
            // Also of a segment below the log start, whose file is gone: the journal may still hold a part of it.
            known = Some(closed.name.serial);
            self.take_closed(&closed, files.remove(&closed.name))?;
            next = Some(closed.next);
        }
        if !has_checkpoint {
            // What compaction wrote is of closed segments only: the journal's parts of those are not needed.
            known = files.keys().filter(|name| name.cleaning > 0).map(|name| name.serial).max();
        }
        let is_behind = |serial: u32| serial >= cut_serial && known.is_none_or(|known| serial > known);
        let mut serials = if has_checkpoint {
            // What compaction wrote counts when a checkpoint names it.
            files.retain(|name, _| name.cleaning == 0 && is_behind(name.serial));
            by_serial(files)
        } else {
            by_serial(not_superseded(files))
        };
        for piece in replay.pieces.iter().filter(|piece| is_behind(piece.serial)) {
            let name = SegmentName::original(piece.base, piece.serial);
            serials.entry(piece.serial).or_insert((name, 0));
        }
        self.pass_over_removed(&mut serials, replay);
        let last = serials.keys().next_back().copied();
        let mut closed_more = false;
        for (serial, (name, length)) in serials {
            // Segments go oldest first, so none is missing between two that are there.
            let is_gone = |from| from < name.base && name.base <= self.log.start;
            if next.is_some_and(|next| next != name.base && !is_gone(next)) {
                let path = paths::segment(&self.directory, name);
                return Err(offline(&path, 0, "it does not begin where the segment before it ends"));
            }
            let is_its = |piece: &&Piece| piece.serial == serial && is_behind(serial);
            let pieces: Vec<&Piece> = replay.pieces.iter().filter(is_its).collect();
            closed_more |= self.take_open(name, length, &pieces, Some(serial) == last, report)?;
            next = Some(self.log.end);
        }
        if let (Some(first), true) = (self.log.segments.first(), checkpointed_start == Offset::ZERO) {
            self.log.start = self.log.start.max(first.base);
        }
        self.log.end = self.log.end.max(self.log.start);
        self.log.epochs.truncate_from_start(self.log.start);
        if closed_more || self.log.start > checkpointed_start {
            self.write_checkpoint()?;
        }
        self.remove_replaced(known)
    }

    /// The files of all segments, with their lengths.
    fn segment_files(&self) -> Result<BTreeMap<SegmentName, u64>, Fatal> {
        let entries = list(self.disk, &self.directory)?.into_iter();
        let named = entries.filter_map(|entry| Some((paths::parse_segment(&entry.path)?, entry.len)));
        Ok(named
            .filter(|((_, kind), _)| *kind == paths::Kind::Log)
            .map(|((name, _), len)| (name, len))
            .collect())
    }

    /// What compaction and closed segments left: recovery points, and files that compaction was writing, wrote in vain, or
    /// replaced. All of them are of segments up to the `known` one, of which the log now has others.
    fn remove_replaced(&self, known: Option<u32>) -> Result<(), Stop> {
        let names: BTreeSet<SegmentName> = self.log.segments.iter().map(Segment::name).collect();
        for entry in list(self.disk, &self.directory)? {
            let Some((name, kind)) = paths::parse_segment(&entry.path) else { continue };
            let is_old = name.cleaning > 0
                || name.serial < self.log.cut_serial
                || known.is_some_and(|known| name.serial <= known);
            let is_of_no_use = match kind {
                paths::Kind::Cleaned => true,
                paths::Kind::Point => self.log.segments.iter().all(|segment| !segment.has_point(name)),
                paths::Kind::Log | paths::Kind::Index => is_old && !names.contains(&name),
            };
            if is_of_no_use {
                self.disk.remove(&entry.path).map_err(|error| failed("removing", &entry.path, &error))?;
            }
        }
        Ok(())
    }

    /// Segments below the log start whose files are gone and of which the journal holds a later part only: they were
    /// removed, and no checkpoint that is left speaks of them.
    fn pass_over_removed(&self, serials: &mut BTreeMap<u32, (SegmentName, u64)>, replay: &Replay) {
        let bases: Vec<Offset> = serials.values().map(|(name, _)| name.base).collect();
        let mut ends = bases.into_iter().skip(1);
        serials.retain(|serial, (_, length)| {
            let is_below = ends.next().is_some_and(|end| end <= self.log.start);
            let pieces = replay.pieces.iter().filter(|piece| piece.serial == *serial);
            let is_partial = pieces.map(|piece| piece.position).min().is_some_and(|from| from > 0);
            !(is_below && *length == 0 && is_partial)
        });
    }

    /// Takes over what the checkpoint says; a damaged one is none.
    fn load_checkpoint(&mut self) -> Result<Option<Checkpoint>, Stop> {
        let path = paths::checkpoint(&self.directory);
        let bytes = self.disk.read(&path).map_err(|error| failed("reading", &path, &error))?;
        let checkpoint =
            bytes.as_deref().and_then(Checkpoint::decode).filter(|found| found.id == self.log.id);
        let Some(checkpoint) = checkpoint else { return Ok(None) };
        let Some((epochs, producers)) = checkpoint.snapshot.restore() else { return Ok(None) };
        (self.log.epochs, self.log.producers) = (epochs, producers);
        self.log.snapshot = checkpoint.snapshot.clone();
        (self.log.start, self.log.next_serial) = (checkpoint.log_start, checkpoint.next_serial);
        (self.log.cleaned_to, self.log.cut_serial) = (checkpoint.cleaned_to, checkpoint.cut_serial);
        self.log.high_watermark = checkpoint.high_watermark;
        self.log.end = checkpoint.snapshot.offset;
        Ok(Some(checkpoint))
    }

    /// A segment that the checkpoint knows to be whole.
    fn take_closed(&mut self, closed: &Closed, length: Option<u64>) -> Result<(), Stop> {
        let SegmentName { base, serial, cleaning } = closed.name;
        let path = paths::segment(&self.directory, closed.name);
        self.log.next_serial = self.log.next_serial.max(serial + 1);
        if closed.next <= self.log.start {
            let index = paths::index(&self.directory, closed.name);
            for path in [&index, &path] {
                self.disk.remove(path).map_err(|error| failed("removing", path, &error))?;
            }
            return Ok(());
        }
        if length.is_none_or(|length| length < closed.bytes) {
            return Err(offline(&path, closed.bytes, "the file is missing or shorter than it was"));
        }
        let mut segment = Segment::new(base, serial, 0, INDEX_INTERVAL_BYTES);
        (segment.cleaning, segment.first_timestamp_ms) = (cleaning, closed.first_timestamp_ms);
        (segment.next, segment.bytes, segment.max_timestamp) =
            (closed.next, closed.bytes, closed.max_timestamp);
        (segment.written, segment.flushed, segment.allocated) = (closed.bytes, closed.bytes, closed.bytes);
        (segment.stage, segment.in_tail, segment.index) = (Stage::Closed, false, None);
        let index = paths::index(&self.directory, closed.name);
        let have = self.disk.read_at(&index, 0, &mut [0]).unwrap_or(0);
        (segment.has_aborted, segment.open_from) = (closed.has_aborted, closed.open_from);
        if have == 0 {
            self.rebuild_index(&segment, &path, &index)?;
        }
        self.log.segments.push(segment);
        Ok(())
    }

    /// Reads a closed segment again. Where aborted transactions end in it, those before it are read, too: they may have
    /// begun there.
    fn rebuild_index(&self, segment: &Segment, path: &Path, index_path: &Path) -> Result<(), Stop> {
        let mut producers = ProducerStates::new();
        if segment.has_aborted {
            for before in &self.log.segments {
                let path = paths::segment(&self.directory, before.name());
                self.read_closed(before, &path, &mut producers)?;
            }
        }
        let index = self.read_closed(segment, path, &mut producers)?;
        self.disk
            .replace(index_path, &index.encode())
            .map_err(|error| failed("replacing", index_path, &error))?;
        Ok(())
    }

    /// The index of a closed segment, made from its batches; `producers` are those of the segments before it.
    fn read_closed(
        &self,
        segment: &Segment,
        path: &Path,
        producers: &mut ProducerStates,
    ) -> Result<SegmentIndex, Stop> {
        let content = Content { disk: self.disk, path, overlay_at: segment.bytes, overlay: Vec::new() };
        let mut index = SegmentIndex::new(segment.base, INDEX_INTERVAL_BYTES);
        scan(&content, 0..segment.bytes, None, &mut index, |header, marker, position| {
            producers.replay(header, marker, spot(segment.serial, position), self.unix_ms)
        })?;
        Ok(index)
    }

    /// A segment that no checkpoint knows: the journal's bytes are put into it, and it is read. The last one goes
    /// on; any other is closed. Gives whether it was closed.
    fn take_open(
        &mut self,
        name: SegmentName,
        length: u64,
        pieces: &[&Piece],
        is_last: bool,
        report: &mut RecoveryReport,
    ) -> Result<bool, Stop> {
        let SegmentName { base, serial, cleaning } = name;
        let path = paths::segment(&self.directory, name);
        let end = pieces.iter().map(|piece| piece.position + piece.len).max().unwrap_or(length);
        let covered_from = pieces.iter().map(|piece| piece.position).min();
        if covered_from.is_some_and(|from| length < block_floor(from)) {
            return Err(offline(&path, length, "the file is shorter than it was"));
        }
        let redo_to = if is_last { block_floor(end) } else { end };
        let mut overlay = vec![0; usize::try_from(end - redo_to).expect("less than a block")];
        let mut touched = false;
        if pieces.is_empty() {
            overlay.clear();
        }
        for piece in pieces {
            touched |= self.redo(&path, piece, redo_to, &mut overlay, report)?;
        }
        if touched {
            self.disk.flush(&path).map_err(|error| failed("flushing", &path, &error))?;
        }
        let overlay_at = if pieces.is_empty() { end } else { redo_to };
        let content = Content { disk: self.disk, path: &path, overlay_at, overlay };
        let OpenSegment { mut segment, index, mut marks } =
            self.read_open(name, &content, end, covered_from)?;
        let bytes = segment.bytes;
        if !is_last && bytes < end && !pieces.is_empty() {
            return Err(offline(&path, bytes, "a batch is cut short, although later segments follow"));
        }
        self.log.next_serial = self.log.next_serial.max(serial + 1);
        self.log.end = segment.next;
        // What compaction wrote takes no more: the journal's parts are of other files.
        let closes = !is_last || cleaning > 0 || (pieces.is_empty() && !bytes.is_multiple_of(BLOCK as u64));
        if closes {
            self.close(&mut segment, &index, &path)?;
        } else {
            let floor = block_floor(bytes);
            let carried = content.read(floor, usize::try_from(bytes - floor).expect("less than a block"))?;
            (segment.written, segment.flushed) = (floor, floor);
            segment.allocated = floor;
            segment.needs_cut = self.has_fragment(&path, bytes);
            segment.index = Some(Arc::new(index));
            let whole = marks.partition_point(|mark| mark.to <= floor);
            // In front of the first batch of a segment the log ended where the segment begins; a hole may be between.
            self.log.gap = Some(marks[..whole].last().map_or(base, |mark| mark.next));
            marks.drain(..whole);
            (self.log.carried, self.log.marks) = (carried, marks);
        }
        if bytes > 0 || segment.needs_cut {
            self.log.segments.push(segment);
        }
        Ok(closes)
    }

    /// Reads the batches of a segment that ends at `end` at the latest: all of them, or from its recovery point on.
    fn read_open(
        &mut self,
        name: SegmentName,
        content: &Content<'_>,
        end: u64,
        covered_from: Option<u64>,
    ) -> Result<OpenSegment, Stop> {
        let SegmentName { base, serial, cleaning } = name;
        let (has_point_file, point) = self.take_point(name, end)?;
        let known = point.as_ref().map_or(0, RecoveryPoint::position);
        // What the journal covers is checked whole, and batches that reach into the last block are needed again, with the
        // one before them.
        let needed = covered_from.unwrap_or(known).min(block_floor(known));
        let from = point.as_ref().map_or(0, |point| point.index.batch_well_before(needed).into());
        let (mut index, mut first_timestamp_ms) = point.map_or_else(
            || (SegmentIndex::new(base, INDEX_INTERVAL_BYTES), None),
            |point| (point.index, point.first_timestamp_ms),
        );
        let (log, unix_ms) = (&mut self.log, self.unix_ms);
        let mut marks = Vec::new();
        let bytes = scan(content, from..end, covered_from, &mut index, |header, marker, position| {
            let (base, next) = (header.base_offset(), header.next_offset());
            let total = header.total_bytes().unwrap_or(0) as u64;
            marks.push(Mark { base, next, from: position, to: position + total });
            // Only what reaches into the last block is still needed, and the one before: where it ends.
            if marks.len() > 4 * BLOCK {
                let keep_from = block_floor(position);
                let whole = marks.partition_point(|mark: &Mark| mark.to <= keep_from);
                marks.drain(..whole.saturating_sub(1));
            }
            if position < known {
                return None;
            }
            log.epochs.assign(header.leader_epoch(), base);
            first_timestamp_ms.get_or_insert(header.max_timestamp_ms());
            log.producers.replay(header, marker, spot(serial, position), unix_ms)
        })?;
        let mut segment = Segment::new(base, serial, 0, INDEX_INTERVAL_BYTES);
        (segment.next, segment.bytes, segment.max_timestamp) =
            (index.next_offset(), bytes, index.max_timestamp());
        (segment.cleaning, segment.first_timestamp_ms) = (cleaning, first_timestamp_ms);
        segment.first_append_ms = unix_ms;
        segment.has_aborted = !index.aborted().is_empty();
        segment.open_from = log.producers.first_open_transaction().unwrap_or(segment.next);
        (segment.has_point_file, segment.point_taken_at) = (has_point_file, known);
        Ok(OpenSegment { segment, index, marks })
    }

    /// Takes over what the recovery point of a segment that ends at `end` says of epochs and producers. Gives whether there
    /// is a file, and what it holds unless that is damaged.
    fn take_point(&mut self, name: SegmentName, end: u64) -> Result<(bool, Option<RecoveryPoint>), Stop> {
        let path = paths::point(&self.directory, name);
        let bytes = self.disk.read(&path).map_err(|error| failed("reading", &path, &error))?;
        let Some(bytes) = bytes else { return Ok((false, None)) };
        let is_its = |point: &RecoveryPoint| point.id == self.log.id && point.name == name;
        let Some(point) = RecoveryPoint::decode(&bytes).filter(is_its) else { return Ok((true, None)) };
        let Some((epochs, producers)) = point.snapshot.restore() else { return Ok((true, None)) };
        if point.position() > end {
            let path = paths::segment(&self.directory, name);
            return Err(offline(&path, end, "the file is shorter than what was flushed of it"));
        }
        self.log.epochs = epochs;
        if self.fault != Fault::ForgetPointProducers {
            self.log.producers = producers;
        }
        Ok((true, Some(point)))
    }

    /// Puts one piece where it belongs: into the file below `redo_to`, else into the overlay. Also bytes that stand
    /// there already are written again: they may stand in the page cache only, of a write whose flush failed, and only
    /// what is written anew is covered by the next flush. Gives whether the file must be flushed.
    fn redo(
        &self,
        path: &Path,
        piece: &Piece,
        redo_to: u64,
        overlay: &mut [u8],
        report: &mut RecoveryReport,
    ) -> Result<bool, Stop> {
        let bytes = piece.read(self.disk)?;
        let in_file =
            usize::try_from(redo_to.saturating_sub(piece.position)).unwrap_or(usize::MAX).min(bytes.len());
        let (filed, rest) = bytes.split_at(in_file);
        if !rest.is_empty() {
            let at = usize::try_from(piece.position + in_file as u64 - redo_to).expect("less than a block");
            overlay[at..at + rest.len()].copy_from_slice(rest);
        }
        if filed.is_empty() {
            return Ok(false);
        }
        self.disk.write_at(path, piece.position, filed).map_err(|error| failed("writing", path, &error))?;
        report.bytes += filed.len() as u64;
        Ok(true)
    }

    /// Whether the file goes on behind the last whole batch with the beginning of another, whose end was never
    /// journalled. It must go before the journal forgets where the log ends; but not here, because an interrupted
    /// recovery begins again with the old journal, to which these bytes belong.
    fn has_fragment(&self, path: &Path, end: u64) -> bool {
        let mut behind = [0; 2 * BLOCK];
        let count = self.disk.read_at(path, end, &mut behind).unwrap_or(0);
        behind[..count].iter().any(|byte| *byte != 0)
    }

    /// Gives a segment its true length and its index.
    fn close(&mut self, segment: &mut Segment, index: &SegmentIndex, path: &Path) -> Result<(), Stop> {
        let io = |error| failed("closing", path, &error);
        if std::mem::take(&mut segment.has_point_file) {
            self.disk.remove(&paths::point(&self.directory, segment.name())).map_err(io)?;
        }
        self.disk.set_length(path, segment.bytes).map_err(io)?;
        self.disk.flush(path).map_err(io)?;
        let index_path = paths::index(&self.directory, segment.name());
        self.disk
            .replace(&index_path, &index.encode())
            .map_err(|error| failed("replacing", &index_path, &error))?;
        (segment.written, segment.flushed, segment.allocated) = (segment.bytes, segment.bytes, segment.bytes);
        (segment.stage, segment.in_tail, segment.index) = (Stage::Closed, false, None);
        self.log.snapshot = Snapshot::take(segment.next, &self.log.epochs, &self.log.producers);
        Ok(())
    }

    fn write_checkpoint(&self) -> Result<(), Stop> {
        let log = &self.log;
        let closed = log.segments.iter().filter(|segment| segment.stage == Stage::Closed);
        let checkpoint = Checkpoint {
            id: log.id,
            log_start: log.start,
            high_watermark: log.high_watermark.min(log.end),
            next_serial: log.next_serial,
            cleaned_to: log.cleaned_to,
            cut_serial: log.cut_serial,
            snapshot: log.snapshot.clone(),
            closed: closed.map(Closed::from).collect(),
        };
        let path = paths::checkpoint(&self.directory);
        self.disk.replace(&path, &checkpoint.encode()).map_err(|error| failed("replacing", &path, &error))?;
        Ok(())
    }
}

fn by_serial(files: BTreeMap<SegmentName, u64>) -> BTreeMap<u32, (SegmentName, u64)> {
    files.into_iter().map(|(name, length)| (name.serial, (name, length))).collect()
}

/// Without the segments whose place others took: what tells which count where no checkpoint does.
fn not_superseded(files: BTreeMap<SegmentName, u64>) -> BTreeMap<SegmentName, u64> {
    let cleaned: Vec<SegmentName> = files.keys().filter(|name| name.cleaning > 0).copied().collect();
    let counts = |name: &SegmentName| !cleaned.iter().any(|newer| newer.supersedes(name));
    files.into_iter().filter(|(name, _)| counts(name)).collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        ids::Offset,
        log::{
            LogSettings,
            testing::{Machine, MemDisk, Shape, batch, start},
        },
    };
    use corelane_seam::Disk;

    #[test]
    fn a_log_that_misses_a_segment_in_the_middle_is_offline() {
        let log = LogSettings { segment_bytes: 10 << 10, retention_ms: None, ..LogSettings::default() };
        let shape = Shape { shards: 1, log, ..Shape::default() };
        let mut machine = Machine::boot(MemDisk::new(), shape, 1).expect("an empty disk");
        for mark in 0..6 {
            machine.append(0, &batch(mark, 1, 6000, 0)).expect("there is room");
            machine.settle();
        }
        let disk = machine.disk.fork();
        // What a checkpoint knows of is missed without this.
        disk.remove(&disk.paths_in("/checkpoint")[0]).expect("it is there");
        let whole = start(&disk.fork(), 2);
        assert_eq!((whole.offline, whole.end), (None, Offset(6)));
        let segments = disk.paths_in(".log");
        assert!(segments.len() >= 4, "{segments:?}");
        disk.remove(&segments[1]).expect("it is there");
        let log = start(&disk, 2);
        assert!(log.offline.is_some_and(|why| why.0.contains("does not begin where")), "it is served");
    }
}
