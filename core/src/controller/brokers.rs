//! Registration of brokers, and what becomes of partitions when one goes.

use super::{
    ApiError, Controller, Decision,
    partition_change::{Electorate, Target, TopicRules, partitions},
};
use crate::{
    error::ErrorCode,
    ids::NodeId,
    metadata::{
        BrokerImage, Endpoint, Image, LeaderChange, PartitionChangeRecord, PartitionImage, Precondition,
        Record, RegisterBrokerRecord, TopicImage,
    },
};
use corelane_seam::Monotonic;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A broker's process introduces itself. It is fenced until its first heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Its log directories' ids. One that comes back with none of those it had has lost what it stored.
    pub directories: Vec<Uuid>,
}

/// A broker is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnregisterBrokerRequest {
    /// The broker.
    pub id: NodeId,
}

/// Who asks for a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registrant {
    /// The broker in the controller's own process: an earlier process of this node is gone, as this one holds its place.
    Itself,
    /// Another process, of which an earlier one may still live.
    Peer,
}

impl Controller {
    /// Decides on a registration. The reply is the broker's epoch, which it names in later requests. A repetition by
    /// the same process changes nothing; anything else begins a new leader epoch of every partition the broker leads, and
    /// whatever another replica can lead, that one leads.
    pub fn register_broker(
        &mut self,
        now: Monotonic,
        request: &RegisterBrokerRequest,
        registrant: Registrant,
    ) -> Decision<Result<i64, ApiError>> {
        let known = self.speculative.broker(request.id).cloned();
        if let Err(error) = self.check_registration(now, request, known.as_deref(), registrant) {
            return self.unchanged(Err(error));
        }
        if let Some(known) = &known
            && is_repetition(known, request)
        {
            self.sessions.hear(now, known.id, known.epoch);
            return self.unchanged(Ok(known.epoch));
        }
        let preconditions =
            [Precondition::BrokerEpoch { id: request.id, epoch: known.as_ref().map(|known| known.epoch) }];
        let rules = self.topic_rules();
        let mut records = match &known {
            Some(known) if lost_its_disks(known, request) => forget(&self.speculative, request.id, &rules),
            Some(_) => fence(&self.speculative, request.id, &rules),
            None => Vec::new(),
        };
        // The registration stands last: if the leader is lost in between, the broker registers again.
        let epoch = self.next_broker_epoch();
        records.push(Record::RegisterBroker(RegisterBrokerRecord {
            id: request.id,
            epoch,
            incarnation: request.incarnation,
            endpoints: request.endpoints.clone(),
            rack: request.rack.clone(),
            directories: request.directories.clone(),
            fenced: true,
            in_controlled_shutdown: false,
        }));
        let decision = self.propose_all(&preconditions, records, Ok(epoch));
        if decision.is_ok() {
            self.sessions.hear(now, request.id, epoch);
        }
        decision.unwrap_or_else(|error| self.unchanged(Err(error)))
    }

    fn check_registration(
        &self,
        now: Monotonic,
        request: &RegisterBrokerRequest,
        known: Option<&BrokerImage>,
        registrant: Registrant,
    ) -> Result<(), ApiError> {
        let refuse = |code, text: &str| Err(ApiError::new(code, text));
        let cluster = self.speculative.cluster_id();
        if cluster.is_none_or(|known| **known != *request.cluster_id) {
            let known = cluster.map_or("none", |known| known);
            let text = format!("Expected cluster ID {known}, but got cluster ID {}", request.cluster_id);
            return Err(ApiError::new(ErrorCode::InconsistentClusterId, text));
        }
        let timeout_ms = self.settings.lifecycle.session_timeout_ms;
        // Brokers make themselves known to a new controller at once. One that has not is taken for gone by the next process
        // under its id, so that a cluster that lost its power does not wait for the sessions of those before.
        let lives = |known: &BrokerImage| {
            !known.fenced && self.sessions.is_known_alive(now, known.id, known.epoch, timeout_ms)
        };
        if let Some(known) = known
            && registrant == Registrant::Peer
            && known.incarnation != request.incarnation
            && lives(known)
        {
            return refuse(
                ErrorCode::DuplicateBrokerRegistration,
                "Another broker is registered with that broker id. If the broker was recently restarted this should \
                 self-resolve once the heartbeat manager expires the broker's session.",
            );
        }
        let invalid = |text: &str| refuse(ErrorCode::InvalidRegistration, text);
        if request.id.0 < 0 || request.endpoints.is_empty() {
            return invalid("A registration needs a broker id from 0 on and at least one listener.");
        }
        if request.directories.is_empty() {
            return invalid("No directories specified in request");
        }
        if request.directories.iter().any(|id| id.as_u128() < RESERVED_DIRECTORIES) {
            return invalid("Reserved directory ID in request");
        }
        if request.directories.iter().collect::<BTreeSet<_>>().len() != request.directories.len() {
            return invalid("Duplicate directory ID in request");
        }
        let others = self.speculative.brokers().filter(|broker| broker.id != request.id);
        for broker in others {
            if let Some(id) = request.directories.iter().find(|id| broker.directories.contains(id)) {
                let directory = crate::ids::TopicId(*id);
                return invalid(&format!(
                    "Broker {} is already registered with directory {directory}",
                    broker.id
                ));
            }
        }
        Ok(())
    }

