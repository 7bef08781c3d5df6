//! Registration of brokers.

use super::{ApiError, Controller, Decision};
use crate::{
    error::ErrorCode,
    ids::{NodeId, TopicId},
    metadata::{
        BrokerImage, Endpoint, Image, LeaderChange, PartitionChangeRecord, PartitionImage, Precondition,
        Record, RegisterBrokerRecord,
    },
};
use uuid::Uuid;

/// A broker's process introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBrokerRequest {
    /// The broker.
    pub id: NodeId,
    /// The cluster it believes to be part of.
    pub cluster_id: String,
    /// Chosen at random when the process started.
    pub incarnation: Uuid,
    /// Where it is reached.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Its log directories' ids.
    pub directories: Vec<Uuid>,
    /// Whether it waits for heartbeats to unfence it. A broker that is its own only controller need not: it is
    /// alive as long as anyone can ask.
    pub fenced: bool,
}

/// A broker is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnregisterBrokerRequest {
    /// The broker.
    pub id: NodeId,
}

impl Controller {
    /// Decides on a registration. The reply is the broker's epoch, which it names in later requests. A repetition by
    /// the same process changes nothing; anything else begins a new leader epoch of every partition the broker leads.
    pub fn register_broker(&mut self, request: &RegisterBrokerRequest) -> Decision<Result<i64, ApiError>> {
        match self.speculative.cluster_id() {
            Some(known) if **known == *request.cluster_id => {}
            known => {
                let known = known.map_or("none", |known| known);
                let text = format!("Expected cluster ID {known}, but got cluster ID {}", request.cluster_id);
                return self.unchanged(Err(ApiError::new(ErrorCode::InconsistentClusterId, text)));
            }
        }
        if request.id.0 < 0 || request.endpoints.is_empty() {
            let text = "A registration needs a broker id from 0 on and at least one listener.";
            return self.unchanged(Err(ApiError::new(ErrorCode::InvalidRegistration, text)));
        }
        let known = self.speculative.broker(request.id);
        if let Some(known) = known
            && is_repetition(known, request)
        {
            let epoch = known.epoch;
            return self.unchanged(Ok(epoch));
        }
        let preconditions =
            vec![Precondition::BrokerEpoch { id: request.id, epoch: known.map(|known| known.epoch) }];
        let epoch = self.next_broker_epoch();
        let mut records = vec![Record::RegisterBroker(RegisterBrokerRecord {
            id: request.id,
            epoch,
            incarnation: request.incarnation,
            endpoints: request.endpoints.clone(),
            rack: request.rack.clone(),
            directories: request.directories.clone(),
            fenced: request.fenced,
            in_controlled_shutdown: false,
        })];
        if request.fenced {
            records.extend(hand_over(&self.speculative, request.id));
        } else {
            records.extend(take_over(&self.speculative, request.id));
        }
        self.propose(preconditions, records, Ok(epoch)).unwrap_or_else(|error| self.unchanged(Err(error)))
    }

    /// Decides to forget a broker: it leads nothing any more, and is in sync only where it is the last.
    pub fn unregister_broker(&mut self, request: UnregisterBrokerRequest) -> Decision<Result<(), ApiError>> {
        let Some(broker) = self.speculative.broker(request.id) else {
            let text = format!("Broker ID {} is not currently registered", request.id);
            return self.unchanged(Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, text)));
        };
        let epoch = broker.epoch;
        let mut records: Vec<Record> = hand_over(&self.speculative, request.id).collect();
        records.push(Record::UnregisterBroker { id: request.id, epoch });
        let preconditions = vec![Precondition::BrokerEpoch { id: request.id, epoch: Some(epoch) }];
        self.propose(preconditions, records, Ok(())).unwrap_or_else(|error| self.unchanged(Err(error)))
    }

    /// Greater than every epoch given before, here or by an earlier leader. An epoch given earlier is at most the
    /// offset of its batch: it was chosen as the least offset the batch could get. All of those offsets are applied,
    /// or in flight here.
    fn next_broker_epoch(&self) -> i64 {
        let next_offset = self.committed.last_applied().map_or(0, |offset| offset.0 + 1);
        i64::try_from(next_offset + self.in_flight.len() as u64).expect("no log has 2^63 entries")
    }
}

fn is_repetition(known: &BrokerImage, request: &RegisterBrokerRequest) -> bool {
    known.incarnation == request.incarnation
        && known.endpoints == request.endpoints
        && known.rack == request.rack
        && known.directories == request.directories
}

/// What changes when a broker can lead no longer: of the others in sync, the first active replica leads. The last in
/// sync stays so, because it alone has everything, but leads nothing.
fn hand_over(image: &Image, leaving: NodeId) -> impl Iterator<Item = Record> {
    partitions(image).filter_map(move |(topic, index, partition)| {
        if !partition.isr.contains(&leaving) {
            return None;
        }
        let others: Vec<NodeId> = partition.isr.iter().copied().filter(|id| *id != leaving).collect();
        let can_lead =
            |id: &&NodeId| others.contains(id) && image.broker(**id).is_some_and(|it| it.is_active());
        let leader = match partition.leader {
            Some(leader) if leader == leaving => match partition.replicas.iter().find(can_lead) {
                Some(next) => LeaderChange::Leader(*next),
                None => LeaderChange::Offline,
            },
            Some(_) | None => LeaderChange::Unchanged,
        };
        let isr = (!others.is_empty()).then_some(others);
        if isr.is_none() && leader == LeaderChange::Unchanged {
            return None;
        }
        Some(change(topic, index, isr, leader))
    })
}

/// What changes when a broker can lead again: what is offline and has it in sync.
fn take_over(image: &Image, joining: NodeId) -> impl Iterator<Item = Record> {
    partitions(image)
        .filter(move |(_, _, partition)| partition.leader.is_none() && partition.isr.contains(&joining))
        .map(move |(topic, index, _)| change(topic, index, None, LeaderChange::Leader(joining)))
}

fn partitions(image: &Image) -> impl Iterator<Item = (TopicId, i32, &PartitionImage)> {
    image
        .topics()
        .flat_map(|topic| topic.partitions.iter().map(|(index, partition)| (topic.id, *index, &**partition)))
}

fn change(topic: TopicId, index: i32, isr: Option<Vec<NodeId>>, leader: LeaderChange) -> Record {
    Record::PartitionChange(PartitionChangeRecord {
        topic,
        index,
        replicas: None,
        isr,
        removing: None,
        adding: None,
        leader,
    })
}

#[cfg(test)]
mod tests;
