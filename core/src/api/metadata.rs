//! Metadata (key 3), versions 0-13.
//!
//! Missing topics are created when the request allows it and the broker does (`auto.create.topics.enable`), and are then
//! in the response: no second round trip. Topic ids: KIP-516 (v10 tells them, v12 takes them); rebootstrap code: v13. Who
//! asks for what a broker led that has just gone is answered when its successor is known, or a moment later.

use super::{
    controlled, groups,
    respond::{ReplyTo, text},
};
use crate::{
    controller::{CreateTopicsRequest, NewTopic},
    engine::{Context, ControllerRequest, ControllerResponse, Gather, OwnerResponse, Response, Start, Step},
    error::ErrorCode,
    groups::OFFSETS_TOPIC,
    ids::{NodeId, TopicId},
    metadata::{Image, PartitionImage, TopicImage, validate_topic_name},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use corelane_seam::Monotonic;
use kafka_protocol::{
    messages::{
        BrokerId, MetadataRequest, MetadataResponse, TopicName,
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
    protocol::StrBytes,
};
use std::collections::BTreeMap;

/// How long creating missing topics may take: clients ask again soon anyway.
const CREATION_MS_MAX: i32 = 10_000;

/// "Not told" for authorized operations.
const NO_OPERATIONS: i32 = i32::MIN;

/// A topic as the request names it.
#[derive(Clone)]
enum Wanted {
    Name(StrBytes),
    Id(TopicId),
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: MetadataRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let version = header.api_version;
    let wanted: Option<Vec<Wanted>> = match request.topics {
        // v0 says "all" with an empty list.
        Some(topics) if version == 0 && topics.is_empty() => None,
        Some(topics) => Some(
            topics
                .into_iter()
                .map(|topic| match topic.name {
                    Some(name) => Wanted::Name(name.0),
                    None => Wanted::Id(TopicId(topic.topic_id)),
                })
                .collect(),
        ),
        None => None,
    };
    let may_create = context.config.auto_create_topics && (version < 4 || request.allow_auto_topic_creation);
    let missing = if may_create { missing(context.image, wanted.as_deref()) } else { Vec::new() };
    if missing.is_empty() {
        if let Some(until) = news_until(context, wanted.as_deref()) {
            let gather = Box::new(Successors { reply_to, wanted });
            return Ok(Start::Gather { gather, asks: Vec::new(), deadline: Some(until) });
        }
        return Ok(Start::Ready(respond(context, reply_to, wanted.as_deref(), &BTreeMap::new())));
    }
    let offsets_topic = groups::offsets_topic(context);
    let topics = missing.into_iter().map(|name| match name.as_str() {
        OFFSETS_TOPIC => offsets_topic.clone(),
        _ => NewTopic {
            name,
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        },
    });
    let ask = ControllerRequest::CreateTopics(CreateTopicsRequest {
        topics: topics.collect(),
        validate_only: false,
    });
    Ok(controlled::ask(context, "Metadata", CREATION_MS_MAX, ask, move |context, answer| {
        let mut failed = BTreeMap::new();
        if let Ok(ControllerResponse::CreateTopics(results)) = answer {
            for result in results {
                match result.result {
                    // Another connection was faster.
                    Ok(_) => {}
                    Err(error) if error.code == ErrorCode::TopicAlreadyExists => {}
                    Err(error) => {
                        failed.insert(result.name, error.code);
                    }
                }
            }
        }
        respond(context, reply_to, wanted.as_deref(), &failed)
    }))
}

/// Waits for who leads now what a broker led that has gone.
struct Successors {
    reply_to: ReplyTo,
    wanted: Option<Vec<Wanted>>,
}

impl Successors {
    fn respond(&self, context: &mut Context<'_>) -> Step {
        Step::Done(respond(context, self.reply_to, self.wanted.as_deref(), &BTreeMap::new()))
    }
}

impl Gather for Successors {
    fn answered(&mut self, _context: &mut Context<'_>, _response: OwnerResponse) -> Step {
        Step::Wait
    }

    fn metadata_changed(&mut self, context: &mut Context<'_>) -> Step {
        match news_until(context, self.wanted.as_deref()) {
            Some(_) => Step::Wait,
            None => self.respond(context),
        }
    }

    fn expired(&mut self, context: &mut Context<'_>) -> Step {
        self.respond(context)
    }

    fn name(&self) -> &'static str {
        "Metadata"
    }
}

/// Until when to wait for news of what is asked for, if some of it is led by a broker that has gone.
fn news_until(context: &Context<'_>, wanted: Option<&[Wanted]>) -> Option<Monotonic> {
    let now = context.now.monotonic;
    if context.gone.is_empty(now) {
        return None;
    }
    let of_topic = |topic: &TopicImage| {
        let leaders = topic.partitions.iter().filter_map(|(_, partition)| partition.leader);
        leaders.filter_map(|leader| context.gone.news_until(now, leader)).max()
    };
    match wanted {
        None => context.image.topics().filter_map(|topic| of_topic(topic)).max(),
        Some(wanted) => wanted.iter().filter_map(|one| topic(context.image, one)).filter_map(of_topic).max(),
    }
}

fn topic<'a>(image: &'a Image, wanted: &Wanted) -> Option<&'a TopicImage> {
    match wanted {
        Wanted::Name(name) => image.topic(name).map(|topic| &**topic),
        Wanted::Id(id) => image.topic_by_id(*id).map(|topic| &**topic),
    }
}

