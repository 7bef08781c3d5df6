//! The partitions that this shard follows: for each leading broker one *link*, over which one fetch at a time asks for all
//! of them.
//!
//! A link fetches from flushed ends only, and its next request leaves when all that the last one brought is flushed: so
//! a fetch offset is position and promise in one. Fetch sessions (KIP-227) name only what has changed, so what is idle
//! costs nothing per round. Where the leader says that the logs have diverged (KIP-595), the log is cut and asks again; a
//! partition that fails rests (`replica.fetch.backoff.ms`), one whose epoch is fenced waits for newer metadata.

mod link;

use crate::{
    config::BrokerConfig,
    engine::{Line, PeerCall, throttle::Quota},
    error::ErrorCode,
    ids::{LeaderEpoch, Map, NodeId, Offset, PartitionId},
    log::{AppendError, CopyError, CutError, Event, Slot, Store},
    wire::{AnsweredPartition, EpochEnd},
};
use bytes::Bytes;
use corelane_seam::{Monotonic, Now};
use link::{Link, State, growing_ms};
use std::collections::BTreeMap;

/// A partition that waits for room in the journal asks again after this.
const FULL_MS: u64 = 20;

/// A leader that has not heard of its reign is asked again at least so often: the metadata is on its way.
const UNHEARD_MS_MAX: u64 = 80;

/// Whom to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    pub node: NodeId,
    pub epoch: LeaderEpoch,
    /// Whether this broker is in sync: then nothing committed may be cut away.
    pub in_sync: bool,
    /// Whether what is fetched counts against the quota of followers.
    pub is_throttled: bool,
}

/// Settings and identity that requests are made with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    pub node: NodeId,
    /// Of this broker's registration.
    pub broker_epoch: i64,
    pub backoff_ms: u64,
    pub bytes_max: i32,
    pub bytes_min: i32,
    pub response_bytes_max: i32,
    pub wait_ms_max: i32,
}

