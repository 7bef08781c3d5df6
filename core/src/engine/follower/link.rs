//! What is followed of one broker: the states of the partitions, the fetch session, and the request to come.

use super::{Leader, Manner};
use crate::{
    engine::throttle::Quota,
    error::ErrorCode,
    ids::{LeaderEpoch, Offset, PartitionId},
    log::{Slot, Store},
    wire::{AnswerHead, FOLLOWER_FETCH_VERSION, encode_request},
};
use bytes::Bytes;
use corelane_seam::Monotonic;
use kafka_protocol::messages::{
    BrokerId, FetchRequest,
    fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState},
};
use std::collections::{BTreeMap, BTreeSet};

/// Where a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is asked for, from its flushed end.
    Ready,
    /// What came is not flushed up to here; the link waits.
    Flushing(Offset),
    /// Its log is being cut.
    Cutting,
    /// Until there is quota for it.
    Held,
    /// After an error, until then.
    Resting(Monotonic),
    /// Until newer metadata comes, or for good: its log is offline.
    Stopped,
}

/// A partition that is followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Followed {
    pub slot: Slot,
    pub leader: Leader,
    pub state: State,
    /// The epoch that it was last asked for with, while the session has it.
    asked: Option<LeaderEpoch>,
    /// How often in a row the leader did not know yet that it leads.
    pub misses: u32,
    /// An empty log is asked for from here on: the leader's log start lies within a batch, and that is where the log
    /// begins. Nothing is promised by it that the leader still has.
    ask_from: Option<Offset>,
}

/// One broker's link.
#[derive(Debug, Default)]
pub(super) struct Link {
    partitions: BTreeMap<PartitionId, Followed>,
    /// 0: none.
    session: i32,
    /// Of the next request; 0 begins a session.
    session_epoch: i32,
    in_flight: Option<i32>,
    correlation: i32,
    /// Ready partitions that the session knows otherwise, or not at all.
    changed: BTreeSet<PartitionId>,
    /// What the session has and should not.
    forgotten: BTreeSet<PartitionId>,
    ready: usize,
    /// What is throttled and not in sync, so that it may have to wait for quota.
    throttled: BTreeSet<PartitionId>,
    held: BTreeSet<PartitionId>,
    /// Of what was throttled something came last: the others come first next time.
    throttled_last: Option<PartitionId>,
    flushing: usize,
    resting: BTreeSet<(Monotonic, PartitionId)>,
    /// After an error of the whole.
    not_before: Option<Monotonic>,
    /// How often in a row the leader could not be asked.
    failures: u32,
}

impl Link {
    /// Whether a partition follows this leader already; what else is new of it is noted.
    pub fn is_same(&mut self, id: PartitionId, leader: Leader) -> bool {
        let Some(followed) = self.partitions.get_mut(&id) else { return false };
        let same = followed.leader.epoch == leader.epoch;
        if same {
            followed.leader = leader;
            self.note_throttle(id, leader);
        }
        same
    }

    fn note_throttle(&mut self, id: PartitionId, leader: Leader) {
        if leader.is_throttled && !leader.in_sync {
            self.throttled.insert(id);
        } else {
            self.throttled.remove(&id);
            self.release_one(id);
        }
    }

    fn release_one(&mut self, id: PartitionId) {
        if self.state(id) == Some(State::Held) {
            self.set(id, State::Ready);
        }
    }

    /// Whether something waits for quota.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// What waits for quota is asked for again.
    pub fn release(&mut self) {
        for id in std::mem::take(&mut self.held) {
            self.release_one(id);
        }
    }

    /// Something came of a throttled partition.
    pub fn fetched_throttled(&mut self, id: PartitionId) {
        self.throttled_last = Some(id);
    }

    pub fn add(&mut self, id: PartitionId, slot: Slot, leader: Leader, state: State) {
        self.partitions.insert(
            id,
            Followed { slot, leader, state: State::Stopped, asked: None, misses: 0, ask_from: None },
        );
        self.set(id, state);
        self.note_throttle(id, leader);
    }

    pub fn remove(&mut self, id: PartitionId) {
        self.set(id, State::Stopped);
        self.throttled.remove(&id);
        self.partitions.remove(&id);
    }

    /// Whether nothing is followed and nothing is awaited.
    pub fn is_unused(&self) -> bool {
        self.partitions.is_empty() && self.in_flight.is_none()
    }

    pub fn stop(&mut self) {
        let ids: Vec<PartitionId> = self.partitions.keys().copied().collect();
        ids.into_iter().for_each(|id| self.set(id, State::Stopped));
    }

    pub fn state(&self, id: PartitionId) -> Option<State> {
        self.partitions.get(&id).map(|followed| followed.state)
    }

    /// A partition, and the epoch that it was last asked for with.
    pub fn followed(&self, id: PartitionId) -> Option<(Followed, Option<LeaderEpoch>)> {
        self.partitions.get(&id).map(|followed| (*followed, followed.asked))
    }

