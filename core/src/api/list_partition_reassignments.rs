//! ListPartitionReassignments (key 46), version 0 (KIP-455): partitions whose replicas are being exchanged. Those that
//! are not, or do not exist, are not told of, as in Kafka.

use super::respond::{ReplyTo, text};
use crate::{
    engine::{Context, Start},
    ids::NodeId,
    metadata::{PartitionImage, TopicImage},
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
    let topics = match request.topics {
        None => context.image.topics().filter_map(|topic| ongoing(topic, |_| true)).collect(),
        Some(named) => {
            let ongoing = named.into_iter().filter_map(|named| {
                let indexes = &named.partition_indexes;
                ongoing(context.image.topic(&named.name)?, |index| indexes.contains(&index))
            });
            ongoing.collect()
        }
    };
    ReplyTo::new(header)
        .ready(&ListPartitionReassignmentsResponse::default().with_error_message(None).with_topics(topics))
}

fn ongoing(topic: &TopicImage, wanted: impl Fn(i32) -> bool) -> Option<OngoingTopicReassignment> {
    let ids = |ids: &[NodeId]| ids.iter().map(|id| BrokerId(id.0)).collect();
    let is_ongoing = |it: &PartitionImage| !it.adding.is_empty() || !it.removing.is_empty();
    let partitions: Vec<OngoingPartitionReassignment> = topic
        .partitions
        .iter()
        .filter(|(index, partition)| is_ongoing(partition) && wanted(**index))
        .map(|(index, partition)| {
            OngoingPartitionReassignment::default()
                .with_partition_index(*index)
                .with_replicas(ids(&partition.replicas))
                .with_adding_replicas(ids(&partition.adding))
                .with_removing_replicas(ids(&partition.removing))
        })
        .collect();
    (!partitions.is_empty()).then(|| {
        OngoingTopicReassignment::default()
            .with_name(text(topic.name.to_string()).into())
            .with_partitions(partitions)
    })
}
