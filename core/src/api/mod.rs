//! Kafka's API, one file per key, and the one table of them.
//!
//! A handler decodes its request and either responds at once or starts a [`Gather`](crate::engine::Gather) that asks
//! the owners of the partitions it names (or the controller) and responds when they have answered. What is not in the
//! table is in SKIPPED.md with the reason, and is refused: the connection is closed, as Kafka does for keys it does not
//! know.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod add_raft_voter;
mod alter_configs;
mod alter_partition_reassignments;
mod alterations;
mod api_versions;
mod configs;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod controlled;
mod coordinated;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_txn;
mod fetch;
mod find_coordinator;
mod follow;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod loggers;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod places;
mod produce;
mod remove_raft_voter;
mod respond;
mod sync_group;
mod topics;
pub(crate) mod transactions;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod voters;
pub(crate) mod write_txn_markers;

#[cfg(test)]
mod tests;

use crate::{
    engine::{Context, Ordering, Start},
    wire::{HeaderPrefix, RequestHeader, WireError},
};
use bytes::Bytes;
use kafka_protocol::messages::ApiKey;

type Handler = fn(&mut Context<'_>, &RequestHeader, &Bytes) -> Result<Start, WireError>;

/// One served key.
pub struct Row {
    /// Its number.
    pub key: i16,
    /// Kafka's name.
    pub name: &'static str,
    /// Versions that are handled.
    pub versions: (i16, i16),
    /// The lowest version that is advertised: of Produce 0, although 3 is the first that is handled, or clients built
    /// on librdkafka take the broker for an old one (KAFKA-18659).
    pub advertised_from: i16,
    /// How it runs beside others of its connection.
    pub ordering: Ordering,
    /// Controllers' listeners serve it too (KIP-919; `listeners` of Kafka's message definitions).
    pub by_controllers: bool,
    handle: Handler,
}

const fn first(versions: &[i16]) -> i16 {
    versions[0]
}

macro_rules! table {
    ($($name:ident $min:literal..=$max:literal $ordering:ident $handle:path $(, advertised from $advertised:literal)? $(| $controllers:ident)?;)*) => {
        /// Every key that is served.
        pub const TABLE: &[Row] = &[$(Row {
            key: ApiKey::$name as i16,
            name: stringify!($name),
            versions: ($min, $max),
            advertised_from: first(&[$($advertised,)? $min]),
            ordering: Ordering::$ordering,
            by_controllers: !stringify!($($controllers)?).is_empty(),
            handle: $handle,
        }),*];
    };
}

table! {
    Produce 3..=13 Overlaps produce::start, advertised from 0;
    Fetch 4..=18 Overlaps fetch::start;
    ListOffsets 1..=10 Exclusive list_offsets::start;
    Metadata 0..=13 Exclusive metadata::start;
    OffsetCommit 2..=10 Exclusive offset_commit::start;
    OffsetFetch 1..=10 Exclusive offset_fetch::start;
    FindCoordinator 0..=6 Exclusive find_coordinator::start;
    JoinGroup 0..=9 Exclusive join_group::start;
    Heartbeat 0..=4 Exclusive heartbeat::start;
    LeaveGroup 0..=5 Exclusive leave_group::start;
    SyncGroup 0..=5 Exclusive sync_group::start;
    DescribeGroups 0..=6 Exclusive describe_groups::start;
    ListGroups 0..=5 Exclusive list_groups::start;
    ApiVersions 0..=4 Exclusive api_versions::start | controllers;
    CreateTopics 2..=7 Exclusive create_topics::start | controllers;
    DeleteTopics 1..=6 Exclusive delete_topics::start | controllers;
    DeleteRecords 0..=2 Exclusive delete_records::start;
    InitProducerId 0..=5 Exclusive init_producer_id::start;
    OffsetForLeaderEpoch 2..=4 Exclusive offset_for_leader_epoch::start;
    AddPartitionsToTxn 0..=5 Overlaps add_partitions_to_txn::start;
    AddOffsetsToTxn 0..=4 Exclusive add_offsets_to_txn::start;
    EndTxn 0..=5 Exclusive end_txn::start;
    WriteTxnMarkers 1..=1 Overlaps write_txn_markers::start;
    TxnOffsetCommit 0..=5 Exclusive txn_offset_commit::start;
    DescribeAcls 1..=3 Exclusive describe_acls::start | controllers;
    CreateAcls 1..=3 Exclusive create_acls::start | controllers;
    DeleteAcls 1..=3 Exclusive delete_acls::start | controllers;
    DescribeConfigs 1..=4 Exclusive describe_configs::start | controllers;
    AlterConfigs 0..=2 Exclusive alter_configs::start | controllers;
    DescribeLogDirs 1..=5 Exclusive describe_log_dirs::start;
    CreatePartitions 0..=3 Exclusive create_partitions::start | controllers;
    DeleteGroups 0..=2 Exclusive delete_groups::start;
    ElectLeaders 0..=2 Exclusive elect_leaders::start | controllers;
    IncrementalAlterConfigs 0..=1 Exclusive incremental_alter_configs::start | controllers;
    AlterPartitionReassignments 0..=1 Exclusive alter_partition_reassignments::start | controllers;
    ListPartitionReassignments 0..=0 Exclusive list_partition_reassignments::start | controllers;
    OffsetDelete 0..=0 Exclusive offset_delete::start;
    DescribeClientQuotas 0..=1 Exclusive describe_client_quotas::start;
    DescribeUserScramCredentials 0..=0 Exclusive describe_user_scram_credentials::start | controllers;
    DescribeQuorum 0..=2 Exclusive describe_quorum::start | controllers;
    UpdateFeatures 0..=2 Exclusive update_features::start | controllers;
    DescribeCluster 0..=2 Exclusive describe_cluster::start | controllers;
    DescribeProducers 0..=0 Exclusive describe_producers::start;
    UnregisterBroker 0..=0 Exclusive unregister_broker::start | controllers;
    DescribeTransactions 0..=0 Exclusive describe_transactions::start;
    ListTransactions 0..=2 Exclusive list_transactions::start;
    ConsumerGroupHeartbeat 0..=1 Exclusive consumer_group_heartbeat::start;
    ConsumerGroupDescribe 0..=1 Exclusive consumer_group_describe::start;
    ListConfigResources 0..=1 Exclusive list_config_resources::start;
    DescribeTopicPartitions 0..=0 Exclusive describe_topic_partitions::start;
    AddRaftVoter 0..=0 Exclusive add_raft_voter::start | controllers;
    RemoveRaftVoter 0..=0 Exclusive remove_raft_voter::start | controllers;
}

fn row(key: i16) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.key == key)
}

