//! CreatePartitions: more partitions for topics that exist.

use super::{
    ApiError, Controller, Decision, NamedResult,
    limits::RECORDS_PER_BATCH_MAX,
    placement::{Placement, check_manual, first_state, none_active},
};
use crate::{
    error::ErrorCode,
    ids::NodeId,
    metadata::{PartitionRecord, Precondition, Record, TopicImage},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Topics that shall have more partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatePartitionsRequest {
    /// Each grows or is refused for itself.
    pub topics: Vec<MorePartitions>,
    /// Answer as if, but change nothing.
    pub validate_only: bool,
}

/// A topic that shall have more partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MorePartitions {
    /// The topic.
    pub name: String,
    /// How many partitions it shall have in all.
    pub count: i32,
    /// Who stores each new partition, if the user chooses.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

impl Controller {
    /// Decides on partitions to add.
    pub fn create_partitions(&mut self, request: &CreatePartitionsRequest) -> Decision<Vec<NamedResult<()>>> {
        let mut occurrences: BTreeMap<&str, usize> = BTreeMap::new();
        request.topics.iter().for_each(|topic| *occurrences.entry(&topic.name).or_default() += 1);
        let (mut preconditions, mut records, mut results) = (Vec::new(), Vec::new(), Vec::new());
        let mut answered = BTreeSet::new();
        for topic in &request.topics {
            if !answered.insert(&topic.name) {
                continue;
            }
            let result = if occurrences[&*topic.name] > 1 {
                Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
            } else {
                self.more_partitions(topic).map(|(precondition, new)| {
                    preconditions.push(precondition);
                    records.extend(new.into_iter().map(Record::Partition));
                })
            };
            results.push(NamedResult { name: topic.name.clone(), result });
        }
        let decision = match request.validate_only {
            true if records.len() > RECORDS_PER_BATCH_MAX => Err(ApiError::too_large()),
            true => Ok(self.unchanged(results)),
            false => self.propose(preconditions, records, results),
        };
        decision.unwrap_or_else(|error| {
            let refuse = |name: &&String| NamedResult { name: (*name).clone(), result: Err(error.clone()) };
            self.unchanged(answered.iter().map(refuse).collect())
        })
    }

    fn more_partitions(
        &self,
        request: &MorePartitions,
    ) -> Result<(Precondition, Vec<PartitionRecord>), ApiError> {
        let topic = self.speculative.topic(&request.name).ok_or_else(ApiError::unknown_topic)?;
        let present = topic.partition_count();
        let refuse = |text: String| Err(ApiError::new(ErrorCode::InvalidPartitions, text));
        if request.count == present {
            return refuse(format!("Topic already has {present} partition(s)."));
        }
        if request.count < present {
            return refuse(format!(
                "The topic {} currently has {present} partition(s); {} would not be an increase.",
                request.name, request.count
            ));
        }
        let additional = usize::try_from(request.count - present).expect("greater, as just checked");
        if additional > RECORDS_PER_BATCH_MAX {
            return Err(ApiError::too_large());
        }
        let partitions = match &request.assignments {
            Some(assignments) => self.assign_more(topic, additional, assignments)?,
            None => self.place_more(topic, request.count)?,
        };
        Ok((Precondition::PartitionCount { topic: topic.id, count: present }, partitions))
    }

    fn place_more(&self, topic: &TopicImage, count: i32) -> Result<Vec<PartitionRecord>, ApiError> {
        let replication_factor =
            i16::try_from(replication_factor(topic)).expect("was created under a factor of this type");
        let placement = Placement::new(&self.speculative, replication_factor)?;
        (topic.partition_count()..count)
            .map(|index| {
                let replicas = placement.replicas(topic.id, index);
                first_state(&self.speculative, topic.id, index, replicas).ok_or_else(|| none_active(index))
            })
            .collect()
    }

    fn assign_more(
        &self,
        topic: &TopicImage,
        additional: usize,
        assignments: &[Vec<NodeId>],
    ) -> Result<Vec<PartitionRecord>, ApiError> {
        if assignments.len() != additional {
            return Err(ApiError::new(
                ErrorCode::InvalidReplicaAssignment,
                format!(
                    "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                    assignments.len()
                ),
            ));
        }
        (topic.partition_count()..)
            .zip(assignments)
            .map(|(index, replicas)| {
                check_manual(&self.speculative, replicas, Some(replication_factor(topic)))?;
                first_state(&self.speculative, topic.id, index, replicas.clone())
                    .ok_or_else(|| none_active(index))
            })
            .collect()
    }
}

/// Of a topic's first partition, which new ones follow.
fn replication_factor(topic: &TopicImage) -> usize {
    topic.partition(0).map_or(1, |first| first.replicas.len())
}

#[cfg(test)]
mod tests;
