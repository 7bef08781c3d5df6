//! DescribeTopicPartitions (key 75), version 0 (KIP-966): topics in the order of their names, page by page.

use super::respond::{ReplyTo, text};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    ids::NodeId,
    metadata::{PartitionImage, TopicImage, validate_topic_name},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
    describe_topic_partitions_response::{
        Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
    },
};
use std::collections::BTreeSet;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DescribeTopicPartitionsRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let (first, first_index) = match &request.cursor {
        Some(cursor) if cursor.partition_index < 0 => {
            return Err(WireError::Decode("a cursor with a negative partition index".to_owned()));
        }
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index),
        None => ("", 0),
    };
    let names: BTreeSet<&str> = if request.topics.is_empty() {
        context.image.topics_from(first).map(|topic| &*topic.name).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.as_str()).filter(|name| *name >= first).collect()
    };
    let limit = request.response_partition_limit.min(context.config.request_partitions_max).max(1);
    let mut page = Page { left: usize::try_from(limit).unwrap_or(1), topics: Vec::new(), next: None };
    for name in names {
        let from = if name == first { first_index } else { 0 };
        match context.image.topic(name) {
            Some(topic) => page.add(topic, from),
            None => page.topics.push(missing(name)),
        }
        if page.next.is_some() {
            break;
        }
    }
    let response =
        DescribeTopicPartitionsResponse::default().with_topics(page.topics).with_next_cursor(page.next);
    reply_to.ready(&response)
}

struct Page {
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page {
    fn cursor(name: &str, index: i32) -> Cursor {
        Cursor::default().with_topic_name(TopicName(text(name))).with_partition_index(index)
    }

    fn add(&mut self, topic: &TopicImage, from: i32) {
        if self.left == 0 {
            self.next = Some(Page::cursor(&topic.name, from));
            return;
        }
        let rest: Vec<_> = topic.partitions.range(from..).collect();
        let fits = rest.len().min(self.left);
        self.left -= fits;
        if let Some((index, _)) = rest.get(fits) {
            self.next = Some(Page::cursor(&topic.name, **index));
        }
        let partitions = rest[..fits].iter().map(|(index, partition)| told(**index, partition));
        self.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(TopicName(text(&*topic.name))))
                .with_topic_id(topic.id.0)
                .with_is_internal(topic.is_internal)
                .with_partitions(partitions.collect())
                .with_topic_authorized_operations(i32::MIN),
        );
    }
}

fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match validate_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(TopicName(text(name))))
        .with_topic_authorized_operations(i32::MIN)
}

fn told(index: i32, partition: &PartitionImage) -> DescribeTopicPartitionsResponsePartition {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| BrokerId(node.0)).collect::<Vec<_>>();
    let error = if partition.leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
    DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(error.code())
        .with_partition_index(index)
        .with_leader_id(BrokerId(partition.leader.map_or(-1, |leader| leader.0)))
        .with_leader_epoch(partition.leader_epoch.0)
        .with_replica_nodes(ids(&partition.replicas))
        .with_isr_nodes(ids(&partition.isr))
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}
