//! What shards say to each other: one hop to the owner of a partition, one hop back.

use super::{
    desk::{ControllerRequest, ControllerResponse},
    inspect::{LogSizes, LoggersRequest, ProducersQuery, ProducersResult, SizeQuery},
    replicas::FollowerId,
};
use crate::{
    controller::ApiError,
    error::{ErrorCode, Fatal},
    groups,
    ids::{LeaderEpoch, NodeId, Offset, PartitionId},
    log::EndTransaction,
    loggers::Level,
    metadata::{Image, MetadataOffset},
    transactions,
    wire::AbortedTransaction,
};
use bytes::Bytes;
use corelane_seam::{ConnectionId, Part, ShardId};
use kafka_protocol::protocol::StrBytes;

/// A request under way on the shard that holds its connection. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatherId(pub u64);

/// Who asked an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker {
    /// The shard that holds the connection.
    pub shard: ShardId,
    /// Its request.
    pub gather: GatherId,
}

/// A word from one shard of this process to another.
#[derive(Debug)]
pub enum ShardMessage {
    /// To a partition's owner: do this and answer under `gather`.
    Ask {
        /// Under which the answer is expected.
        gather: GatherId,
        /// What.
        request: OwnerRequest,
        /// The metadata that the asker went by: an owner that is behind answers when it has caught up, so that a
        /// topic is never unknown to one shard after another has spoken of it.
        seen: Option<MetadataOffset>,
    },
    /// From a partition's owner. A waiting fetch is answered more than once.
    Answer {
        /// As asked.
        gather: GatherId,
        /// Result.
        response: OwnerResponse,
    },
    /// To a partition's owner: no one waits for this fetch any more.
    Forget {
        /// As asked.
        gather: GatherId,
    },
    /// To a partition's owner: a follower's connection has ended, and its session with it.
    EndSession {
        /// Its connection to the sender.
        connection: ConnectionId,
    },
    /// To the quorum's shard.
    AskController {
        /// Under which the answer is expected.
        gather: GatherId,
        /// What.
        request: ControllerRequest,
    },
    /// From the quorum's shard. The image that shows the change was sent before.
    ControllerAnswer {
        /// As asked.
        gather: GatherId,
        /// Result.
        response: ControllerResponse,
    },
    /// From the quorum's shard: committed metadata, newer than the one before. The first one is caught up.
    Image(Box<Image>),
    /// A log directory failed; nothing is acknowledged any more, on any shard.
    DirectoryOffline(Fatal),
    /// To the other data shards: the sender has moved so many bytes of partitions whose replication is throttled, as
    /// their leader and as their follower.
    Throttled {
        /// As leader.
        led: u64,
        /// As follower.
        followed: u64,
    },
    /// To the other data shards: this broker has gone, see [`GonePeers`](super::GonePeers).
    PeerGone(NodeId),
    /// To the quorum's shard: the sender's disk is full from now on, or no longer.
    DiskFull(bool),
    /// To the other data shards, in a clean stop: no request is under way here and none will be, so this was the last
    /// word of it. A shard that owns partitions answers until all others have said so.
    AsksNoMore,
    /// From the quorum's shard, in a clean stop: this broker was let go, stop now. The engine never sees it.
    Stop,
    /// To the quorum's shard: this data shard owes nothing any more (clean stop).
    Drained,
}

/// What the connection's shard wants of a partition's owner. Each partition carries its `place` in the response.
#[derive(Debug)]
pub enum OwnerRequest {
    /// Produce.
    Append(AppendRequest),
    /// Fetch.
    Read(ReadRequest),
    /// Fetch of a follower.
    Follow(FollowRequest),
    /// ListOffsets.
    Offsets(Vec<OffsetQuery>),
    /// OffsetForLeaderEpoch.
    EpochEnds(Vec<EpochQuery>),
    /// DeleteRecords.
    DeleteRecords(Vec<DeleteQuery>),
    /// DescribeLogDirs.
    LogSizes(Vec<SizeQuery>),
    /// DescribeProducers.
    Producers(Vec<ProducersQuery>),
    /// DescribeConfigs and IncrementalAlterConfigs of loggers.
    Loggers(LoggersRequest),
    /// Anything about one group.
    Group(Box<GroupQuery>),
    /// ListGroups: of these states and types, or of all where a list is empty.
    ListGroups {
        /// Words for states.
        states: Vec<String>,
        /// Words for types.
        kinds: Vec<String>,
    },
    /// Whether a producer's transaction has begun in a partition.
    TransactionBegun(PartitionId, groups::Transaction),
    /// Anything about one transactional id.
    Transaction(Box<TransactionQuery>),
    /// ListTransactions.
    ListTransactions(Box<transactions::ListFilter>),
}

