//! What goes wrong between machines, and machines that stand still. Only where there are several: one that stands still
//! alone just lets everyone wait.

use super::{Disturbance, ToTheDisk};
use crate::{
    rng::Rng,
    world::{CrashKind, ProcessId, World},
};
use corelane_shard::Node;

/// No other machine reaches it; clients do.
pub const ISOLATION: Disturbance = Disturbance {
    name: "isolation",
    weight: 15,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, _| world.isolate(process),
};

/// It hears or is heard by one other machine no more.
pub const CUT: Disturbance = Disturbance {
    name: "cut in one direction",
    weight: 10,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, rng| {
        if let Some((from, to)) = some_direction(world, process, rng) {
            world.cut(from, to);
        }
    },
};

/// What passes from or to one other machine takes long.
pub const SLOW_LINK: Disturbance = Disturbance {
    name: "slow link",
    weight: 8,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, rng| {
        if let Some((from, to)) = some_direction(world, process, rng) {
            world.slow_link(from, to, rng.between(10_000_000, 3_000_000_000));
        }
    },
};

/// SIGSTOP.
pub const PAUSE: Disturbance = Disturbance {
    name: "pause",
    weight: 12,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, _| world.pause(process),
};

/// The wall clock of one machine differs from the others'.
pub const OWN_CLOCK: Disturbance = Disturbance {
    name: "clock jump of one machine",
    weight: 4,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, rng| {
        let ms = rng.below(10_000).cast_signed() - 5_000;
        world.jump_wall_clock_of(process, ms);
    },
};

/// The power goes, and the disk with it: an empty one takes its place. Once in a run, and only when all replicas are in
/// sync, because others must have what is lost.
pub const EMPTY_DISK: Disturbance = Disturbance {
    name: "an empty disk",
    weight: 10,
    happen: |world, process, _| world.crash(process, CrashKind::PowerCut),
    to_the_disk: ToTheDisk::Takes,
};

fn some_direction(world: &World<Node>, process: ProcessId, rng: &mut Rng) -> Option<(ProcessId, ProcessId)> {
    let others: Vec<ProcessId> = world.others(process).collect();
    let other = *rng.pick(&others)?;
    Some(if rng.below(2) == 0 { (process, other) } else { (other, process) })
}

/// All links of the process are well again, and it goes on.
pub fn heal(world: &mut World<Node>, process: ProcessId) {
    world.heal_links_of(process);
    world.go_on(process);
}
