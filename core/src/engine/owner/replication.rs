//! Replication in an owner: what followers fetch of the partitions led here, who of them is in sync, and what is
//! followed of other brokers.

use super::{Answers, Owner};
use crate::{
    config::BrokerConfig,
    controller::{AlterPartitionsRequest, AlteredPartitions, OfflineReplicasRequest},
    engine::{
        Effects, PeerCall,
        follower::{Leader, Manner},
        message::ReadPartition,
        replicas::{ActiveBrokers, FollowerId, Sight},
    },
    error::ErrorCode,
    ids::{LeaderEpoch, Map, NodeId, Offset, PartitionId},
    log::Slot,
    metadata::{BrokerImage, Image},
};
use bytes::Bytes;
use corelane_seam::{Monotonic, Now};
use std::collections::BTreeSet;

/// After an answer of the controller that says nothing of the partitions, they are asked for again after this.
const ASK_AGAIN_MS: u64 = 100;

/// The leader's side of an owner.
#[derive(Debug, Default)]
pub(super) struct Replication {
    pub node: NodeId,
    broker_epoch: i64,
    lag_ms_max: u64,
    active: ActiveBrokers,
    /// Partitions that are led here and have replicas elsewhere.
    pub shared: BTreeSet<PartitionId>,
    /// Of these, the ones whose ISR is to change.
    wanting: BTreeSet<PartitionId>,
    /// What the controller was asked and has not answered.
    asked: Option<Vec<(PartitionId, LeaderEpoch)>>,
    /// Partitions whose logs are offline here and that are in sync still: the controller is to hear of them.
    offline: BTreeSet<PartitionId>,
    /// What it was told of these and has not answered.
    offline_told: Option<BTreeSet<PartitionId>>,
    not_before: Option<Monotonic>,
    /// When followers that lag are looked for next.
    look_due: Option<Monotonic>,
    /// Partitions that are to be led here, with logs that are being cut.
    awaiting_cut: BTreeSet<PartitionId>,
    /// Where brokers are, if consumers are sent to the nearest replica.
    pub racks: Option<Map<NodeId, String>>,
    /// Of these, the ones whose reigns can begin.
    cut: Vec<PartitionId>,
}

impl Owner {
    /// New metadata and settings, before the partitions follow them.
    pub fn know_brokers(&mut self, node: NodeId, image: &Image, config: &BrokerConfig) {
        let epoch = image.broker(node).map_or(-1, |broker| broker.epoch);
        let replication = &mut self.replication;
        (replication.node, replication.broker_epoch) = (node, epoch);
        replication.lag_ms_max = u64::try_from(config.replica_lag_ms_max).unwrap_or(0);
        // A full one would hold up what can be stored here. Where nothing can be, it may have all there is.
        let is_full = image.broker(node).is_some_and(|broker| broker.is_full);
        replication.active = image
            .brokers()
            .filter(|broker| broker.takes_records() || (is_full && broker.is_active()))
            .map(|broker| (broker.id, broker.epoch))
            .collect();
        let rack = |broker: &BrokerImage| Some((broker.id, broker.rack.clone()?));
        let racks = image.brokers().filter(|broker| broker.is_active()).filter_map(|broker| rack(broker));
        replication.racks = config.reads_from_nearest.then(|| racks.collect());
        self.followers.manner = Manner::new(node, epoch, config);
        self.replica_sessions.quota.configure(config.leader_throttle);
        self.followers.quota.configure(config.follower_throttle);
        // What waits for quota may wait no longer: the throttle may be another, or none.
        self.replica_sessions.release();
        self.followers.release();
    }

    /// Another broker leads from now on, or nobody does.
    pub fn follow(&mut self, id: PartitionId, slot: Slot, leader: Option<Leader>) {
        self.replication.awaiting_cut.remove(&id);
        let before = self.followers.leader_epoch(id);
        if before.is_some() && before != leader.map(|leader| leader.epoch) {
            self.follower_readers_move(id);
        }
        match leader {
            Some(leader) => self.followers.follow(id, slot, leader, &self.store),
            None => self.followers.leave(id),
        }
    }

    /// A partition is not followed any more.
    pub fn unfollow(&mut self, id: PartitionId) {
        self.follower_readers_move(id);
        self.replication.awaiting_cut.remove(&id);
        self.followers.leave(id);
    }

