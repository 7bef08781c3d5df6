//! Fetch (key 1), versions 4-18.
//!
//! Reads go to the owners of the partitions; where there is less than `min.bytes`, the owners keep the reads and answer
//! again when something was committed, until there is enough or `max.wait.ms` has passed. Records leave as they are
//! stored, from memory or by sendfile. Sessions: KIP-227; epochs: KIP-320; topic ids: KIP-516; divergence: KIP-595; the
//! first batch is returned however large: KIP-74; who leads now, where it is not this broker: KIP-951. Followers' fetches
//! are another module's (`follow`).

use super::{
    follow,
    places::{ByOwner, Places},
    respond::ReplyTo,
    topics,
};
use crate::{
    engine::{
        Context, FollowerId, Gather, Opened, OwnerRequest, OwnerResponse, ReadPartition, ReadRequest,
        ReadResult, Response, SessionError, SessionKey, SessionRequest, Start, Step, Wanted,
    },
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, Offset, TopicId},
    metadata::Image,
    wire::{
        CurrentLeader, EpochEnd, FetchPartition, FetchResponse, FetchTopic, NodeEndpoint, RequestHeader,
        WireError, decode_request,
    },
};
use bytes::Bytes;
use corelane_seam::ShardId;
use kafka_protocol::{
    messages::{FetchRequest, TopicName},
    protocol::StrBytes,
};
use std::collections::BTreeSet;
use uuid::Uuid;

struct Fetch {
    reply_to: ReplyTo,
    node: NodeId,
    /// 0: none.
    session: i32,
    /// Only news is told.
    incremental: bool,
    read_committed: bool,
    places: Places<ReadResult>,
    /// Bytes so far of each owner's answer, and whether it holds anything that cannot wait.
    owners: Vec<(ShardId, Option<Progress>)>,
    /// Which owner a place belongs to.
    owner_of: Vec<Option<ShardId>>,
    watched: Vec<ShardId>,
    bytes_min: usize,
    bytes_max: usize,
    /// Whether followers may be read (KIP-392), and where the client is.
    may_follow: bool,
    rack: Option<StrBytes>,
    /// Something is wrong with a partition, or has diverged: the client must know at once.
    urgent: bool,
}

/// `isolation.level=read_committed` (Kafka's `IsolationLevel`).
pub(super) const READ_COMMITTED: i8 = 1;

#[derive(Clone, Copy, Debug)]
struct Progress {
    bytes: usize,
    urgent: bool,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: FetchRequest = decode_request(header, frame)?;
    if let Some(who) = follower(&request, header.api_version) {
        return Ok(follow::start(context, header, &request, who));
    }
    let reply_to = ReplyTo::new(header);
    let session = session_request(&request, header.api_version);
    let id = request.session_id;
    let new_id = i32::try_from(context.random.draw() >> 33).unwrap_or(1).max(1);
    let opened = context.sessions.open(context.now.monotonic, session, new_id);
    let (opened, wanted) = match opened {
        Ok(opened) => opened,
        Err(SessionError::NotFound) => {
            return Ok(Start::Ready(failed(reply_to, ErrorCode::FetchSessionIdNotFound, 0)));
        }
        Err(SessionError::WrongEpoch) => {
            return Ok(Start::Ready(failed(reply_to, ErrorCode::InvalidFetchSessionEpoch, id)));
        }
        Err(SessionError::MixedIds) => {
            return Ok(Start::Ready(failed(reply_to, ErrorCode::FetchSessionTopicIdError, id)));
        }
    };
    let fetch = Fetch::new(context, reply_to, &request, &opened);
    Ok(fetch.plan(context, wanted, request.max_wait_ms))
}

/// Who fetches, if it is another broker.
fn follower(request: &FetchRequest, version: i16) -> Option<FollowerId> {
    let (id, epoch) = match version {
        15.. => (request.replica_state.replica_id, request.replica_state.replica_epoch),
        _ => (request.replica_id, -1),
    };
    (id.0 >= 0).then_some(FollowerId { node: NodeId(id.0), epoch })
}

fn session_request(request: &FetchRequest, version: i16) -> SessionRequest {
    let uses_ids = version >= 13;
    let mut wanted = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = key(&topic.topic, topic.topic_id, partition.partition, uses_ids);
            wanted.push((
                key,
                Wanted {
                    fetch_offset: partition.fetch_offset,
                    bytes_max: partition.partition_max_bytes,
                    current_leader_epoch: LeaderEpoch(partition.current_leader_epoch),
                    last_fetched_epoch: LeaderEpoch(partition.last_fetched_epoch),
                },
            ));
        }
    }
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        topic.partitions.iter().map(|index| key(&topic.topic, topic.topic_id, *index, uses_ids))
    });
    let epoch = if version >= 7 { request.session_epoch } else { -1 };
    SessionRequest { id: request.session_id, epoch, uses_ids, wanted, forgotten: forgotten.collect() }
}