impl Manner {
    pub fn new(node: NodeId, broker_epoch: i64, config: &BrokerConfig) -> Manner {
        Manner {
            node,
            broker_epoch,
            backoff_ms: u64::from(config.replica_fetch_backoff_ms.max(1).unsigned_abs()),
            bytes_max: config.replica_fetch_bytes_max,
            bytes_min: config.replica_fetch_bytes_min,
            response_bytes_max: config.replica_fetch_response_bytes_max,
            wait_ms_max: config.replica_fetch_wait_ms_max,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Followers {
    links: BTreeMap<NodeId, Link>,
    by_slot: Map<Slot, (NodeId, PartitionId)>,
    by_id: Map<PartitionId, (NodeId, Slot)>,
    pub manner: Manner,
    /// Of what is throttled.
    pub quota: Quota,
}

impl Followers {
    /// From now on `leader` is followed.
    pub fn follow(&mut self, id: PartitionId, slot: Slot, leader: Leader, store: &Store) {
        if let Some((node, known)) = self.by_id.get(&id)
            && (*node, *known) == (leader.node, slot)
            && self.links.get_mut(node).is_some_and(|link| link.is_same(id, leader))
        {
            return;
        }
        self.leave(id);
        let state = if store.offline(slot).is_some() {
            State::Stopped
        } else if store.is_cutting(slot) {
            State::Cutting
        } else {
            ready_when_flushed(store, slot)
        };
        self.by_slot.insert(slot, (leader.node, id));
        self.by_id.insert(id, (leader.node, slot));
        self.links.entry(leader.node).or_default().add(id, slot, leader, state);
    }

    /// It is not followed any more: it is led here, by nobody, or gone.
    pub fn leave(&mut self, id: PartitionId) {
        let Some((node, slot)) = self.by_id.remove(&id) else { return };
        self.by_slot.remove(&slot);
        let Some(link) = self.links.get_mut(&node) else { return };
        link.remove(id);
        if link.is_unused() {
            self.links.remove(&node);
        }
    }

    /// Nothing is followed any more: nothing can be made durable.
    pub fn stop(&mut self) {
        self.links.values_mut().for_each(Link::stop);
    }

    /// The epoch in which a partition is followed, if it is.
    pub fn leader_epoch(&self, id: PartitionId) -> Option<LeaderEpoch> {
        let (node, _) = self.by_id.get(&id)?;
        self.links.get(node)?.followed(id).map(|(followed, _)| followed.leader.epoch)
    }

    /// Which partition is followed with a log.
    pub fn id_of(&self, slot: Slot) -> Option<PartitionId> {
        self.by_slot.get(&slot).map(|(_, id)| *id)
    }

    /// A log is flushed up to `end`.
    pub fn flushed(&mut self, slot: Slot, end: Offset) {
        if let Some((link, id)) = self.of(slot) {
            link.flushed(id, end);
        }
    }

    /// A log start moved, durably: the leader is told with the next fetch.
    pub fn log_start_moved(&mut self, slot: Slot) {
        if let Some((link, id)) = self.of(slot) {
            link.log_start_moved(id);
        }
    }

    /// A log was cut.
    pub fn cut(&mut self, slot: Slot, store: &Store) {
        if let Some((link, id)) = self.of(slot)
            && link.state(id) == Some(State::Cutting)
        {
            link.set(id, ready_when_flushed(store, slot));
        }
    }

    /// A log went offline.
    pub fn offline(&mut self, slot: Slot) {
        if let Some((link, id)) = self.of(slot) {
            link.set(id, State::Stopped);
        }
    }

    fn of(&mut self, slot: Slot) -> Option<(&mut Link, PartitionId)> {
        let (node, id) = self.by_slot.get(&slot).copied()?;
        Some((self.links.get_mut(&node)?, id))
    }

    /// What can be asked now.
    pub fn calls(&mut self, now: Now, store: &Store, calls: &mut Vec<PeerCall>) {
        for (peer, link) in &mut self.links {
            let frame = link.request(now.monotonic, store, &self.manner, &self.quota);
            calls.extend(frame.map(|frame| PeerCall { peer: *peer, line: Line::Replication, frame }));
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn due(&self) -> Option<Monotonic> {
        let rested = self.links.values().filter_map(Link::due).min();
        let held = self.links.values().any(Link::holds);
        rested.into_iter().chain(held.then(|| self.quota.retry_at())).min()
    }

    /// Partitions and links that have rested are ready again.
    pub fn tick(&mut self, now: Now) {
        self.links.values_mut().for_each(|link| link.tick(now.monotonic));
        if self.quota.retry_at() <= now.monotonic {
            self.release();
        }
    }

    /// What waits for quota is asked for again.
    pub fn release(&mut self) {
        self.links.values_mut().for_each(Link::release);
    }

    /// What was asked of a broker has no answer.
    pub fn failed(&mut self, now: Now, peer: NodeId) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        link.lose(now.monotonic, self.manner.backoff_ms);
        if link.is_unused() {
            self.links.remove(&peer);
        }
    }

    /// A broker has answered. Gives the logs that were told of: of what may be read of them there may be more.
    pub fn answered(
        &mut self,
        now: Now,
        peer: NodeId,
        frame: &Bytes,
        store: &mut Store,
        events: &mut Vec<Event>,
    ) -> Vec<Slot> {
        let Some(link) = self.links.get_mut(&peer) else { return Vec::new() };
        let mut told = Vec::new();
        let rest_until = now.monotonic.after_ms(self.manner.backoff_ms);
        let (mut partitions, mut head) = (Vec::new(), None);
        let begin = |it| {
            head = Some(it);
            true
        };
        let read = crate::wire::read_answer(frame, begin, |partition| partitions.push(partition));
        let goes_on = match (read, head) {
            (Ok(()), Some(head)) => link.take_head(head, rest_until),
            (Ok(()) | Err(_), _) => {
                tracing::warn!("broker {peer} answers a follower's fetch with something else");
                link.fail(rest_until);
                false
            }
        };
        for partition in partitions.into_iter().filter(|_| goes_on) {
            let Some((followed, asked)) = link.followed(partition.id) else { continue };
            // It may have been given up and taken up again, or follow a newer leader, since this was asked.
            if asked != Some(followed.leader.epoch) || followed.state != State::Ready {
                continue;
            }
            let missed = is_early(partition.error);
            link.missed(partition.id, missed);
            let rest_until = match missed {
                true => now
                    .monotonic
                    .after_ms(growing_ms(followed.misses, self.manner.backoff_ms.min(UNHEARD_MS_MAX))),
                false => rest_until,
            };
            if followed.leader.is_throttled && !partition.records.is_empty() {
                self.quota.moved(now.monotonic, partition.records.len());
                link.fetched_throttled(partition.id);
            }
            let copier = Copier { now, store, events, rest_until, peer };
            told.push(followed.slot);
            let end = copier.store.log_end(followed.slot);
            let state = copier.take(followed.slot, followed.leader, &partition);
            if state == State::Cutting && !partition.records.is_empty() {
                link.ask_from(partition.id, end);
            }
            link.set(partition.id, state);
            // Under an interval policy nothing may be left to wait for.
            link.flushed(partition.id, store.held_end(followed.slot));
        }
        if link.is_unused() {
            self.links.remove(&peer);
        }
        told
    }
}

/// Whether the leader may not have heard yet what this broker knows.
fn is_early(error: ErrorCode) -> bool {
    use ErrorCode::{NotLeaderOrFollower, UnknownLeaderEpoch, UnknownTopicId, UnknownTopicOrPartition};
    matches!(error, NotLeaderOrFollower | UnknownLeaderEpoch | UnknownTopicId | UnknownTopicOrPartition)
}

fn ready_when_flushed(store: &Store, slot: Slot) -> State {
    let end = store.log_end(slot);
    if store.held_end(slot) < end { State::Flushing(end) } else { State::Ready }
}

/// Applies what a leader says of one partition.
struct Copier<'a> {
    now: Now,
    store: &'a mut Store,
    events: &'a mut Vec<Event>,
    rest_until: Monotonic,
    peer: NodeId,
}

impl Copier<'_> {
    /// The partition's state afterwards.
    fn take(self, slot: Slot, leader: Leader, told: &AnsweredPartition) -> State {
        let resting = State::Resting(self.rest_until);
        match told.error {
            ErrorCode::None => match told.diverging {
                Some(end) => self.diverge(slot, leader, told.id, end),
                None => self.append(slot, leader, told),
            },
            ErrorCode::OffsetOutOfRange => self.out_of_range(slot, told),
            // The leader has a newer epoch than we know of.
            ErrorCode::FencedLeaderEpoch => State::Stopped,
            error => {
                tracing::debug!("{}: broker {} answers a fetch with {error}", told.id, self.peer);
                resting
            }
        }
    }

    fn append(self, slot: Slot, leader: Leader, told: &AnsweredPartition) -> State {
        let before = self.store.log_end(slot);
        let appended =
            self.store.append_copies(self.now, slot, leader.epoch, told.high_watermark, &told.records);
        let end = self.store.log_end(slot);
        self.store.set_high_watermark(slot, told.high_watermark);
        if told.log_start_offset > self.store.log_start(slot) {
            let start = told.log_start_offset.min(self.store.high_watermark(slot));
            // Where it cannot be moved now, the next answer says it again.
            let _ = self.store.advance_log_start(self.now, slot, start, self.events);
        }
        match appended {
            _ if end > before => State::Flushing(end),
            Ok(_) => State::Ready,
            // As Kafka does: it begins anew where the batch does, and the log start follows the leader's.
            Err(CopyError::BeginsBefore(base)) => {
                tracing::info!(
                    "{}: begun anew at {base}, where the batch of the leader's log start begins",
                    told.id
                );
                let cut = self.store.reset(self.now, slot, base);
                self.after_cut(told.id, cut)
            }
            Err(CopyError::Append(AppendError::Full)) => State::Resting(self.now.monotonic.after_ms(FULL_MS)),
            Err(CopyError::Append(_)) => State::Resting(self.rest_until),
            Err(CopyError::Unsound(why)) => {
                tracing::warn!("{}: broker {} sent {why}; it is asked again", told.id, self.peer);
                State::Resting(self.rest_until)
            }
        }
    }

    /// Gives up what the leader does not have. Of the epoch that both know, the log ends where the first of them does;
    /// whether what is left agrees, the next fetch tells.
    fn diverge(self, slot: Slot, leader: Leader, id: PartitionId, theirs: EpochEnd) -> State {
        let end = self.store.log_end(slot);
        let ours = self.store.epoch_end(slot, theirs.epoch).map_or(end, |(_, end)| end);
        let to = ours.min(theirs.end_offset);
        if to >= end {
            tracing::warn!(
                "{id}: broker {} says that the logs diverge at {to}, but ours ends at {end}",
                self.peer
            );
            return State::Resting(self.rest_until);
        }
        tracing::info!(
            "{id}: cut from {end} to {to}, as leader {} of epoch {} has it",
            self.peer,
            leader.epoch
        );
        let cut = self.store.truncate(self.now, slot, to, !leader.in_sync, self.events);
        self.after_cut(id, cut)
    }

    /// Our log ends before the leader's begins: begin anew there. Else the leader's log start moved just now.
    fn out_of_range(self, slot: Slot, told: &AnsweredPartition) -> State {
        let (start, end) = (told.log_start_offset, self.store.log_end(slot));
        if start <= end {
            return State::Resting(self.rest_until);
        }
        tracing::info!(
            "{}: begun anew at {start}, where the leader's log starts; it ended at {end}",
            told.id
        );
        let cut = self.store.reset(self.now, slot, start);
        self.after_cut(told.id, cut)
    }

    fn after_cut(&self, id: PartitionId, result: Result<(), CutError>) -> State {
        match result {
            Ok(()) | Err(CutError::UnderWay) => State::Cutting,
            Err(CutError::Committed { high_watermark }) => {
                tracing::error!(
                    "{id}: leader {} lacks records below {high_watermark}, which were committed while this broker was \
                     in sync. Nothing is cut away; this replica stays as it is until another leader is elected.",
                    self.peer
                );
                State::Stopped
            }
            Err(CutError::Offline(_) | CutError::Unknown) => State::Stopped,
        }
    }
}
