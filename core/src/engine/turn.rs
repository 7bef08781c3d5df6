//! What comes at the end of a turn, and when its time has come: what was gathered goes out, what is due is done, and a
//! stop ends when nothing is asked any more.

use super::{Answers, ControllerRequest, Deadline, Effects, Engine, GatherId, Phase, ShardMessage, topics};
use crate::{ids::NodeId, limits, metadata::Image};
use corelane_seam::{Now, ShardId};
use std::collections::BTreeSet;

/// The logs say when they want to look after themselves next; not more often than this.
const MAINTENANCE_MS_MIN: u64 = 50;

impl Engine {
    pub(super) fn timer(&mut self, now: Now, effects: &mut Effects) {
        self.timer_set = None;
        while let Some(due) = self.timers.pop_due(now.monotonic) {
            match due {
                Deadline::Gather(id) => {
                    if let Some(running) = self.gathers.get_mut(&id) {
                        running.timer = None;
                    }
                    self.step(now, id, effects, |gather, context| gather.expired(context));
                }
                Deadline::Maintenance => {
                    self.busy_with = "retention";
                    let mut answers = Answers::new();
                    self.owner.tick(now, effects, &mut answers);
                    self.carry(now, answers, effects);
                    self.maintenance = None;
                    self.plan_maintenance(now);
                }
                Deadline::Replication => {
                    self.busy_with = "replication";
                    self.replication_due = None;
                    let mut answers = Answers::new();
                    self.owner.tick_replication(now, &mut answers);
                    self.carry(now, answers, effects);
                }
                Deadline::Coordinators => {
                    self.busy_with = "coordinators";
                    self.coordinators_due = None;
                    let mut answers = Answers::new();
                    self.owner.tick_coordinators(now, effects, &mut answers);
                    self.carry(now, answers, effects);
                }
            }
        }
    }

    /// Sets the logs' next tick, or moves it up: what happened in this turn may have brought it nearer.
    pub(super) fn plan_maintenance(&mut self, now: Now) {
        let next = self.owner.store.next_tick().max(now.monotonic.after_ms(MAINTENANCE_MS_MIN));
        if let Some((at, timer)) = self.maintenance {
            if at <= next {
                return;
            }
            self.timers.cancel(timer);
        }
        self.maintenance = Some((next, self.timers.set(next, Deadline::Maintenance)));
    }

    /// Sets the coordinators' next deadline, if it is another than before.
    pub(super) fn plan_coordinators(&mut self) {
        let next = self.owner.coordinators_due();
        if next == self.coordinators_due.map(|(at, _)| at) {
            return;
        }
        if let Some((_, timer)) = self.coordinators_due.take() {
            self.timers.cancel(timer);
        }
        self.coordinators_due = next.map(|at| (at, self.timers.set(at, Deadline::Coordinators)));
    }

    /// Sets the next deadline of replication, if it is another than before.
    pub(super) fn plan_replication(&mut self) {
        let next = self.owner.replication_due();
        if next == self.replication_due.map(|(at, _)| at) {
            return;
        }
        if let Some((_, timer)) = self.replication_due.take() {
            self.timers.cancel(timer);
        }
        self.replication_due = next.map(|at| (at, self.timers.set(at, Deadline::Replication)));
    }

    /// Tells where the other brokers are reached, as far as that is new.
    pub(super) fn tell_endpoints(&self, image: &Image, effects: &mut Effects) {
        let listener = &self.config.inter_broker_listener;
        let place = |image: &Image, id: NodeId| {
            let endpoint = image.broker(id)?.endpoint(listener)?;
            Some((endpoint.host.clone(), endpoint.port))
        };
        let ids = self.image.brokers().chain(image.brokers()).map(|broker| broker.id);
        let ids: BTreeSet<NodeId> = ids.filter(|id| *id != self.place.node).collect();
        for id in ids {
            let now = place(image, id);
            if now != place(&self.image, id) {
                effects.peer_endpoints.push((id, now));
            }
        }
    }

    /// Asks the controller who is in sync from now on, and the leaders of what is followed here for more.
    pub(super) fn replicate(&mut self, now: Now, effects: &mut Effects) {
        if let Some(request) = self.owner.alter_partitions() {
            self.alteration = Some(self.ask_controller(ControllerRequest::AlterPartitions(request), effects));
        }
        if let Some(request) = self.owner.offline_replicas() {
            let request = ControllerRequest::OfflineReplicas(request);
            self.offline_report = Some(self.ask_controller(request, effects));
        }
        if self.phase == Phase::Serving {
            self.owner.fetch_from_leaders(now, &mut effects.calls);
        }
    }