    /// Decides to forget a broker: it leads nothing any more, and is in sync only where it is the last.
    pub fn unregister_broker(&mut self, request: UnregisterBrokerRequest) -> Decision<Result<(), ApiError>> {
        let Some(broker) = self.speculative.broker(request.id) else {
            let text = format!("Broker ID {} is not currently registered", request.id);
            return self.unchanged(Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, text)));
        };
        let epoch = broker.epoch;
        let mut records = fence(&self.speculative, request.id, &self.topic_rules());
        records.push(Record::UnregisterBroker { id: request.id, epoch });
        self.of_broker(request.id, epoch, records, ())
    }

    /// Greater than every epoch given before, here or by an earlier leader. An epoch given earlier is at most the
    /// offset of its batch: it was chosen as the least offset the batch could get. All of those offsets are applied,
    /// or in flight here.
    fn next_broker_epoch(&self) -> i64 {
        let next_offset = self.committed.last_applied().map_or(0, |offset| offset.0 + 1);
        i64::try_from(next_offset + self.in_flight.len() as u64).expect("no log has 2^63 entries")
    }
}

/// Kafka keeps the first hundred directory ids for itself.
const RESERVED_DIRECTORIES: u128 = 100;

fn is_repetition(known: &BrokerImage, request: &RegisterBrokerRequest) -> bool {
    known.incarnation == request.incarnation
        && known.endpoints == request.endpoints
        && known.rack == request.rack
        && known.directories == request.directories
}

/// None of the directories it had is left.
fn lost_its_disks(known: &BrokerImage, request: &RegisterBrokerRequest) -> bool {
    !known.directories.iter().any(|id| request.directories.contains(id))
}

/// What changes when a broker can lead no longer, and has what it had: it leaves the ISR, unless it is the last in sync,
/// and others lead.
pub(super) fn fence(
    image: &Image,
    leaving: NodeId,
    rules: &dyn Fn(&TopicImage) -> TopicRules,
) -> Vec<Record> {
    let electorate = Electorate::without(image, leaving);
    changes(image, rules, electorate, leaving, |partition| partition.isr.contains(&leaving))
}

/// What changes when a broker has lost what it had: it is neither in sync nor eligible anywhere.
fn forget(image: &Image, bereft: NodeId, rules: &dyn Fn(&TopicImage) -> TopicRules) -> Vec<Record> {
    let electorate = Electorate::bereft_of(image, bereft);
    changes(image, rules, electorate, bereft, |partition| {
        partition.isr.contains(&bereft) || partition.elr.contains(&bereft)
    })
}

fn changes(
    image: &Image,
    rules: &dyn Fn(&TopicImage) -> TopicRules,
    electorate: Electorate<'_>,
    leaving: NodeId,
    affected: impl Fn(&PartitionImage) -> bool,
) -> Vec<Record> {
    partitions(image)
        .filter(|(_, _, partition)| affected(partition))
        .filter_map(|(topic, index, partition)| {
            let rules = rules(topic);
            let target = Target::without(partition, leaving);
            electorate.change((topic.id, index), partition, rules, target, rules.choice())
        })
        // That it leads nothing any more is said by the record that follows, once for all.
        .filter(|change| {
            let (topic, index, leader) = (change.topic, change.index, LeaderChange::Offline);
            *change != PartitionChangeRecord { topic, index, leader, ..PartitionChangeRecord::default() }
        })
        .map(Record::PartitionChange)
        .collect()
}

#[cfg(test)]
mod tests;