    /// What was followed is followed in another reign, led here, or gone: consumers that wait for it look again.
    fn follower_readers_move(&mut self, id: PartitionId) {
        let jobs = self.follower_readers.remove(&id).unwrap_or_default();
        self.readers_move(jobs);
    }

    /// Consumers may be given more of what is followed here.
    pub(super) fn wake_readers_of_followed(&mut self, slot: Slot) {
        if self.follower_readers.is_empty() {
            return;
        }
        if let Some(id) = self.followers.id_of(slot)
            && let Some(readers) = self.follower_readers.get(&id)
        {
            self.woken.extend(readers.iter().copied());
        }
    }

    /// The high watermark of a partition that is led here rises as far as its replicas allow.
    pub fn advance(&mut self, now: Now, id: PartitionId, answers: &mut Answers) {
        let Some(slot) = self.store.slot(id) else { return };
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        let end = if partition.replicas.is_alone() {
            partition.own
        } else {
            let sight = sight(&self.replication, now.monotonic, self.store.log_end(slot));
            partition.replicas.committed_end(sight, partition.own)
        };
        if !partition.advance(end) {
            return;
        }
        self.store.set_high_watermark(slot, partition.high_watermark);
        self.woken.extend(partition.readers.iter().copied());
        self.replica_sessions.mark_due(&partition.replica_sessions, id);
        while let Some(parked) = partition.until_committed.pop_met(partition.high_watermark) {
            self.jobs.settle(parked.job, parked.place, None, answers);
        }
        let high_watermark = partition.high_watermark;
        self.coordinators_committed(now, id, high_watermark, answers);
    }

    /// A follower fetches from a partition: whatever lies below is on its disk. Nothing is noted of one whose epoch does
    /// not fit, or whose log has diverged: then the offset says nothing.
    pub(super) fn note_fetch(
        &mut self,
        now: Now,
        who: FollowerId,
        wanted: &ReadPartition,
        answers: &mut Answers,
    ) {
        let Some(slot) = self.store.slot(wanted.id) else { return };
        if self.leader_of(wanted.id, wanted.current_leader_epoch).is_err()
            || self.divergence(slot, wanted, true).is_some()
            || wanted.from < self.store.log_start(slot)
        {
            return;
        }
        let (log_start, log_end) = (self.store.log_start(slot), self.store.log_end(slot));
        let Some(partition) = self.partitions.get_mut(&wanted.id) else { return };
        let sight = sight(&self.replication, now.monotonic, log_end);
        if partition.replicas.fetched(sight, who, wanted.from).is_err() {
            return;
        }
        if partition.replicas.expand(sight, who.node, partition.high_watermark, log_start) {
            self.replication.wanting.insert(wanted.id);
        }
        self.advance(now, wanted.id, answers);
    }

    /// Where a reader's log has left ours: the largest epoch not after its last one, and where that ends here. `None` if
    /// it has not, or does not say. A follower is told so also where its log is longer than ours.
    pub(super) fn divergence(
        &self,
        slot: Slot,
        wanted: &ReadPartition,
        is_follower: bool,
    ) -> Option<(LeaderEpoch, Offset)> {
        let known = wanted.last_fetched_epoch;
        let end = self.store.log_end(slot);
        if known != LeaderEpoch::UNKNOWN
            && let Some((epoch, end)) = self.store.epoch_end(slot, known)
        {
            return (epoch < known || end < wanted.from).then_some((epoch, end));
        }
        match self.store.last_epoch(slot) {
            // Ours has nothing of that epoch though we lead in a later one: what the follower has of it was never
            // committed, wherever it ends. (Kafka's leaders note the beginning of their epoch before its first record,
            // and so find an end for it.)
            Some(latest) if is_follower && known > latest => Some((latest, end)),
            latest => {
                let latest = latest.unwrap_or(LeaderEpoch(0));
                (is_follower && wanted.from > end).then_some((latest, end))
            }
        }
    }

    /// A partition with replicas elsewhere is led from now on, with these, or alone.
    pub fn note_shared(&mut self, now: Now, id: PartitionId) {
        let alone = self.partitions.get(&id).is_none_or(|partition| partition.replicas.is_alone());
        if alone {
            self.replication.shared.remove(&id);
            self.replication.wanting.remove(&id);
            return;
        }
        self.replication.shared.insert(id);
        let look = now.monotonic.after_ms(self.replication.look_ms());
        self.replication.look_due.get_or_insert(look);
    }

