//! One partition's log: its segments, its tail, and how far each of them is.

use super::{
    LogSettings,
    checkpoint::{Checkpoint, Closed, Snapshot},
    chunks::Chunks,
    epochs::LeaderEpochs,
    paths::SegmentName,
    producers::{ProducerStates, Spot},
    recovery_point::RecoveryPoint,
    segment::{Segment, Stage},
    store::Cutting,
    tail::Tail,
};
use crate::{
    error::Fatal,
    ids::{LeaderEpoch, Offset, PartitionId},
    limits::ABORTED_PER_SEGMENT_MAX,
    records::{Batch, BatchHeader, Marker, Scratch, header},
};
use corelane_seam::{BLOCK, Now};
use std::{collections::VecDeque, path::PathBuf, sync::Arc};

/// An index entry is at most this far from the next, whatever a topic's settings say: spans are read as one piece.
const INDEX_INTERVAL_BYTES_MAX: u64 = 1024 * 1024;

/// A journal group that is needed until this log's bytes below `to` are in flushed segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub group: u64,
    pub to: u64,
}

/// Where a deletion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// In use.
    Lives,
    /// Its end is not in the journal yet.
    Dying,
    /// Its end is durable: files may go.
    Dead,
}

/// One partition's log.
#[derive(Debug)]
pub(crate) struct PartitionLog {
    pub id: PartitionId,
    pub directory: PathBuf,
    pub settings: LogSettings,
    /// Oldest first. Only the last may be active; there may be none before the first append.
    pub segments: VecDeque<Segment>,
    pub next_serial: u32,
    pub tail: Tail,
    pub epochs: LeaderEpochs,
    pub producers: ProducerStates,
    /// Goes into the next checkpoint: the state at the end of the last closed segment.
    pub snapshot: Snapshot,
    pub start: Offset,
    /// A higher start on its way through the journal.
    pub start_wanted: Option<Offset>,
    /// The start that the checkpoint on disk holds.
    pub start_checkpointed: Offset,
    pub end: Offset,
    pub written: Offset,
    pub flushed: Offset,
    pub high_watermark: Offset,
    /// Places: everything below is in a sealed journal group, written, flushed in the journal.
    pub sealed: u64,
    pub written_place: u64,
    pub flushed_place: u64,
    /// Place behind the last batch that is wholly flushed in the journal: segments are written up to here, so that
    /// the beginning of a batch whose end was never journalled is never in a file that no journal speaks of.
    pub durable_place: u64,
    /// Place: everything below is in flushed segments.
    pub persisted: u64,
    /// In order of groups and places.
    pub pins: VecDeque<Pin>,
    /// Groups that hold a higher log start than the checkpoint does, with that start.
    pub start_pins: Vec<(u64, Offset)>,
    /// Of a log that is being deleted: all its serials are lower.
    pub ends_below: u32,
    /// The directory has yet to be rid of another log of the same partition; until then nothing is written there.
    pub awaits_removal: bool,
    /// The group that holds its deletion.
    pub death_pin: Option<u64>,
    /// The first of all these groups, as the journal was told.
    pub held: Option<u64>,
    pub life: Life,
    pub offline: Option<Fatal>,
    /// In the queue of what shall be sealed.
    pub dirty: bool,
    /// In the queue of remainders to be copied forward.
    pub copying: bool,
    /// In the queue of segment work, or a step is under way.
    pub queued: bool,
    pub busy: bool,
    /// In the queue of those that filled a chunk.
    pub filled: bool,
    /// Write and flush whatever fills a block, however little.
    pub urgent: bool,
    pub checkpoint_due: bool,
    /// Compaction went over everything below; the next checkpoint says so.
    pub cleaned_to: Offset,
    /// Segments with lower serials that are not among `segments` were cut away.
    pub cut_serial: u32,
    /// Its end goes back, or its start elsewhere; meanwhile nothing is appended.
    pub cut: Option<Box<Cutting>>,
    /// It has replicas elsewhere: its high watermark is not simply its end, and is recorded on disk.
    pub is_replicated: bool,
    /// Someone waits for what is not sealed yet to be written, not only for its flush.
    pub write_awaited: bool,
    /// Segments that compaction has replaced: their files go when the checkpoint that no longer names them is durable.
    pub replaced: VecDeque<SegmentName>,
    /// Of the first of these.
    pub replaced_index_removed: bool,
    /// The cleaner is at its files.
    pub cleaning: bool,
    /// Something is wrong with its segments or the disk, which compaction found; it is not tried again before a restart.
    pub uncleanable: bool,
    /// Of the first segment, which lies below the log start.
    pub index_removed: bool,
    /// Records and time since the last flush, for interval policies.
    pub unflushed_records: u64,
    pub unflushed_since: Option<corelane_seam::Monotonic>,
    /// Where its planned bytes stand in the group being sealed.
    pub planned_at: Option<usize>,
    /// Memory as it was last counted.
    pub counted_memory: usize,
}

