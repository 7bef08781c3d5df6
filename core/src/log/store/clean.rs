//! The cleaner of a shard: looks for the dirtiest compacted log, takes a pass over it, one operation at a time, and
//! swaps what the pass has finished for what it was made of.
//!
//! The swap is one replacement of the log's checkpoint. Before it the new file is whole, flushed and bears its name;
//! after it the old files go. So a start finds in the checkpoint which of them count, and removes the others, whenever
//! the power went. Whoever was handed a range of an old file goes on reading it: the file lives until it is closed.

use super::{
    super::{
        Fault,
        compaction::{Cleanable, CleanerSettings, Next, Pass, Replacement, Step, Trouble},
        partition_log::{Life, PartitionLog},
        segment::Stage,
    },
    Job, Operations, Slot, Stopping, Store,
};
use corelane_seam::{FileResult, Monotonic, Now};
use std::collections::BTreeSet;

/// Compacted logs that are looked at per tick.
const SEARCH_SLICE: usize = 32;
/// From tick to tick while a search is on.
const SEARCH_TICK_MS: u64 = 10;

/// A pass that is under way.
#[derive(Debug)]
struct Cleaning {
    slot: Slot,
    pass: Box<Pass>,
    /// An operation of it is with the disk.
    is_asked: bool,
}

/// A search for the dirtiest log.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// The first slot not looked at.
    from: Option<Slot>,
    dirtiest: Option<(f64, Slot)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cleaner {
    pub settings: CleanerSettings,
    /// Logs whose settings ask for compaction.
    pub compacted: BTreeSet<Slot>,
    /// When the next search begins, or goes on.
    due: Monotonic,
    search: Option<Search>,
    cleaning: Option<Cleaning>,
    /// The throttle lets nothing be asked before.
    not_before: Monotonic,
    /// That is what the pass waits for.
    is_throttled: bool,
}

impl Cleaner {
    pub fn new(settings: CleanerSettings) -> Cleaner {
        Cleaner {
            settings,
            compacted: BTreeSet::new(),
            due: Monotonic(0),
            search: None,
            cleaning: None,
            not_before: Monotonic(0),
            is_throttled: false,
        }
    }
}

impl Store {
    /// When the cleaner has something to do that no answer of the disk brings.
    pub(super) fn next_cleaning_tick(&self) -> Option<Monotonic> {
        let cleaner = &self.cleaner;
        if !self.may_clean() {
            return None;
        }
        match &cleaner.cleaning {
            Some(_) => cleaner.is_throttled.then_some(cleaner.not_before),
            None => (!cleaner.compacted.is_empty()).then_some(cleaner.due),
        }
    }

    /// Takes new settings of the cleaner.
    pub fn configure_cleaner(&mut self, settings: CleanerSettings) {
        self.cleaner.settings = settings;
    }

    /// Whether the cleaner is at a log now. For tests.
    #[cfg(test)]
    pub(in crate::log) fn is_cleaning(&self) -> bool {
        self.cleaner.cleaning.is_some()
    }

    /// Whether compaction has given a log up. For tests.
    #[cfg(test)]
    pub(in crate::log) fn is_uncleanable(&self, slot: Slot) -> bool {
        self.log(slot).uncleanable
    }

    /// Notes whether a log is compacted, after its settings changed.
    pub(super) fn note_compacted(&mut self, slot: Slot) {
        if self.log(slot).settings.compact {
            self.cleaner.compacted.insert(slot);
        } else {
            self.cleaner.compacted.remove(&slot);
        }
    }