    pub(super) fn forget_shared(&mut self, id: PartitionId) {
        self.replication.shared.remove(&id);
        self.replication.wanting.remove(&id);
    }

    /// When [`tick_replication`](Self::tick_replication) has something to do next.
    pub fn replication_due(&self) -> Option<Monotonic> {
        let replication = &self.replication;
        let look = replication.look_due.filter(|_| !replication.shared.is_empty());
        let wants = !replication.wanting.is_empty() || !replication.offline.is_empty();
        let ask = replication.not_before.filter(|_| wants);
        let confirm = self.confirmations.due();
        [look, ask, confirm, self.followers.due(), self.throttled_due()].into_iter().flatten().min()
    }

    /// Looks for followers that lag; lets what has rested be asked again.
    pub fn tick_replication(&mut self, now: Now, answers: &mut Answers) {
        self.followers.tick(now);
        self.release_throttled(now);
        self.give_up_unconfirmed(now, answers);
        if self.replication.not_before.is_some_and(|at| at <= now.monotonic) {
            self.replication.not_before = None;
        }
        if self.replication.look_due.is_none_or(|at| at > now.monotonic) {
            return;
        }
        let next = now.monotonic.after_ms(self.replication.look_ms());
        self.replication.look_due = (!self.replication.shared.is_empty()).then_some(next);
        let shared: Vec<PartitionId> = self.replication.shared.iter().copied().collect();
        for id in shared {
            let Some(slot) = self.store.slot(id) else { continue };
            let Some(partition) = self.partitions.get_mut(&id) else { continue };
            let sight = sight(&self.replication, now.monotonic, self.store.log_end(slot));
            if partition.replicas.shrink(sight) {
                self.replication.wanting.insert(id);
            }
            // Who was about to join may be so no longer.
            self.advance(now, id, answers);
        }
    }

