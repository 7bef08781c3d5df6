//! What time brings: retention, interval flushes, the disk's free space; and log starts that move.

use super::{
    super::{FlushPolicy, partition_log::Life, segment::Stage},
    Event, Job, Operations, ReadError, Slot, Store,
};
use crate::ids::Offset;
use corelane_seam::{FileOperation, FileResult, Monotonic, Now};

/// Logs that are looked at per tick.
const SWEEP_SLICE: usize = 256;
/// From tick to tick while a sweep is on.
const TICK_MS: u64 = 100;
/// From the beginning of one sweep over all logs to the next.
const SWEEP_MS: u64 = 30_000;
/// From one question for the disk's free space to the next, while little is appended: others may fill the disk too.
const SPACE_MS: u64 = 60_000;
/// The same while the disk is full: room may be made at any time.
const SPACE_FULL_MS: u64 = 1_000;
/// The part of the reserve after whose appending the free space is asked for again: what is appended (twice, journal
/// and segment) until the answer stays far within the reserve.
const SPACE_RESERVE_SHARE: u64 = 8;
/// The part of the reserve that must be free besides before a full disk has room again: what is freed in small pieces, by
/// retention for instance, would else fill it again at once, over and over.
const ROOM_RESERVE_SHARE: u64 = 4;
/// However small the reserve is, not more often than this.
const SPACE_BYTES_MIN: u64 = 1024 * 1024;

/// A pass over all logs, a slice at a time.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The next slot to look at; none between two passes.
    next: Option<usize>,
    due: Monotonic,
    tick_due: Monotonic,
}

