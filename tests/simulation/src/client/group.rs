//! Groups on the wire: what members ask, and what they are answered.

use super::{answer::Answer, transaction::Producer};
use bytes::{Buf, BufMut, Bytes};
use corelane_core::{
    error::ErrorCode,
    ids::{PartitionId, TopicId},
    wire::{WireError, decode_response, encode_request},
};
use kafka_protocol::{
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, FindCoordinatorRequest,
        FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
        LeaveGroupRequest, LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
        OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse, TopicName, TxnOffsetCommitRequest,
        TxnOffsetCommitResponse, consumer_group_heartbeat_request,
        join_group_request::JoinGroupRequestProtocol, leave_group_request::MemberIdentity,
        offset_commit_request, offset_fetch_request, sync_group_request::SyncGroupRequestAssignment,
        txn_offset_commit_request,
    },
    protocol::StrBytes,
};
use std::{collections::BTreeMap, rc::Rc};
use uuid::Uuid;

/// A partition with the name of its topic.
pub type Named = (PartitionId, Rc<str>);

/// What a member of a group asks.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum GroupRequest {
    FindCoordinator,
    /// Under the name it has, or none.
    Join {
        member: Rc<str>,
    },
    /// Of a leader with everyone's partitions.
    Sync {
        member: Rc<str>,
        generation: i32,
        assignments: Vec<(Rc<str>, Vec<PartitionId>)>,
    },
    Heartbeat {
        member: Rc<str>,
        generation: i32,
    },
    Leave {
        member: Rc<str>,
    },
    Commit {
        member: Rc<str>,
        generation: i32,
        /// By a member of the new protocol.
        by_epoch: bool,
        offsets: Vec<(Named, i64)>,
    },
    /// ConsumerGroupHeartbeat: epoch 0 joins, −1 leaves.
    Report {
        member: Rc<str>,
        epoch: i32,
        /// Topics, when it joins.
        wants: Option<Vec<Rc<str>>>,
        /// What it owns, after a change.
        owned: Option<Vec<PartitionId>>,
    },
    FetchOffsets {
        partitions: Vec<Named>,
        /// Only where no transaction is about to change them (KIP-447).
        stable: bool,
    },
    /// TxnOffsetCommit, of whoever reads in the group's name without being a member.
    CommitInTransaction {
        id: Rc<str>,
        producer: Producer,
        /// The group becomes a part of the transaction by this (version 2).
        adds: bool,
        offset: (Named, i64),
    },
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum GroupAnswer {
    /// The coordinator's node id.
    FindCoordinator(Result<i32, ErrorCode>),
    Join(Result<Joined, (ErrorCode, Rc<str>)>),
    Sync(Result<Vec<PartitionId>, ErrorCode>),
    Heartbeat(ErrorCode),
    Report(Result<Reported, ErrorCode>),
    Leave(ErrorCode),
    /// In the order of the request.
    Commit(Vec<ErrorCode>),
    /// In the order of the request; −1 where nothing is committed.
    Offsets(Result<Vec<i64>, ErrorCode>),
}

/// A member's place in a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Which generation.
    pub generation: i32,
    /// Its name.
    pub member: Rc<str>,
    /// All members, if it leads.
    pub members: Vec<Rc<str>>,
}

/// What a member of the new protocol is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Its epoch from now on.
    pub epoch: i32,
    /// What it owns from now on, if that has changed.
    pub assignment: Option<Vec<PartitionId>>,
}

/// How long a member may stay silent, and a rebalance may wait for it, in ms. Less than a client waits for an answer.
const SESSION_MS: i32 = 6_000;
const REBALANCE_MS: i32 = 12_000;

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn name(value: &str) -> TopicName {
    TopicName(text(value))
}

