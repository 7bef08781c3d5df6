//! DescribeQuorum (key 55), versions 0-2 (KIP-595; times from v1: KIP-836; endpoints and directories from v2: KIP-853).
//!
//! The quorum speaks openraft's protocol. Its topic exists in this answer only.

use super::{
    controlled::{self, WRONG_KIND},
    respond::{ReplyTo, text, too_many},
};
use crate::{
    engine::{Context, ControllerRequest, ControllerResponse, QuorumStanding, Start, VoterStanding},
    error::ErrorCode,
    ids::NodeId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, TopicName, describe_quorum_request,
    describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData},
};

/// Kafka's name of the metadata log (`Topic.CLUSTER_METADATA_TOPIC_NAME`).
const METADATA: &str = "__cluster_metadata";

/// The request names no time-out; less than clients wait.
const TIMEOUT_MS: i32 = 20_000;

/// An offset or time that the leader does not know, as Kafka says it.
const UNKNOWN: i64 = -1;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DescribeQuorumRequest = decode_request(header, frame)?;
    if let Some(end) = too_many(request.topics.iter().map(|topic| topic.partitions.len()).sum()) {
        return Ok(end);
    }
    let reply_to = ReplyTo::new(header);
    if !is_metadata(&request.topics) {
        return reply_to.ready(&DescribeQuorumResponse::default().with_topics(unknown(request.topics)));
    }
    let ask = ControllerRequest::DescribeQuorum;
    Ok(controlled::ask(context, "DescribeQuorum", TIMEOUT_MS, ask, move |context, answer| {
        let response = match answer {
            Ok(ControllerResponse::DescribeQuorum(standing)) => {
                described(context, standing, reply_to.version)
            }
            Ok(_) => DescribeQuorumResponse::default().with_error_code(WRONG_KIND.code()),
            Err(error) => DescribeQuorumResponse::default().with_error_code(error.code()),
        };
        reply_to.encode(&response)
    }))
}

fn is_metadata(topics: &[describe_quorum_request::TopicData]) -> bool {
    let [topic] = topics else { return false };
    let [partition] = &topic.partitions[..] else { return false };
    topic.topic_name.as_str() == METADATA && partition.partition_index == 0
}

fn unknown(topics: Vec<describe_quorum_request::TopicData>) -> Vec<TopicData> {
    let unknown = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(ErrorCode::UnknownTopicOrPartition.code())
        });
        TopicData::default().with_partitions(partitions.collect()).with_topic_name(topic.topic_name)
    });
    unknown.collect()
}

fn described(context: &Context<'_>, standing: QuorumStanding, version: i16) -> DescribeQuorumResponse {
    let offset = |end: u64| i64::try_from(end).unwrap_or(i64::MAX);
    let voter = |it: &VoterStanding| {
        let mut voter = ReplicaState::default()
            .with_replica_id(BrokerId(it.node.0))
            .with_log_end_offset(it.log_end.map_or(UNKNOWN, offset));
        if version >= 1 {
            // The leader has what it has at this moment, as Kafka tells of it.
            voter.last_fetch_timestamp = it.last_fetch_ms.unwrap_or(UNKNOWN);
            voter.last_caught_up_timestamp = it.last_caught_up_ms.unwrap_or(UNKNOWN);
        }
        if version >= 2 {
            voter.replica_directory_id = uuid::Uuid::from_u128(it.directory.unwrap_or(0));
        }
        voter
    };
    let partition = PartitionData::default()
        .with_leader_id(standing.leader.map_or(BrokerId(-1), |leader| BrokerId(leader.0)))
        .with_leader_epoch(i32::try_from(standing.term).unwrap_or(i32::MAX))
        .with_high_watermark(offset(standing.committed_end))
        .with_current_voters(standing.voters.iter().map(voter).collect())
        .with_observers(standing.observers.iter().map(voter).collect());
    let name = TopicName(text(METADATA));
    let topic = TopicData::default().with_topic_name(name).with_partitions(vec![partition]);
    let mut response = DescribeQuorumResponse::default().with_topics(vec![topic]);
    if version >= 2 {
        let node = |it: &VoterStanding| {
            let recorded = standing.endpoints.iter().find(|(node, _)| *node == it.node);
            let listeners = listeners(context, it.node, recorded.map(|(_, endpoint)| endpoint.as_str()));
            Node::default().with_node_id(BrokerId(it.node.0)).with_listeners(listeners)
        };
        response.nodes = standing.voters.iter().map(node).collect();
    }
    response
}

/// Where the voter is reached: as the quorum says, which other voters use; else where clients reach the node.
fn listeners(context: &Context<'_>, node: NodeId, recorded: Option<&str>) -> Vec<Listener> {
    let listener = |name: &str, host: &str, port: u16| {
        Listener::default().with_name(text(name)).with_host(text(host)).with_port(port)
    };
    let config = context.config;
    let split = |endpoint: &str| {
        let (host, port) = endpoint.rsplit_once(':')?;
        Some((host.trim_matches(['[', ']']).to_owned(), port.parse::<u16>().ok()?))
    };
    if let Some((host, port)) = recorded.and_then(split) {
        return vec![listener(&config.controller_listener, &host, port)];
    }
    let broker = context.image.broker(node);
    let endpoints = broker.map_or(&[][..], |broker| &broker.endpoints[..]);
    endpoints.iter().map(|it| listener(&it.listener, &it.host, it.port)).collect()
}
