//! What a leader knows of one follower's fetch session.

use super::super::{Asker, read::Found};
use crate::{
    engine::{
        message::{FollowPosition, ReadPartition},
        replicas::FollowerId,
    },
    ids::{LeaderEpoch, Map, Offset, PartitionId},
};
use corelane_seam::{Monotonic, ShardId};
use std::collections::{BTreeMap, BTreeSet};

/// Partitions whose follower is not in sync that one fetch asks about again.
const OUTSIDE_AT_ONCE_MAX: usize = 512;

/// What a follower was last told of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    high_watermark: i64,
    log_start: i64,
}

/// How far a follower is with one partition.
#[derive(Debug)]
pub(super) struct Position {
    from: Offset,
    bytes_max: usize,
    pub current_leader_epoch: LeaderEpoch,
    last_fetched_epoch: LeaderEpoch,
    told: Option<Told>,
    /// Its place among what is due, if it is, or among what is held.
    pub due: Option<u64>,
}

/// A fetch that has no answer yet, or one that goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub asker: Asker,
    pub bytes_max: usize,
    pub wait_for_bytes: usize,
    /// Whether the asker knows what there was at first. Until it does it cannot respond, whatever others answer.
    pub answered: bool,
    /// The session ends with the answer.
    pub once: bool,
    /// This owner, to those who ask.
    pub owner: ShardId,
}

/// Of one follower's connection.
#[derive(Debug)]
pub(super) struct Session {
    pub who: FollowerId,
    pub last_fetch: Monotonic,
    pub positions: Map<PartitionId, Position>,
    /// Of these partitions there may be news, the ones that were not served lately first.
    pub due: BTreeMap<u64, PartitionId>,
    next_due: u64,
    /// What is due when there is quota for it again; the places are kept.
    pub held: BTreeMap<u64, PartitionId>,
    /// Those of them whose follower is not in sync.
    pub outside: BTreeSet<PartitionId>,
    /// After which of them the next fetch goes on.
    outside_from: Option<PartitionId>,
    pub waiting: Option<Waiting>,
    /// Of the last answer, and what it told of.
    pub serial: u64,
    pub told: Vec<PartitionId>,
    /// The last [question](ReplicaSessions::ask_who_leads) before that answer, and before the last one of which the
    /// follower has said by another fetch that it came.
    pub answered_after: u64,
    pub asked_after: u64,
    /// What was named and is not kept here: said once.
    pub strangers: BTreeSet<PartitionId>,
}

impl Session {
    pub fn new(who: FollowerId) -> Session {
        Session {
            who,
            last_fetch: Monotonic(0),
            positions: Map::default(),
            due: BTreeMap::new(),
            next_due: 0,
            held: BTreeMap::new(),
            outside: BTreeSet::new(),
            outside_from: None,
            waiting: None,
            serial: 0,
            told: Vec::new(),
            answered_after: 0,
            asked_after: 0,
            strangers: BTreeSet::new(),
        }
    }

    pub fn mark_due(&mut self, id: PartitionId) {
        let Some(position) = self.positions.get_mut(&id) else { return };
        let due = position.due.unwrap_or(self.next_due);
        if position.due.is_none() {
            self.next_due += 1;
        }
        position.due = Some(due);
        self.held.remove(&due);
        self.due.insert(due, id);
    }

    pub fn settle(&mut self, id: PartitionId) {
        if let Some(due) = self.positions.get_mut(&id).and_then(|position| position.due.take()) {
            self.due.remove(&due);
            self.held.remove(&due);
        }
    }

    /// There is something of a partition that the follower is not given now: there is no quota for it.
    pub fn hold(&mut self, id: PartitionId) {
        if let Some(due) = self.positions.get(&id).and_then(|position| position.due)
            && self.due.remove(&due).is_some()
        {
            self.held.insert(due, id);
        }
    }

    /// There is quota again. Gives whether anything was held.
    pub fn release(&mut self) -> bool {
        let held = !self.held.is_empty();
        self.due.append(&mut self.held);
        held
    }

    /// It was given something: the others come first next time.
    fn served(&mut self, id: PartitionId) {
        self.settle(id);
        self.mark_due(id);
    }

    /// The follower names a partition: it is new, or has another position.
    pub fn name(&mut self, named: &FollowPosition) {
        let told = self
            .positions
            .get(&named.id)
            // What was said under another reign may have been passed over: the marks are told again.
            .filter(|known| known.current_leader_epoch == named.current_leader_epoch)
            .and_then(|known| known.told);
        let due = self.positions.get(&named.id).and_then(|known| known.due);
        let position = Position {
            from: named.from,
            bytes_max: named.bytes_max,
            current_leader_epoch: named.current_leader_epoch,
            last_fetched_epoch: named.last_fetched_epoch,
            told,
            due,
        };
        self.positions.insert(named.id, position);
        self.mark_due(named.id);
    }

    pub fn forget(&mut self, id: PartitionId) {
        self.settle(id);
        self.positions.remove(&id);
        self.outside.remove(&id);
        self.strangers.remove(&id);
    }

    pub fn reading(&self, id: PartitionId) -> Option<ReadPartition> {
        let position = self.positions.get(&id)?;
        Some(ReadPartition {
            is_committed_only: false,
            place: 0,
            id,
            from: position.from,
            bytes_max: position.bytes_max,
            current_leader_epoch: position.current_leader_epoch,
            last_fetched_epoch: position.last_fetched_epoch,
        })
    }

    /// Whether the follower must be told what was read. What has nothing more for it is not due any more.
    pub fn take(&mut self, id: PartitionId, found: &Found, has_more: bool) -> bool {
        let Some(position) = self.positions.get_mut(&id) else { return false };
        let result = &found.result;
        let is_wrong = !result.error.is_none() || result.diverging.is_some();
        let now = Told { high_watermark: result.high_watermark, log_start: result.log_start_offset };
        let is_news = is_wrong || result.bytes > 0 || position.told != Some(now);
        if is_news && !found.later {
            // An error is told again next time, as Kafka does: the follower may have missed why.
            position.told = (!is_wrong).then_some(now);
        }
        if is_wrong || result.bytes > 0 {
            self.served(id);
        } else if !(has_more || found.later) {
            self.settle(id);
        }
        is_news && !found.later
    }

    /// The last answer was delivered, or not: then what it told is told again.
    pub fn delivered(&mut self, serial: u64) {
        let told = std::mem::take(&mut self.told);
        if serial == self.serial {
            self.asked_after = self.answered_after;
            return;
        }
        for id in told {
            match self.positions.get_mut(&id) {
                Some(position) => position.told = None,
                None => self.refuse(id),
            }
            self.mark_due(id);
        }
    }

    /// The follower is told of a partition when that is read for it next, whatever it knows.
    pub fn tell_anyway(&mut self, id: PartitionId) {
        if let Some(position) = self.positions.get_mut(&id) {
            position.told = None;
        }
    }

    /// Nothing is kept of what does not exist here, or memory would be the asker's to spend.
    pub fn refuse(&mut self, id: PartitionId) {
        self.forget(id);
        self.strangers.insert(id);
    }

    /// The next partitions whose follower is not in sync, in turn.
    pub fn next_outside(&mut self) -> Vec<PartitionId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = self.outside_from.map_or(Unbounded, Excluded);
        let next: Vec<PartitionId> =
            self.outside.range((from, Unbounded)).take(OUTSIDE_AT_ONCE_MAX).copied().collect();
        self.outside_from = next.last().copied().filter(|_| next.len() == OUTSIDE_AT_ONCE_MAX);
        next
    }
}
