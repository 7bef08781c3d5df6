//! Single questions about topics, configurations and the cluster.

use super::{
    TopicPartition,
    cluster::{Cluster, Topics},
    connection::Connection,
    error::{ClientError, Result},
    text, topic_name,
};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest,
    create_partitions_request::CreatePartitionsTopic,
    create_topics_request::CreatableTopic,
    delete_topics_request::DeleteTopicState,
    describe_configs_request::DescribeConfigsResource,
    describe_topic_partitions_request::{Cursor, TopicRequest},
    incremental_alter_configs_request::AlterConfigsResource,
    list_partition_reassignments_request::ListPartitionReassignmentsTopics,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A topic in a listing.
#[derive(Clone, Debug)]
pub struct ListedTopic {
    /// Its id; nil from a broker that has none.
    pub id: Uuid,
    /// Whether it is the broker's own.
    pub is_internal: bool,
    /// How many partitions it has.
    pub partitions: usize,
}

/// All topics by name.
///
/// # Errors
/// As [`Cluster::retry`].
pub fn list_topics(cluster: &mut Cluster) -> Result<BTreeMap<String, ListedTopic>> {
    let answer = cluster.retry("listTopics", |cluster| cluster.metadata(Topics::All))?;
    let listed = answer.topics.into_iter().filter_map(|topic| {
        let name = topic.name?.0.to_string();
        let partitions = topic.partitions.len();
        Some((name, ListedTopic { id: topic.topic_id, is_internal: topic.is_internal, partitions }))
    });
    Ok(listed.collect())
}

/// A topic with its partitions.
#[derive(Clone, Debug)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id; nil from a broker that has none.
    pub id: Uuid,
    /// In the order of their numbers.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition's state.
#[derive(Clone, Debug)]
pub struct PartitionDescription {
    /// From 0.
    pub index: i32,
    /// `None` while it has none.
    pub leader: Option<i32>,
    /// All that keep it.
    pub replicas: Vec<i32>,
    /// Those that are in sync.
    pub in_sync: Vec<i32>,
    /// Eligible leaders (KIP-966), from a broker that knows them.
    pub eligible: Option<Vec<i32>>,
    /// The last eligible leaders, from a broker that knows them.
    pub last_eligible: Option<Vec<i32>>,
}

/// Describes topics by name, in the order of names, `page` partitions in one answer at most.
///
/// # Errors
/// The first topic's that has one.
pub fn describe_topics(cluster: &mut Cluster, names: &[String], page: i32) -> Result<Vec<TopicDescription>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let found = cluster.retry("describeTopicPartitions", |cluster| {
        cluster.on_any(|connection| match connection.version::<DescribeTopicPartitionsRequest>() {
            Ok(version) => describe_by_pages(connection, version, names, page).map(Some),
            Err(ClientError::Unsupported(_)) => Ok(None),
            Err(error) => Err(error),
        })
    })?;
    match found {
        Some(found) => Ok(found),
        None => describe_by_metadata(cluster, names),
    }
}

fn describe_by_pages(
    connection: &mut Connection,
    version: i16,
    names: &[String],
    page: i32,
) -> Result<Vec<TopicDescription>> {
    let mut found: BTreeMap<String, TopicDescription> = BTreeMap::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let mut request = DescribeTopicPartitionsRequest::default();
        // Only what the cursor has not passed; names are in order on both sides.
        let from = cursor.as_ref().map_or("", |cursor| cursor.topic_name.0.as_str());
        let mut left: Vec<&String> = names.iter().filter(|name| name.as_str() >= from).collect();
        left.sort();
        request.topics =
            left.iter().map(|name| TopicRequest::default().with_name(topic_name(name))).collect();
        request.response_partition_limit = page;
        request.cursor = cursor.take();
        let answer = connection.call(version, &request)?;
        for topic in answer.topics {
            let name = topic.name.map(|name| name.0.to_string()).unwrap_or_default();
            ClientError::check(topic.error_code)?;
            let described = found.entry(name.clone()).or_insert_with(|| TopicDescription {
                name,
                id: topic.topic_id,
                partitions: Vec::new(),
            });
            let ids = |ids: Vec<BrokerId>| ids.into_iter().map(|id| id.0).collect();
            described.partitions.extend(topic.partitions.into_iter().map(|partition| PartitionDescription {
                index: partition.partition_index,
                leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
                replicas: ids(partition.replica_nodes),
                in_sync: ids(partition.isr_nodes),
                eligible: partition.eligible_leader_replicas.map(ids),
                last_eligible: partition.last_known_elr.map(ids),
            }));
        }
        let Some(next) = answer.next_cursor else { break };
        let mut after = Cursor::default();
        after.topic_name = next.topic_name;
        after.partition_index = next.partition_index;
        cursor = Some(after);
    }
    let mut found: Vec<_> = found.into_values().collect();
    for topic in &mut found {
        topic.partitions.sort_by_key(|partition| partition.index);
    }
    Ok(found)
}

