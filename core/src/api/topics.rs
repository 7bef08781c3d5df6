//! Finding partitions that a request names by topic name or topic id.

use crate::{
    engine::{Context, missing},
    error::ErrorCode,
    ids::{PartitionId, TopicId},
    metadata::TopicImage,
};
use kafka_protocol::messages::TopicName;
use std::sync::Arc;
use uuid::Uuid;

/// A topic as a request names it.
pub(super) fn find<'a>(
    context: &Context<'a>,
    name: &TopicName,
    id: Uuid,
) -> Result<&'a Arc<TopicImage>, ErrorCode> {
    if id.is_nil() {
        context.image.topic(name).ok_or_else(|| missing(false))
    } else {
        context.image.topic_by_id(TopicId(id)).ok_or_else(|| missing(true))
    }
}

/// A partition of it that this broker leads.
pub(super) fn led_here(
    context: &Context<'_>,
    topic: &TopicImage,
    index: i32,
) -> Result<PartitionId, ErrorCode> {
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if partition.leader == Some(context.place.node) {
        Ok(PartitionId { topic: topic.id, index })
    } else {
        Err(ErrorCode::NotLeaderOrFollower)
    }
}
