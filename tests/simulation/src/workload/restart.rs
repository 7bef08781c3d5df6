//! The process is asked to stop; whoever runs it starts it again, maybe with another number of shards.

use super::Disturbance;

/// SIGTERM.
pub const CLEAN_STOP: Disturbance = Disturbance {
    name: "clean stop",
    weight: 12,
    breaks_the_disk: false,
    takes_the_disk: false,
    happen: |world, process, _| world.stop(process),
};
