//! The coordinators of a shard by partition, and when the nearest of them wants to be called.

use super::{Coordination, Hosted};
use crate::ids::PartitionId;
use corelane_seam::Monotonic;
use std::collections::BTreeMap;

/// Whoever changes one of them passes by here, so that a turn without them looks at none: a shard may host many
/// partitions, and most turns are of other requests.
#[derive(Debug)]
pub(super) struct Hosts<C: Coordination> {
    by_partition: BTreeMap<PartitionId, Hosted<C>>,
    due: Due,
}

/// When the nearest is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Known(Option<Monotonic>),
    /// One of them may have changed since.
    Changed,
}

impl<C: Coordination> Default for Hosts<C> {
    fn default() -> Hosts<C> {
        Hosts { by_partition: BTreeMap::new(), due: Due::Known(None) }
    }
}

impl<C: Coordination> Hosts<C> {
    pub fn insert(&mut self, id: PartitionId, hosted: Hosted<C>) {
        self.due = Due::Changed;
        self.by_partition.insert(id, hosted);
    }

    pub fn remove(&mut self, id: PartitionId) -> Option<Hosted<C>> {
        self.due = Due::Changed;
        self.by_partition.remove(&id)
    }

    pub fn get(&self, id: PartitionId) -> Option<&Hosted<C>> {
        self.by_partition.get(&id)
    }

    /// To change one, perhaps.
    pub fn get_mut(&mut self, id: PartitionId) -> Option<&mut Hosted<C>> {
        let hosted = self.by_partition.get_mut(&id);
        if hosted.is_some() {
            self.due = Due::Changed;
        }
        hosted
    }

    pub fn iter(&self) -> impl Iterator<Item = (PartitionId, &Hosted<C>)> {
        self.by_partition.iter().map(|(id, hosted)| (*id, hosted))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Hosted<C>> {
        self.due = Due::Changed;
        self.by_partition.values_mut()
    }

    /// When the nearest wants to be called: a look at all of them, if one has changed since the last.
    pub fn due(&mut self) -> Option<Monotonic> {
        if let Due::Known(at) = self.due {
            return at;
        }
        let at = self.nearest();
        self.due = Due::Known(at);
        at
    }

    fn nearest(&self) -> Option<Monotonic> {
        self.by_partition.values().filter_map(Hosted::due).min()
    }

    /// What must hold between any two inputs.
    pub fn check(&self) {
        if let Due::Known(at) = self.due {
            assert_eq!(at, self.nearest(), "an alarm of a coordinator has moved, and nobody was told");
        }
    }
}