/// The owner's answer; of the kind that was asked for.
#[derive(Debug)]
pub enum OwnerResponse {
    /// Produce: complete, each condition met or failed.
    Append(Vec<(u32, AppendResult)>),
    /// Fetch: what there is now; with a waiting read, again when there is more.
    Read(Vec<(u32, ReadResult)>),
    /// Fetch of a follower: what is new, perhaps nothing; with a waiting one, again when there is more.
    Followed {
        /// Who answers.
        owner: ShardId,
        /// Counts the owner's answers of this session: the next request says which was the last that went on its way.
        serial: u64,
        /// The partitions of which there is news.
        results: Vec<(PartitionId, ReadResult)>,
    },
    /// ListOffsets.
    Offsets(Vec<(u32, OffsetResult)>),
    /// OffsetForLeaderEpoch.
    EpochEnds(Vec<(u32, EpochResult)>),
    /// DeleteRecords.
    DeleteRecords(Vec<(u32, DeleteResult)>),
    /// DescribeLogDirs.
    LogSizes(LogSizes),
    /// DescribeProducers.
    Producers(Vec<(u32, ProducersResult)>),
    /// DescribeConfigs of loggers: all of them, by name.
    LoggerLevels(Vec<(String, Level)>),
    /// IncrementalAlterConfigs of loggers: what became of each change.
    LoggersAltered(Vec<(u32, Result<(), ApiError>)>),
    /// Of one group, by its place in the request.
    Group(u32, groups::Reply),
    /// ListGroups: those of this owner, or why they are not known.
    ListedGroups(Result<Vec<groups::ListedGroup>, ErrorCode>),
    /// It has, or this is the guard under which it may.
    TransactionBegun(Result<Option<Guard>, ErrorCode>),
    /// Of one transactional id, by its place in the request.
    Transaction(u32, transactions::Reply),
    /// ListTransactions: those of this owner, or why they are not known.
    ListedTransactions(Result<Vec<transactions::ListedTransaction>, ErrorCode>),
}

/// Whose word a producer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// No one's.
    None,
    /// The leader's journal write has completed: survives the death of the process.
    Leader,
    /// Flushed on every in-sync replica.
    All,
}

/// Batches for partitions of one owner.
#[derive(Debug)]
pub struct AppendRequest {
    /// In the order of the request.
    pub partitions: Vec<AppendPartition>,
    /// When they count as done.
    pub acks: Acks,
    /// Of Produce: some codecs need a newer one.
    pub version: i16,
    /// Batches of transactions that have not begun in their partition are not appended, but come back with a
    /// [`Guard`]: their coordinator is to be asked first (KIP-890).
    pub checks_transactions: bool,
}

/// One partition's batch.
#[derive(Debug)]
pub struct AppendPartition {
    /// In the response.
    pub place: u32,
    /// Where to.
    pub id: PartitionId,
    /// What is appended.
    pub what: What,
}

/// What is appended to a partition.
#[derive(Debug)]
pub enum What {
    /// A producer's batch: a slice of the request's frame.
    Records(Bytes),
    /// The same, of a transaction whose coordinator was asked.
    Verified(Bytes, Guard),
    /// The marker that ends a producer's transaction.
    End(EndTransaction),
}

/// When a partition had a batch's transaction checked (Kafka's `VerificationGuard`): if that has ended meanwhile, the batch
/// is not appended, or it would begin a transaction that nobody ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// In which reign.
    pub leader_epoch: LeaderEpoch,
    /// Where the log ended.
    pub at: Offset,
    /// The transaction is of version 2 (KIP-890): it has an epoch of its own, which is also that of the marker that ended
    /// the one before.
    pub has_own_epoch: bool,
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub struct AppendResult {
    /// `None` when appended and its condition is met.
    pub error: ErrorCode,
    /// For people.
    pub message: Option<String>,
    /// Records that were refused, and why.
    pub record_errors: Vec<(i32, String)>,
    /// Of the first record; -1 on errors.
    pub base_offset: i64,
    /// -1 unless the topic's timestamps are the broker's.
    pub log_append_time_ms: i64,
    /// -1 when not known.
    pub log_start_offset: i64,
    /// Nothing was appended: the batch's transaction is to be checked first.
    pub unchecked: Option<Guard>,
}