    /// Puts a partition into a state.
    pub fn set(&mut self, id: PartitionId, state: State) {
        let Some(followed) = self.partitions.get_mut(&id) else { return };
        match std::mem::replace(&mut followed.state, state) {
            State::Ready => self.ready -= 1,
            State::Flushing(_) => self.flushing -= 1,
            State::Resting(until) => {
                self.resting.remove(&(until, id));
            }
            State::Held => {
                self.held.remove(&id);
            }
            State::Cutting | State::Stopped => {}
        }
        match state {
            State::Ready => {
                self.ready += 1;
                if followed.asked.is_none() {
                    self.changed.insert(id);
                }
                return;
            }
            // It stays in the session, which is told its new position next.
            State::Flushing(_) => {
                self.flushing += 1;
                self.changed.remove(&id);
                return;
            }
            State::Resting(until) => {
                self.resting.insert((until, id));
            }
            State::Held => {
                self.held.insert(id);
            }
            State::Cutting | State::Stopped => {}
        }
        self.changed.remove(&id);
        // Also what a session has that is only about to begin.
        if followed.asked.take().is_some() && (self.session_epoch > 0 || self.in_flight.is_some()) {
            self.forgotten.insert(id);
        }
    }

    /// A log is flushed up to `end`.
    pub fn flushed(&mut self, id: PartitionId, end: Offset) {
        if matches!(self.state(id), Some(State::Flushing(until)) if until <= end) {
            self.set(id, State::Ready);
            self.changed.insert(id);
        }
    }

    /// A log start moved. What is not ready is named anew anyway when it is.
    pub fn log_start_moved(&mut self, id: PartitionId) {
        if self.state(id) == Some(State::Ready) {
            self.changed.insert(id);
        }
    }

    pub fn due(&self) -> Option<Monotonic> {
        let resting = self.resting.first().map(|(until, _)| *until);
        self.not_before.into_iter().chain(resting).min()
    }

    pub fn tick(&mut self, now: Monotonic) {
        if self.not_before.is_some_and(|at| at <= now) {
            self.not_before = None;
        }
        while let Some((until, id)) = self.resting.first().copied()
            && until <= now
        {
            self.set(id, State::Ready);
        }
    }

    /// How often in a row, with this time, the leader did not know yet that it leads a partition, or knows it now.
    pub fn missed(&mut self, id: PartitionId, missed: bool) {
        if let Some(followed) = self.partitions.get_mut(&id) {
            followed.misses = if missed { followed.misses.saturating_add(1) } else { 0 };
        }
    }

    /// An empty log that begins below the leader's is asked for from the leader's start.
    pub fn ask_from(&mut self, id: PartitionId, from: Offset) {
        if let Some(followed) = self.partitions.get_mut(&id) {
            followed.ask_from = Some(from);
        }
    }

    /// The leader could not be asked: a new session, soon at first, later and later.
    pub fn lose(&mut self, now: Monotonic, backoff_ms: u64) {
        self.fail(now.after_ms(growing_ms(self.failures, backoff_ms)));
        self.failures = self.failures.saturating_add(1);
    }

    /// What was asked has a bad answer: a new session, later.
    pub fn fail(&mut self, rest_until: Monotonic) {
        self.in_flight = None;
        self.not_before = Some(rest_until);
        self.end_session();
    }

    fn end_session(&mut self) {
        (self.session, self.session_epoch) = (0, 0);
        self.forgotten.clear();
        for (id, followed) in &mut self.partitions {
            followed.asked = None;
            if followed.state == State::Ready {
                self.changed.insert(*id);
            }
        }
    }

    /// Takes what stands before the partitions of an answer; whether they count.
    pub fn take_head(&mut self, head: AnswerHead, rest_until: Monotonic) -> bool {
        if self.in_flight.take() != Some(head.correlation_id) {
            self.fail(rest_until);
            return false;
        }
        self.failures = 0;
        let began = self.session_epoch == 0;
        match head.error {
            ErrorCode::None if began && head.session_id == 0 => self.end_session_after(),
            ErrorCode::None if began => (self.session, self.session_epoch) = (head.session_id, 1),
            ErrorCode::None => self.session_epoch = self.session_epoch.checked_add(1).unwrap_or(1),
            // The leader has forgotten the session: a new one, at once.
            ErrorCode::FetchSessionIdNotFound | ErrorCode::InvalidFetchSessionEpoch if !began => {
                self.end_session();
                return false;
            }
            error => {
                tracing::warn!("a follower's fetch is answered with {error}");
                self.fail(rest_until);
                return false;
            }
        }
        true
    }

    /// Without a session each request names everything.
    fn end_session_after(&mut self) {
        self.session_epoch = 0;
        self.forgotten.clear();
        let ready = self.partitions.iter().filter(|(_, followed)| followed.state == State::Ready);
        self.changed.extend(ready.map(|(id, _)| *id));
    }

