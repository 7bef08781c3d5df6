//! Deadlines by name: setting one again moves it.

use super::records::{GroupId, MemberId};
use crate::timers::{TimerId, Timers};
use corelane_seam::Monotonic;
use std::collections::BTreeMap;

/// What comes due in a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A member was not heard of for its session timeout, or did not come back with the name it was given.
    Session(GroupId, MemberId),
    /// A member of a consumer group was to give up partitions, and had long enough for it.
    Revocation(GroupId, MemberId),
    /// A member of a consumer group that speaks the classic protocol had long enough to join again.
    Rejoin(GroupId, MemberId),
    /// Such a member had long enough to ask for its assignment.
    Resync(GroupId, MemberId),
    /// A consumer group goes on to find out what its regular expressions stand for.
    Evaluation(GroupId),
    /// A classic group has waited long enough for its members to join.
    Join(GroupId),
    /// A classic group has waited long enough for its members to fetch their assignments.
    Sync(GroupId),
    /// Committed offsets may have expired.
    Expiry,
}

/// The alarms of one coordinator.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    timers: Timers<Alarm>,
    set: BTreeMap<Alarm, TimerId>,
}

impl Alarms {
    /// Sets an alarm, or moves it.
    pub fn set(&mut self, alarm: Alarm, at: Monotonic) {
        let timer = self.timers.set(at, alarm.clone());
        if let Some(old) = self.set.insert(alarm, timer) {
            self.timers.cancel(old);
        }
    }

    /// Sets an alarm that is not set yet.
    pub fn set_if_absent(&mut self, alarm: Alarm, at: Monotonic) {
        if !self.set.contains_key(&alarm) {
            self.set(alarm, at);
        }
    }

    /// Forgets an alarm; no harm if it was not set.
    pub fn cancel(&mut self, alarm: &Alarm) {
        if let Some(timer) = self.set.remove(alarm) {
            self.timers.cancel(timer);
        }
    }

    /// The next that is due, if any is.
    pub fn pop_due(&mut self, now: Monotonic) -> Option<Alarm> {
        let alarm = self.timers.pop_due(now)?;
        self.set.remove(&alarm);
        Some(alarm)
    }

    /// When to ask again.
    pub fn next(&self) -> Option<Monotonic> {
        self.timers.next()
    }
}
