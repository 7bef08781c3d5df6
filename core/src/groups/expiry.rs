//! Committed offsets that nobody reads on from, and groups of which nothing is left.

use super::{
    alarms::Alarm,
    classic::{ClassicGroup, State},
    coordinator::{Coordinator, tombstone},
    face::{Outcome, Scene},
    group::Group,
    records::{GroupId, OffsetValue, Record},
};
use std::{ops::Bound, sync::Arc};
use tracing::info;

/// Groups that one look for expired offsets takes at most, and tombstones after which it pauses: what a look costs its
/// shard in one piece.
const EXPIRY_GROUPS_MAX: usize = 200;
const EXPIRY_RECORDS_MAX: usize = 1000;

impl Coordinator {
    /// Looks for expired offsets in the next groups (`GroupCoordinatorShard.cleanupGroupMetadata`).
    pub(super) fn expire(&mut self, scene: Scene<'_>) -> Outcome {
        let settings = &scene.config.groups;
        let mut out = Outcome { may_split: true, ..Outcome::default() };
        let from = self.expiry_from.take().map_or(Bound::Unbounded, Bound::Excluded);
        for (looked, (id, group)) in self.groups.range::<GroupId, _>((from, Bound::Unbounded)).enumerate() {
            if looked >= EXPIRY_GROUPS_MAX || out.records.len() >= EXPIRY_RECORDS_MAX {
                break;
            }
            self.expiry_from = Some(Arc::clone(id));
            let all_gone = self.expired(scene, id, group, settings.offsets_retention_ms, &mut out.records);
            let awaited = group.as_classic().is_some_and(|group| !group.pending.is_empty());
            if all_gone && group.is_empty() && !awaited {
                out.records.append(&mut group.tombstones(id));
            }
        }
        let last = self.groups.last_key_value().map(|(id, _)| id);
        let wait_ms = if self.expiry_from.as_ref() == last {
            self.expiry_from = None;
            settings.expiry_check_ms
        } else {
            0
        };
        if !out.records.is_empty() {
            info!(tombstones = out.records.len(), "committed offsets or groups have expired");
        }
        self.alarms.set(Alarm::Expiry, scene.now.monotonic.after_ms(wait_ms));
        out
    }

    /// Tombstones for a group's expired offsets; whether none is left.
    fn expired(
        &self,
        scene: Scene<'_>,
        id: &GroupId,
        group: &Group,
        retention_ms: i64,
        records: &mut Vec<Record>,
    ) -> bool {
        let idle_since = match group {
            Group::Classic(group) if !may_expire(group) => {
                return self.offsets.is_empty_of(id) && self.pending.is_empty_of(id);
            }
            Group::Classic(group) => group.empty_since_ms().filter(|_| group.protocol_type.is_some()),
            Group::Consumer(_) => None,
        };
        let now_ms = scene.now.unix_ms;
        let is_over = |value: &OffsetValue| match value.expires_at_ms {
            Some(at) => now_ms >= at,
            None => now_ms.saturating_sub(idle_since.unwrap_or(value.committed_at_ms)) >= retention_ms,
        };
        // A transaction that is open may bring more.
        let mut all_gone = self.pending.is_empty_of(id);
        for (topic, partitions) in self.offsets.of_group(id) {
            let read = group.is_subscribed(topic);
            for (partition, committed) in partitions {
                let awaited = self.pending.has(id, topic, *partition);
                if !read && !awaited && is_over(&committed.value) {
                    records.push(tombstone(id, topic, *partition));
                } else {
                    all_gone = false;
                }
            }
        }
        all_gone
    }
}

/// Whether offsets of a classic group expire at all: as long as its members may read on from them, they do not.
fn may_expire(group: &ClassicGroup) -> bool {
    let can_tell = group.is_of_consumers() && group.subscribed.is_some() && group.state() == State::Stable;
    group.protocol_type.is_none() || group.state() == State::Empty || can_tell
}
