//! What all handlers of groups share.

pub(super) use super::coordinated::{WRONG_KIND, ask, ask_each};

use super::{controlled::internal_replicas, coordinated::home};
use crate::{
    controller::{NewTopic, consumer_groups_are_finalized},
    engine::Context,
    error::ErrorCode,
    groups::{Client, GroupId, OFFSETS_TOPIC, TopicOffsets},
    ids::{NodeId, TopicId},
    metadata::Image,
    wire::RequestHeader,
};
use kafka_protocol::messages::TopicName;
use std::sync::Arc;
use uuid::Uuid;

/// Whether the new group protocol is served: the broker has it (`group.coordinator.rebalance.protocols`) and the
/// cluster is finalized at a level that has it. Its keys are advertised all the same, as in Kafka.
pub(super) fn new_protocol_is_served(context: &Context<'_>) -> bool {
    context.config.groups.consumer.enabled && consumer_groups_are_finalized(context.image)
}

/// `__consumer_offsets`, as it is created when the first group needs it.
pub(super) fn offsets_topic(context: &Context<'_>) -> NewTopic {
    let settings = &context.config.groups;
    let replication_factor = internal_replicas(context, settings.topic_replication_factor);
    let config = |key: &str, value: String| (key.to_owned(), Some(value));
    NewTopic {
        name: OFFSETS_TOPIC.to_owned(),
        partitions: settings.topic_partitions,
        replication_factor,
        assignments: Vec::new(),
        configs: vec![
            config("cleanup.policy", "compact".to_owned()),
            config("compression.type", "producer".to_owned()),
            config("segment.bytes", settings.topic_segment_bytes.to_string()),
        ],
    }
}

/// Who coordinates a group, if anyone can now.
pub(super) fn coordinator(context: &Context<'_>, group: &str) -> Option<NodeId> {
    home(context, OFFSETS_TOPIC, group)?.1
}

/// The client of a request.
pub(super) fn client(context: &mut Context<'_>, header: &RequestHeader) -> Client {
    Client {
        id: Arc::from(header.client_id.as_deref().unwrap_or_default()),
        host: format!("/{}", context.peer.ip()).into(),
        fresh: context.random.uuid(),
    }
}

/// A group's name, if it is one.
pub(super) fn named(group: &str) -> Result<GroupId, ErrorCode> {
    // Java's trim: blanks alone are no name.
    if group.trim().is_empty() { Err(ErrorCode::InvalidGroupId) } else { Ok(group.into()) }
}

/// What a client is told of an error of the log (`GroupCoordinatorService.handleOperationException`).
pub(super) fn told(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}

/// The topic that a request names, by name or (from version 10 of the offset keys) by id.
pub(super) fn topic_of(image: &Image, name: &TopicName, id: Uuid) -> Option<(Arc<str>, TopicId)> {
    let topic = if id.is_nil() { image.topic(name.as_str()) } else { image.topic_by_id(TopicId(id)) };
    topic.map(|topic| (Arc::clone(&topic.name), topic.id))
}

/// Partitions of a topic that have nothing but their numbers.
pub(super) fn numbers(
    name: Arc<str>,
    id: TopicId,
    partitions: impl IntoIterator<Item = i32>,
) -> TopicOffsets<()> {
    TopicOffsets { name, id, partitions: partitions.into_iter().map(|number| (number, ())).collect() }
}
