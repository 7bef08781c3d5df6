//! Which brokers store a partition.
//!
//! Kafka's striping: the leaders of successive partitions are successive brokers, the followers are those behind the
//! leader, and after each turn around all brokers the followers move on by one, so that a broker's load, when it
//! fails, spreads over all others. Racks take turns: replicas stand in as many racks as there are before a rack has a second
//! one. Active brokers come before full and fenced ones, whatever their rack: a replica is to be there. Where Kafka draws the first
//! broker at random, the topic's id (which is random) chooses it: placement is then a function of what is known, and
//! partitions added later go on where the earlier ones ended.

use super::ApiError;
use crate::{
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, TopicId},
    metadata::{BrokerImage, Image, PartitionRecord},
};
use std::{collections::BTreeMap, sync::Arc};

/// The brokers that can be given replicas.
pub(super) struct Placement {
    /// Unfenced, with room on their disks if any has some: these can lead. In an order in which racks take turns.
    active: Vec<NodeId>,
    /// Of each broker that has one.
    racks: BTreeMap<NodeId, String>,
    /// Full, or fenced: these can follow when they have room, or come back.
    later: Vec<NodeId>,
    replication_factor: usize,
}

impl Placement {
    /// For `replication_factor` replicas of each partition.
    ///
    /// # Errors
    /// INVALID_REPLICATION_FACTOR when the brokers do not suffice, in Kafka's words.
    pub(super) fn new(image: &Image, replication_factor: i16) -> Result<Placement, ApiError> {
        let usable = || image.brokers().filter(|broker| !broker.in_controlled_shutdown);
        let racks: BTreeMap<NodeId, String> =
            usable().filter_map(|broker| Some((broker.id, broker.rack.clone()?))).collect();
        let any_room = usable().any(|broker| broker.takes_records());
        let comes_later = |broker: &&Arc<BrokerImage>| broker.fenced || (any_room && broker.is_full);
        let active =
            take_turns(usable().filter(|broker| !comes_later(broker)).map(|broker| broker.id), &racks);
        let mut later: Vec<&Arc<BrokerImage>> = usable().filter(comes_later).collect();
        later.sort_by_key(|broker| broker.fenced);
        let later: Vec<NodeId> = later.into_iter().map(|broker| broker.id).collect();
        let refuse = |reason: String| Err(ApiError::new(ErrorCode::InvalidReplicationFactor, reason));
        let count = usize::try_from(replication_factor).unwrap_or(0);
        if count == 0 {
            return refuse(format!(
                "Invalid replication factor {replication_factor}: the replication factor must be positive."
            ));
        }
        if active.is_empty() {
            return refuse("All brokers are currently fenced.".to_owned());
        }
        let registered = active.len() + later.len();
        if count > registered {
            return refuse(format!(
                "The target replication factor of {count} cannot be reached because only {registered} broker(s) are registered."
            ));
        }
        Ok(Placement { active, racks, later, replication_factor: count })
    }

    /// The replicas of a partition, the preferred leader first.
    pub(super) fn replicas(&self, topic: TopicId, index: i32) -> Vec<NodeId> {
        let (high, low) = topic.0.as_u64_pair();
        let brokers = self.active.len() as u64;
        let position = (high ^ low) % brokers + u64::from(index.unsigned_abs());
        let (turn, leader) = (index_of(position / brokers), index_of(position % brokers));
        let mut followers: Vec<NodeId> =
            self.active[leader + 1..].iter().chain(&self.active[..leader]).copied().collect();
        if !followers.is_empty() {
            let shift = turn % followers.len();
            followers.rotate_left(shift);
        }
        let mut used: BTreeMap<Option<&String>, usize> = BTreeMap::new();
        let mut replicas = vec![self.active[leader]];
        used.insert(self.racks.get(&self.active[leader]), 1);
        while replicas.len() < self.replication_factor && !followers.is_empty() {
            let times = |id: &NodeId| used.get(&self.racks.get(id)).copied().unwrap_or(0);
            // The first of those in the racks that have the fewest.
            let next = (0..followers.len()).min_by_key(|index| times(&followers[*index])).unwrap_or(0);
            let follower = followers.remove(next);
            *used.entry(self.racks.get(&follower)).or_default() += 1;
            replicas.push(follower);
        }
        replicas.extend(self.later.iter().copied().take(self.replication_factor - replicas.len()));
        replicas
    }
}