impl PartitionLog {
    /// A new, empty log.
    pub fn new(id: PartitionId, directory: PathBuf, settings: LogSettings) -> PartitionLog {
        PartitionLog {
            id,
            directory,
            settings,
            segments: VecDeque::new(),
            next_serial: 0,
            tail: Tail::starting_at(0),
            epochs: LeaderEpochs::new(),
            producers: ProducerStates::new(),
            snapshot: Snapshot::take(Offset::ZERO, &LeaderEpochs::new(), &ProducerStates::new()),
            start: Offset::ZERO,
            start_wanted: None,
            start_checkpointed: Offset::ZERO,
            end: Offset::ZERO,
            written: Offset::ZERO,
            flushed: Offset::ZERO,
            high_watermark: Offset::ZERO,
            sealed: 0,
            written_place: 0,
            flushed_place: 0,
            durable_place: 0,
            persisted: 0,
            pins: VecDeque::new(),
            start_pins: Vec::new(),
            ends_below: 0,
            awaits_removal: false,
            death_pin: None,
            held: None,
            life: Life::Lives,
            offline: None,
            dirty: false,
            copying: false,
            queued: false,
            busy: false,
            filled: false,
            urgent: false,
            checkpoint_due: false,
            cleaned_to: Offset::ZERO,
            cut_serial: 0,
            cut: None,
            is_replicated: false,
            write_awaited: false,
            replaced: VecDeque::new(),
            replaced_index_removed: false,
            cleaning: false,
            uncleanable: false,
            index_removed: false,
            unflushed_records: 0,
            unflushed_since: None,
            planned_at: None,
            counted_memory: 0,
        }
    }

    /// Bytes appended and in no group yet.
    pub fn unsealed(&self) -> u64 {
        self.tail.end() - self.sealed
    }

    /// The segment that holds the byte at `place` of the tail.
    pub fn segment_at(&self, place: u64) -> Option<&Segment> {
        let holds = |segment: &&Segment| {
            segment.stage != Stage::Closed && segment.place <= place && place < segment.end_place()
        };
        self.segments.iter().rev().take_while(|segment| segment.stage != Stage::Closed).find(holds)
    }

    /// The segment that holds `offset`, by its index in `segments`.
    pub fn segment_of(&self, offset: Offset) -> Option<usize> {
        let index = self.segments.partition_point(|segment| segment.next <= offset);
        (index < self.segments.len()).then_some(index)
    }

    /// Appends a batch whose producer was checked. Gives its base offset.
    pub fn append(&mut self, now: Now, epoch: LeaderEpoch, batch: &[u8], chunks: &mut Chunks) -> Offset {
        let mut head = [0; header::HEADER_BYTES];
        head.copy_from_slice(&batch[..header::HEADER_BYTES]);
        header::place(&mut head, self.end, epoch);
        self.append_placed(now, &head, &batch[header::HEADER_BYTES..], chunks)
    }

