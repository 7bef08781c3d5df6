//! What goes into a journal group: control entries, the begun batch, remainders, then data, round-robin across logs.

use super::{
    super::{
        journal::{entry::Kind, group::GROUP_HEADER_BYTES},
        partition_log::{Life, PartitionLog},
    },
    Slot, Store,
    commit::HEAD,
};
use crate::ids::{LeaderEpoch, Offset};
use std::collections::VecDeque;

/// Bytes that one log gets of a group before it is the next one's turn.
const TURN_BYTES: u64 = 64 * 1024;

/// What a group may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Bytes for anything.
    Ample(u64),
    /// Bytes of the reserve: for what frees blocks, or comes to free them.
    Reserve(u64),
}

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Data { to: u64 },
    Copy,
    Start(Offset),
    Death,
}

/// One entry of a group that is being planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub slot: Slot,
    pub what: What,
    pub kind: Kind,
    pub epoch: LeaderEpoch,
    /// Places.
    pub from: u64,
    pub to: u64,
}

impl Store {
    /// What goes into the next group.
    pub(super) fn plan(&mut self, room: Room) -> Vec<Planned> {
        let (capacity, with_data) = match room {
            Room::Ample(capacity) => (capacity, true),
            Room::Reserve(capacity) => (capacity, false),
        };
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
        // Where data waits too, it gets half: ten thousand remainders do not stand before a record.
        let for_data = if with_data && !self.journal.dirty.is_empty() { room / 2 } else { 0 };
        room = for_data + self.plan_copies(&mut plan, room - for_data);
        if with_data {
            self.plan_data(&mut plan, room);
        }
        plan
    }

    fn plan_control(&mut self, slot: Slot) -> Option<Planned> {
        let log = self.get_mut(slot)?;
        let (what, kind) = match (log.life, log.start_wanted) {
            (Life::Dying, _) => (What::Death, Kind::Deleted { serial: log.ends_below }),
            (Life::Lives, Some(offset)) => {
                (What::Start(offset), Kind::LogStart { offset, serial: log.next_serial })
            }
            (Life::Lives, None) | (Life::Dead, _) => return None,
        };
        Some(Planned { slot, what, kind, epoch: LeaderEpoch::UNKNOWN, from: 0, to: 0 })
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

    /// Remainders, as far as they fit into `room`. Gives what is left of it.
    fn plan_copies(&mut self, plan: &mut Vec<Planned>, mut room: u64) -> u64 {
        while let Some(slot) = self.journal.copies.front().copied() {
            // Pins stand in the order of places: data of the log that is in the plan already may still grow.
            let fits = |log: &&mut PartitionLog| log.planned_at.is_none() && log.can_copy();
            let Some(log) = self.get_mut(slot).filter(fits) else {
                self.journal.copies.pop_front();
                if let Some(log) = self.get_mut(slot) {
                    log.copying = false;
                }
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
        room
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
        let begin_max = match self.journal.begun {
            None => self.batch_bytes_begun_max(),
            Some(begun) if begun == slot => u64::MAX,
            Some(_) => 0,
        };
        let log = self.log_mut(slot);
        let Some(turn) = turn_of(log, plan, *room, begin_max) else { return false };
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
/// or a part of one that is larger, if it has at most `begin_max` bytes. A begun batch ends before anything else of
/// its log. `None` when nothing fits.
fn turn_of(log: &PartitionLog, plan: &[Planned], room: u64, begin_max: u64) -> Option<Turn> {
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
    (!within_batch || batch.to - batch.from <= begin_max).then_some(Turn { end, within_batch, merged })
}

fn plan_bytes(slot: Slot, log: &PartitionLog, what: What, from: u64, to: u64) -> Planned {
    let segment = log.segment_at(from).expect("bytes that are not persisted are in an open segment");
    let kind = Kind::Append { base: segment.base, serial: segment.serial, position: from - segment.place };
    let epoch = log.epochs.latest().map_or(LeaderEpoch::UNKNOWN, |latest| latest.epoch);
    Planned { slot, what, kind, epoch, from, to }
}