impl GroupRequest {
    /// Versions in which it can be asked.
    pub fn versions(&self) -> &'static [i16] {
        match self {
            GroupRequest::FindCoordinator => &[0, 1, 2, 3, 4, 5, 6],
            // From version 4 on a new member must come back with the name it is given.
            GroupRequest::Join { .. } => &[2, 3, 4, 5, 7, 9],
            GroupRequest::Sync { .. } => &[0, 2, 3, 4, 5],
            GroupRequest::Heartbeat { .. } => &[0, 2, 3, 4],
            GroupRequest::Leave { .. } => &[0, 2, 3, 5],
            // Older versions cannot name an epoch.
            GroupRequest::Commit { by_epoch: true, .. } => &[9],
            GroupRequest::Commit { .. } => &[2, 5, 6, 7, 8, 9],
            // From version 1 on members name themselves.
            GroupRequest::Report { .. } => &[1],
            GroupRequest::FetchOffsets { stable: true, .. } => &[7, 8, 9],
            GroupRequest::FetchOffsets { stable: false, .. } => &[1, 2, 5, 7, 8, 9],
            GroupRequest::CommitInTransaction { adds: true, .. } => &[5],
            GroupRequest::CommitInTransaction { adds: false, .. } => &[0, 1, 2, 3, 4],
        }
    }

    /// The frame.
    pub fn encode(&self, group: &str, correlation: i32, version: i16) -> Result<Bytes, WireError> {
        let id = Some("sim");
        match self {
            GroupRequest::FindCoordinator => {
                encode_request(correlation, id, version, &find_coordinator(group, version))
            }
            GroupRequest::Join { member } => {
                let protocol = JoinGroupRequestProtocol::default()
                    .with_name(text("sim"))
                    .with_metadata(Bytes::from_static(b"metadata"));
                let request = JoinGroupRequest::default()
                    .with_group_id(text(group).into())
                    .with_session_timeout_ms(SESSION_MS)
                    .with_rebalance_timeout_ms(REBALANCE_MS)
                    .with_member_id(text(member))
                    .with_protocol_type(text("sim"))
                    .with_protocols(vec![protocol]);
                encode_request(correlation, id, version, &request)
            }
            GroupRequest::Sync { member, generation, assignments } => {
                let assignments = assignments.iter().map(|(member, partitions)| {
                    SyncGroupRequestAssignment::default()
                        .with_member_id(text(member))
                        .with_assignment(to_bytes(partitions))
                });
                let mut request = SyncGroupRequest::default()
                    .with_group_id(text(group).into())
                    .with_generation_id(*generation)
                    .with_member_id(text(member))
                    .with_assignments(assignments.collect());
                if version >= 5 {
                    request.protocol_type = Some(text("sim"));
                    request.protocol_name = Some(text("sim"));
                }
                encode_request(correlation, id, version, &request)
            }
            GroupRequest::Heartbeat { member, generation } => {
                let request = HeartbeatRequest::default()
                    .with_group_id(text(group).into())
                    .with_generation_id(*generation)
                    .with_member_id(text(member));
                encode_request(correlation, id, version, &request)
            }
            GroupRequest::Leave { member } => {
                let mut request = LeaveGroupRequest::default().with_group_id(text(group).into());
                if version >= 3 {
                    request.members = vec![MemberIdentity::default().with_member_id(text(member))];
                } else {
                    request.member_id = text(member);
                }
                encode_request(correlation, id, version, &request)
            }
            GroupRequest::Report { member, epoch, wants, owned } => {
                let request = report(group, member, *epoch, wants.as_deref(), owned.as_deref());
                encode_request(correlation, id, version, &request)
            }
            GroupRequest::Commit { member, generation, offsets, .. } => {
                let topics = offsets.iter().map(|((partition, topic), offset)| {
                    let partition = offset_commit_request::OffsetCommitRequestPartition::default()
                        .with_partition_index(partition.index)
                        .with_committed_offset(*offset)
                        .with_committed_metadata(Some(text("")));
                    offset_commit_request::OffsetCommitRequestTopic::default()
                        .with_name(name(topic))
                        .with_partitions(vec![partition])
                });
                let request = OffsetCommitRequest::default()
                    .with_group_id(text(group).into())
                    .with_generation_id_or_member_epoch(*generation)
                    .with_member_id(text(member))
                    .with_topics(topics.collect());
                encode_request(correlation, id, version, &request)
            }
            GroupRequest::FetchOffsets { partitions, stable } => {
                let mut request = fetch_offsets(group, partitions, version);
                request.require_stable = *stable;
                encode_request(correlation, id, version, &request)
            }
            GroupRequest::CommitInTransaction { id: transaction, producer, offset, .. } => {
                let request = commit_in_transaction(group, transaction, *producer, offset);
                encode_request(correlation, id, version, &request)
            }
        }
    }

    /// Reads the answer.
    pub fn decode(&self, version: i16, frame: &Bytes) -> Result<(i32, Answer), String> {
        let unreadable = |error: WireError| error.to_string();
        let (id, answer) = match self {
            GroupRequest::FindCoordinator => {
                let (id, found) = coordinator_found(version, frame)?;
                (id, GroupAnswer::FindCoordinator(found))
            }
            GroupRequest::Join { .. } => {
                let (id, response) =
                    decode_response::<JoinGroupResponse>(version, frame).map_err(unreadable)?;
                let member: Rc<str> = response.member_id.as_str().into();
                let joined = match code(response.error_code)? {
                    ErrorCode::None => Ok(Joined {
                        generation: response.generation_id,
                        member,
                        members: response.members.iter().map(|it| it.member_id.as_str().into()).collect(),
                    }),
                    error => Err((error, member)),
                };
                (id, GroupAnswer::Join(joined))
            }
            GroupRequest::Sync { .. } => {
                let (id, response) =
                    decode_response::<SyncGroupResponse>(version, frame).map_err(unreadable)?;
                let assigned = match code(response.error_code)? {
                    ErrorCode::None => Ok(from_bytes(response.assignment)?),
                    error => Err(error),
                };
                (id, GroupAnswer::Sync(assigned))
            }
            GroupRequest::Heartbeat { .. } => {
                let (id, response) =
                    decode_response::<HeartbeatResponse>(version, frame).map_err(unreadable)?;
                (id, GroupAnswer::Heartbeat(code(response.error_code)?))
            }
            GroupRequest::Leave { .. } => {
                let (id, response) =
                    decode_response::<LeaveGroupResponse>(version, frame).map_err(unreadable)?;
                let member = response.members.first().map_or(0, |member| member.error_code);
                let error = if response.error_code == 0 { member } else { response.error_code };
                (id, GroupAnswer::Leave(code(error)?))
            }
            GroupRequest::Report { .. } => {
                let (id, response) =
                    decode_response::<ConsumerGroupHeartbeatResponse>(version, frame).map_err(unreadable)?;
                let reported = match code(response.error_code)? {
                    ErrorCode::None => Ok(Reported {
                        epoch: response.member_epoch,
                        assignment: response.assignment.map(|assignment| {
                            let topics = assignment.topic_partitions.into_iter();
                            let partitions = topics.flat_map(|topic| {
                                let id = TopicId(topic.topic_id);
                                let each = topic.partitions.into_iter();
                                each.map(move |index| PartitionId { topic: id, index })
                            });
                            partitions.collect()
                        }),
                    }),
                    error => Err(error),
                };
                (id, GroupAnswer::Report(reported))
            }
            GroupRequest::Commit { offsets, .. } => {
                let (id, response) =
                    decode_response::<OffsetCommitResponse>(version, frame).map_err(unreadable)?;
                let errors = response.topics.iter().flat_map(|topic| &topic.partitions);
                let errors: Vec<ErrorCode> =
                    errors.map(|it| code(it.error_code)).collect::<Result<_, String>>()?;
                if errors.len() != offsets.len() {
                    return Err(format!("{} answers to {} commits", errors.len(), offsets.len()));
                }
                (id, GroupAnswer::Commit(errors))
            }
            GroupRequest::CommitInTransaction { .. } => {
                let (id, response) =
                    decode_response::<TxnOffsetCommitResponse>(version, frame).map_err(unreadable)?;
                let errors = response.topics.iter().flat_map(|topic| &topic.partitions);
                let errors: Vec<ErrorCode> =
                    errors.map(|it| code(it.error_code)).collect::<Result<_, String>>()?;
                if errors.len() != 1 {
                    return Err(format!("{} answers to one commit", errors.len()));
                }
                (id, GroupAnswer::Commit(errors))
            }
            GroupRequest::FetchOffsets { partitions, .. } => {
                let (id, response) =
                    decode_response::<OffsetFetchResponse>(version, frame).map_err(unreadable)?;
                (id, GroupAnswer::Offsets(fetched(&response, partitions.len())?))
            }
        };
        Ok((id, Answer::Group(answer)))
    }
}

