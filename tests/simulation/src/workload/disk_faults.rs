//! The disk fails: errors, slowness, no space. The run repairs it before it asks the broker to serve again.

use super::{Disturbance, ToTheDisk};
use crate::world::{DiskFaults, ProcessId, World};
use corelane_shard::Node;

/// Size of a healthy disk.
pub const CAPACITY: u64 = 1 << 28;

/// What is left free of a disk that fills up, in bytes.
const LEFT_FREE_MAX: u64 = 2 << 20;

/// Writes, flushes and reads fail now and then, in half of the cases also those of the next start's recovery.
pub const ERRORS: Disturbance = Disturbance {
    name: "disk errors",
    weight: 6,
    to_the_disk: ToTheDisk::Breaks,
    happen: |world, process, rng| {
        let per_million = u32::try_from(rng.between(2_000, 100_000)).unwrap_or(2_000);
        let kind = rng.below(4);
        let in_recovery = rng.below(2) == 0;
        world.disk(process).set_faults(|faults| {
            let applies = |which| if kind == which || kind == 3 { per_million } else { 0 };
            faults.write_error = applies(0);
            faults.flush_error = applies(1);
            faults.read_error = applies(2);
            faults.blocking = in_recovery;
        });
    },
};

/// Every operation may take long.
pub const SLOW: Disturbance = Disturbance {
    name: "slow disk",
    weight: 6,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, rng| {
        let spike_ns = rng.between(10_000_000, 2_000_000_000);
        world.disk(process).set_faults(|faults| {
            faults.spike = 100_000;
            faults.spike_ns = spike_ns;
        });
    },
};

/// Someone else fills the disk.
pub const FULL: Disturbance = Disturbance {
    name: "full disk",
    weight: 4,
    to_the_disk: ToTheDisk::Fills,
    happen: |world, process, rng| {
        let left = rng.below(LEFT_FREE_MAX);
        world.disk(process).fill_but(left);
    },
};

/// Everything is well again.
pub fn repair(world: &World<Node>, process: ProcessId) {
    world
        .disk(process)
        .set_faults(|faults| *faults = DiskFaults { capacity: CAPACITY, ..DiskFaults::default() });
    world.disk(process).crash_after_calls(None);
}
