//! What the tool asks of brokers.

use super::plan::{Assignment, Directories};
use crate::{
    args::ArgumentError,
    client::{
        ClientError, Cluster, TopicPartition,
        admin::{self, Reassignment},
        topic_name,
    },
    console::Stop,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, DescribeClusterRequest, DescribeLogDirsRequest,
    ListPartitionReassignmentsRequest,
    alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
    list_partition_reassignments_request::ListPartitionReassignmentsTopics,
};
use std::collections::{BTreeMap, BTreeSet};

/// Kafka's code of UNKNOWN_TOPIC_OR_PARTITION.
pub const UNKNOWN: i16 = 3;

/// Partitions that one answer describes.
const PAGE: i32 = 2_000;

/// Why the tool ends.
#[derive(Debug)]
pub enum Failed {
    /// To be said as it is.
    Refused(String),
    /// To be said as an error.
    Error(String),
    /// The console or the command line is at fault.
    Stop(Stop),
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Failed {
        executed(&error)
    }
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Failed {
        Failed::Stop(stop)
    }
}

impl From<ArgumentError> for Failed {
    fn from(error: ArgumentError) -> Failed {
        Failed::Stop(error.into())
    }
}

/// As Java's `ExecutionException` tells of what it wraps.
pub fn executed(error: &ClientError) -> Failed {
    Failed::Error(format!("{}: {error}", error.class()))
}

/// Brokers that live, with their racks.
pub type Nodes = BTreeMap<i32, Option<String>>;

pub fn nodes(cluster: &mut Cluster) -> Result<Nodes, ClientError> {
    cluster.retry("listNodes", |cluster| {
        cluster.on_any(|connection| {
            let version = connection.version::<DescribeClusterRequest>()?;
            let answer = connection.call(version, &DescribeClusterRequest::default())?;
            if let Some(error) = ClientError::of(answer.error_code, answer.error_message.as_deref()) {
                return Err(error);
            }
            let nodes = answer.brokers.iter();
            Ok(nodes.map(|it| (it.broker_id.0, it.rack.as_ref().map(ToString::to_string))).collect())
        })
    })
}

/// The replicas of a topic's partitions.
pub fn replicas(cluster: &mut Cluster, topic: &str) -> Result<Assignment, ClientError> {
    let described =
        admin::describe_topics(cluster, &[topic.to_owned()], PAGE).map_err(|error| match error {
            ClientError::Broker { code: UNKNOWN, .. } => {
                ClientError::Broker { code: UNKNOWN, message: Some(format!("Topic {topic} not found.")) }
            }
            error => error,
        })?;
    let partitions = described.into_iter().flat_map(|topic| topic.partitions);
    Ok(partitions.map(|it| (TopicPartition::new(topic, it.index), it.replicas)).collect())
}

/// As [`replicas`]; none of a topic that does not exist.
pub fn replicas_if_any(cluster: &mut Cluster, topic: &str) -> Result<Assignment, ClientError> {
    match replicas(cluster, topic) {
        Err(ClientError::Broker { code: UNKNOWN, .. }) => Ok(Assignment::new()),
        other => other,
    }
}

/// In which directory each replica is, where its broker lives.
pub fn directories(cluster: &mut Cluster, of: &Assignment) -> Result<Directories, ClientError> {
    let alive = nodes(cluster)?;
    let brokers: BTreeSet<i32> = of.values().flatten().copied().filter(|id| alive.contains_key(id)).collect();
    let mut found = Directories::new();
    for broker in brokers {
        let answer = cluster.retry("describeReplicaLogDirs", |cluster| {
            cluster.on_node(broker, |connection| {
                let version = connection.version::<DescribeLogDirsRequest>()?;
                let answer =
                    connection.call(version, &DescribeLogDirsRequest::default().with_topics(None))?;
                ClientError::check(answer.error_code)?;
                Ok(answer.results)
            })
        })?;
        for directory in answer {
            for topic in &directory.topics {
                for partition in topic.partitions.iter().filter(|it| !it.is_future_key) {
                    let place = TopicPartition::new(topic.name.0.as_str(), partition.partition_index);
                    found.insert((place, broker), directory.log_dir.to_string());
                }
            }
        }
    }
    Ok(found)
}