    /// Appends a batch as its leader wrote it, with its offsets and epoch. What lies between the log's end and the
    /// batch, compaction left out. Gives its base offset.
    pub fn append_copy(&mut self, now: Now, batch: &[u8], chunks: &mut Chunks) -> Offset {
        let (head, rest) = batch.split_at(header::HEADER_BYTES);
        self.append_placed(now, head, rest, chunks)
    }

    fn append_placed(&mut self, now: Now, head: &[u8], rest: &[u8], chunks: &mut Chunks) -> Offset {
        let header = *BatchHeader::view(head).expect("as long as a header");
        let (base, bytes) = (header.base_offset(), (head.len() + rest.len()) as u64);
        self.make_segment_for(now, bytes, &header);
        let segment = self.segments.back_mut().expect("just made");
        let position = u32::try_from(segment.bytes).expect("a segment is below 4 GiB");
        let spot = Spot { serial: segment.serial, position };
        let aborted = self.producers.replay(&header, marker(&header, head, rest), spot, now.unix_ms);
        let index = Arc::make_mut(segment.index.as_mut().expect("an active segment has its index"));
        index.observe(&header, segment.bytes).expect("the segment was rolled where the index ends");
        if let Some(aborted) = aborted {
            index.note_aborted(aborted);
            segment.has_aborted = true;
        }
        segment.max_timestamp = index.max_timestamp();
        segment.first_timestamp_ms.get_or_insert(header.max_timestamp_ms());
        segment.bytes += bytes;
        segment.next = header.next_offset();
        self.tail.note_end(self.end);
        self.end = header.next_offset();
        self.tail.append(base, self.end, [head, rest], chunks);
        self.epochs.assign(header.leader_epoch(), base);
        self.unflushed_records += u64::from(header.last_offset_delta().unsigned_abs()) + 1;
        self.unflushed_since.get_or_insert(now.monotonic);
        base
    }

    /// Takes a recovery point where the log now ends, if the active segment has grown by enough since the last, which is
    /// written.
    pub fn take_point(&mut self, least_bytes: u64) {
        let active = self.segments.back_mut().filter(|segment| segment.stage == Stage::Active);
        let Some(segment) = active.filter(|segment| segment.point.is_none()) else { return };
        let point = RecoveryPoint::take(self.id, segment, &self.epochs, &self.producers, least_bytes);
        if let Some(point) = point {
            segment.point_taken_at = segment.bytes;
            segment.point = Some(Box::new(point));
        }
    }

    /// Rolls if the batch does not belong into the active segment any more, and makes one if there is none.
    fn make_segment_for(&mut self, now: Now, bytes: u64, header: &BatchHeader) {
        if let Some(segment) = self.active() {
            let age_ms = now.unix_ms.saturating_sub(segment.first_append_ms);
            let full = segment.bytes + bytes > self.settings.segment_bytes.min(u64::from(u32::MAX));
            let old = u64::try_from(age_ms).is_ok_and(|age| age >= self.settings.segment_ms);
            // The index counts offsets in 32 bits.
            let far = header.last_offset().0 - segment.base.0 > i64::from(i32::MAX);
            // The index has room for so many.
            let aborted = segment.index.as_ref().map_or(0, |index| index.aborted().len());
            let crowded = aborted >= ABORTED_PER_SEGMENT_MAX;
            if segment.bytes > 0 && (full || old || far || crowded) {
                self.roll();
            }
        }
        if self.active().is_none() {
            let interval = self.index_interval_bytes();
            let mut segment = Segment::new(self.end, self.next_serial, self.tail.end(), interval);
            segment.first_append_ms = now.unix_ms;
            self.next_serial += 1;
            self.tail.begin_segment();
            self.segments.push_back(segment);
        }
    }

