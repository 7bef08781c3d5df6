//! Groups that change their protocol while they are in use (`group.consumer.migration.policy`): a classic group of
//! consumers when the first of them speaks the new protocol, and back when the last of these is gone. Nobody has to stop
//! reading for it: the members go on with the partitions that they have.

use super::{
    Act,
    heartbeat::Refusal,
    member::{Held, Partitions, Position, Progress, listed, nothing_said, sorted},
    protocol::{Assignment, Subscription, version_of, write_target},
};
use crate::{
    error::ErrorCode,
    groups::{
        alarms::{Alarm, Alarms},
        classic::{ClassicGroup, Member as ClassicMember, Terms},
        consumer::Topics,
        face::Scene,
        records::{ClassicMetadata, GroupId, MemberId, MemberSubscription, Record},
    },
    ids::TopicId,
};
use std::{collections::BTreeSet, sync::Arc};
use tracing::info;

/// The protocol type of classic groups of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// The records that make a consumer group of a classic one, with the members and partitions that it has
/// (`ConsumerGroup.fromClassicGroup`).
///
/// # Errors
/// GROUP_ID_NOT_FOUND: there is no such consumer group, and none can be made.
pub(in crate::groups) fn upgraded(
    id: &GroupId,
    classic: &ClassicGroup,
    scene: Scene<'_>,
    topics: &mut Topics,
    alarms: &mut Alarms,
) -> Result<Vec<Record>, Refusal> {
    let settings = &scene.config.groups.consumer;
    let refuse = |why: &str| {
        let message = format!("Cannot upgrade classic group {id} to consumer group because {why}.");
        info!(group = %id, "{message}");
        Err(Refusal::new(ErrorCode::GroupIdNotFound, message))
    };
    if !settings.migration.upgrade {
        return refuse("online upgrade is disabled");
    }
    if !classic.is_of_consumers() {
        return refuse("the group does not use the consumer embedded protocol");
    }
    if classic.members.len() > settings.size_max {
        return refuse("the group size exceeds the consumer group maximum size");
    }
    let Some(protocol) = classic.protocol.clone().or_else(|| classic.elect_protocol()) else {
        return refuse("its members have not agreed on an assignor yet");
    };
    let mut taken: BTreeSet<(TopicId, i32)> = BTreeSet::new();
    let mut members = Vec::with_capacity(classic.members.len());
    for (name, member) in &classic.members {
        let subscription = member.terms.metadata(&protocol).and_then(|it| Subscription::read(it));
        let assignment = if member.assignment.is_empty() {
            Some(Assignment::default())
        } else {
            Assignment::read(&member.assignment)
        };
        let (Some(subscription), Some(assignment)) = (subscription, assignment) else {
            return refuse("the embedded consumer protocol is malformed");
        };
        if assignment.has_user_data {
            return refuse("an unsupported custom assignor is in use");
        }
        let mut owned = Partitions::new();
        for (topic, partitions) in assignment.partitions {
            let Some(topic) = scene.image.topic(&topic).map(|topic| topic.id) else { continue };
            // A leader that gave a partition to two has made a mistake that this protocol cannot carry on.
            let fresh = partitions.into_iter().filter(|partition| taken.insert((topic, *partition)));
            let fresh: BTreeSet<i32> = fresh.collect();
            if !fresh.is_empty() {
                owned.insert(topic, fresh);
            }
        }
        members.push((name, said(member, subscription), owned));
    }
    let group = made_of(id, classic.generation, &members, scene, topics);
    for (name, said, _) in &members {
        let ms = said.classic.as_ref().map_or(0, |classic| classic.session_timeout_ms);
        let at = scene.now.monotonic.after_ms(u64::from(ms.max(0).unsigned_abs()));
        alarms.set(Alarm::Session(Arc::clone(id), Arc::clone(name)), at);
    }
    info!(group = %id, generation = classic.generation, members = members.len(), "a consumer group from now on");
    Ok(group)
}

/// The records of a group in which everyone has what it shall own.
fn made_of(
    id: &GroupId,
    generation: i32,
    members: &[(&MemberId, MemberSubscription, Partitions)],
    scene: Scene<'_>,
    topics: &mut Topics,
) -> Vec<Record> {
    let group = || Arc::clone(id);
    let mut records = vec![Record::ClassicGroup { group: group(), value: None }];
    let each = members.iter();
    records.extend(each.clone().map(|(member, said, _)| Record::Member {
        group: group(),
        member: Arc::clone(member),
        value: Some(said.clone()),
    }));
    let mut read = super::group::Subscriptions::default();
    members.iter().for_each(|(_, said, _)| read.count(said, true));
    let hash = topics.hash(&read.topics, scene.image);
    records.push(Record::ConsumerGroup { group: group(), value: Some((generation, hash)) });
    records.extend(each.clone().map(|(member, _, owned)| Record::Target {
        group: group(),
        member: Arc::clone(member),
        value: Some(listed(owned)),
    }));
    records.push(Record::TargetEpoch { group: group(), value: Some((generation, 0)) });
    records.extend(each.map(|(member, _, owned)| {
        let since = |partitions: &BTreeSet<i32>| partitions.iter().map(|it| (*it, generation)).collect();
        let assigned: Held = owned.iter().map(|(topic, partitions)| (*topic, since(partitions))).collect();
        let position = Position {
            epoch: generation,
            previous_epoch: generation,
            progress: Progress::Stable,
            assigned,
            revoking: Held::new(),
        };
        Record::Current { group: group(), member: Arc::clone(member), value: Some(position.to_value()) }
    }));
    records
}