fn missing(image: &Image, wanted: Option<&[Wanted]>) -> Vec<String> {
    let mut names: Vec<String> = wanted
        .unwrap_or_default()
        .iter()
        .filter_map(|wanted| match wanted {
            Wanted::Name(name) if image.topic(name).is_none() && validate_topic_name(name).is_ok() => {
                Some(name.to_string())
            }
            Wanted::Name(_) | Wanted::Id(_) => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn respond(
    context: &mut Context<'_>,
    reply_to: ReplyTo,
    wanted: Option<&[Wanted]>,
    failed: &BTreeMap<String, ErrorCode>,
) -> Response {
    let version = reply_to.version;
    let topics = match wanted {
        None => context.image.topics().map(|topic| found(context.image, topic, version)).collect(),
        Some(wanted) => wanted.iter().map(|wanted| one(context.image, wanted, failed, version)).collect(),
    };
    let listener = listener_name(context);
    let brokers = context.image.brokers().filter(|broker| !broker.fenced).filter_map(|broker| {
        let endpoint = broker.endpoint(listener)?;
        let mut told = MetadataResponseBroker::default()
            .with_node_id(broker.id.0.into())
            .with_host(text(endpoint.host.clone()))
            .with_port(i32::from(endpoint.port));
        if version >= 1 {
            told.rack = broker.rack.clone().map(text);
        }
        Some(told)
    });
    let mut response = MetadataResponse::default().with_topics(topics).with_brokers(brokers.collect());
    if version >= 1 {
        response.controller_id = any_broker(context);
    }
    if version >= 2 {
        response.cluster_id = context.image.cluster_id().map(|id| text(&**id));
    }
    if (8..=10).contains(&version) {
        response.cluster_authorized_operations = NO_OPERATIONS;
    }
    reply_to.encode(&response)
}

/// Whom clients are told to take for the controller: any broker that lives, as in Kafka since brokers take such requests to
/// the controller themselves; -1 if there is none.
pub(super) fn any_broker(context: &mut Context<'_>) -> BrokerId {
    let alive: Vec<NodeId> =
        context.image.brokers().filter(|broker| !broker.fenced).map(|broker| broker.id).collect();
    let count = alive.len().max(1) as u64;
    let drawn = usize::try_from(context.random.draw() % count).unwrap_or(0);
    BrokerId(alive.get(drawn).map_or(-1, |id| id.0))
}

/// The name of the listener by which a request came.
pub(super) fn listener_name<'a>(context: &Context<'a>) -> &'a str {
    context.config.listeners.get(usize::from(context.listener.0)).map_or("", |listener| &listener.name)
}

fn one(
    image: &Image,
    wanted: &Wanted,
    failed: &BTreeMap<String, ErrorCode>,
    version: i16,
) -> MetadataResponseTopic {
    if let Some(topic) = topic(image, wanted) {
        return found(image, topic, version);
    }
    let mut response = MetadataResponseTopic::default();
    if version >= 8 {
        response.topic_authorized_operations = NO_OPERATIONS;
    }
    match wanted {
        Wanted::Name(name) => {
            let error = match failed.get(name.as_str()) {
                Some(error) => *error,
                None if validate_topic_name(name).is_err() => ErrorCode::InvalidTopicException,
                None => ErrorCode::UnknownTopicOrPartition,
            };
            response.with_error_code(error.code()).with_name(Some(TopicName(name.clone())))
        }
        Wanted::Id(id) => {
            let mut response = response.with_error_code(ErrorCode::UnknownTopicId.code());
            // Null names exist from v12 on; ids in requests too.
            response.name = if version >= 12 { None } else { Some(TopicName::default()) };
            response.with_topic_id(id.0)
        }
    }
}

fn found(image: &Image, topic: &TopicImage, version: i16) -> MetadataResponseTopic {
    let partitions =
        topic.partitions.iter().map(|(index, partition)| told(image, *index, partition, version));
    let mut response = MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&*topic.name))))
        .with_partitions(partitions.collect());
    if version >= 1 {
        response.is_internal = topic.is_internal;
    }
    if version >= 8 {
        response.topic_authorized_operations = NO_OPERATIONS;
    }
    if version >= 10 {
        response.topic_id = topic.id.0;
    }
    response
}

fn told(image: &Image, index: i32, partition: &PartitionImage, version: i16) -> MetadataResponsePartition {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| BrokerId(node.0)).collect();
    let error = if partition.leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
    let mut response = MetadataResponsePartition::default()
        .with_error_code(error.code())
        .with_partition_index(index)
        .with_leader_id(BrokerId(partition.leader.map_or(-1, |leader| leader.0)))
        .with_replica_nodes(ids(&partition.replicas))
        .with_isr_nodes(ids(&partition.isr));
    if version >= 5 {
        let lives = |node: &NodeId| image.broker(*node).is_some_and(|broker| !broker.fenced);
        let offline = partition.replicas.iter().filter(|node| !lives(node)).map(|node| BrokerId(node.0));
        response.offline_replicas = offline.collect();
    }
    if version >= 7 {
        response.leader_epoch = partition.leader_epoch.0;
    }
    response
}