/// As the client names it. The name is copied: a session outlives the frame that it came in.
fn key(name: &TopicName, id: Uuid, partition: i32, uses_ids: bool) -> SessionKey {
    if uses_ids {
        SessionKey { topic_id: TopicId(id), topic: TopicName::default(), partition }
    } else {
        let copy = kafka_protocol::protocol::StrBytes::from_string(name.as_str().to_owned());
        SessionKey { topic_id: TopicId::ZERO, topic: TopicName(copy), partition }
    }
}

pub(super) fn failed(reply_to: ReplyTo, error: ErrorCode, session_id: i32) -> Response {
    encode(reply_to, FetchResponse { error, session_id, ..FetchResponse::default() })
}

pub(super) fn encode(reply_to: ReplyTo, response: FetchResponse) -> Response {
    match response.encode(reply_to.correlation_id, reply_to.version) {
        Ok(parts) => Response::Send(parts),
        Err(error) => Response::Close(format!("cannot encode the response: {error}")),
    }
}

impl Fetch {
    fn new(context: &Context<'_>, reply_to: ReplyTo, request: &FetchRequest, opened: &Opened) -> Fetch {
        let version = reply_to.version;
        let (session, incremental) = match opened {
            Opened::Sessionless => (0, false),
            Opened::New(id) => (*id, false),
            Opened::Incremental(id) => (*id, true),
        };
        Fetch {
            reply_to,
            node: context.place.node,
            session,
            incremental,
            read_committed: request.isolation_level == READ_COMMITTED,
            places: Places::default(),
            owners: Vec::new(),
            owner_of: Vec::new(),
            watched: Vec::new(),
            bytes_min: usize::try_from(request.min_bytes).unwrap_or(0),
            bytes_max: bytes_max(context, request),
            may_follow: version >= 11,
            rack: Some(request.rack_id.clone()).filter(|rack| !rack.is_empty()),
            urgent: false,
        }
    }

    /// Asks the owners, or answers at once when there is no one to ask.
    fn plan(
        mut self,
        context: &mut Context<'_>,
        wanted: Vec<(SessionKey, Wanted)>,
        max_wait_ms: i32,
    ) -> Start {
        let mut by_owner = ByOwner::default();
        let mut last: Option<(TopicName, TopicId)> = None;
        for (key, wanted) in wanted {
            let name = (key.topic, key.topic_id);
            if last.as_ref() != Some(&name) {
                self.places.topic(name.0.clone(), name.1.0);
                last = Some(name.clone());
            }
            let place = self.places.partition(key.partition);
            let found = topics::find(context, &name.0, name.1.0).and_then(|topic| match self.may_follow {
                true => topics::kept_here(context, topic, key.partition),
                false => topics::led_here(context, topic, key.partition),
            });
            match found {
                Ok(id) => {
                    let owner = context.owner(id);
                    self.owner_of.push(Some(owner));
                    by_owner.push(
                        owner,
                        ReadPartition {
                            place,
                            id,
                            from: Offset(wanted.fetch_offset),
                            bytes_max: usize::try_from(wanted.bytes_max).unwrap_or(0),
                            current_leader_epoch: wanted.current_leader_epoch,
                            last_fetched_epoch: wanted.last_fetched_epoch,
                            is_committed_only: self.read_committed,
                        },
                    );
                }
                Err(error) => {
                    self.owner_of.push(None);
                    self.urgent = true;
                    self.places.set(place, ReadResult::failed(error));
                }
            }
        }
        if by_owner.is_empty() {
            return Start::Ready(self.finish(context));
        }
        let waits = max_wait_ms > 0 && self.bytes_min > 0 && !self.urgent;
        let wait_for_bytes = if waits { self.bytes_min } else { 0 };
        self.urgent |= !waits;
        self.owners = by_owner.owners().map(|shard| (shard, None)).collect();
        if waits {
            self.watched = by_owner.owners().collect();
        }
        let (bytes_max, may_follow, rack) = (self.bytes_max, self.may_follow, self.rack.clone());
        let asks = by_owner.into_asks(|partitions| {
            OwnerRequest::Read(ReadRequest {
                partitions,
                bytes_max,
                wait_for_bytes,
                may_follow,
                rack: rack.clone(),
            })
        });
        let deadline = waits.then(|| context.after_ms(max_wait_ms));
        Start::Gather { asks, gather: Box::new(self), deadline }
    }

    /// Whether the client can be answered without waiting on.
    fn is_enough(&self) -> bool {
        let all_answered = self.owners.iter().all(|(_, progress)| progress.is_some());
        let known = self.owners.iter().filter_map(|(_, progress)| progress.as_ref());
        let urgent = self.urgent || known.clone().any(|progress| progress.urgent);
        let bytes: usize = known.map(|progress| progress.bytes).sum();
        all_answered && (urgent || bytes >= self.bytes_min)
    }

