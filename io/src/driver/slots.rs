//! Names of connections.

use corelane_seam::{ConnectionId, ShardId};
use slab::Slab;

/// A connection's name inside its shard: slot and generation, 52 bits, so that a driver can give it to the kernel with a
/// few bits of its own.
pub(crate) type Name = u64;
const SLOT_BITS: u32 = 20;
const NAME_BITS: u32 = 52;
/// What one shard holds at most.
pub(crate) const SLOTS_MAX: usize = 1 << SLOT_BITS;

/// The connections of one shard by their names, none of which is used twice.
pub(crate) struct Slots<C> {
    shard: ShardId,
    slots: Slab<(u32, C)>,
    generation: u32,
}

impl<C> Slots<C> {
    pub(crate) fn new(shard: ShardId) -> Slots<C> {
        Slots { shard, slots: Slab::new(), generation: 0 }
    }

    pub(crate) fn id(&self, name: Name) -> ConnectionId {
        ConnectionId(u64::from(self.shard.0) << NAME_BITS | name)
    }

    pub(crate) fn name(&self, id: ConnectionId) -> Name {
        id.0 & ((1 << NAME_BITS) - 1)
    }

    /// What the kernel and helper threads name may be gone by then.
    pub(crate) fn get(&mut self, name: Name) -> Option<&mut C> {
        let (slot, generation) = (slot_of(name), (name >> SLOT_BITS) as u32);
        self.slots.get_mut(slot).filter(|(theirs, _)| *theirs == generation).map(|(_, connection)| connection)
    }

    /// None when the shard is full.
    pub(crate) fn insert(&mut self, connection: C) -> Option<Name> {
        if self.slots.vacant_key() >= SLOTS_MAX {
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        let slot = self.slots.insert((self.generation, connection));
        Some(u64::from(self.generation) << SLOT_BITS | slot as u64)
    }

    /// # Panics
    /// When there is none of this name.
    pub(crate) fn remove(&mut self, name: Name) -> C {
        self.slots.remove(slot_of(name)).1
    }
}

fn slot_of(name: Name) -> usize {
    name as usize & (SLOTS_MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_one_that_has_gone_finds_no_other() {
        let mut slots = Slots::new(ShardId(3));
        let first = slots.insert('a').expect("room");
        assert_eq!(slots.remove(first), 'a');
        let second = slots.insert('b').expect("room");
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get(second), Some(&mut 'b'));
        assert_eq!(slots.name(slots.id(second)), second);
        assert_ne!(slots.id(first), slots.id(second));
    }
}
