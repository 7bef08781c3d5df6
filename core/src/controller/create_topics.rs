//! CreateTopics, and the automatic creation that Metadata asks for.

use super::{
    ApiError, Controller, Decision, NamedResult, limits,
    placement::{Placement, check_manual, first_state, none_active},
};
use crate::{
    error::ErrorCode,
    ids::{NodeId, TopicId},
    metadata::{Batch, ConfigResource, Image, PartitionRecord, Precondition, Record, validate_topic_name},
};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use uuid::Uuid;

/// Topics to create.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTopicsRequest {
    /// Each is created or refused for itself.
    pub topics: Vec<NewTopic>,
    /// Answer as if, but create nothing.
    pub validate_only: bool,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1: the default; with assignments it must be -1.
    pub partitions: i32,
    /// How many replicas of each; -1: the default; with assignments it must be -1.
    pub replication_factor: i16,
    /// Who stores what, if the user chooses; empty: the controller does.
    pub assignments: Vec<ReplicaAssignment>,
    /// What to set. `None` as a value is refused, as Kafka does.
    pub configs: Vec<(String, Option<String>)>,
}

/// The replicas that a user chose for a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaAssignment {
    /// The partition.
    pub index: i32,
    /// The preferred leader first.
    pub replicas: Vec<NodeId>,
}

/// A topic that was created, or would have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedTopic {
    /// Its id; zero when nothing was created because only validation was asked for.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas its first partition has.
    pub replication_factor: i16,
    /// What is set for it.
    pub configs: OrdMap<String, String>,
}

/// The topic in which Kafka keeps its metadata, which is not ours to create as an ordinary one.
const CLUSTER_METADATA: &str = "__cluster_metadata";

impl Controller {
    /// Decides on topics to create. `draw` gives random ids; those that Kafka never gives out are drawn again.
    pub fn create_topics(
        &mut self,
        request: &CreateTopicsRequest,
        draw: &mut dyn FnMut() -> Uuid,
    ) -> Decision<Vec<NamedResult<CreatedTopic>>> {
        if self.partitions_asked_for(request) > limits::PARTITIONS_PER_REQUEST_MAX {
            let text = "Excessively large number of partitions per request.";
            return self.refuse_all(request, &ApiError::new(ErrorCode::PolicyViolation, text));
        }
        let mut occurrences: BTreeMap<&str, usize> = BTreeMap::new();
        request.topics.iter().for_each(|topic| *occurrences.entry(&topic.name).or_default() += 1);

        // Topics of one request see each other (two may collide but for `.` and `_`), so each is tried on its own.
        let mut image = self.speculative.clone();
        let (mut preconditions, mut records, mut results) = (Vec::new(), Vec::new(), Vec::new());
        let mut answered = BTreeSet::new();
        for topic in &request.topics {
            if !answered.insert(&topic.name) {
                continue;
            }
            let result = if occurrences[&*topic.name] > 1 {
                Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
            } else {
                self.create_topic(&mut image, topic, draw).map(|(mut created, mut new)| {
                    preconditions.push(Precondition::TopicNameFree(topic.name.as_str().into()));
                    records.append(&mut new);
                    if request.validate_only {
                        created.id = TopicId::ZERO;
                    }
                    created
                })
            };
            results.push(NamedResult { name: topic.name.clone(), result });
        }
        if request.validate_only {
            return self.unchanged(results);
        }
        self.propose(preconditions, records, results).unwrap_or_else(|error| self.refuse_all(request, &error))
    }

    fn refuse_all(
        &self,
        request: &CreateTopicsRequest,
        error: &ApiError,
    ) -> Decision<Vec<NamedResult<CreatedTopic>>> {
        let names: BTreeSet<&String> = request.topics.iter().map(|topic| &topic.name).collect();
        let refuse = |name: &String| NamedResult { name: name.clone(), result: Err(error.clone()) };
        self.unchanged(names.into_iter().map(refuse).collect())
    }

    fn partitions_asked_for(&self, request: &CreateTopicsRequest) -> usize {
        let of = |topic: &NewTopic| match (topic.assignments.len(), topic.partitions) {
            (0, -1) => usize::try_from(self.settings.default_partitions).unwrap_or(0),
            (0, partitions) => usize::try_from(partitions).unwrap_or(0),
            (assignments, _) => assignments,
        };
        request.topics.iter().fold(0, |sum, topic| sum.saturating_add(of(topic)))
    }