/// The question for the coordinator of a group; of something else when its key type is set.
pub(super) fn find_coordinator(key: &str, version: i16) -> FindCoordinatorRequest {
    match version >= 4 {
        true => FindCoordinatorRequest::default().with_coordinator_keys(vec![text(key)]),
        false => FindCoordinatorRequest::default().with_key(text(key)),
    }
}

/// The correlation id of the answer, and the coordinator's node id.
pub(super) fn coordinator_found(
    version: i16,
    frame: &Bytes,
) -> Result<(i32, Result<i32, ErrorCode>), String> {
    let (id, response) = decode_response::<FindCoordinatorResponse>(version, frame)
        .map_err(|error: WireError| error.to_string())?;
    let found = response.coordinators.first().map(|it| (it.error_code, it.node_id));
    let (error, node) = found.unwrap_or((response.error_code, response.node_id));
    Ok(match code(error)? {
        ErrorCode::None => (id, Ok(node.0)),
        error => (id, Err(error)),
    })
}

fn report(
    group: &str,
    member: &str,
    epoch: i32,
    wants: Option<&[Rc<str>]>,
    owned: Option<&[PartitionId]>,
) -> ConsumerGroupHeartbeatRequest {
    let owned = owned.map(|owned| {
        let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
        for partition in owned {
            topics.entry(partition.topic).or_default().push(partition.index);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            consumer_group_heartbeat_request::TopicPartitions::default()
                .with_topic_id(topic.0)
                .with_partitions(partitions)
        });
        topics.collect()
    });
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text(group).into())
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(if epoch == 0 { REBALANCE_MS } else { -1 })
        .with_subscribed_topic_names(wants.map(|topics| topics.iter().map(|topic| name(topic)).collect()))
        .with_topic_partitions(owned)
}

