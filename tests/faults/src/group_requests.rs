//! The requests of groups, each as one call that names only what differs.

use crate::Client;
use anyhow::{Context, bail, ensure};
use bytes::{BufMut, Bytes};
use corelane_core::error::ErrorCode;
use kafka_protocol::{
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, FindCoordinatorRequest,
        FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
        OffsetCommitRequest, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse,
        TopicName,
        join_group_request::JoinGroupRequestProtocol,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::OffsetFetchRequestGroup,
        sync_group_request::SyncGroupRequestAssignment,
    },
    protocol::StrBytes,
};
use std::time::{Duration, Instant};

/// The version of OffsetCommit in which members of both protocols commit.
pub(crate) const COMMIT_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 8;
const JOIN_VERSION: i16 = 9;
const SYNC_VERSION: i16 = 5;
const HEARTBEAT_VERSION: i16 = 4;
const CONSUMER_HEARTBEAT_VERSION: i16 = 1;

/// How long a group may take to be loaded.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Who commits: a generation or epoch, and a name. Whoever is no member has -1 and none.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub id: StrBytes,
    pub epoch: i32,
}

impl Identity {
    pub fn none() -> Identity {
        Identity { id: text(""), epoch: -1 }
    }
}

/// An offset that a coordinator told, with what was committed beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub partition: i32,
    pub offset: i64,
    pub metadata: String,
}

/// What lies beside an offset, so that half a record would be found.
pub(crate) fn beside(offset: i64) -> String {
    format!("read up to {offset}")
}

/// A commit of these offsets by partition, each with what `metadata` says of it.
pub(crate) fn commit_request(
    group: &str,
    who: &Identity,
    topic: &str,
    offsets: impl Iterator<Item = (i32, i64)>,
    metadata: fn(i64) -> String,
) -> OffsetCommitRequest {
    let partitions = offsets.map(|(partition, offset)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(StrBytes::from_string(metadata(offset))))
    });
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(partitions.collect());
    OffsetCommitRequest::default()
        .with_group_id(text(group).into())
        .with_generation_id_or_member_epoch(who.epoch)
        .with_member_id(who.id.clone())
        .with_topics(vec![topic])
}

fn code(number: i16) -> anyhow::Result<ErrorCode> {
    ErrorCode::from_code(number).with_context(|| format!("no such error code: {number}"))
}

impl Client {
    /// Waits until there is a coordinator for a group: the topic of the offsets is made by the first who asks.
    pub(crate) fn await_coordinator(&mut self, group: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = FindCoordinatorRequest::default().with_key(text(group));
            let found: FindCoordinatorResponse = self.call(3, &request)?;
            match code(found.error_code)? {
                ErrorCode::None => return Ok(()),
                ErrorCode::CoordinatorNotAvailable if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                error => bail!("FindCoordinator for {group}: {error}"),
            }
        }
    }

    /// All committed offsets of a group for one topic, as soon as its coordinator has loaded them.
    pub(crate) fn committed_offsets(&mut self, group: &str) -> anyhow::Result<Vec<Told>> {
        let deadline = Instant::now() + PATIENCE;
        let told = loop {
            let asked =
                OffsetFetchRequestGroup::default().with_group_id(text(group).into()).with_topics(None);
            let request = OffsetFetchRequest::default().with_groups(vec![asked]);
            let response: OffsetFetchResponse = self.call(FETCH_VERSION, &request)?;
            let told = response.groups.into_iter().next().context("no group in the answer")?;
            match code(told.error_code)? {
                ErrorCode::None => break told,
                ErrorCode::CoordinatorLoadInProgress if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                error => bail!("{group} was answered {error}"),
            }
        };
        let partitions = told.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(|it| {
                ensure!(it.error_code == 0, "{group}, partition {}: {}", it.partition_index, it.error_code);
                Ok(Told {
                    partition: it.partition_index,
                    offset: it.committed_offset,
                    metadata: it.metadata.as_ref().map(ToString::to_string).unwrap_or_default(),
                })
            })
            .collect()
    }

    /// Joins a classic group that reads one topic; with an empty name the first answer is a name.
    pub(crate) fn join_group(
        &mut self,
        group: &str,
        id: &StrBytes,
        topic: &str,
    ) -> anyhow::Result<(ErrorCode, JoinGroupResponse)> {
        // A consumer's subscription (version 0): one topic, no user data.
        let mut metadata = Vec::new();
        metadata.put_i16(0);
        metadata.put_i32(1);
        metadata.put_i16(i16::try_from(topic.len())?);
        metadata.put_slice(topic.as_bytes());
        metadata.put_i32(0);
        let protocol =
            JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(metadata.into());
        let request = JoinGroupRequest::default()
            .with_group_id(text(group).into())
            .with_session_timeout_ms(300_000)
            .with_rebalance_timeout_ms(300_000)
            .with_member_id(id.clone())
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let response = self.call(JOIN_VERSION, &request)?;
        Ok((code(response.error_code)?, response))
    }

    /// The only member of a classic group assigns itself something.
    pub(crate) fn sync_group(
        &mut self,
        group: &str,
        who: &Identity,
    ) -> anyhow::Result<(ErrorCode, SyncGroupResponse)> {
        let own = SyncGroupRequestAssignment::default()
            .with_member_id(who.id.clone())
            .with_assignment(Bytes::from_static(b"all"));
        let request = SyncGroupRequest::default()
            .with_group_id(text(group).into())
            .with_generation_id(who.epoch)
            .with_member_id(who.id.clone())
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
            .with_assignments(vec![own]);
        let response = self.call(SYNC_VERSION, &request)?;
        Ok((code(response.error_code)?, response))
    }

    /// A heartbeat of the classic protocol.
    pub(crate) fn classic_heartbeat(&mut self, group: &str, who: &Identity) -> anyhow::Result<ErrorCode> {
        let request = HeartbeatRequest::default()
            .with_group_id(text(group).into())
            .with_generation_id(who.epoch)
            .with_member_id(who.id.clone());
        let response: HeartbeatResponse = self.call(HEARTBEAT_VERSION, &request)?;
        code(response.error_code)
    }

    /// A heartbeat of the new protocol, as `change` completes it.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        group: &str,
        who: &Identity,
        change: impl FnOnce(ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatRequest,
    ) -> anyhow::Result<(ErrorCode, ConsumerGroupHeartbeatResponse)> {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text(group).into())
            .with_member_id(who.id.clone())
            .with_member_epoch(who.epoch);
        let response = self.call(CONSUMER_HEARTBEAT_VERSION, &change(request))?;
        Ok((code(response.error_code)?, response))
    }
}
