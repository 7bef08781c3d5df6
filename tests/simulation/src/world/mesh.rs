//! Messages between the shards of one process: first in, first out per pair, each after a delay of its own.

use super::{Completion, Event, Happening, ProcessId, Shard, ShardId, World};
use std::collections::BTreeMap;

/// When the last message of each pair arrives: the next one comes later.
#[derive(Default)]
pub(super) struct Mesh {
    last_arrival_ns: BTreeMap<(ShardId, ShardId), u64>,
}

impl Mesh {
    /// The time at which a message that wants to arrive at `wanted_ns` may, keeping the order of its pair.
    fn arrival_ns(&mut self, from: ShardId, to: ShardId, wanted_ns: u64) -> u64 {
        let last = self.last_arrival_ns.entry((from, to)).or_insert(0);
        // Strictly later: the order of simultaneous events is chance.
        *last = wanted_ns.max(*last + 1);
        *last
    }
}

impl<S: Shard> World<S> {
    pub(super) fn send_message(
        &mut self,
        process: ProcessId,
        from: ShardId,
        to: ShardId,
        message: S::Message,
    ) {
        let delay_ns = self.rng.below(self.settings.mesh_delay_ns_max);
        let machine = &mut self.processes[process.0];
        if from == to || to.index() >= machine.shards.len() {
            let shards = machine.shards.len();
            self.fail(format!("{process} shard {} of {shards} sends a message to shard {}", from.0, to.0));
            return;
        }
        let at_ns = machine.mesh.arrival_ns(from, to, self.now_ns + delay_ns);
        let incarnation = machine.incarnation;
        let happening = Happening::Complete(Completion::Message { from, message });
        self.schedule_at(at_ns, Event::Shard { process, incarnation, shard: to, happening });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_stays_in_order_and_pairs_do_not_wait_for_each_other() {
        let mut mesh = Mesh::default();
        let (a, b, c) = (ShardId(0), ShardId(1), ShardId(2));
        assert_eq!(mesh.arrival_ns(a, b, 100), 100);
        assert_eq!(mesh.arrival_ns(a, b, 50), 101);
        assert_eq!(mesh.arrival_ns(a, c, 50), 50);
        assert_eq!(mesh.arrival_ns(b, a, 60), 60);
    }
}
