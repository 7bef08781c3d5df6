//! Reassignments of partitions to other brokers (KIP-455): replicas are added, and when all of them are in sync those that
//! are not wanted any more are taken away.

use super::{
    ApiError, Controller, Decision,
    partition_change::{Choice, Electorate, Target, TopicRules},
    placement::check_manual,
};
use crate::{
    error::ErrorCode,
    ids::NodeId,
    metadata::{PartitionChangeRecord, PartitionImage, Precondition, Record, TopicImage},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Partitions to move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReassignPartitionsRequest {
    /// Each partition is moved or refused for itself.
    pub topics: Vec<TopicReassignment>,
    /// Whether the number of replicas may change (KIP-860).
    pub allow_replication_factor_change: bool,
}

/// Partitions of a topic to move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicReassignment {
    /// The topic.
    pub name: String,
    /// Its partitions.
    pub partitions: Vec<Reassignment>,
}

/// Where a partition shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reassignment {
    /// Its number.
    pub index: i32,
    /// Who stores it, the preferred leader first. `None`: as before the reassignment that is under way.
    pub replicas: Option<Vec<NodeId>>,
}

/// What became of each partition of a request, by topic, in its order.
pub type Reassigned = Vec<(String, Vec<(i32, Result<(), ApiError>)>)>;

/// Which reassignments are asked for: of these partitions; `None`: all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReassignmentsRequest {
    /// By topic.
    pub topics: Option<Vec<(String, Vec<i32>)>>,
}

/// A topic of which partitions are being moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicReassignments {
    /// The topic.
    pub name: String,
    /// Its partitions that are being moved.
    pub partitions: Vec<OngoingReassignment>,
}

/// A reassignment that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OngoingReassignment {
    /// The partition.
    pub index: i32,
    /// Who stores it now, those included that are added or taken away.
    pub replicas: Vec<NodeId>,
    /// Who is added.
    pub adding: Vec<NodeId>,
    /// Who is taken away.
    pub removing: Vec<NodeId>,
}

impl Controller {
    /// Decides on reassignments, all in one batch.
    pub fn reassign_partitions(&mut self, request: &ReassignPartitionsRequest) -> Decision<Reassigned> {
        let rules = self.topic_rules();
        let (mut preconditions, mut records, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut reassign = |name: &str, asked: &Reassignment| {
            if !seen.insert((name.to_owned(), asked.index)) {
                let text = format!("Partition {name}-{} is named more than once.", asked.index);
                return Err(ApiError::new(ErrorCode::InvalidRequest, text));
            }
            let (topic, partition) = self.find(name, asked.index)?;
            let allowed = request.allow_replication_factor_change;
            if let Some(change) = self.reassign(topic, partition, asked, rules(topic), allowed)? {
                let epoch = partition.partition_epoch;
                let unchanged = Precondition::PartitionEpoch { topic: topic.id, index: asked.index, epoch };
                preconditions.push(unchanged);
                records.push(Record::PartitionChange(change));
            }
            Ok(())
        };
        let results: Reassigned = request
            .topics
            .iter()
            .map(|topic| {
                let partitions = topic.partitions.iter();
                let results = partitions.map(|asked| (asked.index, reassign(&topic.name, asked))).collect();
                (topic.name.clone(), results)
            })
            .collect();
        match self.propose(preconditions, records, results) {
            Ok(decision) => decision,
            Err(error) => {
                let refuse = |topic: &TopicReassignment| {
                    let refused = topic.partitions.iter().map(|asked| (asked.index, Err(error.clone())));
                    (topic.name.clone(), refused.collect())
                };
                self.unchanged(request.topics.iter().map(refuse).collect())
            }
        }
    }

    fn find(&self, name: &str, index: i32) -> Result<(&TopicImage, &PartitionImage), ApiError> {
        let unknown = |text: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, text);
        let topic = self
            .speculative
            .topic(name)
            .ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
        let partition = topic
            .partition(index)
            .ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
        Ok((topic, partition))
    }