fn describe_by_metadata(cluster: &mut Cluster, names: &[String]) -> Result<Vec<TopicDescription>> {
    let answer = cluster.retry("describeTopics", |cluster| cluster.metadata(Topics::Named(names)))?;
    let mut found = Vec::new();
    for topic in answer.topics {
        ClientError::check(topic.error_code)?;
        let ids = |ids: Vec<BrokerId>| ids.into_iter().map(|id| id.0).collect();
        let mut partitions: Vec<_> = topic
            .partitions
            .into_iter()
            .map(|partition| PartitionDescription {
                index: partition.partition_index,
                leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
                replicas: ids(partition.replica_nodes),
                in_sync: ids(partition.isr_nodes),
                eligible: None,
                last_eligible: None,
            })
            .collect();
        partitions.sort_by_key(|partition| partition.index);
        let name = topic.name.map(|name| name.0.to_string()).unwrap_or_default();
        found.push(TopicDescription { name, id: topic.topic_id, partitions });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Creates one topic.
///
/// # Errors
/// The broker's, with its message.
pub fn create_topic(cluster: &mut Cluster, topic: &CreatableTopic) -> Result<()> {
    let timeout = millis(cluster);
    cluster.retry("createTopics", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<CreateTopicsRequest>()?;
            let mut request = CreateTopicsRequest::default();
            request.topics = vec![topic.clone()];
            request.timeout_ms = timeout;
            let answer = connection.call(version, &request)?;
            first_error(answer.topics.iter().map(|topic| (topic.error_code, topic.error_message.as_deref())))
        })
    })
}

/// Creates more partitions.
///
/// # Errors
/// The first topic's that has one.
pub fn create_partitions(cluster: &mut Cluster, topics: &[CreatePartitionsTopic]) -> Result<()> {
    let timeout = millis(cluster);
    cluster.retry("createPartitions", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<CreatePartitionsRequest>()?;
            let mut request = CreatePartitionsRequest::default();
            request.topics = topics.to_vec();
            request.timeout_ms = timeout;
            let answer = connection.call(version, &request)?;
            first_error(answer.results.iter().map(|topic| (topic.error_code, topic.error_message.as_deref())))
        })
    })
}

/// Deletes topics by name.
///
/// # Errors
/// The first topic's that has one.
pub fn delete_topics(cluster: &mut Cluster, names: &[String]) -> Result<()> {
    let timeout = millis(cluster);
    cluster.retry("deleteTopics", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<DeleteTopicsRequest>()?;
            let mut request = DeleteTopicsRequest::default();
            if version >= 6 {
                let state = |name: &String| DeleteTopicState::default().with_name(Some(topic_name(name)));
                request.topics = names.iter().map(state).collect();
            } else {
                request.topic_names = names.iter().map(|name| topic_name(name)).collect();
            }
            request.timeout_ms = timeout;
            let answer = connection.call(version, &request)?;
            let errors = answer.responses.iter();
            first_error(errors.map(|topic| (topic.error_code, topic.error_message.as_deref())))
        })
    })
}

/// The kinds of what has a configuration (`ConfigResource.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
#[allow(missing_docs)]
pub enum Resource {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

/// One configuration of a resource.
#[derive(Clone, Debug)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// `None` where it is unset, or sensitive.
    pub value: Option<String>,
    /// Where it comes from (`DescribeConfigsResponse.ConfigSource`).
    pub source: i8,
    /// Whether its value is hidden.
    pub is_sensitive: bool,
    /// All that set it, the strongest first: name, value, source.
    pub synonyms: Vec<(String, Option<String>, i8)>,
}

impl ConfigEntry {
    /// Whether it is as the broker came (`ConfigSource.DEFAULT_CONFIG`).
    pub fn is_default(&self) -> bool {
        self.source == 5
    }
}

/// The configurations of a resource, in the broker's order.
///
/// # Errors
/// The broker's.
pub fn describe_configs(
    cluster: &mut Cluster,
    kind: Resource,
    name: &str,
    synonyms: bool,
) -> Result<Vec<ConfigEntry>> {
    let broker = match kind {
        Resource::Broker | Resource::BrokerLogger if !name.is_empty() => name.parse().ok(),
        _ => None,
    };
    cluster
        .retry("describeConfigs", |cluster| {
            let ask = |connection: &mut Connection| {
                let version = connection.version::<DescribeConfigsRequest>()?;
                let mut resource = DescribeConfigsResource::default();
                resource.resource_type = kind as i8;
                resource.resource_name = text(name);
                resource.configuration_keys = None;
                let mut request = DescribeConfigsRequest::default();
                request.resources = vec![resource];
                request.include_synonyms = synonyms;
                let answer = connection.call(version, &request)?;
                let Some(result) = answer.results.into_iter().next() else { return Ok(Vec::new()) };
                if let Some(error) = ClientError::of(result.error_code, result.error_message.as_deref()) {
                    return Err(error);
                }
                Ok(result.configs)
            };
            match broker {
                Some(id) => cluster.on_node(id, ask),
                None => cluster.on_any(ask),
            }
        })
        .map(|configs| {
            configs
                .into_iter()
                .map(|config| ConfigEntry {
                    name: config.name.to_string(),
                    value: config.value.map(|value| value.to_string()),
                    source: config.config_source,
                    is_sensitive: config.is_sensitive,
                    synonyms: config
                        .synonyms
                        .into_iter()
                        .map(|synonym| {
                            (
                                synonym.name.to_string(),
                                synonym.value.map(|value| value.to_string()),
                                synonym.source,
                            )
                        })
                        .collect(),
                })
                .collect()
        })
}

