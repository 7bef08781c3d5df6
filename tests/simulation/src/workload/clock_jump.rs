//! The wall clock is set, as NTP does; the monotonic one goes on.

use super::{Disturbance, ToTheDisk};

/// By up to a few seconds.
pub const CLOCK_JUMP: Disturbance = Disturbance {
    name: "clock jump",
    weight: 4,
    to_the_disk: ToTheDisk::Nothing,
    happen: |world, _, rng| {
        let ms = rng.below(10_000).cast_signed() - 5_000;
        world.jump_wall_clock(ms);
    },
};
