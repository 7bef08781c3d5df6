//! Committed offsets: who may commit and read them, and what is written down.

use super::{
    alarms::Alarm,
    classic::State,
    consumer,
    coordinator::{Coordinator, tombstone},
    face::{
        CommitOffsets, CommittedOffset, DeleteOffsets, FetchOffsets, Outcome, Reply, Response, Scene, Ticket,
        TopicOffsets,
    },
    group::Group,
    records::{OffsetValue, Record},
};
use crate::{error::ErrorCode, ids::TopicId};
use std::sync::Arc;

impl Coordinator {
    pub(super) fn commit(&mut self, scene: Scene<'_>, ticket: Ticket, request: CommitOffsets) -> Outcome {
        let member = match self.may_commit(scene, &request) {
            Ok(member) => member,
            Err(error) => return Outcome::reply(ticket, Err(error)),
        };
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
                if let Some(member) = &member
                    && member
                        .position
                        .held_since(topic.id, partition)
                        .is_none_or(|at| request.generation < at)
                {
                    // One partition that is not the member's any more spoils the request, as in Kafka.
                    return Outcome::reply(ticket, Err(consumer::stale(member)));
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

    /// Whether offsets may be committed; in an epoch that is over, only those of partitions that the member had then
    /// already and has yet: that member (KIP-1251).
    fn may_commit(
        &mut self,
        scene: Scene<'_>,
        request: &CommitOffsets,
    ) -> Result<Option<consumer::Member>, ErrorCode> {
        let group = match self.groups.get(&request.group) {
            Some(Group::Classic(group)) => group,
            Some(Group::Consumer(group)) => {
                let late = group.validate_commit(&request.member, request.generation, request.version)?;
                return Ok(late.cloned());
            }
            None => {
                return match (request.generation < 0, request.version >= 9) {
                    (true, _) => Ok(None),
                    (false, true) => Err(ErrorCode::GroupIdNotFound),
                    (false, false) => Err(ErrorCode::IllegalGeneration),
                };
            }
        };
        group.validate_commit(request.generation, &request.member, request.instance.as_deref())?;
        if let Some((member, state)) = group.members.get_key_value(request.member.as_str()) {
            // Whoever commits is alive.
            let ms = u64::from(state.terms.session_timeout_ms.max(0).unsigned_abs());
            let alarm = Alarm::Session(Arc::clone(&request.group), Arc::clone(member));
            self.alarms.set(alarm, scene.now.monotonic.after_ms(ms));
        }
        Ok(None)
    }

    pub(super) fn fetch(&self, request: &FetchOffsets) -> Reply {
        if let (Some(Group::Consumer(group)), Some((member, epoch))) =
            (self.groups.get(&request.group), &request.member)
        {
            group.validate_fetch(member, *epoch)?;
        }
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
            return Ok(Response::Offsets(all.collect()));
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
        Ok(Response::Offsets(topics.iter().map(of_topic).collect()))
    }

    pub(super) fn delete_offsets(&self, ticket: Ticket, request: &DeleteOffsets) -> Outcome {
        let Some(group) = self.groups.get(&request.group) else {
            return Outcome::reply(ticket, Err(ErrorCode::GroupIdNotFound));
        };
        if group.as_classic().is_some_and(|group| group.state() != State::Empty && !group.is_of_consumers()) {
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
}
