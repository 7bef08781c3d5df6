//! A member's way from what it owns to what it shall own (`CurrentAssignmentBuilder`).
//!
//! It first gives up what is not to be its any more, and says so; then it gets, in the target's epoch, whatever others
//! have given up; then it waits for the rest:
//!
//! ```text
//!          ┌──nothing to give up, all is free─────────────────┐
//! Stable ──┼──something to give up──▶ Unrevoked ──given up──┬─┴▶ Stable
//!          └──others hold some of it──▶ Unreleased ◀────────┘
//! ```

use super::{
    group::{ConsumerGroup, Resolved},
    heartbeat::Refusal,
    member::{Held, Partitions, Position, Progress, regex},
};
use crate::{
    error::ErrorCode,
    groups::records::{MemberSubscription, ResolvedRegex, TopicPartitions},
    ids::TopicId,
    metadata::Image,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a member reads, as topics of the present metadata.
#[derive(Clone, Copy)]
pub(super) struct Reads<'a> {
    names: &'a [Arc<str>],
    regex: Option<&'a ResolvedRegex>,
    image: &'a Image,
}

impl<'a> Reads<'a> {
    pub fn new(said: &'a MemberSubscription, resolved: &'a Resolved, image: &'a Image) -> Reads<'a> {
        let regex = regex(said).and_then(|regex| resolved.get(regex));
        Reads { names: &said.topics, regex: regex.map(|it| &**it), image }
    }

    pub fn contains(&self, topic: TopicId) -> bool {
        let Some(topic) = self.image.topic_by_id(topic) else { return false };
        let by_regex = self.regex.is_some_and(|it| it.topics.binary_search(&topic.name).is_ok());
        by_regex || self.names.binary_search(&topic.name).is_ok()
    }

    /// The topics that there are, in the order of their ids.
    pub fn ids(&self) -> BTreeSet<TopicId> {
        let names = self.names.iter().chain(self.regex.iter().flat_map(|regex| &regex.topics));
        names.filter_map(|name| self.image.topic(name)).map(|topic| topic.id).collect()
    }
}

/// One step of a member.
pub(super) struct Step<'a> {
    pub group: &'a ConsumerGroup,
    pub position: &'a Position,
    pub reads: Reads<'a>,
    pub target_epoch: i32,
    pub target: &'a Partitions,
    /// It reads something else than before, or may.
    pub subscription_changed: bool,
    /// What it says that it owns; `None` when that is as it was told last.
    pub owned: Option<&'a [TopicPartitions]>,
}

impl Step<'_> {
    /// Where the member is next; `None` when it stays.
    ///
    /// # Errors
    /// FENCED_MEMBER_EPOCH when nobody knows where it is.
    pub fn take(&self) -> Result<Option<Position>, Refusal> {
        let now = self.position;
        let next = match now.progress {
            Progress::Stable if now.epoch != self.target_epoch => self.advance(now.epoch),
            Progress::Stable if self.subscription_changed => self.drop_unread(),
            Progress::Stable => return Ok(None),
            Progress::Unrevoked if self.still_owns(&now.revoking) => {
                if !self.subscription_changed {
                    return Ok(None);
                }
                self.drop_unread()
            }
            Progress::Unrevoked | Progress::Unreleased => self.advance(now.epoch),
            Progress::Unknown if self.owned.is_some_and(<[_]>::is_empty) => self.advance(self.target_epoch),
            Progress::Unknown => {
                return Err(Refusal::new(
                    ErrorCode::FencedMemberEpoch,
                    "The consumer group member is in a unknown state. The member must abandon all its partitions \
                     and rejoin.",
                ));
            }
        };
        Ok(Some(next).filter(|next| next != now))
    }

    /// Whether it may still read any of these.
    fn still_owns(&self, revoking: &Held) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|owned| {
            let revoking = revoking.get(&owned.topic);
            revoking.is_some_and(|it| owned.partitions.iter().any(|partition| it.contains_key(partition)))
        })
    }

    /// It gives up topics that it reads no more; for anything else it waits for the next target.
    fn drop_unread(&self) -> Position {
        let now = self.position;
        let (assigned, dropped): (Held, Held) =
            now.assigned.clone().into_iter().partition(|(topic, _)| self.reads.contains(*topic));
        if dropped.is_empty() {
            return now.clone();
        }
        let mut revoking = now.revoking.clone();
        for (topic, partitions) in dropped {
            revoking.entry(topic).or_default().extend(partitions);
        }
        let mut next = Position { assigned, ..now.clone() };
        next.enter(now.epoch);
        if self.still_owns(&revoking) {
            next.progress = Progress::Unrevoked;
            next.revoking = revoking;
        }
        next
    }

    /// On to the target, as far as it goes; in this epoch for as long as something is to be given up first.
    fn advance(&self, epoch: i32) -> Position {
        let now = self.position;
        let (mut assigned, mut revoking) = (Held::new(), Held::new());
        let mut free: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
        let mut others_hold_some = false;
        let topics: BTreeSet<TopicId> = self.target.keys().chain(now.assigned.keys()).copied().collect();
        for topic in topics {
            let target = self.target.get(&topic).filter(|_| self.reads.contains(topic));
            let wanted = |partition: &i32| target.is_some_and(|target| target.contains(partition));
            let held = now.assigned.get(&topic);
            for (partition, since) in held.into_iter().flatten() {
                let into = if wanted(partition) { &mut assigned } else { &mut revoking };
                into.entry(topic).or_default().insert(*partition, *since);
            }
            let own = now.revoking.get(&topic);
            for partition in target.into_iter().flatten() {
                if held.is_some_and(|held| held.contains_key(partition)) {
                    continue;
                }
                let is_own = own.is_some_and(|own| own.contains_key(partition));
                if self.group.is_held(topic, *partition) && !is_own {
                    others_hold_some = true;
                } else {
                    free.entry(topic).or_default().push(*partition);
                }
            }
        }
        if !revoking.is_empty() && self.still_owns(&revoking) {
            let mut next = Position { assigned, revoking, progress: Progress::Unrevoked, ..now.clone() };
            next.enter(epoch);
            return next;
        }
        for (topic, partitions) in free {
            let since = partitions.into_iter().map(|partition| (partition, self.target_epoch));
            assigned.entry(topic).or_default().extend(since);
        }
        let progress = if others_hold_some { Progress::Unreleased } else { Progress::Stable };
        let mut next = Position { assigned, revoking: Held::new(), progress, ..now.clone() };
        next.enter(self.target_epoch);
        next
    }
}

impl Position {
    fn enter(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }
}
