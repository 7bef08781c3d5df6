//! What happens to the broker while clients work, drawn by weight.

use super::{clock_jump, crash, disk_faults, link_faults, restart};
use crate::{
    rng::Rng,
    world::{ProcessId, World},
};
use corelane_shard::Node;

/// Something that happens to a broker.
#[derive(Clone, Copy)]
pub struct Disturbance {
    /// In the trace.
    pub name: &'static str,
    /// How often.
    pub weight: u64,
    /// What becomes of the disk.
    pub to_the_disk: ToTheDisk,
    /// Lets it happen.
    pub happen: fn(&mut World<Node>, ProcessId, &mut Rng),
}

/// What a disturbance does to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToTheDisk {
    /// Nothing that it does not come back from by itself.
    Nothing,
    /// It is at fault from then on: errors are excused, and only a restart brings service back.
    Breaks,
    /// It is full until there is room again: errors are excused until then, and service comes back by itself.
    Fills,
    /// Nothing is left of it.
    Takes,
}

const ALL: &[Disturbance] = &[
    crash::KILL,
    crash::POWER_CUT,
    crash::POWER_CUT_IN_RECOVERY,
    restart::CLEAN_STOP,
    disk_faults::ERRORS,
    disk_faults::SLOW,
    disk_faults::FULL,
    clock_jump::CLOCK_JUMP,
];

/// What can happen besides where there are several machines.
const AMONG_MANY: &[Disturbance] = &[
    link_faults::ISOLATION,
    link_faults::CUT,
    link_faults::SLOW_LINK,
    link_faults::PAUSE,
    link_faults::OWN_CLOCK,
    link_faults::EMPTY_DISK,
    crash::POWER_CUT_OF_MOST,
];

/// One of those that can happen to one machine, or to one of `many`.
pub fn draw(rng: &mut Rng, many: bool) -> Disturbance {
    let all = || ALL.iter().chain(if many { AMONG_MANY } else { &[] });
    let total = all().map(|it| it.weight).sum();
    let mut drawn = rng.below(total);
    for disturbance in all() {
        if drawn < disturbance.weight {
            return *disturbance;
        }
        drawn -= disturbance.weight;
    }
    crash::KILL
}