    /// At least so many bytes lie between two entries of an index.
    pub fn index_interval_bytes(&self) -> u32 {
        let interval = self.settings.index_interval_bytes.clamp(BLOCK as u64, INDEX_INTERVAL_BYTES_MAX);
        u32::try_from(interval).expect("at most 1 MiB")
    }

    /// Everything below is committed, and of no transaction that is not decided: one that is open, or whose marker is
    /// not committed yet.
    pub fn last_stable(&self) -> Offset {
        let first = self.producers.first_undecided();
        // What was deleted of a transaction holds nothing back.
        first.map_or(self.high_watermark, |(first, _)| first.max(self.start).min(self.high_watermark))
    }

    /// Every transaction that ends behind a segment begins at or behind this.
    pub fn open_from(&self, segment: &Segment) -> Offset {
        match segment.stage {
            Stage::Active => self.producers.first_open_transaction().unwrap_or(self.end),
            Stage::Closing | Stage::Closed => segment.open_from,
        }
    }

    /// Where what compaction has not gone over begins. A mark that lies outside of the log is none.
    pub fn first_dirty(&self) -> Offset {
        if self.cleaned_to < self.start || self.cleaned_to > self.end { self.start } else { self.cleaned_to }
    }

    /// The segment that takes appends.
    pub fn active(&self) -> Option<&Segment> {
        self.segments.back().filter(|segment| segment.stage == Stage::Active)
    }

    /// Ends the active segment, if there is one.
    pub fn roll(&mut self) {
        let snapshot = Snapshot::take(self.end, &self.epochs, &self.producers);
        let open_from = self.producers.first_open_transaction().unwrap_or(self.end);
        if let Some(segment) = self.segments.back_mut().filter(|segment| segment.stage == Stage::Active) {
            if segment.bytes == 0 {
                return;
            }
            segment.stage = Stage::Closing;
            segment.point = None;
            segment.open_from = open_from;
            segment.snapshot = Some(snapshot);
        }
    }

    /// The journal groups that are needed for this log.
    pub fn held_groups(&self) -> impl Iterator<Item = u64> {
        let starts = self.start_pins.iter().map(|(group, _)| *group);
        self.pins.iter().map(|pin| pin.group).chain(starts).chain(self.death_pin)
    }

    /// The first of them: each kind of pin is in the order of groups.
    pub fn first_held(&self) -> Option<u64> {
        let pin = self.pins.front().map(|pin| pin.group);
        let start = self.start_pins.first().map(|(group, _)| *group);
        pin.into_iter().chain(start).chain(self.death_pin).min()
    }

    /// Whether a segment still holds the beginning of a batch that recovery did not believe.
    pub fn needs_cut(&self) -> bool {
        self.segments.iter().any(|segment| segment.needs_cut)
    }

    /// Recomputes how far flushed segments reach.
    pub fn update_persisted(&mut self) {
        let open = self.segments.iter().find(|segment| segment.stage != Stage::Closed);
        let persisted = open.map_or(self.tail.end(), |segment| segment.place + segment.flushed);
        self.persisted = self.persisted.max(persisted);
    }

    /// Bytes below the journal's flushed end that are in no flushed segment.
    pub fn remainder(&self) -> u64 {
        self.sealed - self.persisted
    }

    /// Whether the remainder is less than two blocks of one segment, so that one entry can carry it forward.
    pub fn remainder_is_whole(&self) -> bool {
        let segment = self.segment_at(self.persisted);
        let remainder = self.remainder();
        (1..=2 * BLOCK as u64).contains(&remainder)
            && segment.is_some_and(|segment| self.sealed <= segment.end_place())
    }

    /// Whether one entry can carry forward all that it has in the journal.
    pub fn can_copy(&self) -> bool {
        self.life == Life::Lives && !self.needs_cut() && self.remainder_is_whole()
    }