    /// Looks for something to clean when that is due.
    pub(super) fn search_dirty(&mut self, now: Now) {
        let cleaner = &self.cleaner;
        if cleaner.cleaning.is_some() || now.monotonic < cleaner.due || !self.may_clean() {
            return;
        }
        if self.disk_full {
            // What a pass writes comes on top before anything goes.
            return self.rest_cleaner(now);
        }
        let mut search = cleaner.search.unwrap_or(Search { from: None, dirtiest: None });
        let from = search.from.or(cleaner.compacted.first().copied());
        let slice = from.into_iter().flat_map(|from| cleaner.compacted.range(from..)).copied();
        let slots: Vec<Slot> = slice.take(SEARCH_SLICE + 1).collect();
        for slot in slots.iter().take(SEARCH_SLICE) {
            let found = self.get(*slot).and_then(|log| Cleanable::of(log, now.unix_ms));
            let Some(share) = found.map(|cleanable| cleanable.dirty_share) else { continue };
            if search.dirtiest.is_none_or(|(dirtiest, _)| share > dirtiest) {
                search.dirtiest = Some((share, *slot));
            }
        }
        search.from = slots.get(SEARCH_SLICE).copied();
        if search.from.is_some() {
            self.cleaner.due = now.monotonic.after_ms(SEARCH_TICK_MS);
            self.cleaner.search = Some(search);
            return;
        }
        self.cleaner.search = None;
        match search.dirtiest {
            Some((_, slot)) => self.begin_cleaning(now, slot),
            None => self.rest_cleaner(now),
        }
    }

    fn rest_cleaner(&mut self, now: Now) {
        self.cleaner.due = now.monotonic.after_ms(self.cleaner.settings.backoff_ms.max(1));
    }

    fn may_clean(&self) -> bool {
        self.cleaner.settings.enabled && self.stopping == Stopping::No && self.journal.failed.is_none()
    }

    fn begin_cleaning(&mut self, now: Now, slot: Slot) {
        let (secret, fault) = (self.settings.boot.salt, self.settings.fault);
        let settings = self.cleaner.settings;
        let Some(log) = self.get_mut(slot) else { return };
        let Some(cleanable) = Cleanable::of(log, now.unix_ms) else { return };
        let pass = Pass::new(log, cleanable, &settings, now.unix_ms, secret, fault);
        log.cleaning = true;
        self.cleaner.cleaning = Some(Cleaning { slot, pass: Box::new(pass), is_asked: false });
    }

    /// Asks for the next operation of the pass, if nothing of it is under way.
    pub(super) fn go_on_cleaning(&mut self, now: Now, out: &mut Operations) {
        self.cleaner.is_throttled = false;
        while let Some(cleaning) = &mut self.cleaner.cleaning {
            if cleaning.is_asked || self.stopping != Stopping::No || self.journal.failed.is_some() {
                return;
            }
            let slot = cleaning.slot;
            let log = self.slots[slot.index as usize].log.as_deref().filter(|log| log.cleaning);
            let Some(log) = log.filter(|log| log.life == Life::Lives) else { return self.end_cleaning(now) };
            if log.offline.is_some()
                || log.cut.is_some()
                || !log.settings.compact
                || !self.cleaner.settings.enabled
            {
                cleaning.pass.give_up(&log.directory);
            }
            if now.monotonic < self.cleaner.not_before {
                self.cleaner.is_throttled = true;
                return;
            }
            match cleaning.pass.next(&log.directory) {
                Next::Ask(step, operation) => {
                    cleaning.is_asked = true;
                    return self.ask(Job::Cleaning(step), operation, out);
                }
                // Steps are told by segments' indexes: while one is under way, they stay.
                Next::Swap if log.busy => return,
                Next::Swap => self.swap_cleaned(slot),
                Next::Finished(end) => {
                    let log = self.log_mut(slot);
                    log.cleaned_to = end;
                    log.checkpoint_due = true;
                    self.end_cleaning(now);
                    // Where there was something, there may be more.
                    self.cleaner.due = now.monotonic;
                }
                Next::GivenUp => self.end_cleaning(now),
            }
        }
    }

    /// The pass is over. What its log waited for goes on.
    fn end_cleaning(&mut self, now: Now) {
        let Some(cleaning) = self.cleaner.cleaning.take() else { return };
        if let Some(log) = self.get_mut(cleaning.slot) {
            log.cleaning = false;
        }
        self.queue_work(cleaning.slot);
        self.rest_cleaner(now);
    }

