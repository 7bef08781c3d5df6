//! The range assignor: the members in order, the partitions of each topic in order, each member the next few
//! (`RangeAssignor`). Static members come first, by their static names, so that they keep their place when they come
//! back under another name.

use super::{Spec, Subscriber};
use crate::{groups::consumer::member::Partitions, ids::TopicId};
use std::collections::BTreeMap;

/// What of a topic is not given out yet.
#[derive(Default)]
struct Left {
    readers: i32,
    /// Readers that get one more than the others.
    extra: i32,
    next: i32,
}

pub(super) fn assign(spec: &Spec<'_>) -> Vec<Partitions> {
    let mut left: BTreeMap<TopicId, Left> = BTreeMap::new();
    for topic in spec.subscribers.iter().flat_map(|subscriber| subscriber.topics.iter()) {
        left.entry(*topic).or_default().readers += 1;
    }
    for (topic, left) in &mut left {
        left.extra = spec.count(*topic) % left.readers;
    }
    let mut order: Vec<usize> = (0..spec.subscribers.len()).collect();
    order.sort_by_key(|place| rank(&spec.subscribers[*place]));
    let mut assigned = vec![Partitions::new(); spec.subscribers.len()];
    for place in order {
        for topic in spec.subscribers[place].topics.iter() {
            let Some(left) = left.get_mut(topic) else { continue };
            let share = spec.count(*topic) / left.readers + i32::from(left.extra > 0);
            left.extra = (left.extra - 1).max(0);
            let range = left.next..left.next + share;
            left.next = range.end;
            if !range.is_empty() {
                assigned[place].insert(*topic, range.collect());
            }
        }
    }
    assigned
}

/// Static members before dynamic ones.
fn rank<'a>(subscriber: &Subscriber<'a>) -> (bool, &'a str) {
    match subscriber.instance {
        Some(instance) => (false, instance),
        None => (true, subscriber.id),
    }
}