fn row_of(frame: &Bytes) -> Option<&'static Row> {
    frame.first_chunk().copied().map(i16::from_be_bytes).and_then(row)
}

/// The name of a frame's key, for log lines.
pub fn name_of(frame: &Bytes) -> &'static str {
    row_of(frame).map_or("a request of an unknown key", |row| row.name)
}

/// How the request in a frame runs beside others of its connection. What cannot be read runs alone, to be refused in
/// its turn.
pub fn ordering(frame: &Bytes) -> Ordering {
    row_of(frame).map_or(Ordering::Exclusive, |row| row.ordering)
}

/// Starts a request.
///
/// # Errors
/// The connection cannot go on: the frame is no request, or one that is not served.
pub fn start(context: &mut Context<'_>, frame: &Bytes) -> Result<Start, WireError> {
    let prefix = HeaderPrefix::parse(frame)?;
    let unsupported = WireError::UnsupportedVersion(prefix);
    let row = row(prefix.api_key).filter(|row| row.by_controllers || context.controllers.is_none());
    let row = row.ok_or(WireError::UnknownApiKey(prefix))?;
    if !(row.versions.0..=row.versions.1).contains(&prefix.api_version) {
        return if row.key == ApiKey::ApiVersions as i16 {
            api_versions::unsupported_version(prefix.correlation_id)
        } else {
            Err(unsupported)
        };
    }
    let header = RequestHeader::parse(frame)?;
    (row.handle)(context, &header, frame)
}