    /// Takes the answer to an operation of the pass.
    pub(super) fn cleaning_answered(&mut self, now: Now, step: Step, result: FileResult) {
        let Some(cleaning) = &mut self.cleaner.cleaning else { return };
        cleaning.is_asked = false;
        let slot = cleaning.slot;
        let Some(log) = self.slots[slot.index as usize].log.as_deref_mut() else { return };
        match cleaning.pass.answered(step, result, &log.producers) {
            Ok(answered) => {
                let pause_ms = self.cleaner.settings.pause_ms(answered.bytes);
                self.cleaner.not_before = now.monotonic.after_ms(pause_ms);
            }
            Err(Trouble::Full) => {
                cleaning.pass.give_up(&log.directory);
                self.write_refused();
            }
            // DeleteRecords or retention were faster.
            Err(Trouble::Uncleanable(_)) if !cleaning.pass.is_source_of(log) => {
                cleaning.pass.give_up(&log.directory);
            }
            Err(Trouble::Uncleanable(why)) => {
                log.uncleanable = true;
                let directory = log.directory.display();
                tracing::warn!(
                    "{directory} is not compacted any more until the broker is restarted: {why}. Its records are \
                     served as they are. Check the disk."
                );
                cleaning.pass.give_up(&log.directory);
            }
        }
    }

    /// Lets a finished file take the place of its segments, where a pass over this log has one and no step of the log
    /// is under way.
    pub(super) fn swap_cleaned(&mut self, slot: Slot) {
        let Some(cleaning) = self.cleaner.cleaning.as_mut().filter(|it| it.slot == slot && !it.is_asked)
        else {
            return;
        };
        let Some(log) = self.slots[slot.index as usize].log.as_deref_mut() else { return };
        if log.busy || log.life != Life::Lives || log.offline.is_some() {
            return;
        }
        let Next::Swap = cleaning.pass.next(&log.directory) else { return };
        let Some(replacement) = cleaning.pass.replacement() else { return };
        let name = replacement.name;
        if let Err(Gone) = replace(log, replacement) {
            // DeleteRecords or retention were faster.
            return cleaning.pass.give_up_replacement(&log.directory, name);
        }
        let removes_early = self.settings.fault == Fault::RemoveBeforeCheckpoint;
        log.checkpoint_due |= !removes_early;
        self.count_memory(slot);
        self.queue_work(slot);
    }
}

/// Segments of a group are not there any more.
struct Gone;

/// Puts a file that is whole into the place of its segments.
fn replace(log: &mut PartitionLog, replacement: Replacement) -> Result<(), Gone> {
    let is_there = |(index, name)| {
        log.segments.get(index).is_some_and(|segment: &super::super::segment::Segment| {
            segment.name() == name && segment.stage == Stage::Closed && segment.next > log.start
        })
    };
    let first = replacement.of.first().copied();
    let at = log.segments.iter().position(|segment| Some(segment.name()) == first).ok_or(Gone)?;
    let count = replacement.of.len();
    if !(at..).zip(replacement.of.iter().copied()).all(is_there) {
        return Err(Gone);
    }
    let old: Vec<_> = log.segments.drain(at..at + count).collect();
    // What memory holds of them stands at places of the old files.
    if let Some(end) = old.iter().filter(|segment| segment.in_tail).map(|segment| segment.end_place()).max() {
        while log.tail.start() < end && log.tail.drop_first(log.persisted) {}
        assert!(log.tail.start() >= end, "{}: closed segments are persisted, and not the last", log.id);
    }
    let first_append_ms = old.iter().map(|segment| segment.first_append_ms).max().unwrap_or(0);
    let open_from = old.last().map_or(log.start, |segment| segment.open_from);
    log.segments.insert(at, replacement.into_segment(first_append_ms, open_from));
    log.replaced.extend(old.iter().map(|segment| segment.name()));
    Ok(())
}
