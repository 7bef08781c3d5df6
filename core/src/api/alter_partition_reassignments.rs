//! AlterPartitionReassignments (key 45), versions 0-1 (KIP-455; the replication factor's protection from v1: KIP-860).

use super::{
    controlled::{self, WRONG_KIND},
    respond::{ReplyTo, text, too_many},
};
use crate::{
    controller::{ApiError, ReassignPartitionsRequest, Reassigned, Reassignment, TopicReassignment},
    engine::{Context, ControllerRequest, ControllerResponse, Start},
    error::ErrorCode,
    ids::NodeId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    alter_partition_reassignments_request::ReassignableTopic,
    alter_partition_reassignments_response::{ReassignablePartitionResponse, ReassignableTopicResponse},
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: AlterPartitionReassignmentsRequest = decode_request(header, frame)?;
    if let Some(end) = too_many(request.topics.iter().map(|topic| topic.partitions.len()).sum()) {
        return Ok(end);
    }
    let (reply_to, version) = (ReplyTo::new(header), header.api_version);
    let allow_replication_factor_change = version < 1 || request.allow_replication_factor_change;
    let asked = ReassignPartitionsRequest {
        topics: request.topics.into_iter().map(wanted).collect(),
        allow_replication_factor_change,
    };
    // Without an answer of the controller, each of them has failed.
    let failed = |error: ErrorCode, topics: &[TopicReassignment]| -> Reassigned {
        let refused = || Err(ApiError::new(error, ""));
        let partitions =
            |topic: &TopicReassignment| topic.partitions.iter().map(|it| (it.index, refused())).collect();
        topics.iter().map(|topic| (topic.name.clone(), partitions(topic))).collect()
    };
    let topics = asked.topics.clone();
    let ask = ControllerRequest::ReassignPartitions(asked);
    let name = "AlterPartitionReassignments";
    Ok(controlled::ask(context, name, request.timeout_ms, ask, move |_, answer| {
        let (error, reassigned) = match answer {
            Ok(ControllerResponse::ReassignPartitions(reassigned)) => (ErrorCode::None, reassigned),
            Ok(_) => (WRONG_KIND, failed(WRONG_KIND, &topics)),
            Err(error) => (error, failed(error, &topics)),
        };
        let mut response = AlterPartitionReassignmentsResponse::default()
            .with_error_code(error.code())
            .with_error_message(None)
            .with_responses(reassigned.into_iter().map(|(name, results)| told(name, results)).collect());
        if version >= 1 {
            response.allow_replication_factor_change = allow_replication_factor_change;
        }
        reply_to.encode(&response)
    }))
}

fn wanted(topic: ReassignableTopic) -> TopicReassignment {
    let partitions = topic.partitions.into_iter().map(|partition| Reassignment {
        index: partition.partition_index,
        replicas: partition.replicas.map(|ids| ids.into_iter().map(|id| NodeId(id.0)).collect()),
    });
    TopicReassignment { name: topic.name.to_string(), partitions: partitions.collect() }
}

fn told(name: String, partitions: Vec<(i32, Result<(), ApiError>)>) -> ReassignableTopicResponse {
    let partitions = partitions.into_iter().map(|(index, result)| {
        let (error, message) = match result {
            Ok(()) => (ErrorCode::None, None),
            Err(error) => (error.code, (!error.message.is_empty()).then(|| text(error.message))),
        };
        ReassignablePartitionResponse::default()
            .with_partition_index(index)
            .with_error_code(error.code())
            .with_error_message(message)
    });
    ReassignableTopicResponse::default().with_partitions(partitions.collect()).with_name(text(name).into())
}
