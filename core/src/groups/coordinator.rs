//! The coordinator of the groups of one partition of `__consumer_offsets`.

use super::{
    alarms::{Alarm, Alarms},
    classic::{Act, ClassicGroup, Join, State},
    face::{
        CommitOffsets, CommittedOffset, DeleteOffsets, FetchOffsets, ListedGroup, Outcome, Reply, Request,
        Response, Scene, Then, Ticket, TopicOffsets,
    },
    offsets::Offsets,
    records::{GroupId, OffsetValue, Record},
};
use crate::{error::ErrorCode, ids::TopicId};
use corelane_seam::Monotonic;
use std::{collections::BTreeMap, ops::Bound, sync::Arc};
use tracing::info;

/// Groups that one look for expired offsets takes at most, and tombstones after which it pauses: what a look costs its
/// shard in one piece.
const EXPIRY_GROUPS_MAX: usize = 200;
const EXPIRY_RECORDS_MAX: usize = 1000;

/// The groups of one partition, and their committed offsets.
#[derive(Debug, Default)]
pub struct Coordinator {
    groups: BTreeMap<GroupId, ClassicGroup>,
    offsets: Offsets,
    alarms: Alarms,
    /// Where the look for expired offsets goes on.
    expiry_from: Option<GroupId>,
}

impl Coordinator {
    /// Without groups: the log is [replayed](Self::replay) into it, then it is [loaded](Self::loaded).
    pub fn new() -> Coordinator {
        Coordinator::default()
    }

    /// Takes a request. See [`Outcome`] for what must become of what it returns.
    pub fn handle(&mut self, scene: Scene<'_>, ticket: Ticket, request: Request) -> Outcome {
        match request {
            Request::Join(request, version, client) => {
                self.join(scene, Join::new(ticket, &request, version, client), &request.group_id)
            }
            Request::Sync(request) => self.member_of(scene, ticket, &request.group_id, |mut act| {
                act.sync(ticket, &request);
            }),
            Request::Heartbeat(request) => self.member_of(scene, ticket, &request.group_id, |mut act| {
                act.heartbeat(ticket, &request);
            }),
            Request::Leave(request) => self.member_of(scene, ticket, &request.group_id, |mut act| {
                act.leave(ticket, &request);
            }),
            Request::Commit(request) => self.commit(scene, ticket, request),
            Request::FetchOffsets(request) => Outcome::reply(ticket, Ok(self.fetch(&request))),
            Request::DeleteOffsets(request) => self.delete_offsets(ticket, &request),
            Request::Describe(group) => {
                let group = self.groups.get(&group).ok_or(ErrorCode::GroupIdNotFound);
                Outcome::reply(ticket, group.map(|group| Response::Described(group.describe())))
            }
            Request::Delete(group) => self.delete(ticket, &group),
        }
    }

    /// Applies a record that was appended, or is read from the log.
    pub fn replay(&mut self, record: Record) {
        match record {
            Record::Offset { group, topic, partition, value } => {
                if value.is_some() && !self.groups.contains_key(&group) {
                    // Whoever commits without being a member makes a group of nothing but offsets.
                    self.groups.insert(Arc::clone(&group), ClassicGroup::new());
                }
                self.offsets.replay(&group, &topic, partition, value);
            }
            Record::ClassicGroup { group, value: Some(value) } => {
                self.groups.insert(group, ClassicGroup::from_value(&value));
            }
            Record::ClassicGroup { group, value: None } => {
                self.groups.remove(&group);
            }
            Record::ConsumerGroup { .. }
            | Record::SubscribedTopics { .. }
            | Record::Member { .. }
            | Record::TargetEpoch { .. }
            | Record::Target { .. }
            | Record::Current { .. }
            | Record::Regex { .. } => {}
        }
    }

    /// The whole log is replayed: sessions begin.
    pub fn loaded(&mut self, scene: Scene<'_>) {
        for (id, group) in &self.groups {
            for (member, state) in &group.members {
                let ms = u64::from(state.terms.session_timeout_ms.max(0).unsigned_abs());
                let alarm = Alarm::Session(Arc::clone(id), Arc::clone(member));
                self.alarms.set(alarm, scene.now.monotonic.after_ms(ms));
            }
        }
        self.alarms.set(Alarm::Expiry, scene.now.monotonic.after_ms(scene.config.groups.expiry_check_ms));
    }

    /// How many groups there are, and how many members.
    pub fn size(&self) -> (usize, usize) {
        (self.groups.len(), self.groups.values().map(|group| group.members.len()).sum())
    }