    fn finish(&mut self, context: &mut Context<'_>) -> Response {
        let mut response = FetchResponse { session_id: self.session, ..FetchResponse::default() };
        let mut room = Room::new(self.bytes_max);
        // Nothing is known of it, so no watermark may be told: clients ask again.
        let unanswered = || ReadResult::failed(ErrorCode::OffsetNotAvailable);
        let mut leaders = BTreeSet::new();
        let mut session = context.sessions.get_mut(self.session);
        let uses_ids = self.reply_to.version >= 13;
        for (topic, results) in self.places.take(unanswered) {
            let mut told = Vec::with_capacity(results.len());
            for (index, mut result) in results {
                room.fit(&mut result);
                if let Some(session) = &mut session {
                    let key = key(&topic.name, topic.id, index, uses_ids);
                    let marks = (result.high_watermark, result.log_start_offset);
                    let wrong = result.is_urgent();
                    let news = session.tell(&key, result.bytes > 0, wrong, marks);
                    if self.incremental && !news {
                        continue;
                    }
                }
                let mut partition = partition(self.node, self.read_committed, index, result);
                if partition.error == ErrorCode::NotLeaderOrFollower {
                    partition.current_leader = leader(context.image, &topic.name, topic.id, index);
                }
                leaders.extend(partition.current_leader.map(|leader| leader.leader_id));
                told.push(partition);
            }
            if !told.is_empty() {
                response.topics.push(FetchTopic {
                    name: topic.name.0,
                    id: TopicId(topic.id),
                    partitions: told,
                });
            }
        }
        response.node_endpoints = topics::endpoints(context, &leaders)
            .map(|(node_id, host, port, rack)| NodeEndpoint { node_id, host, port, rack })
            .collect();
        encode(self.reply_to, response)
    }
}

/// What a response says of a partition that this broker, `node`, has read.
pub(super) fn partition(
    node: NodeId,
    read_committed: bool,
    index: i32,
    result: ReadResult,
) -> FetchPartition {
    FetchPartition {
        high_watermark: Offset(result.high_watermark),
        last_stable_offset: Offset(result.last_stable_offset),
        log_start_offset: Offset(result.log_start_offset),
        aborted_transactions: (read_committed && result.error.is_none()).then_some(result.aborted),
        preferred_read_replica: result.nearest,
        diverging_epoch: result
            .diverging
            .map(|(epoch, end)| EpochEnd { epoch: LeaderEpoch(epoch), end_offset: Offset(end) }),
        current_leader: result
            .current_leader_epoch
            .map(|leader_epoch| CurrentLeader { leader_id: node, leader_epoch }),
        records: result.records,
        ..FetchPartition::new(index, result.error)
    }
}

/// The bytes of records that a response may hold.
pub(super) fn bytes_max(context: &Context<'_>, request: &FetchRequest) -> usize {
    let broker_max = usize::try_from(context.config.fetch_bytes_max).unwrap_or(0);
    usize::try_from(request.max_bytes).unwrap_or(0).min(broker_max)
}

/// Who leads a partition now, as far as this broker knows (KIP-951).
fn leader(image: &Image, name: &TopicName, id: Uuid, index: i32) -> Option<CurrentLeader> {
    let (leader_id, leader_epoch) = topics::leader(image, name, id, index)?;
    Some(CurrentLeader { leader_id, leader_epoch })
}

/// `max.bytes` over the answers of several owners, each of which kept to it alone.
pub(super) struct Room {
    left: usize,
    first: bool,
}

impl Room {
    pub fn new(bytes_max: usize) -> Room {
        Room { left: bytes_max, first: true }
    }

    /// Takes the records out when they are too many; never those of the first partition that has some.
    pub fn fit(&mut self, result: &mut ReadResult) {
        if result.bytes == 0 {
            return;
        }
        if result.bytes > self.left && !self.first {
            result.records.clear();
            result.bytes = 0;
            return;
        }
        self.first = false;
        self.left = self.left.saturating_sub(result.bytes);
    }
}

impl Gather for Fetch {
    fn answered(&mut self, context: &mut Context<'_>, response: OwnerResponse) -> Step {
        let OwnerResponse::Read(results) = response else { return Step::Wait };
        let first_place = results.first().map(|(place, _)| *place as usize);
        let owner = first_place.and_then(|place| self.owner_of.get(place).copied().flatten());
        let progress = Progress {
            bytes: results.iter().map(|(_, result)| result.bytes).sum(),
            urgent: results.iter().any(|(_, result)| result.is_urgent()),
        };
        if let Some((_, known)) = self.owners.iter_mut().find(|(other, _)| Some(*other) == owner) {
            *known = Some(progress);
        }
        self.places.set_all(results);
        if self.is_enough() { Step::Done(self.finish(context)) } else { Step::Wait }
    }

    fn expired(&mut self, context: &mut Context<'_>) -> Step {
        Step::Done(self.finish(context))
    }

    fn watched(&self) -> &[ShardId] {
        &self.watched
    }

    fn name(&self) -> &'static str {
        "Fetch"
    }
}
