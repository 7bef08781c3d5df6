//! Partitions by the names of their topics.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A set of partitions, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionSet {
    /// A topic without partitions has no entry.
    topics: BTreeMap<Arc<str>, BTreeSet<i32>>,
}

impl PartitionSet {
    /// Without any.
    pub fn new() -> PartitionSet {
        PartitionSet::default()
    }

    /// Adds one.
    pub fn insert(&mut self, topic: &Arc<str>, partition: i32) {
        if let Some(partitions) = self.topics.get_mut(topic) {
            partitions.insert(partition);
        } else {
            self.topics.insert(Arc::clone(topic), BTreeSet::from([partition]));
        }
    }

    /// Adds all of another.
    pub fn insert_all(&mut self, other: &PartitionSet) {
        other.iter().for_each(|(topic, partition)| self.insert(topic, partition));
    }

    /// Takes one out; whether it was there.
    pub fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.topics.get_mut(topic) else { return false };
        let was_there = partitions.remove(&partition);
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        was_there
    }

    /// Whether this one is in it.
    pub fn contains(&self, topic: &str, partition: i32) -> bool {
        self.topics.get(topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Whether all of another are in it.
    pub fn contains_all(&self, other: &PartitionSet) -> bool {
        other.iter().all(|(topic, partition)| self.contains(topic, partition))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// All of them, by topic and number.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32)> {
        self.topics.iter().flat_map(|(topic, partitions)| partitions.iter().map(move |it| (topic, *it)))
    }

    /// All of them, topic by topic.
    pub fn topics(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeSet<i32>)> {
        self.topics.iter()
    }
}

impl FromIterator<(Arc<str>, i32)> for PartitionSet {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, i32)>>(partitions: I) -> PartitionSet {
        let mut set = PartitionSet::new();
        partitions.into_iter().for_each(|(topic, partition)| set.insert(&topic, partition));
        set
    }
}
