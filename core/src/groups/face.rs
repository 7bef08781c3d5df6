//! What a coordinator is asked, and what it answers.

use super::records::{GroupId, MemberId, Record};
use crate::{
    config::BrokerConfig,
    engine::Asker,
    error::ErrorCode,
    ids::{ProducerEpoch, ProducerId, TopicId},
    metadata::Image,
};
use bytes::Bytes;
use corelane_seam::Now;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
    consumer_group_describe_response,
};
use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// Whom to answer: a request may ask several things, each has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Who.
    pub asker: Asker,
    /// In its request.
    pub place: u32,
}

/// What a decision may look at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// When.
    pub now: Now,
    /// Committed metadata.
    pub image: &'a Image,
    /// With its dynamic settings.
    pub config: &'a BrokerConfig,
}

/// The client behind a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client.id`.
    pub id: Arc<str>,
    /// `/` and its address, as Java prints it.
    pub host: Arc<str>,
    /// Drawn for this request: part of the name that a new member gets.
    pub fresh: Uuid,
}

/// What is asked of one group.
#[derive(Debug)]
pub enum Request {
    /// JoinGroup, in this version.
    Join(Box<JoinGroupRequest>, i16, Client),
    /// SyncGroup.
    Sync(Box<SyncGroupRequest>),
    /// Heartbeat.
    Heartbeat(HeartbeatRequest),
    /// LeaveGroup; one member before version 3 stands in its list, too.
    Leave(LeaveGroupRequest),
    /// ConsumerGroupHeartbeat, [valid](super::consumer::validate).
    ConsumerHeartbeat(Box<ConsumerGroupHeartbeatRequest>, Client),
    /// ConsumerGroupDescribe.
    DescribeConsumer(GroupId),
    /// OffsetCommit.
    Commit(CommitOffsets),
    /// TxnOffsetCommit; answered like OffsetCommit.
    CommitInTransaction(CommitOffsets, Transaction),
    /// OffsetFetch.
    FetchOffsets(FetchOffsets),
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsets),
    /// DescribeGroups.
    Describe(GroupId),
    /// DeleteGroups.
    Delete(GroupId),
}

/// OffsetCommit of one group.
#[derive(Clone, Debug)]
pub struct CommitOffsets {
    /// Whose.
    pub group: GroupId,
    /// Generation of a classic group, or the member's epoch; negative when it is not a member.
    pub generation: i32,
    /// Empty when it is not a member.
    pub member: String,
    /// Its static name.
    pub instance: Option<String>,
    /// When the offsets expire (before version 5); `None`: as the broker is configured.
    pub retention_ms: Option<i64>,
    /// Of the request.
    pub version: i16,
    /// The offsets.
    pub topics: Vec<TopicOffsets<NewOffset>>,
}

/// Whose transaction something is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Whose.
    pub producer: ProducerId,
    /// In which incarnation.
    pub epoch: ProducerEpoch,
}

/// Something of partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOffsets<T> {
    /// The topic's name.
    pub name: Arc<str>,
    /// Its id; zero when not known.
    pub id: TopicId,
    /// By partition.
    pub partitions: Vec<(i32, T)>,
}

/// An offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOffset {
    /// The next to be read.
    pub offset: i64,
    /// Of the last record read; -1 when not known.
    pub leader_epoch: i32,
    /// What the client wants to keep beside it.
    pub metadata: Box<str>,
}

/// OffsetFetch of one group.
#[derive(Clone, Debug)]
pub struct FetchOffsets {
    /// Whose.
    pub group: GroupId,
    /// Set by members of consumer groups (KIP-848).
    pub member: Option<(String, i32)>,
    /// Of which partitions; `None` for all that there are.
    pub topics: Option<Vec<TopicOffsets<()>>>,
    /// Not what a transaction that is open may yet replace (KIP-447): UNSTABLE_OFFSET_COMMIT instead.
    pub require_stable: bool,
}

/// OffsetDelete of one group.
#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    /// Whose.
    pub group: GroupId,
    /// Of which partitions.
    pub topics: Vec<TopicOffsets<()>>,
}

/// A committed offset, or that there is none (-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Why it is not told.
    pub error: ErrorCode,
    /// -1 when there is none.
    pub offset: i64,
    /// -1 when not known.
    pub leader_epoch: i32,
    /// What was kept beside it.
    pub metadata: Box<str>,
}

impl CommittedOffset {
    /// There is none.
    pub fn none() -> CommittedOffset {
        CommittedOffset::failed(ErrorCode::None)
    }

    /// It is not told.
    pub fn failed(error: ErrorCode) -> CommittedOffset {
        CommittedOffset { error, offset: -1, leader_epoch: -1, metadata: "".into() }
    }
}

