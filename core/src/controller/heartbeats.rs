//! Heartbeats of brokers: they are unfenced when they know the metadata, fenced when they are not heard of, and hand over what
//! they lead before they stop, or when their disks are full.

use super::{
    ApiError, Controller, Decision,
    brokers::fence,
    partition_change::{Choice, Electorate, Target, TopicRules, partitions},
    sessions::Moved,
};
use crate::{
    error::ErrorCode,
    ids::NodeId,
    metadata::{
        BrokerChangeRecord, LeaderChange, MetadataOffset, PartitionChangeRecord, PartitionImage,
        Precondition, Record,
    },
};
use corelane_seam::Monotonic;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A broker says that it lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerHeartbeatRequest {
    /// The broker.
    pub id: NodeId,
    /// Its registration.
    pub epoch: i64,
    /// How far it has applied the metadata.
    pub applied: Option<MetadataOffset>,
    /// It wants to lead nothing.
    pub want_fence: bool,
    /// It wants to stop.
    pub want_shut_down: bool,
    /// Its disk is full: it stores nothing more.
    pub is_full: bool,
    /// Its log directories that are offline.
    pub offline_directories: Vec<Uuid>,
}

/// What a broker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// It knows of its own registration.
    pub caught_up: bool,
    /// It may not lead.
    pub fenced: bool,
    /// It may stop now: it leads nothing that another could, and the others know.
    pub should_shut_down: bool,
}

