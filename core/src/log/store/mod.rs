//! One data shard's journal and logs, behind one face.

mod append;
mod behind;
mod clean;
mod commit;
mod copy;
mod cut;
mod face;
mod lookup;
mod plan;
mod read;
mod relief;
mod transactions;
mod upkeep;
mod watermarks;

pub(super) use cut::Cutting;
pub use face::{
    AppendError, Appended, CopyError, CutError, Event, Operations, Read, ReadError, ReadRequest, Slot,
    TimestampOffset,
};
pub use transactions::EndTransaction;

use super::{
    Fault, FlushPolicy, LogSettings, RecoveredLog, StoreSettings,
    chunks::Chunks,
    compaction,
    partition_log::{Life, PartitionLog},
    paths::{self, SegmentName},
    producers::ProducerStates,
};
use crate::{
    error::Fatal,
    ids::{LeaderEpoch, Offset, PartitionId},
};
use commit::Journal;
use corelane_seam::{BLOCK, FileOperation, FileResult, Monotonic, Now, OpenHow, Space, Token};
use lookup::Lookup;
use std::{
    collections::{BTreeMap, VecDeque},
    io,
};

/// Marks this store's tokens among those of a shard's other users of files.
const TOKEN_BIT: u64 = 1 << 62;

/// Largest chunk of tail memory: what a busy log may hold unused.
const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// What an answer of the disk is for.
#[derive(Debug)]
enum Job {
    JournalOpen,
    JournalGroup { number: u64 },
    JournalFlush,
    JournalGrow { to: u64 },
    Space,
    Page,
    Segment(Slot, behind::Step),
    Reader { slot: Slot, name: SegmentName, lookup: Option<Box<Lookup>> },
    Index { slot: Slot, name: SegmentName, lookup: Option<Box<Lookup>> },
    Scan(Box<Lookup>),
    Bytes(u64),
    Cleaning(compaction::Step),
    Watermarks,
    CleanMark,
}

#[derive(Debug, Default)]
struct SlotEntry {
    reuse: u32,
    log: Option<Box<PartitionLog>>,
}

/// The log of a slot, borrowed apart from the rest of the store.
fn log_of(slots: &mut [SlotEntry], slot: Slot) -> Option<&mut PartitionLog> {
    let entry = slots.get_mut(slot.index as usize)?;
    entry.log.as_deref_mut().filter(|_| entry.reuse == slot.reuse)
}

/// Where a clean stop stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    No,
    Asked,
    Marking,
    Done,
}

/// One data shard's journal and logs.
///
/// Calling order: [`start`](Self::start) once; then any of the others; [`file`](Self::file) with each answer of the
/// disk whose token this store [`owns`](Self::owns); [`end_of_turn`](Self::end_of_turn) when the turn's inputs are
/// handled; [`tick`](Self::tick) when [`next_tick`](Self::next_tick) comes due; [`stop`](Self::stop) last.
///
/// Functions that take a [`Slot`] and give no `Result` panic on a slot of a deleted log: that is a bug.
#[derive(Debug)]
pub struct Store {
    settings: StoreSettings,
    slots: Vec<SlotEntry>,
    free: Vec<u32>,
    ids: BTreeMap<PartitionId, Slot>,
    /// How many logs of a partition are being deleted.
    dying: BTreeMap<PartitionId, u32>,
    /// New logs begin with this serial: above those of all logs that were deleted since the start.
    serial_floor: u32,
    jobs: BTreeMap<u64, Job>,
    next_token: u64,
    journal: Journal,
    /// Logs with segment work to do.
    work: VecDeque<Slot>,
    working: usize,
    /// Logs that are hurried, and some that are no more.
    hurried: Vec<Slot>,
    /// Logs whose first chunk was persisted, in that order: what may be dropped when memory is short.
    cached: VecDeque<Slot>,
    /// Logs that filled a chunk, in that order: what is written behind first when memory is short.
    filled: VecDeque<Slot>,
    memory: usize,
    chunks: Chunks,
    /// A page for them is on its way.
    page_asked: bool,
    unsealed: u64,
    /// The journal holds a batch whole before its segment gets any of it, and so several of the largest.
    largest_batch: u64,
    readers: VecDeque<(Slot, SegmentName)>,
    indexes: VecDeque<(Slot, SegmentName)>,
    cleaner: clean::Cleaner,
    disk_full: bool,
    /// Since the disk was last asked for its space it has refused a write.
    refused_write: bool,
    /// Of the data directory's file system, as last told.
    space: Option<Space>,
    space_due: Monotonic,
    space_asked: Monotonic,
    /// Bytes appended since the disk's free space was last asked for.
    appended_since_space: u64,
    sweep: upkeep::Sweep,
    room_wanted: bool,
    watermarks: watermarks::Watermarks,
    /// Replicated logs that were appended to.
    appended: Vec<Slot>,
    stopping: Stopping,
    events: Vec<Event>,
}

