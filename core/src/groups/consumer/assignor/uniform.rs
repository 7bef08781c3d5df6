//! The uniform assignor where all members read the same topics (`UniformHomogeneousAssignmentBuilder`).

use super::Spec;
use crate::{groups::consumer::member::Partitions, ids::TopicId};
use std::collections::BTreeMap;

/// How many partitions a member may have: some have one more than the others, as the division leaves them.
struct Quotas {
    least: usize,
    /// Members that may have one more and are not found yet.
    extras: usize,
}

/// Everyone keeps what it was to own as far as its share goes; what is over, and what nobody had, goes to those who
/// have less. Costs a step per partition and member.
pub(super) fn assign(spec: &Spec<'_>) -> Vec<Partitions> {
    let members = spec.subscribers.len();
    let Some(first) = spec.subscribers.first() else { return Vec::new() };
    let mut free = unowned(spec, &first.topics);
    let total: usize =
        first.topics.iter().map(|topic| usize::try_from(spec.count(*topic)).unwrap_or(0)).sum();
    let mut quotas = Quotas { least: total / members, extras: total % members };
    let mut assigned = Vec::with_capacity(members);
    let mut unfilled = Vec::new();
    for (place, subscriber) in spec.subscribers.iter().enumerate() {
        let mut room = quotas.least + usize::from(quotas.extras > 0);
        let mut has_extra = quotas.extras > 0;
        let mut kept = Partitions::new();
        for (topic, partitions) in subscriber.target.iter().filter(|(topic, _)| subscriber.reads(**topic)) {
            let mut partitions = partitions.iter().copied();
            let stay = partitions.by_ref().take(room).collect::<std::collections::BTreeSet<_>>();
            free.extend(partitions.map(|partition| (*topic, partition)));
            room -= stay.len();
            if !stay.is_empty() {
                kept.insert(*topic, stay);
            }
        }
        // Whoever has not used its one more leaves it to those after it, as long as enough of them are left.
        if room > 0 && has_extra && members - place > quotas.extras {
            room -= 1;
            has_extra = false;
        }
        quotas.extras -= usize::from(has_extra);
        if room > 0 {
            unfilled.push((place, room));
        }
        assigned.push(kept);
    }
    let mut free = free.into_iter();
    for (place, room) in unfilled {
        for (topic, partition) in free.by_ref().take(room) {
            assigned[place].entry(topic).or_default().insert(partition);
        }
    }
    assigned
}

/// Partitions that no member was to own, in order.
fn unowned(spec: &Spec<'_>, topics: &[TopicId]) -> Vec<(TopicId, i32)> {
    let counts = topics.iter().map(|topic| (*topic, spec.count(*topic)));
    let mut owned: BTreeMap<TopicId, Vec<bool>> =
        counts.map(|(topic, count)| (topic, vec![false; usize::try_from(count).unwrap_or(0)])).collect();
    for (topic, partitions) in spec.subscribers.iter().flat_map(|subscriber| subscriber.target) {
        let Some(owned) = owned.get_mut(topic) else { continue };
        for partition in partitions {
            if let Some(slot) = usize::try_from(*partition).ok().and_then(|place| owned.get_mut(place)) {
                *slot = true;
            }
        }
    }
    let free = owned.iter().flat_map(|(topic, owned)| {
        let free = (0..).zip(owned).filter(|(_, owned)| !**owned);
        free.map(|(partition, _)| (*topic, partition))
    });
    free.collect()
}
