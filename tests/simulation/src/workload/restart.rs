//! The process is asked to stop; whoever runs it starts it again, maybe with another number of shards.

use super::{Disturbance, ToTheDisk};

/// SIGTERM.
pub const CLEAN_STOP: Disturbance = Disturbance {
    name: "clean stop",
    weight: 12,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, process, _| world.stop(process),
};