impl Store {
    /// A store over what recovery left for this shard (only logs whose [`PartitionId::owner`] is this shard).
    pub fn new(settings: StoreSettings, recovered: Vec<RecoveredLog>) -> Store {
        let carried = recovered.iter().filter_map(|log| log.carried_in()).collect();
        let mut store = Store {
            journal: Journal::new(carried, settings.group_bytes_max),
            cleaner: clean::Cleaner::new(settings.cleaner),
            settings,
            slots: Vec::new(),
            free: Vec::new(),
            ids: BTreeMap::new(),
            dying: BTreeMap::new(),
            serial_floor: 0,
            jobs: BTreeMap::new(),
            next_token: 0,
            work: VecDeque::new(),
            working: 0,
            hurried: Vec::new(),
            cached: VecDeque::new(),
            filled: VecDeque::new(),
            memory: 0,
            chunks: Chunks::of(CHUNK_BYTES_MAX),
            page_asked: false,
            unsealed: 0,
            largest_batch: 0,
            readers: VecDeque::new(),
            indexes: VecDeque::new(),
            disk_full: false,
            refused_write: false,
            space: None,
            space_due: Monotonic(0),
            space_asked: Monotonic(0),
            appended_since_space: 0,
            sweep: upkeep::Sweep::default(),
            room_wanted: false,
            watermarks: watermarks::Watermarks::default(),
            appended: Vec::new(),
            stopping: Stopping::No,
            events: Vec::new(),
        };
        for log in recovered {
            let id = log.id;
            let slot = store.insert(id, log.into_log(paths::log_directory(&store.settings.data_dir, id)));
            store.count_memory(slot);
            let log = store.slots[slot.index as usize].log.as_deref().expect("just inserted");
            log.held_groups().for_each(|group| store.journal.ring.hold(group));
            store.rehold(slot);
            let log = store.log(slot);
            if log.segments.iter().any(|segment| segment.next <= log.start || segment.needs_cut) {
                store.queue_work(slot);
            }
        }
        store
    }

    /// Opens the journal. Appends are taken from the start and wait for it.
    pub fn start(&mut self, _now: Now, out: &mut Operations) {
        let settings = &self.settings;
        let path = paths::journal(&settings.journal_dir, settings.boot.generation, settings.shard.0);
        self.ask(Job::JournalOpen, FileOperation::Open { path, how: OpenHow::Direct }, out);
    }

    /// Whether the answer to this token is for this store.
    pub fn owns(token: Token) -> bool {
        token.0 & TOKEN_BIT != 0
    }

    fn ask(&mut self, job: Job, operation: FileOperation, out: &mut Operations) {
        let token = self.next_token | TOKEN_BIT;
        self.next_token += 1;
        self.jobs.insert(token, job);
        out.push((Token(token), operation));
    }