impl Store {
    /// What comes due by time: retention, interval flushes, the disk's free space.
    pub fn tick(&mut self, now: Now, out: &mut Operations, events: &mut Vec<Event>) {
        if self.journal.has_unflushed() {
            self.journal.flush_due |= self.slots.iter().filter_map(|entry| entry.log.as_deref()).any(|log| {
                matches!(log.settings.flush, FlushPolicy::Interval { .. })
                    && super::is_due(
                        log.settings.flush,
                        log.unflushed_records,
                        log.unflushed_since,
                        now.monotonic,
                    )
            });
        }
        if self.sweep.next.is_none() && now.monotonic >= self.sweep.due {
            self.sweep.due = now.monotonic.after_ms(SWEEP_MS);
            self.sweep.next = Some(0);
        }
        if let Some(first) = self.sweep.next {
            let last = (first + SWEEP_SLICE).min(self.slots.len());
            (first..last).for_each(|index| self.look_after(now, index));
            self.sweep.next = (last < self.slots.len()).then_some(last);
        }
        self.sweep.tick_due = now.monotonic.after_ms(TICK_MS);
        self.search_dirty(now);
        self.tick_watermarks(now, out);
        self.end_of_turn(now, out, events);
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_tick(&self) -> Monotonic {
        let upkeep = if self.sweep.next.is_some() || self.journal.has_unflushed() {
            self.sweep.tick_due
        } else {
            self.sweep.due.min(self.space_due)
        };
        let others = [self.next_cleaning_tick(), self.next_watermarks_tick()];
        others.into_iter().flatten().fold(upkeep, Monotonic::min)
    }

    /// Asks for the disk's free space when enough was appended to matter, or enough time has passed.
    pub(super) fn ask_for_space(&mut self, now: Now, out: &mut Operations) {
        let share = (self.settings.disk_reserve_bytes / SPACE_RESERVE_SHARE).max(SPACE_BYTES_MIN);
        let much = self.appended_since_space > share;
        if self.journal.failed.is_some() || !(much || now.monotonic >= self.space_due) {
            return;
        }
        self.appended_since_space = 0;
        self.space_asked = now.monotonic;
        let wait_ms = if self.disk_full { SPACE_FULL_MS } else { SPACE_MS };
        self.space_due = now.monotonic.after_ms(wait_ms);
        let path = self.settings.data_dir.clone();
        self.ask(Job::Space, FileOperation::Space { path }, out);
    }

    pub(super) fn space_answered(&mut self, result: FileResult) {
        let FileResult::Space(space) = result else { panic!("space was answered with {result:?}") };
        let full = match space {
            Ok(space) => {
                self.space = Some(space);
                let reserve = self.settings.disk_reserve_bytes;
                let besides = if self.disk_full { reserve / ROOM_RESERVE_SHARE } else { 0 };
                space.free < reserve.saturating_add(besides)
            }
            Err(error) => {
                tracing::warn!(%error, "the disk's free space is not known");
                return;
            }
        };
        let refused_write = std::mem::take(&mut self.refused_write);
        self.room_wanted |= self.disk_full && !full;
        if refused_write || (self.disk_full && !full) {
            let slots: Vec<Slot> = self.ids.values().copied().collect();
            slots.into_iter().for_each(|slot| self.queue_work(slot));
        }
        self.set_full(full);
        if full {
            self.ask_for_space_soon();
        }
    }

    fn set_full(&mut self, is_full: bool) {
        if self.disk_full != is_full {
            self.disk_full = is_full;
            self.events.push(Event::DiskFull(is_full));
        }
    }

    /// The disk has refused a write for want of space: appends are refused, and such writes are not tried again, until it
    /// was asked for its space.
    pub(super) fn write_refused(&mut self) {
        self.set_full(true);
        self.refused_write = true;
        self.ask_for_space_soon();
    }

    /// The wait was set when the disk was not known to be full.
    fn ask_for_space_soon(&mut self) {
        self.space_due = self.space_due.min(self.space_asked.after_ms(SPACE_FULL_MS));
    }

    /// What one log needs from time to time.
    fn look_after(&mut self, now: Now, index: usize) {
        let expiration_ms = self.settings.producer_expiration_ms;
        if let Some(log) = self.slots[index].log.as_deref_mut() {
            log.producers.expire(now.unix_ms, expiration_ms);
        }
        self.retain(now, index);
    }

    /// Moves the log start past what the topic's retention lets go. Never past the high watermark.
    fn retain(&mut self, now: Now, index: usize) {
        let entry = &mut self.slots[index];
        let slot = Slot { index: u32::try_from(index).expect("fewer logs than 2^32"), reuse: entry.reuse };
        let Some(log) = entry.log.as_deref_mut() else { return };
        if log.life != Life::Lives || log.offline.is_some() || log.cut.is_some() || !log.settings.delete {
            return;
        }
        let expired = |latest_ms: i64, retention_ms: u64| {
            u64::try_from(now.unix_ms.saturating_sub(latest_ms)).is_ok_and(|age| age > retention_ms)
        };
        let mut bytes = log.bytes();
        let mut start = log.start;
        let mut roll = false;
        for segment in &log.segments {
            // Without timestamps, the time of the first append stands in.
            let latest = segment.max_timestamp.map_or(segment.first_append_ms, |max| max.timestamp_ms);
            let old = log.settings.retention_ms.is_some_and(|retention| expired(latest, retention));
            // As in Kafka, the log stays at or above the size.
            let large =
                log.settings.retention_bytes.is_some_and(|retention| bytes - segment.bytes >= retention)
                    && segment.stage != Stage::Active;
            if segment.next > log.high_watermark || !(old || large) {
                break;
            }
            roll |= segment.stage == Stage::Active;
            bytes -= segment.bytes;
            start = start.max(segment.next);
        }
        if roll {
            log.roll();
            self.queue_work(slot);
        }
        self.want_start(slot, start);
    }

    fn want_start(&mut self, slot: Slot, start: Offset) {
        let log = self.log_mut(slot);
        if start > log.start.max(log.start_wanted.unwrap_or(log.start)) {
            log.start_wanted = Some(start);
            self.journal.control.push_back(slot);
        }
    }

    /// Moves the log start up (DeleteRecords); [`Event::LogStartMoved`] follows when that is durable, at once when
    /// it is not above the present one.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] above the high watermark.
    pub fn advance_log_start(
        &mut self,
        _now: Now,
        slot: Slot,
        offset: Offset,
        events: &mut Vec<Event>,
    ) -> Result<(), ReadError> {
        let log = self.get(slot).filter(|log| log.life == Life::Lives).ok_or(ReadError::Unknown)?;
        if let Some(reason) = self.offline(slot) {
            return Err(ReadError::Offline(reason.clone()));
        }
        if log.cut.is_some() {
            return Err(ReadError::Later);
        }
        if offset > log.high_watermark {
            return Err(ReadError::OutOfRange { start: log.start, end: log.high_watermark });
        }
        if offset <= log.start {
            events.push(Event::LogStartMoved { slot, offset: log.start });
        } else {
            self.want_start(slot, offset);
        }
        Ok(())
    }

    /// A log start is durable in the journal: now it counts, and files below it may go.
    pub(super) fn start_moved(&mut self, slot: Slot, offset: Offset) {
        let log = self.log_mut(slot);
        if log.start_wanted == Some(offset) {
            log.start_wanted = None;
        }
        log.start = log.start.max(offset);
        log.epochs.truncate_from_start(log.start);
        log.checkpoint_due = true;
        self.events.push(Event::LogStartMoved { slot, offset });
        self.queue_work(slot);
    }
}
