//! AlterPartitionReassignments (key 45), versions 0-1 (KIP-455; the replication factor's protection from v1: KIP-860).
//!
//! Replicas do not move between brokers yet. What is asked for and is so already is answered with success, as in Kafka;
//! everything else with the reason why it cannot be.

use super::respond::{ReplyTo, text, too_many};
use crate::{
    controller::{ApiError, check_assignment},
    engine::{Context, Start},
    error::ErrorCode,
    ids::NodeId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
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
    let responses = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            let wanted = partition.replicas.as_deref();
            let result = reassign(context, &topic.name, partition.partition_index, wanted);
            let (error, message) = match result {
                Ok(()) => (ErrorCode::None, None),
                Err(error) => (error.code, Some(text(error.message))),
            };
            ReassignablePartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
                .with_error_message(message)
        });
        ReassignableTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name.clone())
    });
    let mut response = AlterPartitionReassignmentsResponse::default()
        .with_error_message(None)
        .with_responses(responses.collect());
    if header.api_version >= 1 {
        response.allow_replication_factor_change = request.allow_replication_factor_change;
    }
    ReplyTo::new(header).ready(&response)
}

/// `wanted`: `None` ends a reassignment that is under way.
fn reassign(
    context: &Context<'_>,
    name: &str,
    index: i32,
    wanted: Option<&[BrokerId]>,
) -> Result<(), ApiError> {
    let unknown = |text| ApiError::new(ErrorCode::UnknownTopicOrPartition, text);
    let topic =
        context.image.topic(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let partition =
        topic.partition(index).ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    let Some(wanted) = wanted else {
        let text = "No partition reassignment is in progress.";
        return Err(ApiError::new(ErrorCode::NoReassignmentInProgress, text));
    };
    let wanted: Vec<NodeId> = wanted.iter().map(|id| NodeId(id.0)).collect();
    check_assignment(context.image, &wanted)?;
    if wanted == partition.replicas {
        Ok(())
    } else {
        let text = "Replicas cannot be moved between brokers: that is not built yet.";
        Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, text))
    }
}
