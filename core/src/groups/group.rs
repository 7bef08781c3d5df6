//! A group of either protocol.

use super::{
    classic::{self, ClassicGroup},
    consumer::{self, ConsumerGroup},
    face::Ticket,
    records::{GroupId, Record},
};
use std::sync::Arc;

/// One group.
#[derive(Debug)]
pub(super) enum Group {
    /// Its members agree among themselves (KIP-62).
    Classic(Box<ClassicGroup>),
    /// The coordinator assigns (KIP-848).
    Consumer(Box<ConsumerGroup>),
}

impl Group {
    /// A classic group of nothing but commits, perhaps.
    pub fn classic() -> Group {
        Group::Classic(Box::new(ClassicGroup::new()))
    }

    pub fn as_classic(&self) -> Option<&ClassicGroup> {
        match self {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) => None,
        }
    }

    pub fn as_consumer(&self) -> Option<&ConsumerGroup> {
        match self {
            Group::Consumer(group) => Some(group),
            Group::Classic(_) => None,
        }
    }

    /// What its members agreed on; empty when there is none.
    pub fn protocol_type(&self) -> Arc<str> {
        match self {
            Group::Classic(group) => group.protocol_type.clone().unwrap_or_else(|| "".into()),
            Group::Consumer(_) => "consumer".into(),
        }
    }

    /// Kafka's word for its type.
    pub fn kind(&self) -> &'static str {
        match self {
            Group::Classic(_) => "classic",
            Group::Consumer(_) => "consumer",
        }
    }

    /// Kafka's word for its state.
    pub fn state_name(&self) -> &'static str {
        match self {
            Group::Classic(group) => group.state().name(),
            Group::Consumer(group) => group.state().name(),
        }
    }

    pub fn members(&self) -> usize {
        match self {
            Group::Classic(group) => group.members.len(),
            Group::Consumer(group) => group.members.len(),
        }
    }

    /// Whether it has no members, nor is about to have one.
    pub fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.state() == classic::State::Empty,
            Group::Consumer(group) => group.state() == consumer::State::Empty,
        }
    }

    /// Whether a member reads a topic.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        match self {
            Group::Classic(group) => group.is_subscribed(topic),
            Group::Consumer(group) => group.is_subscribed(topic),
        }
    }

    /// Deletes it, but for its offsets. Its own record is the last.
    pub fn tombstones(&self, id: &GroupId) -> Vec<Record> {
        match self {
            Group::Classic(_) => vec![Record::ClassicGroup { group: Arc::clone(id), value: None }],
            Group::Consumer(group) => group.tombstones(id),
        }
    }

    /// Takes out everyone who waits for other members.
    pub fn take_waiting(&mut self) -> Vec<Ticket> {
        match self {
            Group::Classic(group) => group.take_waiting(),
            Group::Consumer(_) => Vec::new(),
        }
    }

    pub fn check(&self) {
        match self {
            Group::Classic(group) => group.check(),
            Group::Consumer(group) => group.check(),
        }
    }
}
