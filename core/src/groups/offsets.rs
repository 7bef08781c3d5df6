//! Committed offsets, as replayed.

use super::records::{GroupId, OffsetValue};
use crate::ids::Offset;
use std::{collections::BTreeMap, sync::Arc};

type OfTopic = BTreeMap<i32, Committed>;
type OfGroup = BTreeMap<Arc<str>, OfTopic>;

/// A committed offset, and where its record lies in the coordinator's log: of two commits the later one counts, also when
/// one of them waited for the end of its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub value: OffsetValue,
    pub at: Offset,
}

/// The committed offsets of one coordinator's groups: by group, topic and partition, none of them empty.
#[derive(Debug, Default)]
pub(super) struct Offsets(BTreeMap<GroupId, OfGroup>);

impl Offsets {
    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.0.get(group)?.get(topic)?.get(&partition)
    }

    /// Topics of a group with their offsets, in the order of names and numbers.
    pub fn of_group(&self, group: &str) -> impl Iterator<Item = (&Arc<str>, &OfTopic)> {
        self.0.get(group).into_iter().flatten()
    }

    /// Whether a group has none.
    pub fn is_empty_of(&self, group: &str) -> bool {
        !self.0.contains_key(group)
    }

    /// Groups that have committed to a topic.
    pub fn groups_of_topic<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = (&'a GroupId, &'a OfTopic)> {
        self.0.iter().filter_map(move |(group, topics)| Some((group, topics.get(topic)?)))
    }

    /// Applies a record: a commit, or a tombstone.
    pub fn replay(&mut self, group: &GroupId, topic: &Arc<str>, partition: i32, value: Option<Committed>) {
        match value {
            Some(value) => {
                let topics = match self.0.get_mut(group) {
                    Some(topics) => topics,
                    None => self.0.entry(Arc::clone(group)).or_default(),
                };
                let partitions = match topics.get_mut(topic) {
                    Some(partitions) => partitions,
                    None => topics.entry(Arc::clone(topic)).or_default(),
                };
                partitions.insert(partition, value);
            }
            None => {
                let Some(topics) = self.0.get_mut(group) else { return };
                let Some(partitions) = topics.get_mut(topic) else { return };
                partitions.remove(&partition);
                if partitions.is_empty() {
                    topics.remove(topic);
                }
                if topics.is_empty() {
                    self.0.remove(group);
                }
            }
        }
    }
}
