//! What ConsumerGroupDescribe tells of a group.

use super::{
    group::ConsumerGroup,
    member::{Member, Partitions},
};
use crate::{groups::face::Scene, ids::TopicId};
use kafka_protocol::{
    messages::{
        TopicName,
        consumer_group_describe_response::{
            Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
        },
    },
    protocol::StrBytes,
};
use std::{collections::BTreeMap, sync::Arc};

/// Operations that were not asked for.
const NOT_ASKED: i32 = i32::MIN;

impl ConsumerGroup {
    /// The group with its members, what they own and what they shall own. Topics that are gone are left out.
    pub fn describe(&self, id: &Arc<str>, scene: Scene<'_>) -> DescribedGroup {
        let usual = scene.config.groups.consumer.assignors.first().map_or("", String::as_str);
        let preferred = self.preferred_assignor(None, None);
        let members = self.members.iter().map(|(name, member)| self.describe_member(name, member, scene));
        DescribedGroup::default()
            .with_group_id(text(id).into())
            .with_group_state(text(self.state().name()))
            .with_group_epoch(self.epoch)
            .with_assignment_epoch(self.target_epoch)
            .with_assignor_name(text(preferred.as_deref().unwrap_or(usual)))
            .with_authorized_operations(NOT_ASKED)
            .with_members(members.collect())
    }

    fn describe_member(&self, name: &Arc<str>, member: &Member, scene: Scene<'_>) -> DescribedMember {
        let mut held: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in member.position.held() {
            held.entry(topic).or_default().push(partition);
        }
        let target: &Partitions = self.target(name);
        let target = target.iter().map(|(topic, partitions)| (*topic, partitions.iter().copied().collect()));
        let said = &member.said;
        DescribedMember::default()
            .with_member_id(text(name))
            .with_instance_id(said.instance_id.as_deref().map(text))
            .with_rack_id(said.rack_id.as_deref().map(text))
            .with_member_epoch(member.position.epoch)
            .with_client_id(text(&said.client_id))
            .with_client_host(text(&said.client_host))
            .with_subscribed_topic_names(said.topics.iter().map(|topic| TopicName(text(topic))).collect())
            .with_subscribed_topic_regex(said.regex.as_deref().map(text))
            .with_assignment(assignment(held.into_iter(), scene))
            .with_target_assignment(assignment(target, scene))
            .with_member_type(i8::from(member.classic().is_none()))
    }
}

fn assignment(partitions: impl Iterator<Item = (TopicId, Vec<i32>)>, scene: Scene<'_>) -> Assignment {
    let known = partitions.filter_map(|(id, partitions)| {
        let topic = scene.image.topic_by_id(id)?;
        let told =
            TopicPartitions::default().with_topic_id(id.0).with_topic_name(TopicName(text(&topic.name)));
        Some(told.with_partitions(partitions))
    });
    Assignment::default().with_topic_partitions(known.collect())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
