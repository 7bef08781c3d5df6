//! What comes due in a coordinator, by name.

use super::records::TransactionalId;

/// What comes due in a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// Transactions may have gone on for longer than they may.
    Timeouts,
    /// Transactional ids may have expired.
    Expiry,
    /// Markers are to be sent, or the end of a transaction is to be written down.
    Markers(TransactionalId),
    /// Partitions that wait may be added, or have waited for long enough.
    Additions(TransactionalId),
}

/// The alarms of one coordinator.
pub(super) type Alarms = crate::timers::Alarms<Alarm>;
