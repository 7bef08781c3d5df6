//! Which brokers store a partition.
//!
//! Kafka's striping: the leaders of successive partitions are successive brokers, the followers are those behind the
//! leader, and after each turn around all brokers the followers move on by one, so that a broker's load, when it
//! fails, spreads over all others. Where Kafka draws the first broker at random, the topic's id (which is random)
//! chooses it: placement is then a function of what is known, and partitions added later go on where the earlier
//! ones ended.

use super::ApiError;
use crate::{
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, TopicId},
    metadata::{Image, PartitionRecord},
};

/// The brokers that can be given replicas.
pub(super) struct Placement {
    /// Unfenced: these can lead.
    active: Vec<NodeId>,
    /// Registered, but fenced: these can follow when they come back.
    fenced: Vec<NodeId>,
    replication_factor: usize,
}

impl Placement {
    /// For `replication_factor` replicas of each partition.
    ///
    /// # Errors
    /// INVALID_REPLICATION_FACTOR when the brokers do not suffice, in Kafka's words.
    pub(super) fn new(image: &Image, replication_factor: i16) -> Result<Placement, ApiError> {
        let usable = || image.brokers().filter(|broker| !broker.in_controlled_shutdown);
        let active: Vec<NodeId> = usable().filter(|broker| !broker.fenced).map(|broker| broker.id).collect();
        let fenced: Vec<NodeId> = usable().filter(|broker| broker.fenced).map(|broker| broker.id).collect();
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
        let registered = active.len() + fenced.len();
        if count > registered {
            return refuse(format!(
                "The target replication factor of {count} cannot be reached because only {registered} broker(s) are registered."
            ));
        }
        Ok(Placement { active, fenced, replication_factor: count })
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
        let replicas =
            std::iter::once(self.active[leader]).chain(followers).chain(self.fenced.iter().copied());
        replicas.take(self.replication_factor).collect()
    }
}

fn index_of(value: u64) -> usize {
    usize::try_from(value).expect("below a number of brokers or of partitions")
}

/// The first state of a partition on these replicas, of which those that are active are in sync (there is nothing
/// yet to be behind of) and the first of them leads. `None`: none is active.
pub(super) fn first_state(
    image: &Image,
    topic: TopicId,
    index: i32,
    replicas: Vec<NodeId>,
) -> Option<PartitionRecord> {
    let is_active = |id: &NodeId| image.broker(*id).is_some_and(|broker| broker.is_active());
    let isr: Vec<NodeId> = replicas.iter().copied().filter(is_active).collect();
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

/// Whether these brokers may be a partition's replicas.
///
/// # Errors
/// INVALID_REPLICA_ASSIGNMENT, in Kafka's words.
pub fn check_assignment(image: &Image, replicas: &[NodeId]) -> Result<(), ApiError> {
    check_manual(image, replicas, None)
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
