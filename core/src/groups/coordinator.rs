//! The coordinator of the groups of one partition of `__consumer_offsets`.

use super::{
    alarms::{Alarm, Alarms},
    classic::{self, ClassicGroup, Join},
    consumer::{self, ConsumerGroup, Refusal, Topics},
    face::{Client, ListedGroup, Outcome, Reply, Request, Response, Scene, Then, Ticket},
    group::Group,
    offsets::{Committed, Offsets},
    pending::Pending,
    records::{GroupId, Record},
};
use crate::{
    error::ErrorCode,
    ids::{Offset, ProducerId, TopicId},
    records::Outcome as MarkerOutcome,
};
use corelane_seam::Monotonic;
use kafka_protocol::{
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, JoinGroupRequest,
        consumer_group_describe_response::DescribedGroup,
    },
    protocol::StrBytes,
};
use std::{collections::BTreeMap, sync::Arc};
use tracing::info;

/// The groups of one partition, and their committed offsets.
#[derive(Debug, Default)]
pub struct Coordinator {
    pub(super) groups: BTreeMap<GroupId, Group>,
    pub(super) offsets: Offsets,
    pub(super) pending: Pending,
    pub(super) alarms: Alarms,
    topics: Topics,
    /// Where the look for expired offsets goes on.
    pub(super) expiry_from: Option<GroupId>,
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
                self.join_group(scene, ticket, &request, version, client)
            }
            Request::Sync(request) => self.of_member(
                (scene, ticket),
                &request.group_id,
                |mut act| act.sync(ticket, &request),
                |act, out| out.replies.push((ticket, act.sync(&request))),
            ),
            Request::Heartbeat(request) => self.of_member(
                (scene, ticket),
                &request.group_id,
                |mut act| act.heartbeat(ticket, &request),
                |act, out| out.replies.push((ticket, act.classic_heartbeat(&request))),
            ),
            Request::Leave(request) => self.of_member(
                (scene, ticket),
                &request.group_id,
                |mut act| act.leave(ticket, &request),
                |act, out| {
                    let response = act.leave_group(&request, out);
                    out.replies.push((ticket, Ok(response)));
                },
            ),
            Request::ConsumerHeartbeat(request, client) => {
                self.consumer_heartbeat(scene, ticket, &request, &client)
            }
            Request::DescribeConsumer(group) => {
                Outcome::reply(ticket, Ok(self.describe_consumer(scene, &group)))
            }
            Request::Commit(request) => self.commit(scene, ticket, request),
            Request::CommitInTransaction(request, transaction) => {
                self.commit_in_transaction(scene, ticket, request, transaction)
            }
            Request::FetchOffsets(request) => {
                Outcome { of_leader: request.require_stable, ..Outcome::reply(ticket, self.fetch(&request)) }
            }
            Request::DeleteOffsets(request) => self.delete_offsets(ticket, &request),
            Request::Describe(group) => {
                let group = self.groups.get(&group).and_then(Group::as_classic);
                let group = group.ok_or(ErrorCode::GroupIdNotFound);
                Outcome::reply(ticket, group.map(|group| Response::Described(group.describe())))
            }
            Request::Delete(group) => self.delete(ticket, &group),
        }
    }

    /// Applies a record that was appended, or is read from the log, at an offset; in whose transaction, if in one.
    pub fn replay(&mut self, record: Record, at: Offset, transaction: Option<ProducerId>) {
        match record {
            Record::Offset { group, topic, partition, value } => {
                let value = value.map(|value| Committed { value, at });
                if value.is_some() && !self.groups.contains_key(&group) {
                    // Whoever commits without being a member makes a group of nothing but offsets.
                    self.groups.insert(Arc::clone(&group), Group::classic());
                }
                match (value, transaction) {
                    (Some(committed), Some(producer)) => {
                        self.pending.put(producer, &group, (topic, partition), committed);
                    }
                    (value, _) => {
                        if value.is_none() {
                            self.pending.forget(&group, &topic, partition);
                        }
                        self.offsets.replay(&group, &topic, partition, value);
                    }
                }
            }
            Record::ClassicGroup { group, value: Some(value) } => {
                self.groups.insert(group, Group::Classic(Box::new(ClassicGroup::from_value(&value))));
            }
            Record::ClassicGroup { group, value: None } => {
                if self.groups.get(&group).is_some_and(|group| group.as_classic().is_some()) {
                    self.groups.remove(&group);
                    self.alarms.cancel(&Alarm::Join(Arc::clone(&group)));
                    self.alarms.cancel(&Alarm::Sync(group));
                }
            }
            record => self.replay_consumer(record),
        }
    }

    /// Applies the marker of a producer's transaction, which was appended or is read from the log: what it has committed
    /// counts from now on, unless it was aborted or something was committed behind it.
    pub fn end_transaction(&mut self, producer: ProducerId, outcome: MarkerOutcome) {
        for (group, topic, partition, committed) in self.pending.take(producer) {
            let newer = self.offsets.get(&group, &topic, partition).is_some_and(|it| it.at > committed.at);
            if outcome == MarkerOutcome::Commit && !newer {
                self.offsets.replay(&group, &topic, partition, Some(committed));
            }
        }
    }

    fn replay_consumer(&mut self, record: Record) {
        let id = Arc::clone(record.group());
        if record.is_tombstone() {
            let Some(Group::Consumer(group)) = self.groups.get_mut(&id) else { return };
            match record {
                Record::ConsumerGroup { .. } => drop(self.groups.remove(&id)),
                record => group.replay(record),
            }
            return;
        }
        // A classic group of nothing but offsets gives way: the offsets stay.
        let fresh = || Group::Consumer(Box::default());
        let group = self.groups.entry(id).or_insert_with(fresh);
        if group.as_consumer().is_none() {
            *group = fresh();
        }
        if let Group::Consumer(group) = group {
            group.replay(record);
        }
    }

    /// The whole log is replayed: sessions begin.
    pub fn loaded(&mut self, scene: Scene<'_>) {
        for (id, group) in &self.groups {
            match group {
                Group::Classic(group) => {
                    for (member, state) in &group.members {
                        let ms = u64::from(state.terms.session_timeout_ms.max(0).unsigned_abs());
                        let alarm = Alarm::Session(Arc::clone(id), Arc::clone(member));
                        self.alarms.set(alarm, scene.now.monotonic.after_ms(ms));
                    }
                }
                Group::Consumer(group) => {
                    let (alarms, topics) = (&mut self.alarms, &mut self.topics);
                    consumer::Act { id, group, alarms, topics, scene }.loaded();
                }
            }
        }
        self.alarms.set(Alarm::Expiry, scene.now.monotonic.after_ms(scene.config.groups.expiry_check_ms));
    }

    /// How many groups there are, and how many members.
    pub fn size(&self) -> (usize, usize) {
        (self.groups.len(), self.groups.values().map(Group::members).sum())
    }

    /// When [`alarm`](Self::alarm) is to be called next.
    pub fn next_alarm(&self) -> Option<Monotonic> {
        self.alarms.next()
    }

    /// What comes due, one thing at a time; `None` when nothing is.
    pub fn alarm(&mut self, scene: Scene<'_>) -> Option<Outcome> {
        let alarm = self.alarms.pop_due(scene.now.monotonic)?;
        let id = match &alarm {
            Alarm::Expiry => return Some(self.expire(scene)),
            Alarm::Session(group, _)
            | Alarm::Revocation(group, _)
            | Alarm::Rejoin(group, _)
            | Alarm::Resync(group, _)
            | Alarm::Evaluation(group)
            | Alarm::Join(group)
            | Alarm::Sync(group) => Arc::clone(group),
        };
        if self.groups.get(&id).is_some_and(|group| group.as_consumer().is_some()) {
            return Some(self.consumer(scene, &id, |act, out| act.time_is_over(&alarm, out)));
        }
        self.topics.forget(&id);
        Some(self.act(scene, &id, |mut act| match &alarm {
            Alarm::Session(_, member) => act.session_over(member),
            Alarm::Join(_) => act.join_phase_over(),
            Alarm::Sync(_) => act.sync_phase_over(),
            Alarm::Revocation(..)
            | Alarm::Rejoin(..)
            | Alarm::Resync(..)
            | Alarm::Evaluation(_)
            | Alarm::Expiry => {}
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
            Then::Downgraded { group, rebalance } => match (result, rebalance) {
                (Ok(()), Some(reason)) => self.act(scene, &group, |mut act| act.rebalance(reason)),
                _ => Outcome::default(),
            },
        }
    }

    /// Groups of these states and types (in lower case); an empty list stands for all.
    pub fn list(&self, states: &[String], kinds: &[String]) -> Vec<ListedGroup> {
        let among = |list: &[String], word: &str| {
            list.is_empty() || list.iter().any(|it| it.trim().eq_ignore_ascii_case(word))
        };
        let told = |(id, group): (&GroupId, &Group)| ListedGroup {
            group: Arc::clone(id),
            protocol_type: group.protocol_type(),
            state: group.state_name(),
            kind: group.kind(),
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
                    partitions.iter().filter(|(_, it)| [*id, TopicId::ZERO].contains(&it.value.topic_id));
                out.records.extend(gone.map(|(partition, _)| tombstone(group, name, *partition)));
            }
        }
        out
    }

    /// Takes out everyone who waits for other members: this coordinator stops.
    pub fn waiting(&mut self) -> Vec<Ticket> {
        self.groups.values_mut().flat_map(Group::take_waiting).collect()
    }

    /// What must hold between any two decisions.
    pub fn check(&self) {
        self.groups.values().for_each(Group::check);
    }

    /// Something happens to a classic group.
    fn act(&mut self, scene: Scene<'_>, id: &GroupId, act: impl FnOnce(classic::Act<'_>)) -> Outcome {
        let mut out = Outcome::default();
        if let Some(Group::Classic(group)) = self.groups.get_mut(id) {
            act(classic::Act { id, group, alarms: &mut self.alarms, scene, out: &mut out });
        }
        out
    }

    /// Something happens to a consumer group.
    fn consumer(
        &mut self,
        scene: Scene<'_>,
        id: &GroupId,
        act: impl FnOnce(&mut consumer::Act<'_>, &mut Outcome),
    ) -> Outcome {
        let mut out = Outcome::default();
        if let Some(Group::Consumer(group)) = self.groups.get(id) {
            let (alarms, topics) = (&mut self.alarms, &mut self.topics);
            act(&mut consumer::Act { id, group, alarms, topics, scene }, &mut out);
        }
        out
    }

    /// What only members of a group may ask, of a group of either protocol.
    fn of_member(
        &mut self,
        (scene, ticket): (Scene<'_>, Ticket),
        id: &str,
        in_classic: impl FnOnce(classic::Act<'_>),
        in_consumer: impl FnOnce(&mut consumer::Act<'_>, &mut Outcome),
    ) -> Outcome {
        match self.groups.get_key_value(id) {
            None => Outcome::reply(ticket, Err(ErrorCode::UnknownMemberId)),
            Some((id, Group::Classic(_))) => {
                let id = Arc::clone(id);
                self.act(scene, &id, in_classic)
            }
            Some((id, Group::Consumer(_))) => {
                let id = Arc::clone(id);
                self.consumer(scene, &id, in_consumer)
            }
        }
    }

    /// A heartbeat of the new protocol. Whoever joins makes its group, and makes an empty classic group a consumer group;
    /// one that has members becomes one as it is.
    fn consumer_heartbeat(
        &mut self,
        scene: Scene<'_>,
        ticket: Ticket,
        request: &ConsumerGroupHeartbeatRequest,
        client: &Client,
    ) -> Outcome {
        let id: GroupId = request.group_id.as_str().into();
        let mut out = Outcome::default();
        let response = self.beat(scene, &id, request, client, &mut out).unwrap_or_else(|refusal| {
            out = Outcome::default();
            refusal.response()
        });
        if let Some(Group::Classic(group)) = self.groups.get_mut(&id)
            && !out.records.is_empty()
        {
            let waiting = group.take_waiting().into_iter();
            out.replies.extend(waiting.map(|ticket| (ticket, Err(ErrorCode::RebalanceInProgress))));
        }
        out.replies.push((ticket, Ok(Response::ConsumerHeartbeat(Box::new(response)))));
        out
    }

    fn beat(
        &mut self,
        scene: Scene<'_>,
        id: &GroupId,
        request: &ConsumerGroupHeartbeatRequest,
        client: &Client,
        out: &mut Outcome,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let (alarms, topics) = (&mut self.alarms, &mut self.topics);
        let (joins, leaves) = (request.member_epoch == 0, request.member_epoch < 0);
        let not_found = |what: &str| Err(Refusal::new(ErrorCode::GroupIdNotFound, what));
        let fresh;
        let group = match self.groups.get(id) {
            Some(Group::Consumer(group)) => group,
            Some(Group::Classic(classic)) if joins => {
                fresh = if self.groups[id].is_empty() {
                    info!(group = %id, "the empty classic group is a consumer group from now on");
                    out.records.append(&mut self.groups[id].tombstones(id));
                    Box::default()
                } else {
                    out.records = consumer::upgraded(id, classic, scene, topics, alarms)?;
                    Box::new(ConsumerGroup::of(&out.records))
                };
                &fresh
            }
            Some(Group::Classic(_)) => return not_found(&format!("Group {id} is not a consumer group.")),
            None if joins => {
                fresh = Box::default();
                &fresh
            }
            None if leaves => return not_found(&format!("Group {id} not found.")),
            None => return not_found(&format!("Consumer group {id} not found.")),
        };
        let mut act = consumer::Act { id, group, alarms, topics, scene };
        if leaves { act.leave(request, out) } else { act.heartbeat(request, client, &mut out.records) }
    }

    fn describe_consumer(&self, scene: Scene<'_>, id: &GroupId) -> Response {
        let described = match self.groups.get(id) {
            Some(Group::Consumer(group)) => group.describe(id, scene),
            other => {
                let why = if other.is_some() { "is not a consumer group" } else { "not found" };
                DescribedGroup::default()
                    .with_group_id(StrBytes::from_string(id.to_string()).into())
                    .with_error_code(ErrorCode::GroupIdNotFound.code())
                    .with_error_message(Some(StrBytes::from_string(format!("Group {id} {why}."))))
            }
        };
        Response::DescribedConsumer(Box::new(described))
    }

    /// JoinGroup: to a consumer group that has members, else to a classic one.
    fn join_group(
        &mut self,
        scene: Scene<'_>,
        ticket: Ticket,
        request: &JoinGroupRequest,
        version: i16,
        client: Client,
    ) -> Outcome {
        let settings = &scene.config.groups;
        let session = request.session_timeout_ms;
        if session < settings.session_timeout_min_ms || session > settings.session_timeout_max_ms {
            let reply = Join::refusal(ErrorCode::InvalidSessionTimeout, &request.member_id);
            return Outcome::reply(ticket, reply);
        }
        let id: GroupId = request.group_id.as_str().into();
        let known = self.groups.get(&id).and_then(Group::as_consumer);
        if known.is_none_or(ConsumerGroup::is_empty) {
            return self.join(scene, Join::new(ticket, request, version, client), id);
        }
        self.consumer(scene, &id, |act, out| {
            let reply = match act.join(request, version, &client, out) {
                Ok(response) => Ok(Response::Join(Box::new(response))),
                Err(refusal) => {
                    *out = Outcome::default();
                    Join::refusal(refusal.error, &request.member_id)
                }
            };
            out.replies.push((ticket, reply));
        })
    }

    fn join(&mut self, scene: Scene<'_>, join: Join, id: GroupId) -> Outcome {
        let known = self.groups.get(&id);
        let is_new = known.is_none_or(|group| group.as_consumer().is_some());
        let mut before = Vec::new();
        if is_new {
            if !join.member.is_empty() {
                let reply = Join::refusal(ErrorCode::UnknownMemberId, &join.member);
                return Outcome::reply(join.ticket, reply);
            }
            if let Some(empty) = known {
                info!(group = %id, "the empty consumer group is a classic group from now on");
                before = empty.tombstones(&id);
            }
            self.groups.insert(Arc::clone(&id), Group::classic());
        }
        let mut out = self.act(scene, &id, |mut act| act.join(join));
        if is_new && out.records.is_empty() {
            // So that the group exists for whoever loads the log, and for its expiry.
            let value = Some(ClassicGroup::new().to_value(|_| bytes::Bytes::new()));
            out.records.push(Record::ClassicGroup { group: id, value });
            out.applied = true;
        }
        out.records.splice(..0, before);
        out
    }

    fn delete(&self, ticket: Ticket, id: &GroupId) -> Outcome {
        let reply: Reply = match self.groups.get(id) {
            None => Err(ErrorCode::GroupIdNotFound),
            Some(group) if !group.is_empty() => Err(ErrorCode::NonEmptyGroup),
            Some(_) => Ok(Response::Done),
        };
        let mut out = Outcome::default();
        if reply.is_ok() {
            for (topic, partition) in self.pending.of_group(id) {
                out.records.push(tombstone(id, topic, *partition));
            }
            for (topic, partitions) in self.offsets.of_group(id) {
                out.records.extend(partitions.keys().map(|partition| tombstone(id, topic, *partition)));
            }
            info!(group = %id, offsets = out.records.len(), "deleted");
            if let Some(group) = self.groups.get(id) {
                out.records.append(&mut group.tombstones(id));
            }
            // The group's own record is the last: what is cut short leaves the group with fewer offsets.
            out.may_split = true;
        }
        out.replies.push((ticket, reply));
        out
    }
}

/// Deletes a committed offset.
pub(super) fn tombstone(group: &GroupId, topic: &Arc<str>, partition: i32) -> Record {
    Record::Offset { group: Arc::clone(group), topic: Arc::clone(topic), partition, value: None }
}
