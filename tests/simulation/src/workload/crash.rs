//! The process is killed, or the power is cut, at any moment, that of recovery included.

use super::{Disturbance, ToTheDisk};
use crate::world::CrashKind;

/// `kill -9`.
pub const KILL: Disturbance = Disturbance {
    name: "kill",
    weight: 25,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, _| world.crash(process, CrashKind::Kill),
};

/// The power goes.
pub const POWER_CUT: Disturbance = Disturbance {
    name: "power cut",
    weight: 35,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, _| world.crash(process, CrashKind::PowerCut),
};

/// The power goes on most machines of a room at once.
pub const POWER_CUT_OF_MOST: Disturbance = Disturbance {
    name: "power cut of most",
    weight: 30,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, rng| {
        world.crash(process, CrashKind::PowerCut);
        for other in world.others(process) {
            if rng.below(4) > 0 {
                world.crash(other, CrashKind::PowerCut);
            }
        }
    },
};

/// The power goes, and again while the next start recovers.
pub const POWER_CUT_IN_RECOVERY: Disturbance = Disturbance {
    name: "power cut, also in recovery",
    weight: 12,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, rng| {
        world.crash(process, CrashKind::PowerCut);
        world.disk(process).crash_after_calls(Some(rng.below(60)));
    },
};