    /// The quotas of replication are the broker's: the other shards hear of what was used of them here.
    pub(super) fn tell_throttled(&mut self, effects: &mut Effects) {
        let (led, followed) = self.owner.take_throttled();
        if led > 0 || followed > 0 {
            let peers = self.place.other_shards();
            effects.messages.extend(peers.map(|peer| (peer, ShardMessage::Throttled { led, followed })));
        }
    }

    pub(super) fn ask_controller(&mut self, request: ControllerRequest, effects: &mut Effects) -> GatherId {
        let gather = self.gather_ids.next();
        effects.messages.push((self.place.quorum, ShardMessage::AskController { gather, request }));
        gather
    }

    /// Leads what could not be led before its log was cut.
    pub(super) fn begin_reigns(&mut self, now: Now, answers: &mut Answers) {
        for id in self.owner.take_cut() {
            let mut follower =
                topics::Follower { owner: &mut self.owner, place: self.place, config: &self.config, now };
            follower.begin_reign(&self.image, id, answers);
        }
    }

    pub(super) fn turn_ended(&mut self, now: Now, effects: &mut Effects) {
        let mut answers = Answers::new();
        self.send_markers(now, effects);
        self.ask_for_ids(now, effects);
        self.owner.end_of_turn(now, effects, &mut answers);
        self.begin_reigns(now, &mut answers);
        self.owner.wake_readers(now, effects, &mut answers);
        self.owner.settle_deletions(&mut answers);
        self.owner.answer_confirmed(&mut answers);
        self.carry(now, answers, effects);
        self.send_markers(now, effects);
        if self.owner.store.awaits_turn_end() {
            // An answer made a request go on, which appended. Another turn may be far.
            let mut answers = Answers::new();
            self.owner.end_of_turn(now, effects, &mut answers);
            self.carry(now, answers, effects);
        }
        self.enlist(now, effects);
        self.replicate(now, effects);
        self.tell_throttled(effects);
        self.plan_maintenance(now);
        self.plan_coordinators();
        self.plan_replication();
        if self.bytes_held < limits::BYTES_IN_FLIGHT_PER_SHARD_MAX / 2 {
            for connection in std::mem::take(&mut self.paused_for_memory) {
                self.press_back(connection, effects);
            }
        }
        self.stop_if_nothing_is_asked(now, effects);
    }

    /// The owner's part ends when no shard has a request under way: one that has not heard of the stop yet may ask
    /// after this one had nothing more to ask, and would wait for its answer as long as its client does.
    pub(super) fn stop_if_nothing_is_asked(&mut self, now: Now, effects: &mut Effects) {
        if self.phase != Phase::Stopping || !self.gathers.is_empty() {
            return;
        }
        if !self.asks_no_more {
            self.asks_no_more = true;
            let peers = self.place.other_shards();
            effects.messages.extend(peers.map(|peer| (peer, ShardMessage::AsksNoMore)));
        }
        if self.peers_ask_no_more + 1 >= self.place.shards {
            let mut answers = Answers::new();
            effects.stopped = self.owner.stop(now, effects, &mut answers);
            self.carry(now, answers, effects);
        }
    }

    /// Takes nothing new; fetches that wait for records are answered with what there is.
    pub(super) fn stop(&mut self, now: Now, effects: &mut Effects) {
        self.phase = Phase::Stopping;
        let mut answers = Answers::new();
        self.owner.stop_coordinators(&mut answers);
        self.carry(now, answers, effects);
        // Whoever leads these transactions' coordinators next has their markers written.
        self.local_markers.forget();
        self.peer_calls.forget_markers();
        let mut waiting: Vec<GatherId> = self
            .gathers
            .iter()
            .filter(|(_, it)| !it.gather.watched().is_empty())
            .map(|(id, _)| *id)
            .collect();
        waiting.sort_unstable();
        for id in waiting {
            self.step(now, id, effects, |gather, context| gather.expired(context));
        }
    }

    pub(super) fn tell_directory_offline(&mut self, effects: &mut Effects) {
        let Some(fatal) = effects.directory_offline.take() else { return };
        for shard in (0..=self.place.shards).map(ShardId).filter(|shard| *shard != self.place.shard) {
            effects.messages.push((shard, ShardMessage::DirectoryOffline(fatal.clone())));
        }
    }

    pub(super) fn set_timer(&mut self, effects: &mut Effects) {
        let next = self.timers.next();
        if next != self.timer_set {
            self.timer_set = next;
            effects.timer = next;
        }
    }
}
