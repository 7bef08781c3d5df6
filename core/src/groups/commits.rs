//! Committed offsets: who may commit and read them, and what is written down.

use super::{
    alarms::Alarm,
    classic::State,
    consumer,
    coordinator::{Coordinator, tombstone},
    face::{
        CommitOffsets, CommittedOffset, DeleteOffsets, FetchOffsets, Outcome, Reply, Response, Scene, Ticket,
        TopicOffsets, Transaction,
    },
    group::Group,
    offsets::Committed,
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
        let generation = request.generation;
        write_down(scene, ticket, request, |topic, partition| match &member {
            Some(member) if member.position.held_since(topic, partition).is_none_or(|at| generation < at) => {
                Err(consumer::stale(member))
            }
            _ => Ok(()),
        })
    }

    /// Offsets as a part of a producer's transaction. Its members are judged like those who commit outside of one, if the
    /// producer names one at all (KIP-447); committing is no sign of life of theirs.
    pub(super) fn commit_in_transaction(
        &mut self,
        scene: Scene<'_>,
        ticket: Ticket,
        request: CommitOffsets,
        transaction: Transaction,
    ) -> Outcome {
        let names_nobody = request.generation < 0 && request.member.is_empty() && request.instance.is_none();
        let allowed = match self.groups.get(&request.group) {
            None if request.generation >= 0 => Err(ErrorCode::IllegalGeneration),
            None => Ok(()),
            Some(_) if names_nobody => Ok(()),
            Some(Group::Classic(group)) => {
                group.validate_commit(request.generation, &request.member, request.instance.as_deref())
            }
            Some(Group::Consumer(group)) => {
                let late = group.validate_commit(&request.member, request.generation, i16::MAX);
                match late {
                    Ok(None) => Ok(()),
                    // Its clients know no stale epochs.
                    Ok(Some(_)) | Err(ErrorCode::StaleMemberEpoch) => Err(ErrorCode::IllegalGeneration),
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = allowed {
            return Outcome::reply(ticket, Err(error));
        }
        Outcome { transaction: Some(transaction), ..write_down(scene, ticket, request, |_, _| Ok(())) }
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
        // A transaction may decide otherwise: whoever wants what is stable asks again (KIP-447).
        let is_unstable = |topic: &Arc<str>, partition| {
            request.require_stable && self.pending.has(&request.group, topic, partition)
        };
        let told = |it: &Committed| CommittedOffset {
            error: ErrorCode::None,
            offset: it.value.offset,
            leader_epoch: it.value.leader_epoch,
            metadata: it.value.metadata.clone(),
        };
        let Some(topics) = &request.topics else {
            let all = self.offsets.of_group(&request.group).map(|(name, partitions)| {
                let of_partition = |(partition, it): (&i32, &Committed)| match is_unstable(name, *partition) {
                    true => (*partition, CommittedOffset::failed(ErrorCode::UnstableOffsetCommit)),
                    false => (*partition, told(it)),
                };
                TopicOffsets {
                    name: Arc::clone(name),
                    id: partitions.values().map(|it| it.value.topic_id).next().unwrap_or(TopicId::ZERO),
                    partitions: partitions.iter().map(of_partition).collect(),
                }
            });
            return Ok(Response::Offsets(all.collect()));
        };
        let of_topic = |topic: &TopicOffsets<()>| {
            let find = |partition: i32| {
                if is_unstable(&topic.name, partition) {
                    return CommittedOffset::failed(ErrorCode::UnstableOffsetCommit);
                }
                let committed = self.offsets.get(&request.group, &topic.name, partition);
                // A topic of the same name that was created anew has nothing committed.
                let same = |it: &&Committed| {
                    [topic.id, TopicId::ZERO].contains(&it.value.topic_id) || topic.id == TopicId::ZERO
                };
                committed.filter(same).map_or_else(CommittedOffset::none, told)
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
                let is_committed = self.offsets.get(&request.group, &topic.name, *partition).is_some();
                if is_committed || self.pending.has(&request.group, &topic.name, *partition) {
                    out.records.push(tombstone(&request.group, &topic.name, *partition));
                }
            }
            topics.push(TopicOffsets { name: Arc::clone(&topic.name), id: topic.id, partitions: results });
        }
        out.replies.push((ticket, Ok(Response::Deleted(topics))));
        out
    }
}

/// The records of a commit, and its answer: each partition's own error. One partition of which `may_commit` refuses the offset
/// spoils the request, as in Kafka.
fn write_down(
    scene: Scene<'_>,
    ticket: Ticket,
    request: CommitOffsets,
    may_commit: impl Fn(TopicId, i32) -> Result<(), ErrorCode>,
) -> Outcome {
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
            if let Err(error) = may_commit(topic.id, partition) {
                return Outcome::reply(ticket, Err(error));
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
