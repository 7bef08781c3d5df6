//! ListPartitionReassignments (key 46), version 0 (KIP-455): partitions whose replicas are being exchanged, as the controller
//! knows. Those that are not, or do not exist, are not told of, as in Kafka.

use super::{
    controlled::{self, WRONG_KIND},
    respond::{ReplyTo, text, too_many},
};
use crate::{
    controller::{ListReassignmentsRequest, TopicReassignments},
    engine::{Context, ControllerRequest, ControllerResponse, Start},
    ids::NodeId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    BrokerId, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    list_partition_reassignments_response::{OngoingPartitionReassignment, OngoingTopicReassignment},
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: ListPartitionReassignmentsRequest = decode_request(header, frame)?;
    let named = request.topics.iter().flatten().map(|topic| topic.partition_indexes.len()).sum();
    if let Some(end) = too_many(named) {
        return Ok(end);
    }
    let reply_to = ReplyTo::new(header);
    let topics = request.topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect()
    });
    let ask = ControllerRequest::ListReassignments(ListReassignmentsRequest { topics });
    let name = "ListPartitionReassignments";
    Ok(controlled::ask(context, name, request.timeout_ms, ask, move |_, answer| {
        let response = ListPartitionReassignmentsResponse::default().with_error_message(None);
        reply_to.encode(&match answer {
            Ok(ControllerResponse::ListReassignments(topics)) => {
                response.with_topics(topics.into_iter().map(ongoing).collect())
            }
            Ok(_) => response.with_error_code(WRONG_KIND.code()),
            Err(error) => response.with_error_code(error.code()),
        })
    }))
}

fn ongoing(topic: TopicReassignments) -> OngoingTopicReassignment {
    let ids = |ids: &[NodeId]| ids.iter().map(|id| BrokerId(id.0)).collect();
    let partitions = topic.partitions.iter().map(|partition| {
        OngoingPartitionReassignment::default()
            .with_partition_index(partition.index)
            .with_replicas(ids(&partition.replicas))
            .with_adding_replicas(ids(&partition.adding))
            .with_removing_replicas(ids(&partition.removing))
    });
    OngoingTopicReassignment::default()
        .with_partitions(partitions.collect())
        .with_name(text(topic.name).into())
}