    /// When [`alarm`](Self::alarm) is to be called next.
    pub fn next_alarm(&self) -> Option<Monotonic> {
        self.alarms.next()
    }

    /// What comes due, one thing at a time; `None` when nothing is.
    pub fn alarm(&mut self, scene: Scene<'_>) -> Option<Outcome> {
        let alarm = self.alarms.pop_due(scene.now.monotonic)?;
        let group = match &alarm {
            Alarm::Expiry => return Some(self.expire(scene)),
            Alarm::Session(group, _) | Alarm::Join(group) | Alarm::Sync(group) => Arc::clone(group),
        };
        Some(self.act(scene, &group, |mut act| match &alarm {
            Alarm::Session(_, member) => act.session_over(member),
            Alarm::Join(_) => act.join_phase_over(),
            Alarm::Sync(_) => act.sync_phase_over(),
            Alarm::Expiry => {}
        }))
    }

    /// The records of an earlier outcome are committed, or could not be.
    pub fn stored(&mut self, scene: Scene<'_>, then: Then, result: Result<(), ErrorCode>) -> Outcome {
        match then {
            Then::Assigned { group, generation, assignment } => {
                self.act(scene, &group, |mut act| act.assigned(generation, &assignment, result))
            }
            Then::StaticMemberReplaced { group, old, new, before, may_skip } => {
                self.act(scene, &group, |mut act| {
                    act.static_member_replaced(&old, &new, before, may_skip, result);
                })
            }
        }
    }

    /// Groups of these states and types (in lower case); an empty list stands for all.
    pub fn list(&self, states: &[String], kinds: &[String]) -> Vec<ListedGroup> {
        let among = |list: &[String], word: &str| {
            list.is_empty() || list.iter().any(|it| it.trim().eq_ignore_ascii_case(word))
        };
        let told = |(id, group): (&GroupId, &ClassicGroup)| ListedGroup {
            group: Arc::clone(id),
            protocol_type: group.protocol_type.clone().unwrap_or_else(|| "".into()),
            state: group.state().name(),
            kind: "classic",
        };
        let all = self.groups.iter().map(told);
        all.filter(|listed| among(states, listed.state) && among(kinds, listed.kind)).collect()
    }

    /// Topics were deleted: what was committed for them goes.
    pub fn topics_deleted(&self, topics: &[(Arc<str>, TopicId)]) -> Outcome {
        let mut out = Outcome { may_split: true, ..Outcome::default() };
        for (name, id) in topics {
            for (group, partitions) in self.offsets.groups_of_topic(name) {
                let gone =
                    partitions.iter().filter(|(_, it)| it.topic_id == *id || it.topic_id == TopicId::ZERO);
                out.records.extend(gone.map(|(partition, _)| tombstone(group, name, *partition)));
            }
        }
        out
    }

    /// Takes out everyone who waits for other members: this coordinator stops.
    pub fn waiting(&mut self) -> Vec<Ticket> {
        self.groups.values_mut().flat_map(ClassicGroup::take_waiting).collect()
    }

    /// What must hold between any two decisions.
    pub fn check(&self) {
        self.groups.values().for_each(ClassicGroup::check);
    }

