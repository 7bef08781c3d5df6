//! Deadlines of one shard, in order. The driver knows only the next one.

use corelane_seam::Monotonic;
use std::collections::BTreeMap;

/// Names a deadline, to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId {
    at: Monotonic,
    order: u64,
}

/// What waits for when.
#[derive(Debug)]
pub struct Timers<T> {
    due: BTreeMap<TimerId, T>,
    next_order: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Timers { due: BTreeMap::new(), next_order: 0 }
    }
}

impl<T> Timers<T> {
    /// `what` becomes due at `at`, after whatever was set for the same moment before.
    pub fn set(&mut self, at: Monotonic, what: T) -> TimerId {
        let id = TimerId { at, order: self.next_order };
        self.next_order += 1;
        self.due.insert(id, what);
        id
    }

    /// Forgets a deadline; no harm if it has passed.
    pub fn cancel(&mut self, id: TimerId) {
        self.due.remove(&id);
    }

    /// The next that is due, if any is.
    pub fn pop_due(&mut self, now: Monotonic) -> Option<T> {
        let first = self.due.first_entry()?;
        (first.key().at <= now).then(|| first.remove())
    }

    /// When to ask again.
    pub fn next(&self) -> Option<Monotonic> {
        self.due.first_key_value().map(|(id, _)| id.at)
    }
}

/// Deadlines by name: setting one again moves it.
#[derive(Debug)]
pub struct Alarms<A> {
    timers: Timers<A>,
    set: BTreeMap<A, TimerId>,
}

impl<A> Default for Alarms<A> {
    fn default() -> Self {
        Alarms { timers: Timers::default(), set: BTreeMap::new() }
    }
}

impl<A: Clone + Ord> Alarms<A> {
    /// Sets an alarm, or moves it.
    pub fn set(&mut self, alarm: A, at: Monotonic) {
        let timer = self.timers.set(at, alarm.clone());
        if let Some(old) = self.set.insert(alarm, timer) {
            self.timers.cancel(old);
        }
    }

    /// Sets an alarm that is not set yet.
    pub fn set_if_absent(&mut self, alarm: A, at: Monotonic) {
        if !self.set.contains_key(&alarm) {
            self.set(alarm, at);
        }
    }

    /// Forgets an alarm; no harm if it was not set.
    pub fn cancel(&mut self, alarm: &A) {
        if let Some(timer) = self.set.remove(alarm) {
            self.timers.cancel(timer);
        }
    }

    /// The next that is due, if any is.
    pub fn pop_due(&mut self, now: Monotonic) -> Option<A> {
        let alarm = self.timers.pop_due(now)?;
        self.set.remove(&alarm);
        Some(alarm)
    }

    /// When to ask again.
    pub fn next(&self) -> Option<Monotonic> {
        self.timers.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_due_in_order_of_time_then_of_setting() {
        let mut timers = Timers::default();
        timers.set(Monotonic(20), "late");
        timers.set(Monotonic(10), "first");
        let cancelled = timers.set(Monotonic(10), "cancelled");
        timers.set(Monotonic(10), "second");
        timers.cancel(cancelled);
        assert_eq!(timers.next(), Some(Monotonic(10)));
        assert_eq!(timers.pop_due(Monotonic(9)), None);
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(Monotonic(15))).collect();
        assert_eq!((due, timers.next()), (vec!["first", "second"], Some(Monotonic(20))));
    }

    #[test]
    fn an_alarm_that_is_set_again_moves() {
        let mut alarms = Alarms::default();
        alarms.set("moved", Monotonic(10));
        alarms.set("cancelled", Monotonic(15));
        alarms.set("moved", Monotonic(20));
        alarms.set_if_absent("moved", Monotonic(5));
        alarms.cancel(&"cancelled");
        assert_eq!(alarms.pop_due(Monotonic(19)), None);
        assert_eq!((alarms.pop_due(Monotonic(20)), alarms.next()), (Some("moved"), None));
    }
}
