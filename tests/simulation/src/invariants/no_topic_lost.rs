//! Every topic that was acknowledged, with every partition that was, is found by every later audit, unless someone
//! asked for its deletion.

use crate::client::history::{Event, History};
use corelane_core::ids::TopicId;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut promised: BTreeMap<TopicId, i32> = BTreeMap::new();
    let mut deleted: BTreeSet<TopicId> = BTreeSet::new();
    for (_, event) in history.events() {
        match event {
            Event::TopicAcknowledged { topic, partitions } => {
                let known = promised.entry(*topic).or_default();
                *known = (*known).max(*partitions);
            }
            Event::DeleteTopicAsked { topic } => {
                deleted.insert(*topic);
            }
            Event::TopicsAudited { topics } => {
                for (topic, partitions) in promised.iter().filter(|(topic, _)| !deleted.contains(topic)) {
                    let found = topics.get(topic).copied().unwrap_or(0);
                    if found < *partitions {
                        return Err(format!(
                            "{topic} was acknowledged with {partitions} partitions, an audit found {found}"
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}