    fn act(&mut self, scene: Scene<'_>, id: &GroupId, act: impl FnOnce(Act<'_>)) -> Outcome {
        let mut out = Outcome::default();
        if let Some(group) = self.groups.get_mut(id) {
            act(Act { id, group, alarms: &mut self.alarms, scene, out: &mut out });
        }
        out
    }

    /// What only members of a group may do.
    fn member_of(
        &mut self,
        scene: Scene<'_>,
        ticket: Ticket,
        id: &str,
        act: impl FnOnce(Act<'_>),
    ) -> Outcome {
        let Some(id) = self.groups.get_key_value(id).map(|(id, _)| Arc::clone(id)) else {
            return Outcome::reply(ticket, Err(ErrorCode::UnknownMemberId));
        };
        self.act(scene, &id, act)
    }

    fn join(&mut self, scene: Scene<'_>, join: Join, group: &str) -> Outcome {
        let settings = &scene.config.groups;
        let session = join.terms.session_timeout_ms;
        if session < settings.session_timeout_min_ms || session > settings.session_timeout_max_ms {
            let reply = Join::refusal(ErrorCode::InvalidSessionTimeout, &join.member);
            return Outcome::reply(join.ticket, reply);
        }
        let id: GroupId = group.into();
        let is_new = !self.groups.contains_key(&id);
        if is_new {
            if !join.member.is_empty() {
                let reply = Join::refusal(ErrorCode::UnknownMemberId, &join.member);
                return Outcome::reply(join.ticket, reply);
            }
            self.groups.insert(Arc::clone(&id), ClassicGroup::new());
        }
        let mut out = self.act(scene, &id, |mut act| act.join(join));
        if is_new && out.records.is_empty() {
            // So that the group exists for whoever loads the log, and for its expiry.
            let value = Some(ClassicGroup::new().to_value(|_| bytes::Bytes::new()));
            out.records.push(Record::ClassicGroup { group: id, value });
            out.applied = true;
        }
        out
    }

    fn commit(&mut self, scene: Scene<'_>, ticket: Ticket, request: CommitOffsets) -> Outcome {
        if let Err(error) = self.may_commit(scene, &request) {
            return Outcome::reply(ticket, Err(error));
        }
        let now_ms = scene.now.unix_ms;
        let mut out = Outcome::default();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut results = Vec::with_capacity(topic.partitions.len());
            for (partition, new) in topic.partitions {
                if new.metadata.encode_utf16().count() > scene.config.groups.offset_metadata_max {
                    results.push((partition, ErrorCode::OffsetMetadataTooLarge));
                    continue;
                }
                results.push((partition, ErrorCode::None));
                out.records.push(Record::Offset {
                    group: Arc::clone(&request.group),
                    topic: Arc::clone(&topic.name),
                    partition,
                    value: Some(OffsetValue {
                        offset: new.offset,
                        leader_epoch: new.leader_epoch,
                        metadata: new.metadata,
                        committed_at_ms: now_ms,
                        expires_at_ms: request.retention_ms.map(|ms| now_ms.saturating_add(ms)),
                        topic_id: topic.id,
                    }),
                });
            }
            topics.push(TopicOffsets { name: topic.name, id: topic.id, partitions: results });
        }
        out.replies.push((ticket, Ok(Response::Commit(topics))));
        out
    }

    fn may_commit(&mut self, scene: Scene<'_>, request: &CommitOffsets) -> Result<(), ErrorCode> {
        let Some(group) = self.groups.get(&request.group) else {
            return match (request.generation < 0, request.version >= 9) {
                (true, _) => Ok(()),
                (false, true) => Err(ErrorCode::GroupIdNotFound),
                (false, false) => Err(ErrorCode::IllegalGeneration),
            };
        };
        group.validate_commit(request.generation, &request.member, request.instance.as_deref())?;
        if let Some((member, state)) = group.members.get_key_value(request.member.as_str()) {
            // Whoever commits is alive.
            let ms = u64::from(state.terms.session_timeout_ms.max(0).unsigned_abs());
            let alarm = Alarm::Session(Arc::clone(&request.group), Arc::clone(member));
            self.alarms.set(alarm, scene.now.monotonic.after_ms(ms));
        }
        Ok(())
    }

    fn fetch(&self, request: &FetchOffsets) -> Response {
        let told = |value: &OffsetValue| CommittedOffset {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
        };
        let Some(topics) = &request.topics else {
            let all = self.offsets.of_group(&request.group).map(|(name, partitions)| TopicOffsets {
                name: Arc::clone(name),
                id: partitions.values().map(|value| value.topic_id).next().unwrap_or(TopicId::ZERO),
                partitions: partitions.iter().map(|(partition, value)| (*partition, told(value))).collect(),
            });
            return Response::Offsets(all.collect());
        };
        let of_topic = |topic: &TopicOffsets<()>| {
            let find = |partition: i32| {
                let value = self.offsets.get(&request.group, &topic.name, partition);
                // A topic of the same name that was created anew has nothing committed.
                let same = |value: &&OffsetValue| {
                    value.topic_id == topic.id || value.topic_id == TopicId::ZERO || topic.id == TopicId::ZERO
                };
                value.filter(same).map_or_else(CommittedOffset::none, told)
            };
            let partitions = topic.partitions.iter().map(|(partition, ())| (*partition, find(*partition)));
            TopicOffsets { name: Arc::clone(&topic.name), id: topic.id, partitions: partitions.collect() }
        };
        Response::Offsets(topics.iter().map(of_topic).collect())
    }

    fn delete_offsets(&self, ticket: Ticket, request: &DeleteOffsets) -> Outcome {
        let Some(group) = self.groups.get(&request.group) else {
            return Outcome::reply(ticket, Err(ErrorCode::GroupIdNotFound));
        };
        if group.state() != State::Empty && !group.is_of_consumers() {
            // What its members read cannot be told.
            return Outcome::reply(ticket, Err(ErrorCode::NonEmptyGroup));
        }
        let mut out = Outcome::default();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let subscribed = group.is_subscribed(&topic.name);
            let mut results = Vec::with_capacity(topic.partitions.len());
            for (partition, ()) in &topic.partitions {
                if subscribed {
                    results.push((*partition, ErrorCode::GroupSubscribedToTopic));
                    continue;
                }
                results.push((*partition, ErrorCode::None));
                if self.offsets.get(&request.group, &topic.name, *partition).is_some() {
                    out.records.push(tombstone(&request.group, &topic.name, *partition));
                }
            }
            topics.push(TopicOffsets { name: Arc::clone(&topic.name), id: topic.id, partitions: results });
        }
        out.replies.push((ticket, Ok(Response::Deleted(topics))));
        out
    }

    fn delete(&self, ticket: Ticket, id: &GroupId) -> Outcome {
        let reply: Reply = match self.groups.get(id) {
            None => Err(ErrorCode::GroupIdNotFound),
            Some(group) if group.state() != State::Empty => Err(ErrorCode::NonEmptyGroup),
            Some(_) => Ok(Response::Done),
        };
        let mut out = Outcome::default();
        if reply.is_ok() {
            for (topic, partitions) in self.offsets.of_group(id) {
                out.records.extend(partitions.keys().map(|partition| tombstone(id, topic, *partition)));
            }
            info!(group = %id, offsets = out.records.len(), "deleted");
            out.records.push(Record::ClassicGroup { group: Arc::clone(id), value: None });
            // The group's own record is the last: what is cut short leaves the group with fewer offsets.
            out.may_split = true;
        }
        out.replies.push((ticket, reply));
        out
    }

    /// Looks for expired offsets in the next groups (`GroupCoordinatorShard.cleanupGroupMetadata`).
    fn expire(&mut self, scene: Scene<'_>) -> Outcome {
        let settings = &scene.config.groups;
        let mut out = Outcome { may_split: true, ..Outcome::default() };
        let from = self.expiry_from.take().map_or(Bound::Unbounded, Bound::Excluded);
        for (looked, (id, group)) in self.groups.range::<GroupId, _>((from, Bound::Unbounded)).enumerate() {
            if looked >= EXPIRY_GROUPS_MAX || out.records.len() >= EXPIRY_RECORDS_MAX {
                break;
            }
            self.expiry_from = Some(Arc::clone(id));
            let all_gone = self.expired(scene, id, group, settings.offsets_retention_ms, &mut out.records);
            if all_gone && group.state() == State::Empty && group.pending.is_empty() {
                out.records.push(Record::ClassicGroup { group: Arc::clone(id), value: None });
            }
        }
        let last = self.groups.last_key_value().map(|(id, _)| id);
        let wait_ms = if self.expiry_from.as_ref() == last {
            self.expiry_from = None;
            settings.expiry_check_ms
        } else {
            0
        };
        if !out.records.is_empty() {
            info!(tombstones = out.records.len(), "committed offsets or groups have expired");
        }
        self.alarms.set(Alarm::Expiry, scene.now.monotonic.after_ms(wait_ms));
        out
    }

    /// Tombstones for a group's expired offsets; whether none is left.
    fn expired(
        &self,
        scene: Scene<'_>,
        id: &GroupId,
        group: &ClassicGroup,
        retention_ms: i64,
        records: &mut Vec<Record>,
    ) -> bool {
        let reads_on =
            group.is_of_consumers() && group.subscribed.is_some() && group.state() == State::Stable;
        let may_expire = group.protocol_type.is_none() || group.state() == State::Empty || reads_on;
        if !may_expire {
            return self.offsets.is_empty_of(id);
        }
        let now_ms = scene.now.unix_ms;
        let idle_since = if group.protocol_type.is_some() { group.empty_since_ms() } else { None };
        let is_over = |value: &OffsetValue| match value.expires_at_ms {
            Some(at) => now_ms >= at,
            None => now_ms.saturating_sub(idle_since.unwrap_or(value.committed_at_ms)) >= retention_ms,
        };
        let mut all_gone = true;
        for (topic, partitions) in self.offsets.of_group(id) {
            let read = group.is_subscribed(topic);
            for (partition, value) in partitions {
                if !read && is_over(value) {
                    records.push(tombstone(id, topic, *partition));
                } else {
                    all_gone = false;
                }
            }
        }
        all_gone
    }
}

fn tombstone(group: &GroupId, topic: &Arc<str>, partition: i32) -> Record {
    Record::Offset { group: Arc::clone(group), topic: Arc::clone(topic), partition, value: None }
}
