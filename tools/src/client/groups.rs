//! Single questions about groups and their offsets.

use super::{
    TopicPartition,
    cluster::{Cluster, Topics},
    connection::Connection,
    error::{ClientError, Result},
    group_id,
    member_data::{Assignment, decode_assignment},
    text, topic_name,
};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    consumer_group_describe_response::{self, DescribedGroup as ConsumerGroup},
    describe_groups_response::DescribedGroup as ClassicGroup,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
    offset_fetch_request::OffsetFetchRequestGroup,
};
use std::collections::BTreeMap;

/// A group in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its name.
    pub id: String,
    /// `consumer`, nothing for one that only keeps offsets, or another protocol's name.
    pub protocol: String,
    /// As `Stable`; nothing from old brokers.
    pub state: String,
    /// As `classic`; nothing from old brokers.
    pub kind: String,
}

/// The groups of all brokers, in the order of names; of these states and kinds only, all for none.
///
/// # Errors
/// As [`Cluster::retry`].
pub fn list_groups(cluster: &mut Cluster, states: &[String], kinds: &[String]) -> Result<Vec<ListedGroup>> {
    let brokers = cluster.retry("findAllBrokers", |cluster| {
        cluster.metadata(Topics::None)?;
        let ids: Vec<i32> = cluster.nodes().map(|node| node.id).collect();
        if ids.is_empty() {
            Err(ClientError::of(5, None).unwrap_or(ClientError::Interrupted))
        } else {
            Ok(ids)
        }
    })?;
    let mut found = BTreeMap::new();
    for id in brokers {
        let listed = cluster.retry("listGroups", |cluster| {
            cluster.on_node(id, |connection| list_of(connection, states, kinds))
        })?;
        found.extend(listed.into_iter().map(|group| (group.id.clone(), group)));
    }
    Ok(found.into_values().collect())
}

fn list_of(connection: &mut Connection, states: &[String], kinds: &[String]) -> Result<Vec<ListedGroup>> {
    let version = connection.version::<ListGroupsRequest>()?;
    let mut request = ListGroupsRequest::default();
    let too_old = |what: &str, least: i16| {
        ClientError::Unsupported(format!(
            "The broker only supports ListGroups v{version}, but we need v{least} or newer to request groups by {what}."
        ))
    };
    let texts = |filter: &[String]| filter.iter().map(|item| text(item)).collect();
    if version >= 4 {
        request.states_filter = texts(states);
    } else if !states.is_empty() {
        return Err(too_old("states", 4));
    }
    if version >= 5 {
        request.types_filter = texts(kinds);
    } else if kinds.iter().any(|kind| kind != "classic") && !kinds.iter().any(|kind| kind == "classic") {
        return Err(too_old("type", 5));
    }
    let answer = connection.call(version, &request)?;
    ClientError::check(answer.error_code)?;
    let listed = answer.groups.into_iter().map(|group| ListedGroup {
        id: group.group_id.0.to_string(),
        protocol: group.protocol_type.to_string(),
        state: group.group_state.to_string(),
        kind: group.group_type.to_string(),
    });
    Ok(listed.collect())
}

