//! Finding partitions that a request names by topic name or topic id.

use super::respond::text;
use crate::{
    engine::{Context, missing},
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, PartitionId, TopicId},
    metadata::{Image, TopicImage},
};
use kafka_protocol::{messages::TopicName, protocol::StrBytes};
use std::{collections::BTreeSet, sync::Arc};
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

/// A partition of it of which this broker has a replica.
pub(super) fn kept_here(
    context: &Context<'_>,
    topic: &TopicImage,
    index: i32,
) -> Result<PartitionId, ErrorCode> {
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if partition.replicas.contains(&context.place.node) {
        Ok(PartitionId { topic: topic.id, index })
    } else {
        Err(ErrorCode::NotLeaderOrFollower)
    }
}

/// Who leads a partition, and in which epoch, for clients that came to the wrong broker (KIP-951).
pub(super) fn leader(image: &Image, name: &TopicName, id: Uuid, index: i32) -> Option<(NodeId, LeaderEpoch)> {
    let topic = if id.is_nil() { image.topic(name) } else { image.topic_by_id(TopicId(id)) };
    let partition = topic?.partition(index)?;
    partition.leader.map(|leader| (leader, partition.leader_epoch))
}

/// Where clients of the request's listener reach these brokers: id, host, port, rack.
pub(super) fn endpoints<'a>(
    context: &Context<'a>,
    nodes: &'a BTreeSet<NodeId>,
) -> impl Iterator<Item = (NodeId, StrBytes, i32, Option<StrBytes>)> + 'a {
    let (image, listener) = (context.image, super::metadata::listener_name(context).to_owned());
    nodes.iter().filter_map(move |id| {
        let broker = image.broker(*id)?;
        let endpoint = broker.endpoint(&listener)?;
        let rack = broker.rack.clone().map(text);
        Some((*id, text(endpoint.host.clone()), i32::from(endpoint.port), rack))
    })
}
