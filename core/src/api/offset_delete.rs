//! OffsetDelete (key 47), version 0 (KIP-496).

use super::{
    groups::{self, WRONG_KIND, numbers, told},
    respond::{ReplyTo, text},
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    groups::{DeleteOffsets, Request, Response, TopicOffsets},
    ids::TopicId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    OffsetDeleteRequest, OffsetDeleteResponse,
    offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: OffsetDeleteRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let group = match groups::named(&request.group_id) {
        Ok(group) => group,
        Err(error) => {
            return reply_to.ready(&OffsetDeleteResponse::default().with_error_code(error.code()));
        }
    };
    let (mut unknown, mut topics) = (Vec::new(), Vec::new());
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
        match context.image.topic(topic.name.as_str()) {
            Some(image) => topics.push(numbers(image.name.clone(), image.id, partitions)),
            None => unknown.push(TopicOffsets {
                name: topic.name.as_str().into(),
                id: TopicId::ZERO,
                partitions: partitions
                    .map(|partition| (partition, ErrorCode::UnknownTopicOrPartition))
                    .collect(),
            }),
        }
    }
    let delete = Request::DeleteOffsets(DeleteOffsets { group, topics });
    Ok(groups::ask(context, "OffsetDelete", delete, move |_, reply| {
        let deleted = match reply {
            Ok(Response::Deleted(topics)) => Ok(topics),
            Ok(_) => Err(WRONG_KIND),
            Err(error) => Err(told(error)),
        };
        let response = match deleted {
            Ok(topics) => OffsetDeleteResponse::default()
                .with_topics(unknown.iter().chain(&topics).map(told_topic).collect()),
            Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
        };
        reply_to.encode(&response)
    }))
}

fn told_topic(topic: &TopicOffsets<ErrorCode>) -> OffsetDeleteResponseTopic {
    let partitions = topic.partitions.iter().map(|(partition, error)| {
        OffsetDeleteResponsePartition::default()
            .with_partition_index(*partition)
            .with_error_code(error.code())
    });
    OffsetDeleteResponseTopic::default()
        .with_name(text(&*topic.name).into())
        .with_partitions(partitions.collect())
}