    fn reassign(
        &self,
        topic: &TopicImage,
        partition: &PartitionImage,
        asked: &Reassignment,
        rules: TopicRules,
        factor_may_change: bool,
    ) -> Result<Option<PartitionChangeRecord>, ApiError> {
        let (target, choice) = match &asked.replicas {
            None => (cancelled(topic, partition, asked.index, rules)?, rules.choice()),
            Some(replicas) => {
                check_manual(&self.speculative, replicas, None)?;
                let before = settled(partition).len();
                if !factor_may_change && before != replicas.len() {
                    let text =
                        format!("The replication factor is changed from {before} to {}", replicas.len());
                    return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, text));
                }
                (moved(partition, replicas), Choice::Clean)
            }
        };
        let electorate = Electorate::of(&self.speculative);
        Ok(electorate.change((topic.id, asked.index), partition, rules, target, choice))
    }

    /// The reassignments that are under way, as committed.
    pub fn list_reassignments(&self, request: &ListReassignmentsRequest) -> Vec<TopicReassignments> {
        let ongoing = |topic: &TopicImage, index: i32| {
            let partition = topic.partition(index).filter(|partition| is_moving(partition))?;
            Some(OngoingReassignment {
                index,
                replicas: partition.replicas.clone(),
                adding: partition.adding.clone(),
                removing: partition.removing.clone(),
            })
        };
        let of = |topic: &TopicImage, indexes: &mut dyn Iterator<Item = i32>| {
            let partitions: Vec<_> = indexes.filter_map(|index| ongoing(topic, index)).collect();
            (!partitions.is_empty()).then(|| TopicReassignments { name: topic.name.to_string(), partitions })
        };
        match &request.topics {
            None => self
                .committed
                .topics()
                .filter_map(|topic| of(topic, &mut topic.partitions.keys().copied()))
                .collect(),
            Some(topics) => topics
                .iter()
                .filter_map(|(name, indexes)| of(self.committed.topic(name)?, &mut indexes.iter().copied()))
                .collect(),
        }
    }
}

fn is_moving(partition: &PartitionImage) -> bool {
    !partition.adding.is_empty() || !partition.removing.is_empty()
}

/// The replicas when what is under way is complete.
fn settled(partition: &PartitionImage) -> Vec<NodeId> {
    partition.replicas.iter().copied().filter(|id| !partition.removing.contains(id)).collect()
}

/// A partition that shall be on `replicas`: those it is to leave stand behind them for the time being.
fn moved(partition: &PartitionImage, replicas: &[NodeId]) -> Target {
    let without = |of: &[NodeId], others: &[NodeId]| -> Vec<NodeId> {
        let ids: BTreeSet<NodeId> = of.iter().copied().filter(|id| !others.contains(id)).collect();
        ids.into_iter().collect()
    };
    let removing = without(&partition.replicas, replicas);
    Target {
        replicas: replicas.iter().chain(&removing).copied().collect(),
        isr: partition.isr.clone(),
        adding: without(replicas, &partition.replicas),
        removing,
    }
}

/// As before the reassignment that is under way.
fn cancelled(
    topic: &TopicImage,
    partition: &PartitionImage,
    index: i32,
    rules: TopicRules,
) -> Result<Target, ApiError> {
    if !is_moving(partition) {
        let text = "No partition reassignment is in progress.";
        return Err(ApiError::new(ErrorCode::NoReassignmentInProgress, text));
    }
    let stays = |ids: &[NodeId]| -> Vec<NodeId> {
        ids.iter().copied().filter(|id| !partition.adding.contains(id)).collect()
    };
    let (replicas, mut isr) = (stays(&partition.replicas), stays(&partition.isr));
    let Some(first) = replicas.first() else {
        let text = "Invalid replica assignment: addingReplicas contains all replicas.";
        return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, text));
    };
    if isr.is_empty() {
        if !rules.unclean {
            let text = format!(
                "Unable to revert partition assignment for {}:{index} because it would require an unclean leader election.",
                topic.name
            );
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, text));
        }
        isr.push(*first);
    }
    Ok(Target { replicas, isr, removing: Vec::new(), adding: Vec::new() })
}

#[cfg(test)]
mod tests;
