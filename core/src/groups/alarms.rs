//! What comes due in a coordinator, by name.

use super::records::{GroupId, MemberId};

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
pub(super) type Alarms = crate::timers::Alarms<Alarm>;
