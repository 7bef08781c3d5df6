//! What every member shall own: computed once for every epoch of the group, and not more often than
//! `group.consumer.assignment.interval.ms` (`TargetAssignmentBuilder`, KIP-1263).

use super::{
    Act,
    assignor::{Assignor, Spec, Subscriber},
    change::Change,
    member::{Partitions, listed},
    reconcile::Reads,
    settings,
};
use crate::{
    groups::records::{MemberSubscription, Record},
    ids::TopicId,
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tracing::info;

/// What a subscription says of topics: their names, and an expression.
type Words<'a> = (&'a [Arc<str>], Option<&'a str>);

/// What a member shall own, and since which epoch.
pub(super) struct Target<'a> {
    pub epoch: i32,
    pub partitions: Cow<'a, Partitions>,
}

impl<'a> Act<'a> {
    /// The target of the member that changes: anew if the group's epoch has risen to this and it is time, else the one
    /// that there is.
    pub(super) fn target(&self, change: &Change<'_>, epoch: i32, records: &mut Vec<Record>) -> Target<'a> {
        let group = self.group;
        let is_time = || {
            let wait_ms = i64::from(settings::assignment_interval_ms(self.scene, self.id));
            let next_ms = group.target_at_ms.saturating_add(wait_ms);
            group.target_at_ms == 0 || wait_ms == 0 || self.scene.now.unix_ms >= next_ms
        };
        if group.target_epoch >= epoch || !is_time() {
            // A static member under a new name goes on with what was its.
            let known = change.replaces.as_ref().unwrap_or(&change.id);
            return Target { epoch: group.target_epoch, partitions: Cow::Borrowed(group.target(known)) };
        }
        let partitions = self.assign(change, epoch, records);
        Target { epoch, partitions: Cow::Owned(partitions) }
    }

    /// Computes who shall own what and writes down what changes; what the member that changes shall own.
    fn assign(&self, change: &Change<'_>, epoch: i32, records: &mut Vec<Record>) -> Partitions {
        let group = self.group;
        let preferred = group.preferred_assignor(change.known.map(|known| &**known), Some(&change.said));
        let usual = self.scene.config.groups.consumer.assignors.first().map(String::as_str);
        let name = preferred.as_deref().or(usual).unwrap_or_default();
        let assignor = Assignor::named(name).unwrap_or(Assignor::Uniform);
        let spec = self.spec(change);
        let assigned = assignor.assign(&spec);
        let mut own = Partitions::new();
        let mut changed = 0;
        for (subscriber, partitions) in spec.subscribers.iter().zip(assigned) {
            let is_it = *subscriber.id == *change.id;
            if !group.has_target(subscriber.id) || *group.target(subscriber.id) != partitions {
                changed += 1;
                let known = group.members.get_key_value(subscriber.id).map(|(id, _)| id);
                records.push(Record::Target {
                    group: Arc::clone(self.id),
                    member: Arc::clone(known.filter(|_| !is_it).unwrap_or(&change.id)),
                    value: Some(listed(&partitions)),
                });
            }
            if is_it {
                own = partitions;
            }
        }
        records.push(Record::TargetEpoch {
            group: Arc::clone(self.id),
            value: Some((epoch, self.scene.now.unix_ms)),
        });
        info!(
            group = %self.id,
            epoch,
            assignor = name,
            members = spec.subscribers.len(),
            changed,
            "computed who shall own what"
        );
        own
    }

    /// The members as they are after the change.
    fn spec<'s>(&'s self, change: &'s Change<'_>) -> Spec<'s> {
        let group = self.group;
        let resolved = &change.subscriptions.resolved;
        let alike = change.subscriptions.are_alike(change.members);
        // What was read from one subscription is read from all that say the same.
        let mut known: BTreeMap<Words<'_>, Arc<[TopicId]>> = BTreeMap::new();
        let mut all: Option<Arc<[TopicId]>> = None;
        let mut topics = |said: &'s MemberSubscription| -> Arc<[TopicId]> {
            if let Some(all) = &all {
                return Arc::clone(all);
            }
            let read = || Reads::new(said, resolved, self.scene.image).ids().into_iter().collect();
            let key = (said.topics.as_slice(), said.regex.as_deref());
            let topics = Arc::clone(known.entry(key).or_insert_with(read));
            if alike {
                all = Some(Arc::clone(&topics));
            }
            topics
        };
        let others = group.members.iter().filter(|(id, _)| {
            **id != change.id && change.replaces.as_ref().is_none_or(|replaced| replaced != *id)
        });
        let mut subscribers: Vec<Subscriber<'_>> = others
            .map(|(id, member)| Subscriber {
                id,
                instance: member.said.instance_id.as_deref(),
                topics: topics(&member.said),
                target: group.target(id),
            })
            .collect();
        let it = Subscriber {
            id: &change.id,
            instance: change.said.instance_id.as_deref(),
            topics: topics(&change.said),
            target: group.target(change.replaces.as_ref().unwrap_or(&change.id)),
        };
        let place = subscribers.partition_point(|subscriber| *subscriber.id < *change.id);
        subscribers.insert(place, it);
        let read: BTreeSet<TopicId> = match &all {
            Some(all) => all.iter().copied().collect(),
            None => subscribers.iter().flat_map(|subscriber| subscriber.topics.iter().copied()).collect(),
        };
        let count =
            |topic: TopicId| self.scene.image.topic_by_id(topic).map_or(0, |topic| topic.partition_count());
        let partitions = read.into_iter().map(|topic| (topic, count(topic))).collect();
        Spec { subscribers, partitions, alike }
    }
}
