//! Offsets that open transactions have committed: they count when their transaction does (KIP-98).

use super::{offsets::Committed, records::GroupId};
use crate::ids::ProducerId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Of which partition of which topic.
type Place = (Arc<str>, i32);

/// Of one group's partition, as a transaction committed it.
pub(super) type PendingOffset = (GroupId, Arc<str>, i32, Committed);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pending {
    by_producer: BTreeMap<ProducerId, BTreeMap<(GroupId, Place), Committed>>,
    /// Who has something pending there; none of these is empty.
    by_group: BTreeMap<GroupId, BTreeMap<Place, BTreeSet<ProducerId>>>,
}

impl Pending {
    pub fn put(&mut self, producer: ProducerId, group: &GroupId, place: Place, committed: Committed) {
        let places = self.by_group.entry(Arc::clone(group)).or_default();
        places.entry(place.clone()).or_default().insert(producer);
        self.by_producer.entry(producer).or_default().insert((Arc::clone(group), place), committed);
    }

    /// A producer's transaction has ended: takes out what it had.
    pub fn take(&mut self, producer: ProducerId) -> Vec<PendingOffset> {
        let taken = self.by_producer.remove(&producer).unwrap_or_default();
        let each = taken.into_iter().map(|((group, place), committed)| {
            self.remove(&group, &place, producer);
            (group, place.0, place.1, committed)
        });
        each.collect()
    }

    /// Something was deleted: what is pending of it goes, too.
    pub fn forget(&mut self, group: &GroupId, topic: &Arc<str>, partition: i32) {
        let place = (Arc::clone(topic), partition);
        let Some(producers) = self.by_group.get_mut(group).and_then(|places| places.remove(&place)) else {
            return;
        };
        for producer in producers {
            if let Some(offsets) = self.by_producer.get_mut(&producer) {
                offsets.remove(&(Arc::clone(group), place.clone()));
                if offsets.is_empty() {
                    self.by_producer.remove(&producer);
                }
            }
        }
        if self.by_group.get(group).is_some_and(BTreeMap::is_empty) {
            self.by_group.remove(group);
        }
    }

    /// Whether a transaction that is open has committed an offset there.
    pub fn has(&self, group: &str, topic: &Arc<str>, partition: i32) -> bool {
        let places = self.by_group.get(group);
        places.is_some_and(|places| places.contains_key(&(Arc::clone(topic), partition)))
    }

    /// Where something of a group is pending, in the order of topics and partitions.
    pub fn of_group(&self, group: &str) -> impl Iterator<Item = &Place> {
        self.by_group.get(group).into_iter().flat_map(BTreeMap::keys)
    }

    /// Whether nothing of a group is pending.
    pub fn is_empty_of(&self, group: &str) -> bool {
        !self.by_group.contains_key(group)
    }

    fn remove(&mut self, group: &GroupId, place: &Place, producer: ProducerId) {
        let Some(places) = self.by_group.get_mut(group) else { return };
        if let Some(producers) = places.get_mut(place) {
            producers.remove(&producer);
            if producers.is_empty() {
                places.remove(place);
            }
        }
        if places.is_empty() {
            self.by_group.remove(group);
        }
    }
}
