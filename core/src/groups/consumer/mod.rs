//! Consumer groups: the coordinator decides who owns what, and brings each member there step by step (KIP-848;
//! `GroupMetadataManager.consumerGroupHeartbeat` and the package `modern` in Kafka).
//!
//! Three epochs follow each other. What members read, or what their topics are, changes: the group's epoch rises. What
//! every member shall own is computed for it ([`target`]): the target's epoch. Each member takes its own steps to it
//! ([`reconcile`]): the member's epoch. A member never waits for another, but for partitions that another has yet to give
//! up. Every heartbeat is one look at all three.
//!
//! A decision looks at the group and writes records; nothing changes until they are replayed.

mod assignor;
mod change;
mod classic;
mod describe;
mod evaluate;
mod group;
mod hash;
mod heartbeat;
mod leave;
mod member;
mod migrate;
mod protocol;
mod reconcile;
mod regex;
mod settings;
mod target;

#[cfg(test)]
mod tests;

pub use heartbeat::{Refusal, validate};

pub(super) use group::{ConsumerGroup, State, stale};
pub(super) use hash::Topics;
pub(super) use member::Member;
pub(super) use migrate::upgraded;

use super::{
    alarms::{Alarm, Alarms},
    face::Scene,
    records::{GroupId, MemberId},
};
use std::sync::Arc;

/// One thing that happens to one group.
pub(super) struct Act<'a> {
    pub id: &'a GroupId,
    pub group: &'a ConsumerGroup,
    pub alarms: &'a mut Alarms,
    pub topics: &'a mut Topics,
    pub scene: Scene<'a>,
}

impl Act<'_> {
    fn alarm_in(&mut self, alarm: Alarm, ms: i32) {
        let ms = u64::from(ms.max(0).unsigned_abs());
        self.alarms.set(alarm, self.scene.now.monotonic.after_ms(ms));
    }

    fn session(&self, member: &MemberId) -> Alarm {
        Alarm::Session(Arc::clone(self.id), Arc::clone(member))
    }
}