/// The reassignments under way, of these partitions or of all.
pub fn reassignments(
    cluster: &mut Cluster,
    of: Option<&BTreeSet<TopicPartition>>,
) -> Result<BTreeMap<TopicPartition, Reassignment>, ClientError> {
    let topics = of.map(|places| {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for place in places {
            topics.entry(&place.topic).or_default().push(place.partition);
        }
        let topics = topics.into_iter().map(|(name, indexes)| {
            ListPartitionReassignmentsTopics::default()
                .with_name(topic_name(name))
                .with_partition_indexes(indexes)
        });
        topics.collect::<Vec<_>>()
    });
    let timeout = millis(cluster);
    let answer = cluster.retry("listPartitionReassignments", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<ListPartitionReassignmentsRequest>()?;
            let request = ListPartitionReassignmentsRequest::default()
                .with_topics(topics.clone())
                .with_timeout_ms(timeout);
            let answer = connection.call(version, &request)?;
            match ClientError::of(answer.error_code, answer.error_message.as_deref()) {
                Some(error) => Err(error),
                None => Ok(answer),
            }
        })
    })?;
    let ids = |ids: Vec<BrokerId>| ids.into_iter().map(|id| id.0).collect();
    let mut found = BTreeMap::new();
    for topic in answer.topics {
        for it in topic.partitions {
            let place = TopicPartition::new(topic.name.0.as_str(), it.partition_index);
            let (replicas, adding, removing) =
                (ids(it.replicas), ids(it.adding_replicas), ids(it.removing_replicas));
            found.insert(place, Reassignment { replicas, adding, removing });
        }
    }
    Ok(found)
}

/// Begins reassignments, or, without replicas, ends them; those that could not be, with the reason.
pub fn alter(
    cluster: &mut Cluster,
    asked: BTreeMap<TopicPartition, Option<Vec<i32>>>,
    may_change_factor: bool,
) -> Result<BTreeMap<TopicPartition, ClientError>, ClientError> {
    let mut topics: BTreeMap<String, Vec<ReassignablePartition>> = BTreeMap::new();
    for (place, replicas) in asked {
        let replicas = replicas.map(|ids| ids.into_iter().map(BrokerId).collect());
        let partition =
            ReassignablePartition::default().with_partition_index(place.partition).with_replicas(replicas);
        topics.entry(place.topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        ReassignableTopic::default().with_name(topic_name(&name)).with_partitions(partitions)
    });
    let topics: Vec<ReassignableTopic> = topics.collect();
    let timeout = millis(cluster);
    let answer = cluster.retry("alterPartitionReassignments", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<AlterPartitionReassignmentsRequest>()?;
            let mut request = AlterPartitionReassignmentsRequest::default();
            request.topics = topics.clone();
            request.timeout_ms = timeout;
            if version >= 1 {
                request.allow_replication_factor_change = may_change_factor;
            } else if !may_change_factor {
                return Err(ClientError::Unsupported(
                    "The broker does not support the AllowReplicationFactorChange option for the \
                     AlterPartitionReassignments API."
                        .to_owned(),
                ));
            }
            let answer = connection.call(version, &request)?;
            match ClientError::of(answer.error_code, answer.error_message.as_deref()) {
                Some(error) => Err(error),
                None => Ok(answer),
            }
        })
    })?;
    let mut errors = BTreeMap::new();
    for topic in answer.responses {
        for it in topic.partitions {
            if let Some(error) = ClientError::of(it.error_code, it.error_message.as_deref()) {
                errors.insert(TopicPartition::new(topic.name.0.as_str(), it.partition_index), error);
            }
        }
    }
    Ok(errors)
}

fn millis(cluster: &Cluster) -> i32 {
    i32::try_from(cluster.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
}