    /// What there is no quota for is not asked for, unless this broker is in sync (Kafka's `shouldFollowerThrottle`).
    fn hold_beyond(&mut self, now: Monotonic, quota: &Quota) {
        if self.throttled.is_empty() || !quota.is_exceeded(now) {
            return;
        }
        let is_ready = |id: &PartitionId| self.state(*id) == Some(State::Ready);
        let ready: Vec<PartitionId> = self.throttled.iter().copied().filter(is_ready).collect();
        ready.into_iter().for_each(|id| self.set(id, State::Held));
    }

    /// What is to be named, in the order in which the leader is to serve it.
    fn take_changed(&mut self) -> Vec<PartitionId> {
        let mut changed = std::mem::take(&mut self.changed);
        let Some(last) = self.throttled_last else { return changed.into_iter().collect() };
        let after = changed.split_off(&last);
        let (this, after): (Vec<_>, Vec<_>) = after.into_iter().partition(|id| *id == last);
        after.into_iter().chain(changed).chain(this).collect()
    }

    /// The next request, if one may leave: without its length.
    pub fn request(
        &mut self,
        now: Monotonic,
        store: &Store,
        manner: &Manner,
        quota: &Quota,
    ) -> Option<Bytes> {
        if self.in_flight.is_none() && self.flushing == 0 {
            self.hold_beyond(now, quota);
        }
        let may = self.in_flight.is_none()
            && self.flushing == 0
            && self.ready > 0
            && self.not_before.is_none_or(|at| at <= now);
        if !may {
            return None;
        }
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut left = quota.room(now);
        for id in self.take_changed() {
            let is_throttled = self.throttled.contains(&id);
            if is_throttled && left == 0 {
                self.set(id, State::Held);
                continue;
            }
            let bytes_max = match is_throttled {
                true => manner.bytes_max.min(i32::try_from(left).unwrap_or(i32::MAX)),
                false => manner.bytes_max,
            };
            if is_throttled {
                left = left.saturating_sub(usize::try_from(bytes_max).unwrap_or(0));
            }
            let Some(followed) = self.partitions.get_mut(&id) else { continue };
            followed.asked = Some(followed.leader.epoch);
            let slot = followed.slot;
            let held = store.held_end(slot);
            let is_empty = store.log_start(slot) == store.log_end(slot);
            let from = followed.ask_from.filter(|from| is_empty && *from > held).unwrap_or(held);
            let partition = FetchPartition::default()
                .with_partition(id.index)
                .with_current_leader_epoch(followed.leader.epoch.0)
                .with_fetch_offset(from.0)
                .with_last_fetched_epoch(store.last_epoch(slot).map_or(-1, |epoch| epoch.0))
                .with_log_start_offset(store.log_start(slot).0)
                .with_partition_max_bytes(bytes_max);
            match topics.last_mut() {
                Some(topic) if topic.topic_id == id.topic.0 => topic.partitions.push(partition),
                _ => topics
                    .push(FetchTopic::default().with_topic_id(id.topic.0).with_partitions(vec![partition])),
            }
        }
        let mut forgotten: Vec<ForgottenTopic> = Vec::new();
        for id in std::mem::take(&mut self.forgotten) {
            // What came back meanwhile is named with its new position.
            if self.partitions.get(&id).is_some_and(|followed| followed.asked.is_some()) {
                continue;
            }
            match forgotten.last_mut() {
                Some(topic) if topic.topic_id == id.topic.0 => topic.partitions.push(id.index),
                _ => forgotten.push(
                    ForgottenTopic::default().with_topic_id(id.topic.0).with_partitions(vec![id.index]),
                ),
            }
        }
        let replica = ReplicaState::default()
            .with_replica_id(BrokerId(manner.node.0))
            .with_replica_epoch(manner.broker_epoch);
        let request = FetchRequest::default()
            .with_replica_state(replica)
            .with_max_wait_ms(manner.wait_ms_max)
            .with_min_bytes(manner.bytes_min)
            .with_max_bytes(manner.response_bytes_max)
            .with_session_id(self.session)
            .with_session_epoch(self.session_epoch)
            .with_topics(topics)
            .with_forgotten_topics_data(forgotten);
        self.correlation = self.correlation.wrapping_add(1);
        self.in_flight = Some(self.correlation);
        let frame = encode_request(self.correlation, Some("replica"), FOLLOWER_FETCH_VERSION, &request);
        // Only what a version lacks, or what is larger than a frame, cannot be encoded; neither is asked.
        Some(frame.expect("a follower's fetch is encodable").slice(4..))
    }
}

/// How long to rest after the next of so many failures in a row: what a new leader has not heard yet, and a broker that is
/// starting, come soon; what does not is asked ever more rarely, up to `most_ms`.
pub(super) fn growing_ms(failures: u32, most_ms: u64) -> u64 {
    const FIRST_MS: u64 = 10;
    FIRST_MS.saturating_mul(1 << failures.min(20)).min(most_ms)
}
