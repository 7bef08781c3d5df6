//! Who shall own which partitions (`ConsumerGroupPartitionAssignor` in Kafka). Racks are not considered, as in Kafka
//! since 4.0.

mod range;
mod uneven;
mod uniform;

#[cfg(test)]
mod tests;

use super::member::Partitions;
use crate::ids::TopicId;
use std::{collections::BTreeMap, sync::Arc};

/// A way to assign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assignor {
    /// Everyone the same number of partitions, and as few moves as possible.
    Uniform,
    /// Of every topic a range, so that the same partitions of several topics meet at one member.
    Range,
}

/// What is assigned to whom.
#[derive(Debug)]
pub(super) struct Spec<'a> {
    /// In the order of their names.
    pub subscribers: Vec<Subscriber<'a>>,
    /// How many partitions each topic has that anyone reads.
    pub partitions: BTreeMap<TopicId, i32>,
    /// All subscribers read the same topics.
    pub alike: bool,
}

/// A member, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct Subscriber<'a> {
    pub id: &'a str,
    pub instance: Option<&'a str>,
    /// What it reads, in order.
    pub topics: Arc<[TopicId]>,
    /// What it was to own so far.
    pub target: &'a Partitions,
}

impl Assignor {
    /// By Kafka's name.
    pub fn named(name: &str) -> Option<Assignor> {
        match name {
            "uniform" => Some(Assignor::Uniform),
            "range" => Some(Assignor::Range),
            _ => None,
        }
    }

    /// What each subscriber shall own, in their order.
    pub fn assign(self, spec: &Spec<'_>) -> Vec<Partitions> {
        match self {
            Assignor::Range => range::assign(spec),
            Assignor::Uniform if spec.alike => uniform::assign(spec),
            Assignor::Uniform => uneven::assign(spec),
        }
    }
}

impl Spec<'_> {
    fn count(&self, topic: TopicId) -> i32 {
        self.partitions.get(&topic).copied().unwrap_or(0)
    }
}

impl Subscriber<'_> {
    fn reads(&self, topic: TopicId) -> bool {
        self.topics.binary_search(&topic).is_ok()
    }
}
