//! Fetch (key 1) of followers, versions 4-18: replica id ≥ 0 (KIP-903 tells the registration, too).
//!
//! The owners of the partitions keep the positions of a follower's session, so a request carries to them what it names,
//! and from them what is new: nothing here is done for partitions of which nothing is said. A follower is given what is
//! not committed, and its offsets say what it has flushed.

use super::{
    fetch::{self, Room},
    respond::ReplyTo,
};
use crate::{
    engine::{
        Context, FollowPosition, FollowRequest, FollowerId, FollowerSession, Gather, OwnerRequest,
        OwnerResponse, ReadResult, Response, SessionError, Start, Step,
    },
    error::ErrorCode,
    ids::{LeaderEpoch, Map, Offset, PartitionId, TopicId},
    metadata::Image,
    wire::{FetchPartition, FetchResponse, FetchTopic, RequestHeader},
};
use corelane_seam::ShardId;
use kafka_protocol::{
    messages::{FetchRequest, TopicName},
    protocol::StrBytes,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How long a fetch waits at most where this broker has just begun to lead something: the follower may be about to hear of
/// it, too, and cannot ask for it before this answer.
const NEW_REIGN_WAIT_MS: i32 = 20;

/// A follower's fetch under way.
struct Follow {
    reply_to: ReplyTo,
    session: i32,
    /// How many bytes each owner has given, and whether it gave anything else; `None`: it has not answered.
    owners: BTreeMap<ShardId, Option<Progress>>,
    watched: Vec<ShardId>,
    results: Vec<(PartitionId, ReadResult)>,
    /// Where a partition stands in `results`.
    places: Map<PartitionId, usize>,
    /// Partitions named of which there is no topic.
    unknown: Vec<(Topic, i32)>,
    bytes_min: usize,
    bytes_max: usize,
    waits: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    serial: u64,
    bytes: usize,
    has_other_news: bool,
}

/// A topic as the request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Topic {
    name: StrBytes,
    id: TopicId,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    request: &FetchRequest,
    who: FollowerId,
) -> Start {
    let reply_to = ReplyTo::new(header);
    let new_id = i32::try_from(context.random.draw() >> 33).unwrap_or(1).max(1);
    // Before version 7 there are no sessions.
    let session = if header.api_version >= 7 { (request.session_id, request.session_epoch) } else { (0, -1) };
    let opened = match context.follower_sessions.open(context.connection, session, new_id) {
        Ok(opened) => opened,
        Err(SessionError::NotFound) => {
            return Start::Ready(fetch::failed(reply_to, ErrorCode::FetchSessionIdNotFound, 0));
        }
        Err(SessionError::WrongEpoch | SessionError::MixedIds) => {
            return Start::Ready(fetch::failed(reply_to, ErrorCode::InvalidFetchSessionEpoch, session.0));
        }
    };
    let mut named = ByOwner::default();
    let unknown = named.read(context, request, header.api_version >= 13);
    let asked = context.follower_sessions.owners(context.connection, opened, &named.owners());
    let wait_ms_max =
        if context.reign_is_new { request.max_wait_ms.min(NEW_REIGN_WAIT_MS) } else { request.max_wait_ms };
    let waits = wait_ms_max > 0 && request.min_bytes > 0 && unknown.is_empty();
    let bytes_max = fetch::bytes_max(context, request);
    let mut follow = Follow {
        reply_to,
        session: opened.id,
        owners: asked.keys().map(|owner| (*owner, None)).collect(),
        watched: asked.keys().copied().collect(),
        results: Vec::new(),
        places: Map::default(),
        unknown,
        bytes_min: usize::try_from(request.min_bytes).unwrap_or(0),
        bytes_max,
        waits,
    };
    if asked.is_empty() {
        return Start::Ready(follow.respond(context));
    }
    let session = FollowerSession { shard: context.place.shard, connection: context.connection };
    let wait_for_bytes = if waits { follow.bytes_min } else { 0 };
    let asks = asked.into_iter().map(|(owner, delivered)| {
        let (named, forgotten) = named.0.remove(&owner).unwrap_or_default();
        let request = FollowRequest {
            owner,
            session,
            who,
            is_fresh: opened.is_fresh,
            once: opened.id == 0,
            delivered,
            named,
            forgotten,
            bytes_max,
            wait_for_bytes,
        };
        crate::engine::Ask::Owner(owner, OwnerRequest::Follow(request))
    });
    let asks = asks.collect();
    let deadline = waits.then(|| context.after_ms(wait_ms_max));
    Start::Gather { asks, gather: Box::new(follow), deadline }
}

/// What each owner is told: positions, and what to leave out.
#[derive(Default)]
struct ByOwner(BTreeMap<ShardId, (Vec<FollowPosition>, Vec<PartitionId>)>);

impl ByOwner {
    fn owners(&self) -> BTreeSet<ShardId> {
        self.0.keys().copied().collect()
    }