fn fetch_offsets(group: &str, partitions: &[Named], version: i16) -> OffsetFetchRequest {
    if version >= 8 {
        let topics = partitions.iter().map(|(partition, topic)| {
            offset_fetch_request::OffsetFetchRequestTopics::default()
                .with_name(name(topic))
                .with_partition_indexes(vec![partition.index])
        });
        let group = offset_fetch_request::OffsetFetchRequestGroup::default()
            .with_group_id(text(group).into())
            .with_topics(Some(topics.collect()));
        return OffsetFetchRequest::default().with_groups(vec![group]);
    }
    let topics = partitions.iter().map(|(partition, topic)| {
        offset_fetch_request::OffsetFetchRequestTopic::default()
            .with_name(name(topic))
            .with_partition_indexes(vec![partition.index])
    });
    OffsetFetchRequest::default().with_group_id(text(group).into()).with_topics(Some(topics.collect()))
}

fn commit_in_transaction(
    group: &str,
    transaction: &str,
    producer: Producer,
    ((partition, topic), offset): &(Named, i64),
) -> TxnOffsetCommitRequest {
    let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default()
        .with_partition_index(partition.index)
        .with_committed_offset(*offset)
        .with_committed_metadata(Some(text("")));
    let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![partition]);
    TxnOffsetCommitRequest::default()
        .with_transactional_id(text(transaction).into())
        .with_group_id(text(group).into())
        .with_producer_id(producer.0.0.into())
        .with_producer_epoch(producer.1.0)
        .with_topics(vec![topic])
}

fn fetched(response: &OffsetFetchResponse, asked: usize) -> Result<Result<Vec<i64>, ErrorCode>, String> {
    let of_group = response.groups.first();
    let error = of_group.map_or(response.error_code, |group| group.error_code);
    let old = response.topics.iter().flat_map(|topic| &topic.partitions);
    let new = of_group.into_iter().flat_map(|group| &group.topics).flat_map(|topic| &topic.partitions);
    let found: Vec<(i64, i16)> = old
        .map(|it| (it.committed_offset, it.error_code))
        .chain(new.map(|it| (it.committed_offset, it.error_code)))
        .collect();
    let error = found.iter().map(|(_, error)| *error).chain([error]).find(|error| *error != 0);
    if let Some(error) = error {
        return Ok(Err(code(error)?));
    }
    if found.len() != asked {
        return Err(format!("{} offsets where {asked} were asked for", found.len()));
    }
    Ok(Ok(found.into_iter().map(|(offset, _)| offset).collect()))
}

fn code(number: i16) -> Result<ErrorCode, String> {
    ErrorCode::from_code(number).ok_or_else(|| format!("error code {number} is unknown"))
}

/// An assignment, in a format of the simulator's own: to the broker it is just bytes.
fn to_bytes(partitions: &[PartitionId]) -> Bytes {
    let mut bytes = Vec::new();
    for partition in partitions {
        bytes.put_u128(partition.topic.0.as_u128());
        bytes.put_i32(partition.index);
    }
    bytes.into()
}

fn from_bytes(mut bytes: Bytes) -> Result<Vec<PartitionId>, String> {
    if !bytes.len().is_multiple_of(20) {
        return Err(format!("an assignment of {} bytes", bytes.len()));
    }
    let mut partitions = Vec::new();
    while bytes.has_remaining() {
        let topic = TopicId(Uuid::from_u128(bytes.get_u128()));
        partitions.push(PartitionId { topic, index: bytes.get_i32() });
    }
    Ok(partitions)
}