/// Where the controller would put a topic's partitions, if these brokers, each with its rack, were all there are and lived. As
/// many replicas as there are brokers at most; no one where there is no broker.
pub fn spread(
    brokers: impl IntoIterator<Item = (NodeId, Option<String>)>,
    topic: TopicId,
    partitions: i32,
    replication_factor: usize,
) -> Vec<Vec<NodeId>> {
    let brokers: BTreeMap<NodeId, Option<String>> = brokers.into_iter().collect();
    let racks: BTreeMap<NodeId, String> =
        brokers.iter().filter_map(|(id, rack)| Some((*id, rack.clone()?))).collect();
    let active = take_turns(brokers.keys().copied(), &racks);
    if active.is_empty() {
        return Vec::new();
    }
    let replication_factor = replication_factor.clamp(1, active.len());
    let placement = Placement { active, racks, later: Vec::new(), replication_factor };
    (0..partitions).map(|index| placement.replicas(topic, index)).collect()
}

/// The first broker of each rack, then the second of each, and so on. Brokers without a rack are one rack.
fn take_turns(brokers: impl Iterator<Item = NodeId>, racks: &BTreeMap<NodeId, String>) -> Vec<NodeId> {
    let mut seen: BTreeMap<Option<&String>, usize> = BTreeMap::new();
    let mut turns: Vec<(usize, Option<&String>, NodeId)> = brokers
        .map(|id| {
            let rack = racks.get(&id);
            let turn = seen.entry(rack).or_default();
            *turn += 1;
            (*turn, rack, id)
        })
        .collect();
    turns.sort();
    turns.into_iter().map(|(_, _, id)| id).collect()
}

fn index_of(value: u64) -> usize {
    usize::try_from(value).expect("below a number of brokers or of partitions")
}

/// The first state of a partition on these replicas, of which those that are active are in sync (there is nothing
/// yet to be behind of), without the full ones if any is not, and the first of them leads. `None`: none is active.
pub(super) fn first_state(
    image: &Image,
    topic: TopicId,
    index: i32,
    replicas: Vec<NodeId>,
) -> Option<PartitionRecord> {
    let is_active = |id: &NodeId| image.broker(*id).is_some_and(|broker| broker.is_active());
    let takes_records = |id: &NodeId| image.broker(*id).is_some_and(|broker| broker.takes_records());
    let any_room = replicas.iter().any(takes_records);
    let is_in_sync = |id: &NodeId| if any_room { takes_records(id) } else { is_active(id) };
    let isr: Vec<NodeId> = replicas.iter().copied().filter(is_in_sync).collect();
    let leader = *isr.first()?;
    Some(PartitionRecord {
        topic,
        index,
        replicas,
        isr,
        removing: Vec::new(),
        adding: Vec::new(),
        leader: Some(leader),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        elr: Vec::new(),
        last_known_elr: Vec::new(),
    })
}

/// Checks replicas that a user chose for a partition. `expected` is the replication factor of the topic's other
/// partitions, if there are any.
///
/// # Errors
/// INVALID_REPLICA_ASSIGNMENT, in Kafka's words.
pub(super) fn check_manual(
    image: &Image,
    replicas: &[NodeId],
    expected: Option<usize>,
) -> Result<(), ApiError> {
    let refuse = |reason: String| {
        Err(ApiError::new(
            ErrorCode::InvalidReplicaAssignment,
            format!("The manual partition assignment includes {reason}"),
        ))
    };
    if replicas.is_empty() {
        return refuse("an empty replica list.".to_owned());
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    for (position, id) in sorted.iter().enumerate() {
        if image.broker(*id).is_none() {
            return refuse(format!("broker {id}, but no such broker is registered."));
        }
        if position > 0 && sorted[position - 1] == *id {
            return refuse(format!("the broker {id} more than once."));
        }
    }
    match expected {
        Some(expected) if expected != replicas.len() => refuse(format!(
            "a partition with {} replica(s), but this is not consistent with previous partitions, which have {expected} replica(s).",
            replicas.len()
        )),
        Some(_) | None => Ok(()),
    }
}

/// The refusal of a manual assignment of which no broker can lead.
pub(super) fn none_active(index: i32) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidReplicaAssignment,
        format!(
            "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled shutdown."
        ),
    )
}

#[cfg(test)]
mod tests;