    /// Takes what a request says. Gives the partitions of topics that the metadata does not know.
    fn read(&mut self, context: &Context<'_>, request: &FetchRequest, by_id: bool) -> Vec<(Topic, i32)> {
        let mut unknown = Vec::new();
        for topic in &request.topics {
            let Some(id) = topic_id(context.image, &topic.topic, topic.topic_id, by_id) else {
                let named = Topic { name: topic.topic.0.clone(), id: TopicId(topic.topic_id) };
                unknown.extend(topic.partitions.iter().map(|it| (named.clone(), it.partition)));
                continue;
            };
            for partition in &topic.partitions {
                let id = PartitionId { topic: id, index: partition.partition };
                self.0.entry(context.owner(id)).or_default().0.push(FollowPosition {
                    id,
                    from: Offset(partition.fetch_offset),
                    bytes_max: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
                    current_leader_epoch: LeaderEpoch(partition.current_leader_epoch),
                    last_fetched_epoch: LeaderEpoch(partition.last_fetched_epoch),
                    log_start: Offset(partition.log_start_offset),
                });
            }
        }
        for topic in &request.forgotten_topics_data {
            // One that was deleted meanwhile can still be forgotten by its id.
            let id = if by_id {
                Some(TopicId(topic.topic_id))
            } else {
                topic_id(context.image, &topic.topic, topic.topic_id, by_id)
            };
            for index in id.into_iter().flat_map(|id| topic.partitions.iter().map(move |index| (id, *index)))
            {
                let id = PartitionId { topic: index.0, index: index.1 };
                self.0.entry(context.owner(id)).or_default().1.push(id);
            }
        }
        unknown
    }
}

fn topic_id(image: &Image, name: &TopicName, id: Uuid, by_id: bool) -> Option<TopicId> {
    match by_id {
        true => image.topic_by_id(TopicId(id)).map(|topic| topic.id),
        false => image.topic(name).map(|topic| topic.id),
    }
}

/// Adds a partition, to the last topic if that is its own.
fn push(topics: &mut Vec<FetchTopic>, topic: Topic, partition: FetchPartition) {
    match topics.last_mut() {
        Some(last) if last.id == topic.id && last.name == topic.name => last.partitions.push(partition),
        _ => topics.push(FetchTopic { name: topic.name, id: topic.id, partitions: vec![partition] }),
    }
}

impl Follow {
    /// Whether the follower can be answered without waiting on.
    fn is_enough(&self) -> bool {
        let known = self.owners.values().flatten();
        let bytes: usize = known.clone().map(|progress| progress.bytes).sum();
        let is_urgent = !self.waits || known.clone().any(|progress| progress.has_other_news);
        self.owners.values().all(Option::is_some) && (is_urgent || bytes >= self.bytes_min)
    }

    fn respond(&mut self, context: &mut Context<'_>) -> Response {
        for (owner, progress) in &self.owners {
            let Some(Progress { serial, .. }) = progress else { continue };
            context.follower_sessions.delivered(context.connection, self.session, *owner, *serial);
        }
        let mut results = std::mem::take(&mut self.results);
        // Those that were read first have the room.
        let mut room = Room::new(self.bytes_max);
        results.iter_mut().for_each(|(_, result)| room.fit(result));
        results.sort_by_key(|(id, _)| id.topic);
        let by_id = self.reply_to.version >= 13;
        let mut response = FetchResponse { session_id: self.session, ..FetchResponse::default() };
        for (id, result) in results {
            let name = context.image.topic_by_id(id.topic).map(|topic| topic.name.to_string());
            let topic = Topic { name: StrBytes::from_string(name.unwrap_or_default()), id: id.topic };
            let partition = fetch::partition(context.place.node, false, id.index, result);
            push(&mut response.topics, topic, partition);
        }
        let error = if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
        for (topic, index) in &self.unknown {
            let partition = fetch::partition(context.place.node, false, *index, ReadResult::failed(error));
            push(&mut response.topics, topic.clone(), partition);
        }
        fetch::encode(self.reply_to, response)
    }
}

impl Gather for Follow {
    fn answered(&mut self, context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::Followed { owner, serial, results } = response else { return Step::Wait };
        let Some(progress) = self.owners.get_mut(&owner) else { return Step::Wait };
        *progress = Some(Progress {
            serial,
            bytes: results.iter().map(|(_, result)| result.bytes).sum(),
            has_other_news: results.iter().any(|(_, result)| result.bytes == 0),
        });
        for (id, result) in results {
            match self.places.get(&id) {
                Some(place) => self.results[*place] = (id, result),
                None => {
                    self.places.insert(id, self.results.len());
                    self.results.push((id, result));
                }
            }
        }
        if self.is_enough() { Step::Done(self.respond(context)) } else { Step::Wait }
    }

    fn expired(&mut self, context: &mut Context<'_>) -> Step {
        Step::Done(self.respond(context))
    }

    /// The follower's next fetch may name what this broker leads from now on.
    fn reign_began(&mut self, context: &mut Context<'_>) -> Step {
        self.waits = false;
        if self.is_enough() { Step::Done(self.respond(context)) } else { Step::Wait }
    }

    fn watched(&self) -> &[ShardId] {
        &self.watched
    }

    fn name(&self) -> &'static str {
        "Fetch of a follower"
    }
}
