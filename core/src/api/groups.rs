//! What all handlers of groups share: where a group lives, and how its coordinator is asked.

use crate::{
    controller::{NewTopic, consumer_groups_are_finalized},
    engine::{
        Ask, Context, Gather, GroupQuery, OwnerRequest, OwnerResponse, Response as Answer, Start, Step,
    },
    error::ErrorCode,
    groups::{Client, GroupId, OFFSETS_TOPIC, Reply, Request, TopicOffsets},
    ids::{NodeId, PartitionId, TopicId, partition_of_name},
    metadata::Image,
    wire::RequestHeader,
};
use corelane_seam::ShardId;
use kafka_protocol::messages::TopicName;
use std::sync::Arc;
use uuid::Uuid;

/// Replicas of `__consumer_offsets` where nobody has said how many.
const OFFSETS_REPLICAS: i16 = 3;

/// Whether the new group protocol is served: the broker has it (`group.coordinator.rebalance.protocols`) and the
/// cluster is finalized at a level that has it. Its keys are advertised all the same, as in Kafka.
pub(super) fn new_protocol_is_served(context: &Context<'_>) -> bool {
    context.config.groups.consumer.enabled && consumer_groups_are_finalized(context.image)
}

/// `__consumer_offsets`, as it is created when the first group needs it.
pub(super) fn offsets_topic(context: &Context<'_>) -> NewTopic {
    let settings = &context.config.groups;
    // Kafka waits until there are as many brokers as it is told replicas of; where nobody said how many, those that live
    // will do.
    let alive = context.image.brokers().filter(|broker| broker.is_active()).count();
    let brokers = i16::try_from(alive).unwrap_or(i16::MAX);
    let replication_factor =
        settings.topic_replication_factor.unwrap_or_else(|| OFFSETS_REPLICAS.min(brokers).max(1));
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
    let topic = context.image.topic(OFFSETS_TOPIC)?;
    topic.partition(partition_of_name(group, topic.partition_count()))?.leader
}

/// The partition that holds a group, and its owner.
fn home(context: &Context<'_>, group: &str) -> Result<(ShardId, PartitionId), ErrorCode> {
    let topic = context.image.topic(OFFSETS_TOPIC).ok_or(ErrorCode::NotCoordinator)?;
    let index = partition_of_name(group, topic.partition_count());
    let leader = topic.partitions.get(&index).and_then(|partition| partition.leader);
    if leader != Some(context.place.node) {
        return Err(ErrorCode::NotCoordinator);
    }
    let id = PartitionId { topic: topic.id, index };
    Ok((context.owner(id), id))
}

/// The client of a request.
pub(super) fn client(context: &mut Context<'_>, header: &RequestHeader) -> Client {
    Client {
        id: Arc::from(header.client_id.as_deref().unwrap_or_default()),
        host: format!("/{}", context.peer.ip()).into(),
        fresh: context.random.uuid(),
    }
}

type Finish = Box<dyn FnMut(&mut Context<'_>, Vec<Reply>) -> Answer>;

/// A request to the coordinators of some groups, in the order in which it names them.
struct Questions {
    name: &'static str,
    replies: Vec<Option<Reply>>,
    finish: Finish,
}

/// Asks about each of these groups; `finish` makes the response of as many replies. There is no deadline: members
/// wait for each other, and the coordinator knows for how long.
pub(super) fn ask_each(
    context: &mut Context<'_>,
    name: &'static str,
    requests: Vec<Result<Request, ErrorCode>>,
    finish: impl FnMut(&mut Context<'_>, Vec<Reply>) -> Answer + 'static,
) -> Start {
    let mut questions = Questions { name, replies: Vec::new(), finish: Box::new(finish) };
    let mut asks = Vec::new();
    for (place, request) in (0..).zip(requests) {
        let home = request.and_then(|request| Ok((home(context, request.group())?, request)));
        questions.replies.push(match home {
            Ok(((shard, partition), request)) => {
                let query = GroupQuery { place, partition, request };
                asks.push(Ask::Owner(shard, OwnerRequest::Group(Box::new(query))));
                None
            }
            Err(error) => Some(Err(error)),
        });
    }
    if asks.is_empty() {
        return Start::Ready(questions.finish(context));
    }
    Start::Gather { gather: Box::new(questions), asks, deadline: None }
}

/// Asks about one group.
pub(super) fn ask(
    context: &mut Context<'_>,
    name: &'static str,
    request: Request,
    mut finish: impl FnMut(&mut Context<'_>, Reply) -> Answer + 'static,
) -> Start {
    ask_each(context, name, vec![Ok(request)], move |context, replies| {
        finish(context, replies.into_iter().next().unwrap_or(Err(WRONG_KIND)))
    })
}

impl Questions {
    fn finish(&mut self, context: &mut Context<'_>) -> Answer {
        let replies = std::mem::take(&mut self.replies);
        let replies = replies.into_iter().map(|reply| reply.unwrap_or(Err(ErrorCode::RequestTimedOut)));
        (self.finish)(context, replies.collect())
    }
}

impl Gather for Questions {
    fn answered(&mut self, context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::Group(place, reply) = response else { return Step::Wait };
        if let Some(slot) = self.replies.get_mut(place as usize) {
            *slot = Some(reply);
        }
        if self.replies.iter().all(Option::is_some) { Step::Done(self.finish(context)) } else { Step::Wait }
    }

    fn expired(&mut self, context: &mut Context<'_>) -> Step {
        Step::Done(self.finish(context))
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

/// An answer of another kind than was asked for: a bug of the coordinator, told to the client as such.
pub(super) const WRONG_KIND: ErrorCode = ErrorCode::UnknownServerError;

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