impl Controller {
    /// Decides on a heartbeat. The broker's session begins anew.
    pub fn heartbeat(
        &mut self,
        now: Monotonic,
        request: &BrokerHeartbeatRequest,
    ) -> Decision<Result<HeartbeatReply, ApiError>> {
        if let Err(error) = self.check_broker_epoch(request.id, request.epoch) {
            return self.unchanged(Err(error));
        }
        let Some(broker) = self.speculative.broker(request.id).cloned() else {
            let text = format!("Broker ID {} is not currently registered", request.id);
            return self.unchanged(Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, text)));
        };
        let session = self.sessions.hear(now, request.id, request.epoch);
        session.applied = session.applied.max(request.applied);
        let caught_up = self
            .sessions
            .registered_at(request.id, request.epoch)
            .is_none_or(|registered| request.applied.is_some_and(|applied| applied >= registered));
        let lost = !broker.directories.is_empty()
            && broker.directories.iter().all(|id| request.offline_directories.contains(id));
        let wants_fence = request.want_fence || lost;
        let reply = |fenced, should_shut_down| HeartbeatReply { caught_up, fenced, should_shut_down };
        if broker.fenced {
            return match request.want_shut_down || wants_fence || !caught_up {
                true => self.unchanged(Ok(reply(true, request.want_shut_down))),
                false => self.unfence(request, broker.is_full, reply(false, false)),
            };
        }
        match (broker.in_controlled_shutdown, request.want_shut_down) {
            (_, false) if lost => self.fence_broker(request.id, reply(true, false)),
            (_, true) if wants_fence => self.fence_broker(request.id, reply(true, true)),
            (true, _) => self.go_on_handing_over(request, reply(true, true), reply(false, false)),
            (false, _) if wants_fence => self.fence_broker(request.id, reply(true, false)),
            (false, true) if self.hand_over(request.id).is_empty() => {
                self.fence_broker(request.id, reply(true, true))
            }
            (false, true) => self.begin_to_hand_over(request, reply(false, false)),
            (false, false) if broker.is_full != request.is_full => self.fill(request, reply(false, false)),
            (false, false) => self.unchanged(Ok(reply(false, false))),
        }
    }

    fn unfence(
        &mut self,
        request: &BrokerHeartbeatRequest,
        was_full: bool,
        reply: HeartbeatReply,
    ) -> Decision<Result<HeartbeatReply, ApiError>> {
        let id = request.id;
        // What has no leader and has it in sync, it leads by this record. What is left is where it is eligible, or where
        // anyone may lead.
        let change = Record::BrokerChange(BrokerChangeRecord {
            id,
            epoch: request.epoch,
            fenced: Some(false),
            in_controlled_shutdown: Some(false),
        });
        let waiting = |partition: &PartitionImage| {
            partition.leader.is_none() && partition.replicas.contains(&id) && !partition.isr.contains(&id)
        };
        let electorate = Electorate::with(&self.speculative, id).where_full(id, request.is_full);
        let led = self.changes(electorate, waiting, Target::of, TopicRules::choice);
        let full = (was_full != request.is_full).then(|| fullness(request));
        let led = led.into_iter().map(Record::PartitionChange);
        let records = [change].into_iter().chain(full).chain(led).collect();
        self.of_broker(id, request.epoch, records, reply)
    }

    /// A broker's disk is full, or has room again: what only one of those in sync can store, that one leads.
    fn fill(
        &mut self,
        request: &BrokerHeartbeatRequest,
        reply: HeartbeatReply,
    ) -> Decision<Result<HeartbeatReply, ApiError>> {
        let id = request.id;
        let electorate = Electorate::of(&self.speculative).where_full(id, request.is_full);
        let has_it_in_sync = |partition: &PartitionImage| partition.isr.contains(&id);
        let changed = self.changes(electorate, has_it_in_sync, Target::of, |_| Choice::Clean);
        // It stands last: if the leader is lost in between, the next heartbeat says it again.
        let changed = changed.into_iter().map(Record::PartitionChange);
        let records = changed.chain([fullness(request)]).collect();
        self.of_broker(id, request.epoch, records, reply)
    }

    /// A broker leads nothing any more, and is in sync only where it is the last.
    pub(super) fn fence_broker<R>(&mut self, id: NodeId, reply: R) -> Decision<Result<R, ApiError>> {
        let Some(broker) = self.speculative.broker(id) else {
            let text = format!("Broker ID {id} is not currently registered");
            return self.unchanged(Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, text)));
        };
        let epoch = broker.epoch;
        let mut records = fence(&self.speculative, id, &self.topic_rules());
        records.push(Record::BrokerChange(BrokerChangeRecord {
            id,
            epoch,
            fenced: Some(true),
            in_controlled_shutdown: None,
        }));
        self.of_broker(id, epoch, records, reply)
    }

    /// What another could lead in a broker's place. What only it can lead, it leads to its end.
    fn hand_over(&self, id: NodeId) -> Vec<Record> {
        let led = |partition: &PartitionImage| partition.isr.contains(&id) && partition.leader == Some(id);
        let moved = self.leave(id, led).into_iter();
        let moved = moved.filter(|change| matches!(change.leader, LeaderChange::Leader(_)));
        moved.map(Record::PartitionChange).collect()
    }

    fn begin_to_hand_over(
        &mut self,
        request: &BrokerHeartbeatRequest,
        reply: HeartbeatReply,
    ) -> Decision<Result<HeartbeatReply, ApiError>> {
        let id = request.id;
        let change = Record::BrokerChange(BrokerChangeRecord {
            id,
            epoch: request.epoch,
            fenced: None,
            in_controlled_shutdown: Some(true),
        });
        let follows =
            |partition: &PartitionImage| partition.isr.contains(&id) && partition.leader != Some(id);
        let left = self.leave(id, follows).into_iter().map(Record::PartitionChange);
        let records = [change].into_iter().chain(left).chain(self.hand_over(id)).collect();
        self.of_broker(id, request.epoch, records, reply)
    }

    /// What becomes of partitions of a kind when a broker is not in sync any more.
    fn leave(&self, id: NodeId, of: impl Fn(&PartitionImage) -> bool) -> Vec<PartitionChangeRecord> {
        let electorate = Electorate::without(&self.speculative, id);
        self.changes(electorate, of, |partition| Target::without(partition, id), |_| Choice::Clean)
    }

    /// How partitions of a kind change, if they become the targets.
    fn changes(
        &self,
        electorate: Electorate<'_>,
        of: impl Fn(&PartitionImage) -> bool,
        target: impl Fn(&PartitionImage) -> Target,
        choice: impl Fn(TopicRules) -> Choice,
    ) -> Vec<PartitionChangeRecord> {
        let rules = self.topic_rules();
        let changes =
            partitions(&self.speculative).filter(|(_, _, it)| of(it)).filter_map(|(topic, index, it)| {
                let rules = rules(topic);
                electorate.change((topic.id, index), it, rules, target(it), choice(rules))
            });
        changes.collect()
    }

    fn go_on_handing_over(
        &mut self,
        request: &BrokerHeartbeatRequest,
        done: HeartbeatReply,
        more: HeartbeatReply,
    ) -> Decision<Result<HeartbeatReply, ApiError>> {
        let records = self.hand_over(request.id);
        let (settled, decided) = (self.settled(), self.decided);
        let applied = self.committed.last_applied();
        let least = self.least_applied();
        let session = self.sessions.hear(Monotonic(0), request.id, request.epoch);
        if !records.is_empty() {
            session.moved = Moved::No;
            return self.of_broker(request.id, request.epoch, records, more);
        }
        session.moved = match (session.moved, applied) {
            (Moved::No, Some(applied)) | (Moved::Decided(_), Some(applied)) if settled == decided => {
                Moved::At(applied)
            }
            (Moved::No, _) => Moved::Decided(decided),
            (Moved::Decided(due), Some(applied)) if settled >= due => Moved::At(applied),
            (moved, _) => moved,
        };
        match session.moved {
            // The others must know: a client that is sent away from here must find the new leader.
            Moved::At(offset) if least.is_some_and(|least| least >= offset) => {
                self.fence_broker(request.id, done)
            }
            Moved::No | Moved::Decided(_) | Moved::At(_) => self.unchanged(Ok(more)),
        }
    }

    /// A decision about a registered broker.
    pub(super) fn of_broker<R>(
        &mut self,
        id: NodeId,
        epoch: i64,
        records: Vec<Record>,
        reply: R,
    ) -> Decision<Result<R, ApiError>> {
        let preconditions = [Precondition::BrokerEpoch { id, epoch: Some(epoch) }];
        self.propose_all(&preconditions, records, Ok(reply))
            .unwrap_or_else(|error| self.unchanged(Err(error)))
    }
}

fn fullness(request: &BrokerHeartbeatRequest) -> Record {
    Record::BrokerFull { id: request.id, epoch: request.epoch, is_full: request.is_full }
}

#[cfg(test)]
mod tests;