impl AppendResult {
    /// Nothing was appended.
    pub fn failed(error: ErrorCode, message: impl Into<Option<String>>) -> AppendResult {
        AppendResult {
            error,
            message: message.into(),
            record_errors: Vec::new(),
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            unchecked: None,
        }
    }

    /// The batch's transaction is to be checked first.
    pub fn unchecked(guard: Guard) -> AppendResult {
        AppendResult { unchecked: Some(guard), ..AppendResult::failed(ErrorCode::None, None) }
    }
}

/// Reads from partitions of one owner.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// In the order of the request.
    pub partitions: Vec<ReadPartition>,
    /// For all of them together; the first batch is returned even when it is larger.
    pub bytes_max: usize,
    /// Answer again when there is more, until there are this many bytes or until forgotten; 0: answer once.
    pub wait_for_bytes: usize,
    /// The reader may read here what is led elsewhere (KIP-392).
    pub may_follow: bool,
    /// Where the reader is: it is sent to a replica there, if the broker does that.
    pub rack: Option<StrBytes>,
}

/// A follower's fetch session: its connection, and the shard that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FollowerSession {
    /// The shard.
    pub shard: ShardId,
    /// The connection.
    pub connection: ConnectionId,
}

/// A follower's fetch, as far as it concerns one owner. It is given what is not committed too, and its offsets say what
/// it has flushed.
#[derive(Clone, Debug)]
pub struct FollowRequest {
    /// The owner, for its answer.
    pub owner: ShardId,
    /// Whose.
    pub session: FollowerSession,
    /// Who fetches.
    pub who: FollowerId,
    /// The session begins anew.
    pub is_fresh: bool,
    /// The session ends with the answer.
    pub once: bool,
    /// The owner's last answer that became part of a response; one that came after another owner's was passed over.
    pub delivered: u64,
    /// Partitions that are new, or whose positions are. Of the others of the session nothing has changed.
    pub named: Vec<FollowPosition>,
    /// Partitions to leave out from now on.
    pub forgotten: Vec<PartitionId>,
    /// For all of them together; the first batch is returned even when it is larger.
    pub bytes_max: usize,
    /// Answer again when there is more, until there are this many bytes or other news; 0: answer once.
    pub wait_for_bytes: usize,
}

/// How far a follower is with a partition.
#[derive(Clone, Copy, Debug)]
pub struct FollowPosition {
    /// Which.
    pub id: PartitionId,
    /// First offset wanted; what lies below is flushed there.
    pub from: Offset,
    /// Of this partition.
    pub bytes_max: usize,
    /// The epoch that it follows in; `UNKNOWN`: no check.
    pub current_leader_epoch: LeaderEpoch,
    /// Epoch of its last record (KIP-595); `UNKNOWN`: it has none.
    pub last_fetched_epoch: LeaderEpoch,
    /// Where its log starts, durably; -1: not told.
    pub log_start: Offset,
}

/// Where to read.
#[derive(Clone, Debug)]
pub struct ReadPartition {
    /// In the response.
    pub place: u32,
    /// Which.
    pub id: PartitionId,
    /// First offset wanted.
    pub from: Offset,
    /// Of this partition.
    pub bytes_max: usize,
    /// The epoch that the client believes in; `UNKNOWN`: no check.
    pub current_leader_epoch: LeaderEpoch,
    /// Epoch of the last record the client has, for divergence (KIP-595's fetch, clients from v12); `UNKNOWN`: no check.
    pub last_fetched_epoch: LeaderEpoch,
    /// Only what is of decided transactions, with the names of those that were aborted (`isolation.level`).
    pub is_committed_only: bool,
}

