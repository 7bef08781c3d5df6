//! OffsetFetch (key 9), versions 1-10 (all topics v2: KIP-88; leader epoch v5: KIP-320; stable offsets v7: KIP-447;
//! several groups v8: KIP-709; member epochs v9, topic ids v10: KIP-848).
//!
//! A reply waits until everything that was committed before is durable: what is told cannot be lost afterwards. Where
//! stable offsets are required it also waits until the followers in sync confirm that this broker leads yet, and ends with
//! COORDINATOR_NOT_AVAILABLE after five seconds without their word.

use super::{
    groups::{self, WRONG_KIND, numbers, told, topic_of},
    respond::{ReplyTo, text, too_many},
};
use crate::{
    engine::{Context, Response as Answer, Start},
    error::ErrorCode,
    groups::{CommittedOffset, FetchOffsets, Reply, Request, Response, TopicOffsets},
    ids::TopicId,
    wire::{RequestHeader, WireError, decode_offset_fetch},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName,
    offset_fetch_response::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
        OffsetFetchResponseTopic, OffsetFetchResponseTopics,
    },
};
use uuid::Uuid;

/// The first version that has an error of the whole request.
const GROUP_ERROR_FROM: i16 = 2;
/// The first version that has leader epochs.
const LEADER_EPOCH_FROM: i16 = 5;
/// The first version that may ask for several groups.
const SEVERAL_FROM: i16 = 8;
/// The first version in which members of consumer groups name their epoch.
const MEMBER_EPOCH_FROM: i16 = 9;
/// The first version that names topics by id.
const TOPIC_IDS_FROM: i16 = 10;

/// Partitions of topics of one group, by place in the request; `None` for all that there are.
type Asked = Option<Vec<(TopicOffsets<()>, ErrorCode)>>;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: OffsetFetchRequest = decode_offset_fetch(header, frame)?;
    let reply_to = ReplyTo::new(header);
    if let Some(refusal) = too_many(partitions_named(&request)) {
        return Ok(refusal);
    }
    let require_stable = request.require_stable;
    let (mut names, mut requests, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    let mut add = |group: GroupId, member: Option<(String, i32)>, topics: Asked| {
        let known = topics.as_ref().map(|topics| {
            let known = topics.iter().filter(|(_, error)| error.is_none());
            known.map(|(topic, _)| topic.clone()).collect()
        });
        requests.push(Ok(Request::FetchOffsets(FetchOffsets {
            group: group.as_str().into(),
            member,
            topics: known,
            require_stable,
        })));
        names.push(group);
        asked.push(topics);
    };
    if header.api_version >= SEVERAL_FROM {
        for group in request.groups {
            let topics = group.topics.map(|topics| {
                let each = topics.into_iter();
                each.map(|it| wanted(context, &it.name, it.topic_id, it.partition_indexes)).collect()
            });
            let member = group.member_id.map(|id| (id.to_string(), group.member_epoch));
            add(group.group_id, member.filter(|_| header.api_version >= MEMBER_EPOCH_FROM), topics);
        }
    } else {
        let topics = request.topics.map(|topics| {
            let each = topics.into_iter();
            each.map(|it| wanted(context, &it.name, Uuid::nil(), it.partition_indexes)).collect()
        });
        add(request.group_id, None, topics);
    }
    Ok(groups::ask_each(context, "OffsetFetch", requests, move |context, replies| {
        let groups = names.iter().zip(&asked).zip(replies);
        respond(context, reply_to, groups.map(|((name, asked), reply)| (name, asked, reply)))
    }))
}

/// Groups and partitions that a request names: each takes a few bytes there and some twenty in the answer.
fn partitions_named(request: &OffsetFetchRequest) -> usize {
    let old = request.topics.iter().flatten().map(|topic| topic.partition_indexes.len());
    let new = request.groups.iter().flat_map(|group| group.topics.iter().flatten());
    let new = new.map(|topic| topic.partition_indexes.len());
    request.groups.len() + old.chain(new).sum::<usize>()
}

fn wanted(
    context: &Context<'_>,
    name: &TopicName,
    id: Uuid,
    partitions: Vec<i32>,
) -> (TopicOffsets<()>, ErrorCode) {
    match topic_of(context.image, name, id) {
        Some((name, id)) => (numbers(name, id, partitions), ErrorCode::None),
        None if id.is_nil() => {
            // Of a topic that is gone, or that is not here yet, what was committed is still told.
            (numbers(name.as_str().into(), TopicId::ZERO, partitions), ErrorCode::None)
        }
        None => (numbers("".into(), TopicId(id), partitions), ErrorCode::UnknownTopicId),
    }
}

