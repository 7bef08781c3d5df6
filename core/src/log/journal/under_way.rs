//! The groups that the disk has not answered yet.
//!
//! More than one may be under way, and the disk may finish a later one first. A group counts only together with all
//! before it: recovery reads the journal up to the first group that is not whole, so what a later one holds is nothing
//! until the earlier are there.

use std::collections::VecDeque;

/// More would hold memory, and make small producers wait for large ones, and two keep both disk and core at work.
const GROUPS_MAX: usize = 2;

#[derive(Clone, Copy, Debug)]
struct Group {
    end: GroupEnd,
    /// It is flushed, not only written.
    flush: bool,
    has_entries: bool,
    written: bool,
    flushed: bool,
}

/// Up to where the journal is flushed with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupEnd {
    /// The group's number.
    pub number: u64,
    /// The sequence behind its last entry.
    pub sequence: u64,
}

/// What is under way, oldest first.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    groups: VecDeque<Group>,
}

impl UnderWay {
    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether one more group may begin beside those that are under way; it has to be flushed. Beside one that is only
    /// written none may: a flush covers what was written before it was asked for, and nobody knows in time what was. Nor
    /// beside one without entries: if it is torn, and the first that recovery needs, the next one's first sequence says
    /// that all before it is flushed, and recovery would take it for damaged.
    pub fn takes_another(&self) -> bool {
        self.groups.len() < GROUPS_MAX && self.groups.iter().all(|group| group.flush && group.has_entries)
    }

    /// A group begins.
    pub fn begin(&mut self, end: GroupEnd, flush: bool, has_entries: bool) {
        assert!(self.is_empty() || flush && self.takes_another(), "a group beside others is flushed");
        self.groups.push_back(Group { end, flush, has_entries, written: false, flushed: false });
    }

    /// Whether the flush of a group will be told after its write.
    pub fn flush_follows(&self, number: u64) -> bool {
        self.groups.iter().any(|group| group.end.number == number && group.flush && !group.written)
    }

    /// A group is written. Gives the last group up to which all are, if that is news.
    pub fn written(&mut self, number: u64) -> Option<u64> {
        self.group(number).written = true;
        let mut last = 0;
        for group in self.groups.iter().take_while(|group| group.written) {
            last = group.end.number;
        }
        while self.groups.pop_front_if(|group| group.written && !group.flush).is_some() {}
        (last >= number).then_some(last)
    }

    /// A group is flushed. Gives the last one up to which all are, if that is news; these are no longer under way.
    pub fn flushed(&mut self, number: u64) -> Option<GroupEnd> {
        self.group(number).flushed = true;
        let mut last = None;
        while let Some(group) = self.groups.pop_front_if(|group| group.flushed) {
            last = Some(group.end);
        }
        last
    }

    fn group(&mut self, number: u64) -> &mut Group {
        self.groups.iter_mut().find(|group| group.end.number == number).expect("a group that is under way")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(number: u64) -> GroupEnd {
        GroupEnd { number, sequence: 10 * number }
    }

    #[test]
    fn a_later_group_counts_when_the_earlier_one_is_done() {
        let mut groups = UnderWay::default();
        groups.begin(end(7), true, true);
        assert!(groups.takes_another());
        groups.begin(end(8), true, true);
        assert!(!groups.takes_another());
        assert_eq!((groups.written(8), groups.flushed(8)), (None, None));
        assert!(groups.flush_follows(7) && !groups.flush_follows(8));
        assert_eq!(groups.written(7), Some(8));
        assert_eq!(groups.flushed(7), Some(end(8)));
        assert!(groups.is_empty());
    }

    #[test]
    fn groups_in_order_count_one_by_one() {
        let mut groups = UnderWay::default();
        groups.begin(end(7), true, true);
        groups.begin(end(8), true, true);
        assert_eq!((groups.written(7), groups.written(8)), (Some(7), Some(8)));
        assert_eq!((groups.flushed(7), groups.flushed(8)), (Some(end(7)), Some(end(8))));
    }

    #[test]
    fn none_begins_beside_a_group_without_entries() {
        let mut groups = UnderWay::default();
        groups.begin(end(7), true, false);
        assert!(!groups.takes_another());
    }

    #[test]
    fn none_begins_beside_a_group_that_is_not_flushed() {
        let mut groups = UnderWay::default();
        groups.begin(end(7), false, true);
        assert!(!groups.takes_another() && !groups.flush_follows(7));
        assert_eq!(groups.written(7), Some(7));
        assert!(groups.is_empty());
    }
}