    /// Why it does not let go of the journal before a restart, if so: it is offline, so neither its segments nor its
    /// checkpoint are written any more, and a copy cannot carry all that it has there.
    pub fn stuck(&self) -> Option<&Fatal> {
        let is_stuck = self.life == Life::Lives && !(self.can_copy() && self.start_pins.is_empty());
        self.offline.as_ref().filter(|_| is_stuck)
    }

    /// The oldest segment that is not closed.
    pub fn open_segment(&self) -> Option<usize> {
        let first = self.segments.partition_point(|segment| segment.stage == Stage::Closed);
        (first < self.segments.len()).then_some(first)
    }

    /// Bytes of the oldest open segment that may go to its file and are not flushed there.
    pub fn writable_bytes(&self) -> u64 {
        let segment = self.open_segment().map(|index| &self.segments[index]);
        segment.map_or(0, |segment| segment.writable(self.durable_place).saturating_sub(segment.flushed))
    }

    /// What goes into the checkpoint's file now.
    pub fn checkpoint(&self) -> Checkpoint {
        let closed = self.segments.iter().filter(|segment| segment.stage == Stage::Closed);
        Checkpoint {
            id: self.id,
            log_start: self.start,
            high_watermark: self.high_watermark,
            next_serial: self.next_serial,
            cleaned_to: self.cleaned_to,
            cut_serial: self.cut_serial,
            snapshot: self.snapshot.clone(),
            closed: closed.map(Closed::from).collect(),
        }
    }

    /// Bytes of the log, tail included.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Panics when an invariant does not hold.
    pub fn check(&self) {
        let id = self.id;
        assert!(self.start <= self.end, "{id}: log start ≤ log end");
        assert!(self.flushed <= self.written && self.written <= self.end, "{id}: flushed ≤ written ≤ end");
        assert!(self.high_watermark <= self.end, "{id}: high watermark ≤ log end");
        assert!(self.last_stable() <= self.high_watermark, "{id}: last stable offset ≤ high watermark");
        assert!(self.durable_place <= self.flushed_place, "{id}: whole batches are flushed");
        assert!(self.persisted <= self.durable_place, "{id}: segments hold only what the journal flushed");
        assert!(self.flushed_place <= self.written_place, "{id}: flushed ≤ written");
        assert!(self.written_place <= self.sealed && self.sealed <= self.tail.end(), "{id}: sealed ≤ tail");
        assert!(self.tail.start() <= self.persisted, "{id}: memory holds what is in no segment");
        for (one, next) in self.segments.iter().zip(self.segments.iter().skip(1)) {
            assert!(one.stage != Stage::Active, "{id}: only the last segment takes appends");
            assert_eq!(one.next, next.base, "{id}: segments are contiguous");
            assert!(one.serial < next.serial, "{id}: serials ascend");
        }
        for segment in &self.segments {
            assert!(
                segment.flushed <= segment.written && segment.written <= segment.bytes,
                "{id}: {segment:?}"
            );
        }
        let pins = self.pins.iter().zip(self.pins.iter().skip(1));
        assert!(pins.clone().all(|(one, next)| one.group <= next.group && one.to <= next.to), "{id}: pins");
        let cut = self.needs_cut();
        assert_eq!(self.held, self.first_held(), "{id}: the journal knows what is held");
        assert_eq!(self.first_held(), self.held_groups().min(), "{id}: pins are in the order of groups");
        assert!(
            cut || self.pins.front().is_none_or(|pin| pin.to > self.persisted),
            "{id}: no pin without need"
        );
        let needed = self.remainder() > 0 || cut;
        assert!(
            self.pins.is_empty() != needed || self.life != Life::Lives,
            "{id}: what no segment holds is pinned"
        );
    }
}

/// What a control batch in two parts says of its producer's transaction.
fn marker(header: &BatchHeader, head: &[u8], rest: &[u8]) -> Option<Marker> {
    if !header.is_control() {
        return None;
    }
    let whole = [head, rest].concat();
    Batch::split_from(&whole).ok().and_then(|(batch, _)| Marker::of(&batch, &mut Scratch::default()))
}