type Found = (TopicOffsets<CommittedOffset>, ErrorCode);

/// The topics of a group in the order in which they were asked for, or why there are none.
fn found(context: &Context<'_>, version: i16, asked: &Asked, reply: Reply) -> Result<Vec<Found>, ErrorCode> {
    let told_of = match reply {
        Ok(Response::Offsets(topics)) => topics,
        Ok(_) => return Err(WRONG_KIND),
        Err(error) => return Err(told(error)),
    };
    let Some(asked) = asked else {
        let current = |topic: &TopicOffsets<CommittedOffset>| {
            // By id only what there is can be told.
            let known = context.image.topic(&topic.name).map(|image| image.id);
            version < TOPIC_IDS_FROM || known.is_some_and(|id| topic.id == TopicId::ZERO || topic.id == id)
        };
        let with_id = |mut topic: TopicOffsets<CommittedOffset>| {
            if let Some(image) = context.image.topic(&topic.name) {
                topic.id = image.id;
            }
            (topic, ErrorCode::None)
        };
        return Ok(told_of.into_iter().filter(current).map(with_id).collect());
    };
    let mut told_of = told_of.into_iter();
    let in_order = asked.iter().map(|(topic, error)| match error {
        ErrorCode::None => (told_of.next().unwrap_or_else(|| nothing(topic)), ErrorCode::None),
        error => (nothing(topic), *error),
    });
    Ok(in_order.collect())
}

fn nothing(topic: &TopicOffsets<()>) -> TopicOffsets<CommittedOffset> {
    let none = topic.partitions.iter().map(|(partition, ())| (*partition, CommittedOffset::none()));
    TopicOffsets { name: topic.name.clone(), id: topic.id, partitions: none.collect() }
}

fn respond<'a>(
    context: &Context<'_>,
    reply_to: ReplyTo,
    groups: impl Iterator<Item = (&'a GroupId, &'a Asked, Reply)>,
) -> Answer {
    let version = reply_to.version;
    let groups = groups.map(|(name, asked, reply)| (name, asked, found(context, version, asked, reply)));
    if version < SEVERAL_FROM {
        let mut response = OffsetFetchResponse::default();
        for (_, asked, found) in groups {
            match found {
                Ok(topics) => {
                    response.topics = topics.iter().map(|found| old_topic(found, version)).collect()
                }
                Err(error) if version >= GROUP_ERROR_FROM => response.error_code = error.code(),
                Err(error) => {
                    let each = asked.iter().flatten().map(|(topic, _)| (nothing(topic), error));
                    response.topics = each.map(|failed| old_topic(&failed, version)).collect();
                }
            }
        }
        return reply_to.encode(&response);
    }
    let groups = groups.map(|(name, _, found)| {
        let told = OffsetFetchResponseGroup::default().with_group_id(name.clone());
        match found {
            Ok(topics) => told.with_topics(topics.iter().map(|found| topic(found, version)).collect()),
            Err(error) => told.with_error_code(error.code()),
        }
    });
    reply_to.encode(&OffsetFetchResponse::default().with_groups(groups.collect()))
}

fn topic((topic, error): &Found, version: i16) -> OffsetFetchResponseTopics {
    let partitions = topic.partitions.iter().map(|(partition, found)| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(*partition)
            .with_committed_offset(found.offset)
            .with_committed_leader_epoch(found.leader_epoch)
            .with_metadata(Some(text(&*found.metadata)))
            .with_error_code(of_partition(*error, found))
    });
    let told = OffsetFetchResponseTopics::default().with_partitions(partitions.collect());
    if version >= TOPIC_IDS_FROM {
        told.with_topic_id(topic.id.0)
    } else {
        told.with_name(text(&*topic.name).into())
    }
}

/// The topic's error, or the partition's own.
fn of_partition(topic: ErrorCode, found: &CommittedOffset) -> i16 {
    if topic.is_none() { found.error.code() } else { topic.code() }
}

fn old_topic((topic, error): &Found, version: i16) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.iter().map(|(partition, found)| {
        let told = OffsetFetchResponsePartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(found.offset)
            .with_metadata(Some(text(&*found.metadata)))
            .with_error_code(of_partition(*error, found));
        if version >= LEADER_EPOCH_FROM { told.with_committed_leader_epoch(found.leader_epoch) } else { told }
    });
    OffsetFetchResponseTopic::default()
        .with_name(text(&*topic.name).into())
        .with_partitions(partitions.collect())
}
