//! A member of a consumer group: what it said, and where it stands on the way to what it shall own.

use crate::{
    groups::records::{ClassicMetadata, CurrentAssignment, MemberSubscription, Owned, TopicPartitions},
    ids::TopicId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The epoch with which a member leaves.
pub(in crate::groups) const LEAVE: i32 = -1;
/// The epoch with which a static member leaves for a while, and which it has until it is back.
pub(in crate::groups) const LEAVE_FOR_A_WHILE: i32 = -2;

/// Partitions by topic. No topic is without.
pub(in crate::groups) type Partitions = BTreeMap<TopicId, BTreeSet<i32>>;

/// Partitions with the member's epoch at which it got each (KIP-1251). No topic is without.
pub(in crate::groups) type Held = BTreeMap<TopicId, BTreeMap<i32, i32>>;

/// How far a member is (`MemberState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::groups) enum Progress {
    /// It has its whole target of its epoch.
    Stable,
    /// It must give up partitions first.
    Unrevoked,
    /// It waits for partitions that others have to give up.
    Unreleased,
    /// A later version wrote something that this one does not know.
    Unknown,
}

/// What a member owns, in which epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::groups) struct Position {
    pub epoch: i32,
    /// The one before, in case the answer was lost on its way.
    pub previous_epoch: i32,
    pub progress: Progress,
    /// What it owns.
    pub assigned: Held,
    /// What it owns no more once it says so.
    pub revoking: Held,
}

/// One member.
#[derive(Clone, Debug)]
pub(in crate::groups) struct Member {
    /// Its topics are sorted.
    pub said: Arc<MemberSubscription>,
    pub position: Position,
}

impl Progress {
    fn from_number(number: i8) -> Progress {
        match number {
            0 => Progress::Stable,
            1 => Progress::Unrevoked,
            2 => Progress::Unreleased,
            _ => Progress::Unknown,
        }
    }

    fn number(self) -> i8 {
        match self {
            Progress::Stable => 0,
            Progress::Unrevoked => 1,
            Progress::Unreleased => 2,
            Progress::Unknown => 127,
        }
    }
}

impl Default for Position {
    /// Of whoever was not there yet.
    fn default() -> Position {
        Position {
            epoch: 0,
            previous_epoch: -1,
            progress: Progress::Stable,
            assigned: Held::new(),
            revoking: Held::new(),
        }
    }
}

impl Position {
    /// As it was written down.
    pub fn from_value(value: &CurrentAssignment) -> Position {
        let held = |owned: &[Owned]| {
            let each = owned.iter().filter(|owned| !owned.partitions.is_empty()).map(|owned| {
                let epoch = |place: usize| match &owned.epochs {
                    Some(epochs) => epochs.get(place).copied().unwrap_or(0),
                    None => value.epoch.max(0),
                };
                let partitions = owned.partitions.iter().enumerate();
                (owned.topic, partitions.map(|(place, partition)| (*partition, epoch(place))).collect())
            });
            each.collect()
        };
        Position {
            epoch: value.epoch,
            previous_epoch: value.previous_epoch,
            progress: Progress::from_number(value.state),
            assigned: held(&value.assigned),
            revoking: held(&value.pending_revocation),
        }
    }

    /// As it is written down.
    pub fn to_value(&self) -> CurrentAssignment {
        let owned = |held: &Held| {
            let each = held.iter().map(|(topic, partitions)| Owned {
                topic: *topic,
                partitions: partitions.keys().copied().collect(),
                epochs: Some(partitions.values().copied().collect()),
            });
            each.collect()
        };
        CurrentAssignment {
            epoch: self.epoch,
            previous_epoch: self.previous_epoch,
            state: self.progress.number(),
            assigned: owned(&self.assigned),
            pending_revocation: owned(&self.revoking),
        }
    }

    /// Whether nothing is left to do up to this epoch.
    pub fn has_reached(&self, target_epoch: i32) -> bool {
        self.progress == Progress::Stable && self.epoch == target_epoch
    }

    /// The epoch at which it got a partition, if it owns it or is giving it up.
    pub fn held_since(&self, topic: TopicId, partition: i32) -> Option<i32> {
        let since = |held: &Held| held.get(&topic)?.get(&partition).copied();
        since(&self.assigned).or_else(|| since(&self.revoking))
    }

    /// Everything that no one else may be given.
    pub fn held(&self) -> impl Iterator<Item = (TopicId, i32)> {
        let all = [&self.assigned, &self.revoking].into_iter().flatten();
        all.flat_map(|(topic, partitions)| partitions.keys().map(|partition| (*topic, *partition)))
    }
}

impl Member {
    /// Of whom nothing is known.
    pub fn unheard() -> Member {
        Member { said: Arc::new(nothing_said()), position: Position::default() }
    }

    /// Its regular expression, if it has one.
    pub fn regex(&self) -> Option<&Arc<str>> {
        regex(&self.said)
    }

    /// What it said as a member of the classic protocol, if it is one.
    pub fn classic(&self) -> Option<&ClassicMetadata> {
        self.said.classic.as_ref()
    }
}

/// What a member is taken to have said before its first word.
pub(in crate::groups) fn nothing_said() -> MemberSubscription {
    MemberSubscription { regex: Some("".into()), rebalance_timeout_ms: -1, ..MemberSubscription::default() }
}

/// The regular expression of a subscription; the empty one is none.
pub(in crate::groups) fn regex(said: &MemberSubscription) -> Option<&Arc<str>> {
    said.regex.as_ref().filter(|regex| !regex.is_empty())
}

/// Topics as a set, in the order in which they are written down.
pub(in crate::groups) fn sorted(mut topics: Vec<Arc<str>>) -> Vec<Arc<str>> {
    if !topics.is_sorted_by(|a, b| a < b) {
        topics.sort();
        topics.dedup();
    }
    topics
}

/// Partitions as they are written down.
pub(in crate::groups) fn listed(partitions: &Partitions) -> Vec<TopicPartitions> {
    let each = partitions.iter();
    each.map(|(topic, partitions)| TopicPartitions {
        topic: *topic,
        partitions: partitions.iter().copied().collect(),
    })
    .collect()
}

/// As they were written down.
pub(in crate::groups) fn unlisted(listed: &[TopicPartitions]) -> Partitions {
    let each = listed.iter().filter(|it| !it.partitions.is_empty());
    each.map(|it| (it.topic, it.partitions.iter().copied().collect())).collect()
}