/// One line of ListGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its name.
    pub group: GroupId,
    /// What its members agreed on; empty when there is none.
    pub protocol_type: Arc<str>,
    /// Kafka's word for its state.
    pub state: &'static str,
    /// `classic` or `consumer`.
    pub kind: &'static str,
}

/// What DescribeGroups tells of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Kafka's word for its state.
    pub state: &'static str,
    /// What its members agreed on; empty when there is none.
    pub protocol_type: Arc<str>,
    /// The chosen protocol, when it is stable.
    pub protocol: Arc<str>,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member, as DescribeGroups tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its name.
    pub id: MemberId,
    /// Its static name.
    pub instance: Option<Arc<str>>,
    /// Of its client.
    pub client_id: Arc<str>,
    /// Its address.
    pub client_host: Arc<str>,
    /// What it said for the chosen protocol; empty when the group is not stable.
    pub metadata: Bytes,
    /// What it owns.
    pub assignment: Bytes,
}

/// An answer, of the kind that was asked for.
#[derive(Debug, PartialEq)]
pub enum Response {
    /// JoinGroup.
    Join(Box<JoinGroupResponse>),
    /// SyncGroup.
    Sync(Box<SyncGroupResponse>),
    /// Heartbeat.
    Heartbeat,
    /// LeaveGroup.
    Leave(LeaveGroupResponse),
    /// ConsumerGroupHeartbeat, or why it was refused.
    ConsumerHeartbeat(Box<ConsumerGroupHeartbeatResponse>),
    /// ConsumerGroupDescribe, or why there is nothing to tell.
    DescribedConsumer(Box<consumer_group_describe_response::DescribedGroup>),
    /// OffsetCommit: each partition's own error.
    Commit(Vec<TopicOffsets<ErrorCode>>),
    /// OffsetFetch.
    Offsets(Vec<TopicOffsets<CommittedOffset>>),
    /// OffsetDelete: each partition's own error.
    Deleted(Vec<TopicOffsets<ErrorCode>>),
    /// DescribeGroups.
    Described(DescribedGroup),
    /// DeleteGroups.
    Done,
}

/// An answer, or the error that the whole request failed with.
pub type Reply = Result<Response, ErrorCode>;

/// What a decision brings about.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be appended, as one batch unless `may_split`.
    pub records: Vec<Record>,
    /// The state is as the records say already: they are not replayed.
    pub applied: bool,
    /// The records need not be one batch: each says something by itself.
    pub may_split: bool,
    /// The records are a part of this transaction: they are appended in its name.
    pub transaction: Option<Transaction>,
    /// To go out when everything up to and with these records is committed; if they are not, their error goes out.
    pub replies: Vec<(Ticket, Reply)>,
    /// What the coordinator does when its records are committed, or are not.
    pub then: Option<Then>,
    /// The replies are worth something only from who leads yet, as its followers confirm.
    pub of_leader: bool,
}

impl Request {
    /// The group it is about.
    pub fn group(&self) -> &str {
        match self {
            Request::Join(request, _, _) => &request.group_id,
            Request::Sync(request) => &request.group_id,
            Request::Heartbeat(request) => &request.group_id,
            Request::Leave(request) => &request.group_id,
            Request::ConsumerHeartbeat(request, _) => &request.group_id,
            Request::Commit(request) | Request::CommitInTransaction(request, _) => &request.group,
            Request::FetchOffsets(request) => &request.group,
            Request::DeleteOffsets(request) => &request.group,
            Request::Describe(group) | Request::DescribeConsumer(group) | Request::Delete(group) => group,
        }
    }
}

impl Outcome {
    /// An answer without records.
    pub fn reply(ticket: Ticket, reply: Reply) -> Outcome {
        Outcome { replies: vec![(ticket, reply)], ..Outcome::default() }
    }

    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.replies.is_empty() && self.then.is_none()
    }
}

/// What waits for its records.
#[derive(Debug)]
pub enum Then {
    /// A classic group's assignment: members get it, the group is stable.
    Assigned {
        /// Which group.
        group: GroupId,
        /// In which generation.
        generation: i32,
        /// To whom what.
        assignment: BTreeMap<MemberId, Bytes>,
    },
    /// A static member came back under a new name to a stable group (KIP-345, KIP-814).
    StaticMemberReplaced {
        /// Which group.
        group: GroupId,
        /// Its old name, which it has again if the records are lost.
        old: MemberId,
        /// Its new name.
        new: MemberId,
        /// What it said of itself before.
        before: super::classic::Terms,
        /// Whether it may be told to skip the assignment (JoinGroup from version 9).
        may_skip: bool,
    },
    /// A consumer group became a classic one.
    Downgraded {
        /// Which group.
        group: GroupId,
        /// Why its members must join anew, if they must.
        rebalance: Option<&'static str>,
    },
}