/// What was read of one partition.
#[derive(Clone, Debug)]
pub struct ReadResult {
    /// Offsets below are -1 on errors.
    pub error: ErrorCode,
    /// End of what is committed.
    pub high_watermark: i64,
    /// End of what is decided (transactions).
    pub last_stable_offset: i64,
    /// First offset kept.
    pub log_start_offset: i64,
    /// The largest epoch not after the client's, and its end, when the client's log has diverged.
    pub diverging: Option<(i32, i64)>,
    /// The reader is to ask this broker instead; nothing was read.
    pub nearest: Option<NodeId>,
    /// Set with errors about leadership: the leader's epoch here.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The batches.
    pub records: Vec<Part>,
    /// Their length.
    pub bytes: usize,
    /// For a reader of what is committed only: whose records among these are of no account, from which offset on.
    pub aborted: Vec<AbortedTransaction>,
}

impl ReadResult {
    /// Nothing was read.
    pub fn failed(error: ErrorCode) -> ReadResult {
        ReadResult {
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging: None,
            nearest: None,
            current_leader_epoch: None,
            records: Vec::new(),
            bytes: 0,
            aborted: Vec::new(),
        }
    }
}

impl ReadResult {
    /// Whether the reader must know at once.
    pub fn is_urgent(&self) -> bool {
        !self.error.is_none() || self.diverging.is_some() || self.nearest.is_some()
    }
}

/// An offset is asked for.
#[derive(Clone, Debug)]
pub struct OffsetQuery {
    /// In the response.
    pub place: u32,
    /// Which.
    pub id: PartitionId,
    /// The epoch that the client believes in.
    pub current_leader_epoch: LeaderEpoch,
    /// What about.
    pub what: OffsetSpec,
    /// Among what is of decided transactions only (`isolation.level`).
    pub is_committed_only: bool,
}

/// Which offset (`ListOffsetsRequest`'s special timestamps).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// -2: the log's start.
    Earliest,
    /// -1: the high watermark; the last stable offset when only what is committed is read.
    Latest,
    /// -3: the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record at or after this time.
    Timestamp(i64),
}

/// An offset, its record's timestamp, and the epoch it was written in.
#[derive(Clone, Copy, Debug)]
pub struct OffsetResult {
    /// -1s below on errors.
    pub error: ErrorCode,
    /// -1 if there is none.
    pub offset: i64,
    /// -1 unless asked by time.
    pub timestamp: i64,
    /// -1 when not known.
    pub leader_epoch: i32,
}

impl OffsetResult {
    /// No offset.
    pub fn failed(error: ErrorCode) -> OffsetResult {
        OffsetResult { error, offset: -1, timestamp: -1, leader_epoch: -1 }
    }
}

/// The end of an epoch is asked for.
#[derive(Clone, Debug)]
pub struct EpochQuery {
    /// In the response.
    pub place: u32,
    /// Which.
    pub id: PartitionId,
    /// The epoch that the client believes in.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch whose end it wants.
    pub epoch: LeaderEpoch,
}

/// The largest epoch not after the one asked for, and where it ends.
#[derive(Clone, Copy, Debug)]
pub struct EpochResult {
    /// -1s below on errors.
    pub error: ErrorCode,
    /// -1 if there is none.
    pub epoch: i32,
    /// Exclusive.
    pub end_offset: i64,
}

/// The log's start is to move.
#[derive(Clone, Debug)]
pub struct DeleteQuery {
    /// In the response.
    pub place: u32,
    /// Which.
    pub id: PartitionId,
    /// New first offset; `None`: the high watermark (-1 on the wire).
    pub before: Option<Offset>,
}

/// Where the log starts now.
#[derive(Clone, Copy, Debug)]
pub struct DeleteResult {
    /// `low_watermark` is -1 on errors.
    pub error: ErrorCode,
    /// The new log start, durable.
    pub low_watermark: i64,
}

/// A group's coordinator is asked.
#[derive(Debug)]
pub struct GroupQuery {
    /// In the response.
    pub place: u32,
    /// The partition of `__consumer_offsets` that the group lives in.
    pub partition: PartitionId,
    /// What.
    pub request: groups::Request,
    /// Of a commit in a transaction that was checked for it.
    pub guard: Option<Guard>,
}

/// A transaction's coordinator is asked.
#[derive(Debug)]
pub struct TransactionQuery {
    /// In the response.
    pub place: u32,
    /// The partition of `__transaction_state` that the transactional id lives in.
    pub partition: PartitionId,
    /// What.
    pub request: transactions::Request,
}
