//! What is true of every image.

use super::{Image, PartitionImage, collision_key, is_internal, validate_topic_name};
use crate::ids::NodeId;

impl Image {
    /// The invariants of an image. O(everything): for tests and for the simulator.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<(), String> {
        if self.topics.len() != self.topic_ids.len() {
            return Err(format!("{} topics by id, {} by name", self.topics.len(), self.topic_ids.len()));
        }
        let mut keys = 0;
        for (id, topic) in &self.topics {
            if topic.id != *id || self.topic_ids.get(&topic.name) != Some(id) {
                return Err(format!("topic {} and its id {id} do not agree", topic.name));
            }
            if let Some(key) = collision_key(&topic.name) {
                keys += 1;
                if self.collisions.get(&key) != Some(id) {
                    return Err(format!("topic {} does not reserve {key}", topic.name));
                }
            }
            validate_topic_name(&topic.name)?;
            if id.is_reserved() || topic.is_internal != is_internal(&topic.name) {
                return Err(format!("topic {} has id {id}, internal: {}", topic.name, topic.is_internal));
            }
            for (expected, (index, state)) in (0..).zip(&topic.partitions) {
                if *index != expected {
                    return Err(format!("partition {expected} of {} is missing", topic.name));
                }
                partition(state)
                    .and_then(|()| self.leader_can_lead(state))
                    .map_err(|reason| format!("{}-{index}: {reason}", topic.name))?;
            }
        }
        if keys != self.collisions.len() {
            return Err(format!("{} names are reserved, of {keys} topics", self.collisions.len()));
        }
        if let Some((resource, _)) = self.configs.iter().find(|(_, configs)| configs.is_empty()) {
            return Err(format!("{resource:?} has a map without entries"));
        }
        if let Some((name, level)) = self.features.iter().find(|(_, level)| **level <= 0) {
            return Err(format!("feature {name} at level {level}"));
        }
        match self.brokers.iter().find(|(id, broker)| broker.id != **id || id.0 < 0 || broker.epoch < 0) {
            Some((id, broker)) => Err(format!("broker {id} is {broker:?}")),
            None => Ok(()),
        }
    }

    /// No fenced broker leads.
    pub(super) fn leader_can_lead(&self, state: &PartitionImage) -> Result<(), String> {
        match state.leader.and_then(|leader| self.broker(leader)) {
            Some(broker) if broker.fenced => Err(format!("leader {} is fenced", broker.id)),
            Some(_) | None => Ok(()),
        }
    }
}

/// The invariants of a partition.
pub(super) fn partition(state: &PartitionImage) -> Result<(), String> {
    if state.replicas.is_empty() {
        return Err("no replicas".to_owned());
    }
    distinct("replicas", &state.replicas)?;
    let parts = [
        ("isr", &state.isr),
        ("removing", &state.removing),
        ("adding", &state.adding),
        ("elr", &state.elr),
        ("last known elr", &state.last_known_elr),
    ];
    for (what, part) in parts {
        distinct(what, part)?;
        if let Some(stranger) = part.iter().find(|id| !state.replicas.contains(id)) {
            return Err(format!("{what} names {stranger}, which is no replica"));
        }
    }
    let eligible = [&state.elr, &state.last_known_elr];
    if let Some(both) = state.isr.iter().find(|id| eligible.iter().any(|part| part.contains(id))) {
        return Err(format!("{both} is in sync and yet not"));
    }
    if let Some(both) = state.elr.iter().find(|id| state.last_known_elr.contains(id)) {
        return Err(format!("{both} is eligible and yet not"));
    }
    if let Some(leader) = state.leader
        && !state.isr.contains(&leader)
    {
        return Err(format!("leader {leader} is not in sync"));
    }
    if state.leader_epoch.0 < 0 || state.partition_epoch < 0 {
        return Err(format!("epochs {} and {}", state.leader_epoch, state.partition_epoch));
    }
    Ok(())
}

fn distinct(what: &str, ids: &[NodeId]) -> Result<(), String> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("{what} names {} twice", pair[0])),
        None if sorted.first().is_some_and(|id| id.0 < 0) => Err(format!("{what} names {}", sorted[0])),
        None => Ok(()),
    }
}