    fn insert(&mut self, id: PartitionId, log: PartitionLog) -> Slot {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(SlotEntry::default());
            u32::try_from(self.slots.len() - 1).expect("fewer logs than 2^32")
        });
        let entry = &mut self.slots[index as usize];
        entry.log = Some(Box::new(log));
        let slot = Slot { index, reuse: entry.reuse };
        self.ids.insert(id, slot);
        slot
    }

    /// A new, empty log, or the existing one with new settings. No file is made before a segment is written.
    pub fn create(&mut self, _now: Now, id: PartitionId, settings: LogSettings) -> Slot {
        if let Some(slot) = self.slot(id) {
            self.configure(slot, settings);
            return slot;
        }
        let directory = paths::log_directory(&self.settings.data_dir, id);
        let mut log = PartitionLog::new(id, directory, settings);
        (log.next_serial, log.awaits_removal) = (self.serial_floor, self.dying.contains_key(&id));
        let slot = self.insert(id, log);
        self.note_compacted(slot);
        slot
    }

    /// The log of a partition, if this store has it.
    pub fn slot(&self, id: PartitionId) -> Option<Slot> {
        self.ids.get(&id).copied()
    }

    /// The bug on purpose, if any.
    pub fn fault(&self) -> Fault {
        self.settings.fault
    }

    /// All logs, in order of their ids.
    pub fn slots(&self) -> impl Iterator<Item = (PartitionId, Slot)> {
        self.ids.iter().map(|(id, slot)| (*id, *slot))
    }

    /// Takes new settings.
    pub fn configure(&mut self, slot: Slot, settings: LogSettings) {
        self.log_mut(slot).settings = settings;
        self.note_compacted(slot);
    }

    /// Deletes a log for good. Its files go after the deletion is in the journal; reads under way keep theirs.
    pub fn delete(&mut self, _now: Now, slot: Slot) {
        let Some(log) = self.get_mut(slot).filter(|log| log.life == Life::Lives) else { return };
        log.life = Life::Dying;
        log.ends_below = log.next_serial + 1;
        let (id, ends_below) = (log.id, log.ends_below);
        let unsealed = std::mem::take(&mut log.dirty).then(|| log.unsealed());
        self.unsealed -= unsealed.unwrap_or(0);
        self.ids.remove(&id);
        *self.dying.entry(id).or_default() += 1;
        self.serial_floor = self.serial_floor.max(ends_below);
        // The next log of this partition must not go on from what this one knew to be committed.
        self.watermarks.is_due = true;
        self.journal.control.push_back(slot);
    }

    fn get(&self, slot: Slot) -> Option<&PartitionLog> {
        let entry = self.slots.get(slot.index as usize)?;
        entry.log.as_deref().filter(|_| entry.reuse == slot.reuse)
    }

    fn get_mut(&mut self, slot: Slot) -> Option<&mut PartitionLog> {
        log_of(&mut self.slots, slot)
    }

    fn log(&self, slot: Slot) -> &PartitionLog {
        self.get(slot).expect("the slot of a log that exists")
    }

    fn log_mut(&mut self, slot: Slot) -> &mut PartitionLog {
        self.get_mut(slot).expect("the slot of a log that exists")
    }

    /// Bytes of tail memory that are allowed: as set, but never less than each log's share of two blocks.
    fn memory_max(&self) -> usize {
        self.settings.memory_bytes_max.max(2 * BLOCK * self.slots.len())
    }

    /// A log that is about to be appended to, and where its memory comes from.
    fn log_and_chunks(&mut self, slot: Slot) -> (&mut PartitionLog, &mut Chunks) {
        let share = self.memory_max() / (4 * self.slots.len().max(1));
        self.chunks.limit(share.clamp(BLOCK, CHUNK_BYTES_MAX));
        let log = log_of(&mut self.slots, slot).expect("the slot of a log that exists");
        (log, &mut self.chunks)
    }

    fn ask_for_page(&mut self, out: &mut Operations) {
        if !self.page_asked && self.chunks.wants_page(self.settings.memory_bytes_max) {
            self.page_asked = true;
            self.ask(Job::Page, FileOperation::Page, out);
        }
    }

    fn page_came(&mut self, result: FileResult) {
        let FileResult::Page(page) = result else { panic!("a page was answered with {result:?}") };
        self.page_asked = false;
        self.chunks.add(page);
    }

    fn is_full(&self) -> bool {
        self.memory >= self.memory_max() || self.unsealed >= self.settings.unsealed_bytes_max
    }

    fn count_memory(&mut self, slot: Slot) {
        let Some(log) = self.get_mut(slot) else { return };
        let (now, before) = (log.tail.memory(), log.counted_memory);
        log.counted_memory = now;
        self.memory = self.memory + now - before;
    }

    /// Seals and issues the next journal group if it may begin, and whatever else is due. When it gives events,
    /// what they bring belongs to the same turn: it is to be called again.
    pub fn end_of_turn(&mut self, now: Now, out: &mut Operations, events: &mut Vec<Event>) {
        self.drop_cached();
        self.ask_for_space(now, out);
        self.ask_for_page(out);
        self.relieve();
        self.seal(now, out);
        if self.stopping == Stopping::No {
            self.start_work(out);
        }
        self.go_on_cleaning(now, out);
        self.go_on_stopping(out);
        events.append(&mut self.events);
    }

    /// Takes an answer of the disk.
    ///
    /// # Panics
    /// On a token that is not outstanding, or a result of another kind than was asked for: a driver's bug.
    pub fn file(
        &mut self,
        now: Now,
        token: Token,
        result: FileResult,
        out: &mut Operations,
        events: &mut Vec<Event>,
    ) {
        let job = match (&result, self.jobs.get(&token.0)) {
            (FileResult::Written(Ok(())), Some(Job::JournalGroup { number }))
                if self.journal.under_way.flush_follows(*number) =>
            {
                Job::JournalGroup { number: *number }
            }
            // Told with its flush.
            (
                FileResult::Written(Ok(())),
                Some(Job::Segment(_, behind::Step::Write { flushed: true, .. })),
            ) => return,
            _ => self.jobs.remove(&token.0).expect("was asked"),
        };
        match job {
            Job::JournalOpen => self.journal_opened(opened(result)),
            Job::JournalGroup { number } => self.group_answered(number, result),
            Job::JournalFlush => self.journal_flushed(flushed(result)),
            Job::JournalGrow { to } => self.journal_grown(to, done(result)),
            Job::Space => self.space_answered(result),
            Job::Page => self.page_came(result),
            Job::Segment(slot, step) => self.step_done(slot, step, result, out),
            Job::Reader { slot, name, lookup } => self.reader_opened(slot, name, lookup, result, out),
            Job::Index { slot, name, lookup } => self.index_read(slot, name, lookup, result, out),
            Job::Scan(lookup) => self.scanned(*lookup, result, out),
            Job::Bytes(job) => self.bytes_read(job, result),
            Job::Cleaning(step) => self.cleaning_answered(now, step, result),
            Job::Watermarks => self.watermarks_written(done(result)),
            Job::CleanMark => self.marked(done(result)),
        }
        self.offer_room();
        events.append(&mut self.events);
    }

    fn offer_room(&mut self) {
        let room =
            self.memory < self.memory_max() / 8 * 7 && self.unsealed <= self.settings.unsealed_bytes_max / 2;
        if self.room_wanted && room {
            self.room_wanted = false;
            self.events.push(Event::Room);
        }
    }

    fn directory_offline(&mut self, what: &str, error: &io::Error) {
        self.fail(Fatal::new(format!(
            "{what} failed: {error}. Nothing was acknowledged after it. Check the disk and restart the broker; \
             recovery will tell what is durable."
        )));
    }

    /// The directory goes offline.
    fn fail(&mut self, reason: Fatal) {
        if self.journal.failed.is_none() {
            self.journal.failed = Some(reason.clone());
            self.events.push(Event::DirectoryOffline { reason });
        }
    }

    fn partition_offline(&mut self, slot: Slot, reason: Fatal) {
        let Some(log) = self.get_mut(slot) else { return };
        if log.offline.is_none() {
            log.offline = Some(reason.clone());
            self.events.push(Event::PartitionOffline { slot, reason });
        }
    }

    /// The first offset that is served.
    pub fn log_start(&self, slot: Slot) -> Offset {
        self.log(slot).start
    }

    /// The offset that the next record gets.
    pub fn log_end(&self, slot: Slot) -> Offset {
        self.log(slot).end
    }

    /// Everything below it has reached the kernel.
    pub fn written_end(&self, slot: Slot) -> Offset {
        self.log(slot).written
    }

    /// Everything below it is on stable storage.
    pub fn flushed_end(&self, slot: Slot) -> Offset {
        self.log(slot).flushed
    }

    /// Everything below it is held as the topic's settings promise: flushed, or written under an interval policy. What a
    /// follower tells its leader.
    pub fn held_end(&self, slot: Slot) -> Offset {
        let log = self.log(slot);
        match log.settings.flush {
            _ if self.settings.fault == Fault::FetchUnflushed => log.end,
            FlushPolicy::EveryGroup => log.flushed,
            FlushPolicy::Interval { .. } => log.written,
        }
    }

    /// The log's size in bytes, tail included.
    pub fn size_bytes(&self, slot: Slot) -> u64 {
        self.log(slot).bytes()
    }

    /// The room on the data directory's file system, at most a minute old; `None` until it is first known.
    pub fn space(&self) -> Option<Space> {
        self.space
    }

    /// What the idempotent producers of a log appended last.
    pub fn producers(&self, slot: Slot) -> &ProducerStates {
        &self.log(slot).producers
    }

    /// From now on silent producers are forgotten after this long (`producer.id.expiration.ms`).
    pub fn set_producer_expiration_ms(&mut self, ms: i64) {
        self.settings.producer_expiration_ms = ms;
    }

    /// Why a log is offline, if it is.
    pub fn offline(&self, slot: Slot) -> Option<&Fatal> {
        self.journal.failed.as_ref().or(self.log(slot).offline.as_ref())
    }

    /// The last epoch in which a record was appended.
    pub fn last_epoch(&self, slot: Slot) -> Option<LeaderEpoch> {
        self.log(slot).epochs.latest().map(|latest| latest.epoch)
    }

    /// For OffsetForLeaderEpoch: the largest epoch not above `epoch` that the log knows, and the end offset of it;
    /// see [`LeaderEpochs::end_offset_for`](super::epochs::LeaderEpochs::end_offset_for).
    pub fn epoch_end(&self, slot: Slot, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let log = self.log(slot);
        log.epochs.end_offset_for(epoch, log.end)
    }

    /// The epoch of the record at `offset`.
    pub fn epoch_at(&self, slot: Slot, offset: Offset) -> Option<LeaderEpoch> {
        self.log(slot).epochs.epoch_at(offset)
    }

    /// Everything below is committed, as far as this broker knows.
    pub fn high_watermark(&self, slot: Slot) -> Offset {
        self.log(slot).high_watermark
    }

    /// Tells the high watermark: retention stays below it, checkpoints hold it. It never goes back.
    pub fn set_high_watermark(&mut self, slot: Slot, offset: Offset) {
        let log = self.log_mut(slot);
        let raised = offset.min(log.end);
        if raised > log.high_watermark {
            log.high_watermark = raised;
            log.producers.commit(raised);
            self.watermarks.is_due |= log.is_replicated;
        }
    }

    /// Begins a clean stop: everything appended is flushed; [`Event::Stopped`] follows. What is not in segments
    /// yet stays in the journal, for the next boot to carry over. Go on calling [`end_of_turn`](Self::end_of_turn).
    pub fn stop(&mut self, now: Now, out: &mut Operations, events: &mut Vec<Event>) {
        if self.stopping == Stopping::No {
            self.stopping = Stopping::Asked;
            self.journal.flush_due = true;
        }
        self.end_of_turn(now, out, events);
    }

    fn go_on_stopping(&mut self, out: &mut Operations) {
        if self.stopping != Stopping::Asked || !self.is_idle() {
            return;
        }
        if self.watermarks.is_due && self.journal.failed.is_none() {
            return self.write_watermarks(out);
        }
        if self.journal.failed.is_some() {
            self.stopping = Stopping::Done;
            self.events.push(Event::Stopped);
            return;
        }
        self.stopping = Stopping::Marking;
        let settings = &self.settings;
        let path = paths::clean_mark(&settings.data_dir, settings.boot.generation, settings.shard.0);
        let data = corelane_seam::Slice::copy_from(b"clean\n");
        self.ask(Job::CleanMark, FileOperation::Replace { path, data }, out);
    }

    fn marked(&mut self, result: io::Result<()>) {
        // Without the mark the next start says "unclean" and recovers the same records.
        if let Err(error) = result {
            tracing::warn!(%error, "the mark of a clean stop could not be written");
        }
        self.stopping = Stopping::Done;
        self.events.push(Event::Stopped);
    }

    /// Whether nothing is outstanding and nothing waits for the journal.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty() && (self.journal.is_flushed() || self.journal.failed.is_some())
    }

    #[cfg(test)]
    pub(super) fn journal_low(&self) -> u64 {
        self.journal.low()
    }

    /// Panics when an invariant does not hold. For tests and the simulator.
    pub fn check(&self) {
        self.journal.check();
        let logs = || self.slots.iter().filter_map(|entry| entry.log.as_deref());
        let holds = logs().filter(|log| log.held.is_some()).count();
        assert_eq!(self.journal.holds.len(), holds, "every log that holds a group is known");
        logs().for_each(PartitionLog::check);
        assert_eq!(self.memory, logs().map(|log| log.counted_memory).sum::<usize>(), "memory is counted");
        let dirty = logs().filter(|log| log.dirty).map(PartitionLog::unsealed).sum::<u64>();
        assert_eq!(self.unsealed, dirty, "unsealed bytes are counted");
    }
}

fn is_due(policy: FlushPolicy, records: u64, since: Option<Monotonic>, now: Monotonic) -> bool {
    match policy {
        FlushPolicy::EveryGroup => true,
        FlushPolicy::Interval { messages, ms } => {
            records >= messages || since.is_some_and(|since| now >= since.after_ms(ms))
        }
    }
}

fn opened(result: FileResult) -> io::Result<(corelane_seam::FileHandle, u64)> {
    match result {
        FileResult::Opened(result) => result,
        other => panic!("an open was answered with {other:?}"),
    }
}

fn flushed(result: FileResult) -> io::Result<()> {
    match result {
        FileResult::Flushed(result) => result,
        other => panic!("a flush was answered with {other:?}"),
    }
}

fn done(result: FileResult) -> io::Result<()> {
    match result {
        FileResult::Done(result) => result,
        other => panic!("an operation was answered with {other:?}"),
    }
}