    /// What the controller is to be asked in this turn: one request at a time, of all partitions that want it.
    pub fn alter_partitions(&mut self) -> Option<AlterPartitionsRequest> {
        let replication = &mut self.replication;
        if replication.asked.is_some() || replication.not_before.is_some() || replication.wanting.is_empty() {
            return None;
        }
        let me = FollowerId { node: replication.node, epoch: replication.broker_epoch };
        let (mut partitions, mut asked) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut replication.wanting) {
            let Some(partition) = self.partitions.get_mut(&id) else { continue };
            if let Some(change) = partition.replicas.ask(id, partition.leader_epoch, me) {
                asked.push((id, partition.leader_epoch));
                partitions.push(change);
            }
        }
        if partitions.is_empty() {
            return None;
        }
        replication.asked = Some(asked);
        Some(AlterPartitionsRequest { broker: me.node, broker_epoch: me.epoch, partitions })
    }

    /// The controller has answered; `None`: it could not.
    pub fn altered(&mut self, now: Now, results: Option<AlteredPartitions>, answers: &mut Answers) {
        let asked = self.replication.asked.take().unwrap_or_default();
        if results.is_none() {
            self.replication.not_before = Some(now.monotonic.after_ms(ASK_AGAIN_MS));
        }
        let results = results.unwrap_or_default();
        for (id, leader_epoch) in asked {
            let Some(partition) = self.partitions.get_mut(&id) else { continue };
            if partition.leader_epoch != leader_epoch {
                continue;
            }
            let found = results.iter().find(|(topic, index, _)| (*topic, *index) == (id.topic, id.index));
            let result = found.map_or(Err(ErrorCode::UnknownServerError), |(_, _, result)| {
                result.as_ref().map_err(|error| *error)
            });
            if partition.replicas.answered(leader_epoch, result) {
                self.replication.wanting.insert(id);
                let again = now.monotonic.after_ms(ASK_AGAIN_MS);
                self.replication.not_before.get_or_insert(again);
            }
            self.isr_changed(id);
            self.advance(now, id, answers);
        }
    }

    /// The log of a partition that others have too is offline: they are to lead it, and not to wait for it.
    pub fn note_offline(&mut self, id: PartitionId) {
        self.replication.offline.insert(id);
    }

    /// The same, as metadata shows the partition.
    pub fn note_if_offline(&mut self, id: PartitionId, slot: Slot, is_in_sync: bool) {
        if is_in_sync && self.store.offline(slot).is_some() {
            self.replication.offline.insert(id);
        } else {
            self.replication.offline.remove(&id);
        }
    }

    /// What the controller is to hear of in this turn. Where nothing is acknowledged any more the whole broker is fenced.
    pub fn offline_replicas(&mut self) -> Option<OfflineReplicasRequest> {
        let replication = &mut self.replication;
        let rests = replication.offline_told.is_some() || replication.not_before.is_some();
        if rests || replication.offline.is_empty() || self.offline.is_some() {
            return None;
        }
        let told = std::mem::take(&mut replication.offline);
        let partitions = told.iter().map(|id| (id.topic, id.index)).collect();
        replication.offline_told = Some(told);
        Some(OfflineReplicasRequest {
            broker: replication.node,
            broker_epoch: replication.broker_epoch,
            partitions,
        })
    }

    /// The controller has answered, or could not.
    pub fn offline_replicas_told(&mut self, now: Now, heard: bool) {
        let told = self.replication.offline_told.take().unwrap_or_default();
        if !heard {
            self.replication.offline.extend(told);
            self.replication.not_before = Some(now.monotonic.after_ms(ASK_AGAIN_MS));
        }
    }

    /// What followers' links ask of other brokers in this turn.
    pub fn fetch_from_leaders(&mut self, now: Now, calls: &mut Vec<PeerCall>) {
        if !self.stopping && self.offline.is_none() {
            self.followers.calls(now, &self.store, calls);
        }
    }

    /// What this shard has moved of throttled partitions since this was asked last, as leader and as follower.
    pub fn take_throttled(&mut self) -> (u64, u64) {
        (self.replica_sessions.quota.take_untold(), self.followers.quota.take_untold())
    }

    /// The same of another shard.
    pub fn note_throttled(&mut self, now: Now, (led, followed): (u64, u64)) {
        self.replica_sessions.quota.moved_elsewhere(now.monotonic, led);
        self.followers.quota.moved_elsewhere(now.monotonic, followed);
    }

    /// Another broker has answered a fetch.
    pub fn peer_answered(
        &mut self,
        now: Now,
        peer: NodeId,
        frame: &Bytes,
        effects: &mut Effects,
        answers: &mut Answers,
    ) {
        if self.stopping || self.offline.is_some() {
            return self.followers.failed(now, peer);
        }
        for slot in self.followers.answered(now, peer, frame, &mut self.store, &mut self.events) {
            self.wake_readers_of_followed(slot);
        }
        self.take_events(now, effects, answers);
    }

    /// Another broker could not be asked.
    pub fn peer_failed(&mut self, now: Now, peer: NodeId) {
        self.followers.failed(now, peer);
    }

    /// Whether a reign must wait until the log of its partition has been cut. What is about to go was never committed;
    /// served meanwhile, followers would copy it and the high watermark would rise over it.
    pub fn await_cut(&mut self, id: PartitionId, slot: Slot) -> bool {
        let awaits = self.store.is_cutting(slot) && self.store.offline(slot).is_none();
        if awaits {
            self.replication.awaiting_cut.insert(id);
        }
        awaits
    }

    /// A log was cut, or never will be: whoever follows with it goes on, whoever is to lead with it begins.
    pub(super) fn log_was_cut(&mut self, slot: Slot) {
        self.followers.cut(slot, &self.store);
        let store = &self.store;
        self.replication
            .cut
            .extend(self.replication.awaiting_cut.extract_if(.., |id| store.slot(*id) == Some(slot)));
    }

    /// Partitions whose logs have been cut, and that were to be led here.
    pub fn take_cut(&mut self) -> Vec<PartitionId> {
        std::mem::take(&mut self.replication.cut)
    }
}

impl Replication {
    /// Brokers that are neither fenced nor leaving nor, unless this one is, full.
    pub fn active(&self) -> &ActiveBrokers {
        &self.active
    }

    /// Kafka looks twice in the time that a follower may lag.
    fn look_ms(&self) -> u64 {
        (self.lag_ms_max / 2).max(1)
    }
}

fn sight(replication: &Replication, now: Monotonic, log_end: Offset) -> Sight<'_> {
    Sight { now, log_end, lag_ms_max: replication.lag_ms_max, active: &replication.active }
}
