//! The range assignor: the members in order, the partitions of each topic in order, each member the next few
//! (`RangeAssignor`). Static members come first, by their static names, so that they keep their place when they come
//! back under another name.

use super::{Spec, Subscriber};
use crate::{groups::consumer::member::Partitions, ids::TopicId};

/// What of a topic is not given out yet.
struct Left {
    topic: TopicId,
    /// Partitions that each reader gets.
    share: i32,
    readers: i32,
    /// Readers that get one more than the others.
    extra: i32,
    next: i32,
}

pub(super) fn assign(spec: &Spec<'_>) -> Vec<Partitions> {
    let mut left = unassigned(spec);
    let mut order: Vec<usize> = (0..spec.subscribers.len()).collect();
    order.sort_by_key(|place| rank(&spec.subscribers[*place]));
    let mut assigned = vec![Partitions::new(); spec.subscribers.len()];
    for place in order {
        let mut at = 0;
        for topic in spec.subscribers[place].topics.iter() {
            let Some(left) = find(&mut left, &mut at, *topic) else { continue };
            let share = left.share + i32::from(left.extra > 0);
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

/// Every topic that someone reads, in order, with nothing given out.
fn unassigned(spec: &Spec<'_>) -> Vec<Left> {
    let empty = |(topic, count): (&TopicId, &i32)| Left {
        topic: *topic,
        share: *count,
        readers: 0,
        extra: 0,
        next: 0,
    };
    let mut left: Vec<Left> = spec.partitions.iter().map(empty).collect();
    for subscriber in &spec.subscribers {
        let mut at = 0;
        for topic in subscriber.topics.iter() {
            if let Some(left) = find(&mut left, &mut at, *topic) {
                left.readers += 1;
            }
        }
    }
    left.retain(|it| it.readers > 0);
    for it in &mut left {
        (it.share, it.extra) = (it.share / it.readers, it.share % it.readers);
    }
    left
}

/// A topic, from `at` on, and moves `at` behind it. Members name their topics in order, and mostly the same ones as all
/// others, so that it mostly stands where it is looked for first.
fn find<'a>(left: &'a mut [Left], at: &mut usize, topic: TopicId) -> Option<&'a mut Left> {
    let rest = left.get(*at..)?;
    let found = match rest.first() {
        Some(first) if first.topic == topic => 0,
        _ => rest.binary_search_by_key(&topic, |it| it.topic).ok()?,
    };
    let place = *at + found;
    *at = place + 1;
    left.get_mut(place)
}

/// Static members before dynamic ones.
fn rank<'a>(subscriber: &Subscriber<'a>) -> (bool, &'a str) {
    match subscriber.instance {
        Some(instance) => (false, instance),
        None => (true, subscriber.id),
    }
}