fn said(member: &ClassicMember, subscription: Subscription) -> MemberSubscription {
    MemberSubscription {
        instance_id: member.instance.clone(),
        rack_id: subscription.rack,
        client_id: Arc::clone(&member.client_id),
        client_host: Arc::clone(&member.client_host),
        topics: sorted(subscription.topics),
        rebalance_timeout_ms: member.terms.rebalance_timeout_ms,
        classic: Some(ClassicMetadata {
            session_timeout_ms: member.terms.session_timeout_ms,
            protocols: member.terms.protocols.clone(),
        }),
        ..nothing_said()
    }
}

/// A static member that takes another's place while its group becomes a classic one.
pub(super) struct Joining<'a> {
    pub id: &'a MemberId,
    pub replaces: &'a MemberId,
    pub said: &'a MemberSubscription,
}

impl Act<'_> {
    /// Whether only members of the classic protocol are left without these.
    pub(super) fn goes_back_without(&self, gone: &[&MemberId]) -> bool {
        let group = self.group;
        let is_classic =
            |id: &&&MemberId| group.members.get(**id).is_some_and(|member| member.classic().is_some());
        let left = group.members.len() - gone.len();
        left > 0
            && group.classic_members - gone.iter().filter(is_classic).count() == left
            && self.may_go_back(left)
    }

    pub(super) fn may_go_back(&self, left: usize) -> bool {
        let settings = &self.scene.config.groups;
        let why = if !settings.consumer.migration.downgrade {
            "the online downgrade is disabled"
        } else if left > settings.size_max {
            "its group size is greater than classic group max size"
        } else {
            return true;
        };
        info!(group = %self.id, "cannot downgrade to a classic group: {why}");
        false
    }

    /// Makes a classic group of this one, without the members that are gone (`ClassicGroup.fromConsumerGroup`). Whether it
    /// could be done: every member must speak the embedded protocol of consumers.
    pub(super) fn downgrade(
        &mut self,
        gone: &[&MemberId],
        joining: Option<&Joining<'_>>,
        records: &mut Vec<Record>,
    ) -> bool {
        let group = self.group;
        let mut classic = ClassicGroup::new();
        classic.protocol_type = Some(CONSUMER.into());
        classic.generation = group.epoch;
        for (id, member) in &group.members {
            let replaced = joining.filter(|joining| joining.replaces == id);
            if gone.contains(&id) {
                continue;
            }
            let (name, said) = replaced.map_or((id, &*member.said), |joining| (joining.id, joining.said));
            let Some(metadata) = &said.classic else { return false };
            let version = metadata.protocols.first().map_or(0, |(_, bytes)| version_of(bytes));
            classic.insert(ClassicMember {
                id: Arc::clone(name),
                instance: said.instance_id.clone(),
                client_id: Arc::clone(&said.client_id),
                client_host: Arc::clone(&said.client_host),
                terms: Terms {
                    protocols: metadata.protocols.clone(),
                    session_timeout_ms: metadata.session_timeout_ms,
                    rebalance_timeout_ms: said.rebalance_timeout_ms,
                },
                assignment: write_target(group.target(id), version, self.scene.image),
                joining: None,
                syncing: None,
                is_new: false,
            });
        }
        classic.protocol = classic.elect_protocol();
        if classic.protocol.is_none() {
            return false;
        }
        let mut value = classic.to_value(|member| member.assignment.clone());
        value.state_since_ms = self.scene.now.unix_ms;
        records.extend(group.tombstones(self.id).into_iter().map(|record| match joining {
            Some(joining) => under_its_new_name(record, joining),
            None => record,
        }));
        records.push(Record::ClassicGroup { group: Arc::clone(self.id), value: Some(value) });
        for (name, member) in &classic.members {
            let alarm = self.session(name);
            self.alarm_in(alarm, member.terms.session_timeout_ms);
        }
        info!(group = %self.id, generation = group.epoch, members = classic.members.len(), "a classic group from now on");
        true
    }
}

/// The member was given its new name by records that come before.
fn under_its_new_name(record: Record, joining: &Joining<'_>) -> Record {
    let name = |member: MemberId| if member == *joining.replaces { Arc::clone(joining.id) } else { member };
    match record {
        Record::Current { group, member, value } => Record::Current { group, member: name(member), value },
        Record::Target { group, member, value } => Record::Target { group, member: name(member), value },
        Record::Member { group, member, value } => Record::Member { group, member: name(member), value },
        other => other,
    }
}