    /// Decides on one topic and adds it to `image`.
    fn create_topic(
        &self,
        image: &mut Image,
        topic: &NewTopic,
        draw: &mut dyn FnMut() -> Uuid,
    ) -> Result<(CreatedTopic, Vec<Record>), ApiError> {
        check_name(image, &topic.name)?;
        let name: Arc<str> = topic.name.as_str().into();
        let configs = self.check_new_configs(&name, &topic.configs)?;
        let id = draw_id(image, draw)?;
        let partitions = if topic.assignments.is_empty() {
            self.place(image, topic, id)?
        } else {
            assign(image, topic, id)?
        };
        let created = CreatedTopic {
            id,
            partitions: i32::try_from(partitions.len()).expect("bounded by the partitions per request"),
            replication_factor: partitions.first().map_or(0, |first| {
                i16::try_from(first.replicas.len())
                    .expect("distinct brokers, bounded by the replication factor")
            }),
            configs,
        };
        let mut records = vec![Record::Topic { name: Arc::clone(&name), id }];
        records.extend(created.configs.iter().map(|(key, value)| Record::Config {
            resource: ConfigResource::Topic(Arc::clone(&name)),
            key: key.clone(),
            value: Some(value.clone()),
        }));
        records.extend(partitions.into_iter().map(Record::Partition));
        image
            .speculate(&Batch::of(records.clone()))
            .map_err(|violated| ApiError::new(ErrorCode::UnknownServerError, violated.to_string()))?;
        Ok((created, records))
    }

    fn check_new_configs(
        &self,
        name: &Arc<str>,
        configs: &[(String, Option<String>)],
    ) -> Result<OrdMap<String, String>, ApiError> {
        let nulls: Vec<&str> =
            configs.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.as_str()).collect();
        if !nulls.is_empty() {
            return Err(ApiError::new(
                ErrorCode::InvalidConfig,
                format!("Null value not supported for topic configs: {}", nulls.join(",")),
            ));
        }
        let set = configs.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
        self.check_configs(&ConfigResource::Topic(Arc::clone(name)), &set)?;
        Ok(set)
    }

    fn place(&self, image: &Image, topic: &NewTopic, id: TopicId) -> Result<Vec<PartitionRecord>, ApiError> {
        let replication_factor = match topic.replication_factor {
            -1 => self.settings.default_replication_factor,
            ..=0 => {
                return Err(ApiError::new(
                    ErrorCode::InvalidReplicationFactor,
                    "Replication factor must be larger than 0, or -1 to use the default value.",
                ));
            }
            asked => asked,
        };
        let count = match topic.partitions {
            -1 => self.settings.default_partitions,
            ..=0 => {
                return Err(ApiError::new(
                    ErrorCode::InvalidPartitions,
                    "Number of partitions was set to an invalid non-positive value.",
                ));
            }
            asked => asked,
        };
        let unable = |error: ApiError| {
            ApiError::new(
                error.code,
                format!("Unable to replicate the partition {replication_factor} time(s): {}", error.message),
            )
        };
        let placement = Placement::new(image, replication_factor).map_err(unable)?;
        (0..count)
            .map(|index| {
                first_state(image, id, index, placement.replicas(id, index)).ok_or_else(|| none_active(index))
            })
            .collect()
    }
}

fn check_name(image: &Image, name: &str) -> Result<(), ApiError> {
    validate_topic_name(name).map_err(|text| ApiError::new(ErrorCode::InvalidTopicException, text))?;
    if name == CLUSTER_METADATA {
        return Err(ApiError::new(ErrorCode::TopicAuthorizationFailed, "Authorization failed."));
    }
    if image.topic(name).is_some() {
        return Err(ApiError::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    match image.topic_colliding_with(name) {
        Some(other) => Err(ApiError::new(
            ErrorCode::InvalidTopicException,
            format!("Topic '{name}' collides with existing topic: {}", other.name),
        )),
        None => Ok(()),
    }
}

fn draw_id(image: &Image, draw: &mut dyn FnMut() -> Uuid) -> Result<TopicId, ApiError> {
    std::iter::repeat_with(|| TopicId(draw()))
        .take(limits::TOPIC_ID_DRAWS_MAX)
        .find(|id| !id.is_reserved() && image.topic_by_id(*id).is_none())
        .ok_or_else(|| ApiError::new(ErrorCode::UnknownServerError, "No topic id could be drawn."))
}

/// The partitions as the user assigned them.
fn assign(image: &Image, topic: &NewTopic, id: TopicId) -> Result<Vec<PartitionRecord>, ApiError> {
    let refuse = |code, text: &str| Err(ApiError::new(code, text));
    if topic.replication_factor != -1 {
        return refuse(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        );
    }
    if topic.partitions != -1 {
        return refuse(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        );
    }
    let mut partitions: BTreeMap<i32, PartitionRecord> = BTreeMap::new();
    let mut replication_factor = None;
    for assignment in &topic.assignments {
        if partitions.contains_key(&assignment.index) {
            return Err(ApiError::new(
                ErrorCode::InvalidReplicaAssignment,
                format!("Found multiple manual partition assignments for partition {}", assignment.index),
            ));
        }
        check_manual(image, &assignment.replicas, replication_factor)?;
        replication_factor = Some(assignment.replicas.len());
        let state = first_state(image, id, assignment.index, assignment.replicas.clone())
            .ok_or_else(|| none_active(assignment.index))?;
        partitions.insert(assignment.index, state);
    }
    if (0..).zip(partitions.keys()).any(|(expected, index)| expected != *index) {
        return refuse(
            ErrorCode::InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        );
    }
    Ok(partitions.into_values().collect())
}

#[cfg(test)]
mod tests;
