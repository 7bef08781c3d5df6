//! What differs between two images: what a shard must do when it goes from one to the next.

use super::{BrokerImage, ConfigResource, Image, PartitionImage, TopicImage};
use crate::ids::{NodeId, TopicId};
use imbl::{OrdMap, ordmap::DiffItem};
use std::sync::Arc;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A topic that was not there before, with all its partitions.
    TopicCreated(Arc<TopicImage>),
    /// A topic that is there no longer, with the partitions it had.
    TopicDeleted(Arc<TopicImage>),
    /// A topic of which partitions or configurations differ.
    TopicChanged(TopicChanged),
    /// A resource other than a topic has other configurations: what is set for it now.
    ConfigsChanged(ConfigResource, OrdMap<String, String>),
    /// A broker was registered, anew or again, or fenced, or unfenced.
    BrokerChanged(Arc<BrokerImage>),
    /// A broker is forgotten.
    BrokerRemoved(NodeId),
    /// A feature is finalized at another level; 0: at none.
    FeatureChanged(String, i16),
}

/// How a topic differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicChanged {
    /// As it is now.
    pub topic: Arc<TopicImage>,
    /// Partitions that differ, by number.
    pub partitions: Vec<PartitionChanged>,
    /// Whether its configurations differ.
    pub configs: bool,
}

/// How a partition differs. Partitions are never taken away but with their topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionChanged {
    /// Its number.
    pub index: i32,
    /// As it was; `None`: it is new.
    pub old: Option<Arc<PartitionImage>>,
    /// As it is now.
    pub new: Arc<PartitionImage>,
}

/// What differs between two images: deletions of topics first (a name may be used again), then each kind in the
/// order of its keys. O(changes) when `new` grew out of a clone of `old`, as unchanged parts are shared.
pub fn delta(old: &Image, new: &Image) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut others = Vec::new();
    for item in old.topics.diff(&new.topics) {
        match item {
            DiffItem::Add(_, topic) => others.push(Change::TopicCreated(Arc::clone(topic))),
            DiffItem::Remove(_, topic) => changes.push(Change::TopicDeleted(Arc::clone(topic))),
            DiffItem::Update { old: (_, old), new: (_, new) } => {
                others.push(Change::TopicChanged(topic_delta(old, new)));
            }
        }
    }
    changes.append(&mut others);
    for item in old.configs.diff(&new.configs) {
        changes.push(match item {
            DiffItem::Add(resource, configs) | DiffItem::Update { old: _, new: (resource, configs) } => {
                Change::ConfigsChanged(resource.clone(), configs.clone())
            }
            DiffItem::Remove(resource, _) => Change::ConfigsChanged(resource.clone(), OrdMap::new()),
        });
    }
    for item in old.brokers.diff(&new.brokers) {
        changes.push(match item {
            DiffItem::Add(_, broker) | DiffItem::Update { old: _, new: (_, broker) } => {
                Change::BrokerChanged(Arc::clone(broker))
            }
            DiffItem::Remove(id, _) => Change::BrokerRemoved(*id),
        });
    }
    for item in old.features.diff(&new.features) {
        changes.push(match item {
            DiffItem::Add(name, level) | DiffItem::Update { old: _, new: (name, level) } => {
                Change::FeatureChanged(name.clone(), *level)
            }
            DiffItem::Remove(name, _) => Change::FeatureChanged(name.clone(), 0),
        });
    }
    changes
}

fn topic_delta(old: &TopicImage, new: &Arc<TopicImage>) -> TopicChanged {
    let partitions = old.partitions.diff(&new.partitions).filter_map(|item| match item {
        DiffItem::Add(index, partition) => {
            Some(PartitionChanged { index: *index, old: None, new: Arc::clone(partition) })
        }
        DiffItem::Update { old: (_, old), new: (index, new) } => {
            Some(PartitionChanged { index: *index, old: Some(Arc::clone(old)), new: Arc::clone(new) })
        }
        // Does not come to pass: no record takes a partition away.
        DiffItem::Remove(_, _) => None,
    });
    TopicChanged {
        topic: Arc::clone(new),
        partitions: partitions.collect(),
        configs: old.configs != new.configs,
    }
}

impl Change {
    /// The topic it is about, if it is about one.
    pub fn topic(&self) -> Option<TopicId> {
        match self {
            Change::TopicCreated(topic) | Change::TopicDeleted(topic) => Some(topic.id),
            Change::TopicChanged(changed) => Some(changed.topic.id),
            Change::ConfigsChanged(_, _)
            | Change::BrokerChanged(_)
            | Change::BrokerRemoved(_)
            | Change::FeatureChanged(_, _) => None,
        }
    }
}