/// A group with its members.
#[derive(Clone, Debug)]
pub struct DescribedGroup {
    /// Its name.
    pub id: String,
    /// As `Stable`.
    pub state: String,
    /// Its assignor; nothing where it has no members.
    pub assignor: String,
    /// The broker that coordinates it: number, host, port.
    pub coordinator: (i32, String, u16),
    /// Of the new protocol (KIP-848).
    pub epoch: Option<i32>,
    /// Of the new protocol.
    pub assignment_epoch: Option<i32>,
    /// In the broker's order.
    pub members: Vec<DescribedMember>,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub struct DescribedMember {
    /// Its id.
    pub id: String,
    /// Of a static member.
    pub instance: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// As `/127.0.0.1`.
    pub host: String,
    /// What it has.
    pub assignment: Assignment,
    /// What it will have; of the new protocol.
    pub target: Option<Assignment>,
    /// Of the new protocol.
    pub epoch: Option<i32>,
    /// Whether a member of a group that changes protocols uses the new one.
    pub is_upgraded: Option<bool>,
}

/// Describes a group of either protocol.
///
/// # Errors
/// The coordinator's; GROUP_ID_NOT_FOUND for one that is not there.
pub fn describe_group(cluster: &mut Cluster, group: &str) -> Result<DescribedGroup> {
    cluster.retry("describeConsumerGroups", |cluster| {
        let id = cluster.coordinator(group)?;
        let node = cluster.node(id).cloned();
        let coordinator = node.map_or((id, String::new(), 0), |node| (id, node.host, node.port));
        cluster.on_node(id, |connection| {
            match describe_new(connection, group) {
                Ok(found) => return Ok(from_new(found, &coordinator)),
                // GROUP_ID_NOT_FOUND or none of the new groups: perhaps it is a classic one.
                Err(ClientError::Broker { code: 69, .. } | ClientError::Unsupported(_)) => (),
                Err(error) => return Err(error),
            }
            describe_classic(connection, group).map(|found| from_classic(found, &coordinator))
        })
    })
}

fn describe_new(connection: &mut Connection, group: &str) -> Result<ConsumerGroup> {
    let version = connection.version::<ConsumerGroupDescribeRequest>()?;
    let mut request = ConsumerGroupDescribeRequest::default();
    request.group_ids = vec![group_id(group)];
    let answer = connection.call(version, &request)?;
    only(connection, answer.groups, |group| ClientError::of(group.error_code, group.error_message.as_deref()))
}

fn describe_classic(connection: &mut Connection, group: &str) -> Result<ClassicGroup> {
    let version = connection.version::<DescribeGroupsRequest>()?;
    let mut request = DescribeGroupsRequest::default();
    request.groups = vec![group_id(group)];
    let answer = connection.call(version, &request)?;
    only(connection, answer.groups, |group| ClientError::of(group.error_code, group.error_message.as_deref()))
}

/// The one group that was asked for, unless it has an error.
fn only<T>(
    connection: &Connection,
    groups: Vec<T>,
    error: impl FnOnce(&T) -> Option<ClientError>,
) -> Result<T> {
    let found = groups.into_iter().next().ok_or_else(|| ClientError::Protocol {
        peer: connection.peer().into(),
        reason: "an answer about no group".into(),
    })?;
    error(&found).map_or(Ok(found), Err)
}

fn from_new(found: ConsumerGroup, coordinator: &(i32, String, u16)) -> DescribedGroup {
    let assignment = |assignment: consumer_group_describe_response::Assignment| -> Assignment {
        assignment
            .topic_partitions
            .into_iter()
            .map(|topic| (topic.topic_name.0.to_string(), topic.partitions))
            .collect()
    };
    DescribedGroup {
        id: found.group_id.0.to_string(),
        state: found.group_state.to_string(),
        assignor: found.assignor_name.to_string(),
        coordinator: coordinator.clone(),
        epoch: Some(found.group_epoch),
        assignment_epoch: Some(found.assignment_epoch),
        members: found
            .members
            .into_iter()
            .map(|member| DescribedMember {
                id: member.member_id.to_string(),
                instance: member.instance_id.map(|id| id.to_string()),
                client_id: member.client_id.to_string(),
                host: member.client_host.to_string(),
                assignment: assignment(member.assignment),
                target: Some(assignment(member.target_assignment)),
                epoch: Some(member.member_epoch),
                is_upgraded: match member.member_type {
                    0 => Some(false),
                    1 => Some(true),
                    _ => None,
                },
            })
            .collect(),
    }
}

fn from_classic(found: ClassicGroup, coordinator: &(i32, String, u16)) -> DescribedGroup {
    DescribedGroup {
        id: found.group_id.0.to_string(),
        state: found.group_state.to_string(),
        assignor: found.protocol_data.to_string(),
        coordinator: coordinator.clone(),
        epoch: None,
        assignment_epoch: None,
        members: found
            .members
            .into_iter()
            .map(|member| DescribedMember {
                id: member.member_id.to_string(),
                instance: member.group_instance_id.map(|id| id.to_string()),
                client_id: member.client_id.to_string(),
                host: member.client_host.to_string(),
                // Another protocol's bytes (Connect's) are no partitions.
                assignment: decode_assignment(&member.member_assignment).unwrap_or_default(),
                target: None,
                epoch: None,
                is_upgraded: None,
            })
            .collect(),
    }
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next record to be read.
    pub offset: i64,
    /// The leader epoch of the last one read, where it is known.
    pub epoch: Option<i32>,
}

/// All offsets of a group.
///
/// # Errors
/// The coordinator's.
pub fn committed(cluster: &mut Cluster, group: &str) -> Result<BTreeMap<TopicPartition, Committed>> {
    cluster.retry("listConsumerGroupOffsets", |cluster| {
        cluster.on_coordinator(group, |connection| committed_at(connection, group))
    })
}

fn committed_at(connection: &mut Connection, group: &str) -> Result<BTreeMap<TopicPartition, Committed>> {
    let version = connection.version::<OffsetFetchRequest>()?;
    let mut request = OffsetFetchRequest::default();
    if version >= 8 {
        let mut wanted = OffsetFetchRequestGroup::default();
        wanted.group_id = group_id(group);
        wanted.topics = None;
        request.groups = vec![wanted];
    } else {
        request.group_id = group_id(group);
        request.topics = None;
    }
    let answer = connection.call(version, &request)?;
    let mut found = BTreeMap::new();
    let mut keep = |topic: &str, partition: i32, code: i16, offset: i64, epoch: i32| {
        ClientError::check(code)?;
        if offset >= 0 {
            let epoch = Some(epoch).filter(|epoch| *epoch >= 0);
            found.insert(TopicPartition::new(topic, partition), Committed { offset, epoch });
        }
        Ok(())
    };
    if version >= 8 {
        for topic in answer.groups.iter().flat_map(|group| &group.topics) {
            for it in &topic.partitions {
                keep(
                    topic.name.0.as_str(),
                    it.partition_index,
                    it.error_code,
                    it.committed_offset,
                    it.committed_leader_epoch,
                )?;
            }
        }
        answer.groups.iter().try_for_each(|group| ClientError::check(group.error_code))?;
    } else {
        ClientError::check(answer.error_code)?;
        for topic in &answer.topics {
            for it in &topic.partitions {
                keep(
                    topic.name.0.as_str(),
                    it.partition_index,
                    it.error_code,
                    it.committed_offset,
                    it.committed_leader_epoch,
                )?;
            }
        }
    }
    Ok(found)
}

/// Who commits: a member, or nobody in particular, which an empty group allows.
#[derive(Clone, Debug, Default)]
pub struct Committer {
    /// The member's id.
    pub member: String,
    /// The generation of the classic protocol, the member's epoch of the new one; -1 for nobody.
    pub generation: i32,
    /// Of a static member.
    pub instance: Option<String>,
}

impl Committer {
    /// Nobody in particular.
    pub fn nobody() -> Committer {
        Committer { generation: -1, ..Committer::default() }
    }
}

/// Commits offsets.
///
/// # Errors
/// The coordinator's; the first partition's that has one.
pub fn commit(
    cluster: &mut Cluster,
    group: &str,
    committer: &Committer,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> Result<()> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (place, offset) in offsets {
        let mut partition = OffsetCommitRequestPartition::default();
        partition.partition_index = place.partition;
        partition.committed_offset = *offset;
        partition.committed_leader_epoch = -1;
        partition.committed_metadata = Some(text(""));
        topics.entry(&place.topic).or_default().push(partition);
    }
    let topics: Vec<_> = topics
        .into_iter()
        .map(|(name, partitions)| {
            OffsetCommitRequestTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        })
        .collect();
    cluster.retry("alterConsumerGroupOffsets", |cluster| {
        cluster.on_coordinator(group, |connection| {
            let version = connection.version::<OffsetCommitRequest>()?;
            let mut request = OffsetCommitRequest::default();
            request.group_id = group_id(group);
            request.generation_id_or_member_epoch = committer.generation;
            request.member_id = text(&committer.member);
            if version >= 7 {
                request.group_instance_id = committer.instance.as_deref().map(text);
            }
            request.topics = topics.clone();
            let answer = connection.call(version, &request)?;
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.try_for_each(|it| ClientError::check(it.error_code))
        })
    })
}

/// Deletes a group.
///
/// # Errors
/// The coordinator's.
pub fn delete_group(cluster: &mut Cluster, group: &str) -> Result<()> {
    cluster.retry("deleteConsumerGroups", |cluster| {
        cluster.on_coordinator(group, |connection| {
            let version = connection.version::<DeleteGroupsRequest>()?;
            let mut request = DeleteGroupsRequest::default();
            request.groups_names = vec![group_id(group)];
            let answer = connection.call(version, &request)?;
            answer.results.iter().try_for_each(|result| ClientError::check(result.error_code))
        })
    })
}

/// Deletes offsets of a group; each partition has its own outcome.
///
/// # Errors
/// The coordinator's, for the group as a whole.
pub fn delete_offsets(
    cluster: &mut Cluster,
    group: &str,
    places: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, Result<()>>> {
    let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for place in places {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(place.partition);
        topics.entry(&place.topic).or_default().push(partition);
    }
    cluster.retry("offsetDelete", |cluster| {
        cluster.on_coordinator(group, |connection| {
            let version = connection.version::<OffsetDeleteRequest>()?;
            let mut request = OffsetDeleteRequest::default();
            request.group_id = group_id(group);
            let named = topics.iter().map(|(name, partitions)| {
                let topic = OffsetDeleteRequestTopic::default().with_name(topic_name(name));
                topic.with_partitions(partitions.clone())
            });
            request.topics = named.collect();
            let answer = connection.call(version, &request)?;
            ClientError::check(answer.error_code)?;
            let mut outcomes = BTreeMap::new();
            for topic in answer.topics {
                for partition in topic.partitions {
                    let place = TopicPartition::new(topic.name.0.as_str(), partition.partition_index);
                    outcomes.insert(place, ClientError::check(partition.error_code));
                }
            }
            Ok(outcomes)
        })
    })
}
