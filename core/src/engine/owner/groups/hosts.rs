//! The coordinators of a shard by partition, and when the nearest of them wants to be called.

use super::Hosted;
use crate::ids::PartitionId;
use corelane_seam::Monotonic;
use std::collections::BTreeMap;

/// Whoever changes one of them passes by here, so that a turn without groups looks at none of them: a shard may host many
/// partitions, and most turns are of other requests.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    by_partition: BTreeMap<PartitionId, Hosted>,
    due: Due,
}

/// When the nearest is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Known(Option<Monotonic>),
    /// One of them may have changed since.
    Changed,
}

impl Default for Due {
    fn default() -> Due {
        Due::Known(None)
    }
}

impl Hosts {
    pub fn insert(&mut self, id: PartitionId, hosted: Hosted) {
        self.due = Due::Changed;
        self.by_partition.insert(id, hosted);
    }

    pub fn remove(&mut self, id: PartitionId) -> Option<Hosted> {
        self.due = Due::Changed;
        self.by_partition.remove(&id)
    }

    pub fn get(&self, id: PartitionId) -> Option<&Hosted> {
        self.by_partition.get(&id)
    }

    /// To change one, perhaps.
    pub fn get_mut(&mut self, id: PartitionId) -> Option<&mut Hosted> {
        let hosted = self.by_partition.get_mut(&id);
        if hosted.is_some() {
            self.due = Due::Changed;
        }
        hosted
    }

    pub fn iter(&self) -> impl Iterator<Item = (PartitionId, &Hosted)> {
        self.by_partition.iter().map(|(id, hosted)| (*id, hosted))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Hosted> {
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
            assert_eq!(at, self.nearest(), "an alarm of the groups has moved, and nobody was told");
        }
    }
}
