//! OffsetCommit (key 8), versions 2-10 (retention until v4: KIP-211; leader epoch v6: KIP-320; static members v7: KIP-345;
//! member epochs v9, topic ids v10: KIP-848).
//!
//! Answered when the offsets are committed in `__consumer_offsets`: flushed, like every acknowledged record.

use super::{
    groups::{self, WRONG_KIND, told, topic_of},
    respond::{ReplyTo, text},
};
use crate::{
    engine::{Context, Response as Answer, Start},
    error::ErrorCode,
    groups::{CommitOffsets, NewOffset, Request, Response, TopicOffsets},
    ids::TopicId,
    wire::{RequestHeader, WireError, decode_offset_commit},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse,
    offset_commit_request::OffsetCommitRequestTopic,
    offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
};

/// "As the broker is configured."
const DEFAULT_RETENTION: i64 = -1;

/// Results of a request, in its order; those of topics that there are come from the coordinator.
struct Results {
    reply_to: ReplyTo,
    topics: Vec<TopicOffsets<ErrorCode>>,
    /// Which of them were asked for, in their order.
    asked: Vec<usize>,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: OffsetCommitRequest = decode_offset_commit(header, frame)?;
    let mut results = Results { reply_to: ReplyTo::new(header), topics: Vec::new(), asked: Vec::new() };
    let mut topics = Vec::new();
    for topic in &request.topics {
        let known = topic_of(context.image, &topic.name, topic.topic_id);
        let (name, id, error) = match &known {
            Some((name, id)) => (name.clone(), *id, ErrorCode::None),
            None if topic.topic_id.is_nil() => {
                (topic.name.as_str().into(), TopicId::ZERO, ErrorCode::UnknownTopicOrPartition)
            }
            None => ("".into(), TopicId(topic.topic_id), ErrorCode::UnknownTopicId),
        };
        if error.is_none() {
            results.asked.push(results.topics.len());
            topics.push(TopicOffsets { name: name.clone(), id, partitions: new_offsets(topic) });
        }
        let partitions = topic.partitions.iter().map(|partition| (partition.partition_index, error));
        results.topics.push(TopicOffsets { name, id, partitions: partitions.collect() });
    }
    if topics.is_empty() {
        return Ok(Start::Ready(results.respond(Ok(Response::Commit(Vec::new())))));
    }
    let commit = Request::Commit(CommitOffsets {
        group: request.group_id.as_str().into(),
        generation: request.generation_id_or_member_epoch,
        member: request.member_id.to_string(),
        instance: request.group_instance_id.as_deref().map(str::to_owned),
        retention_ms: Some(request.retention_time_ms).filter(|ms| *ms != DEFAULT_RETENTION),
        version: header.api_version,
        topics,
    });
    Ok(groups::ask(context, "OffsetCommit", commit, move |_, reply| results.respond(reply)))
}

fn new_offsets(topic: &OffsetCommitRequestTopic) -> Vec<(i32, NewOffset)> {
    let new = topic.partitions.iter().map(|partition| {
        let offset = NewOffset {
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_deref().unwrap_or_default().into(),
        };
        (partition.partition_index, offset)
    });
    new.collect()
}

impl Results {
    fn respond(&mut self, reply: Result<Response, ErrorCode>) -> Answer {
        let failed = match reply {
            Ok(Response::Commit(committed)) => {
                for (place, topic) in self.asked.iter().zip(committed) {
                    self.topics[*place] = topic;
                }
                None
            }
            Ok(_) => Some(WRONG_KIND),
            Err(ErrorCode::RecordListTooLarge | ErrorCode::MessageTooLarge) => {
                Some(ErrorCode::InvalidCommitOffsetSize)
            }
            Err(error) => Some(told(error)),
        };
        if let Some(error) = failed {
            for place in &self.asked {
                self.topics[*place].partitions.iter_mut().for_each(|(_, result)| *result = error);
            }
        }
        let by_id = self.reply_to.version >= 10;
        let topics = std::mem::take(&mut self.topics).into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|(partition, error)| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(*partition)
                    .with_error_code(error.code())
            });
            let told = OffsetCommitResponseTopic::default().with_partitions(partitions.collect());
            if by_id { told.with_topic_id(topic.id.0) } else { told.with_name(text(&*topic.name).into()) }
        });
        self.reply_to.encode(&OffsetCommitResponse::default().with_topics(topics.collect()))
    }
}