/// Changes configurations of a resource, one by one or not at all.
///
/// # Errors
/// The broker's.
pub fn alter_configs(cluster: &mut Cluster, resource: &AlterConfigsResource) -> Result<()> {
    let kinds = [Resource::Broker as i8, Resource::BrokerLogger as i8];
    let broker: Option<i32> = match resource.resource_name.as_str() {
        name if kinds.contains(&resource.resource_type) => name.parse().ok(),
        _ => None,
    };
    cluster.retry("incrementalAlterConfigs", |cluster| {
        let ask = |connection: &mut Connection| {
            let version = connection.version::<IncrementalAlterConfigsRequest>()?;
            let mut request = IncrementalAlterConfigsRequest::default();
            request.resources = vec![resource.clone()];
            let answer = connection.call(version, &request)?;
            let errors = answer.responses.iter();
            first_error(errors.map(|it| (it.error_code, it.error_message.as_deref())))
        };
        match broker {
            Some(id) => cluster.on_node(id, ask),
            None => cluster.on_any(ask),
        }
    })
}

/// The numbers of all brokers that are alive, or of the controllers where only those are asked.
///
/// # Errors
/// As [`Cluster::retry`].
pub fn live_brokers(cluster: &mut Cluster) -> Result<Vec<i32>> {
    cluster.retry("listNodes", |cluster| {
        Ok(cluster.describe(false)?.brokers.iter().map(|broker| broker.broker_id.0).collect())
    })
}

/// A partition's replicas while they change.
#[derive(Clone, Debug)]
pub struct Reassignment {
    /// All.
    pub replicas: Vec<i32>,
    /// Those that come.
    pub adding: Vec<i32>,
    /// Those that go.
    pub removing: Vec<i32>,
}

/// The reassignments under way among these partitions; none from a broker that does not tell.
///
/// # Errors
/// The broker's.
pub fn reassignments(
    cluster: &mut Cluster,
    topics: &[TopicDescription],
) -> Result<BTreeMap<TopicPartition, Reassignment>> {
    let asked: Vec<_> = topics
        .iter()
        .map(|topic| {
            let mut asked = ListPartitionReassignmentsTopics::default();
            asked.name = topic_name(&topic.name);
            asked.partition_indexes = topic.partitions.iter().map(|partition| partition.index).collect();
            asked
        })
        .collect();
    let timeout = millis(cluster);
    let answer = cluster.retry("listPartitionReassignments", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<ListPartitionReassignmentsRequest>()?;
            let mut request = ListPartitionReassignmentsRequest::default();
            request.topics = Some(asked.clone());
            request.timeout_ms = timeout;
            let answer = connection.call(version, &request)?;
            match ClientError::of(answer.error_code, answer.error_message.as_deref()) {
                Some(error) => Err(error),
                None => Ok(answer),
            }
        })
    });
    let answer = match answer {
        Ok(answer) => answer,
        // Kafka's own tool goes on without them where the broker cannot, or will not, tell.
        Err(ClientError::Unsupported(_) | ClientError::Broker { code: 31 | 35, .. }) => {
            return Ok(BTreeMap::new());
        }
        Err(error) => return Err(error),
    };
    let ids = |ids: Vec<BrokerId>| ids.into_iter().map(|id| id.0).collect();
    let mut found = BTreeMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            let place = TopicPartition::new(topic.name.0.as_str(), partition.partition_index);
            let reassignment = Reassignment {
                replicas: ids(partition.replicas),
                adding: ids(partition.adding_replicas),
                removing: ids(partition.removing_replicas),
            };
            found.insert(place, reassignment);
        }
    }
    Ok(found)
}

fn first_error<'a>(mut errors: impl Iterator<Item = (i16, Option<&'a str>)>) -> Result<()> {
    errors.find_map(|(code, message)| ClientError::of(code, message)).map_or(Ok(()), Err)
}

fn millis(cluster: &Cluster) -> i32 {
    i32::try_from(cluster.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
}
