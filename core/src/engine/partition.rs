//! A partition that this broker leads: its epoch, its high watermark, and who waits for it.

use super::{Guard, message::FollowerSession, owner::JobId, replicas::Replicas};
use crate::{
    config::{FlushPolicy, TopicConfig},
    groups::Transaction,
    ids::{LeaderEpoch, Offset, PartitionId},
};
use std::collections::VecDeque;

/// A producer's reply that waits for a condition on one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parked {
    /// The condition: everything below is committed (or written, for acks=1).
    pub until: Offset,
    /// Whose reply.
    pub job: JobId,
    /// Which partition of the reply.
    pub place: u32,
}

/// Replies in the order of their conditions.
#[derive(Debug, Default)]
pub(super) struct ParkedQueue(VecDeque<Parked>);

impl ParkedQueue {
    /// Adds one; a duplicate's condition may lie before those already here.
    pub fn push(&mut self, parked: Parked) {
        let at = self.0.partition_point(|other| other.until <= parked.until);
        self.0.insert(at, parked);
    }

    /// The next whose condition is met by `end`.
    pub fn pop_met(&mut self, end: Offset) -> Option<Parked> {
        if self.0.front()?.until <= end { self.0.pop_front() } else { None }
    }

    /// All of them: their condition will not be met any more.
    pub fn take_all(&mut self) -> impl Iterator<Item = Parked> + use<> {
        std::mem::take(&mut self.0).into_iter()
    }
}

/// The last markers of a reign, for those whose transactions were checked before: whether that has ended meanwhile.
#[derive(Debug, Default)]
pub(super) struct RecentMarkers {
    /// With the producers' epochs, as the markers have them.
    latest: VecDeque<(Offset, Transaction)>,
    /// Of those before this offset nothing is known.
    from: Offset,
}

impl RecentMarkers {
    /// As many as are remembered. Checks take milliseconds; who comes later than this many markers checks again.
    const MAX: usize = 1024;

    /// A marker was appended.
    pub fn note(&mut self, at: Offset, marker: Transaction) {
        if self.latest.len() == RecentMarkers::MAX
            && let Some((oldest, _)) = self.latest.pop_front()
        {
            self.from = oldest.plus(1);
        }
        self.latest.push_back((at, marker));
    }

    /// Whether a transaction has ended since its guard was given; `None`: not known any more. The next transaction of
    /// version 2 may be checked while the one before is being completed, whose marker has the next one's epoch; a later
    /// epoch ended it (`UnifiedLog.updateProducers`).
    pub fn have_ended(&self, guard: Guard, transaction: Transaction) -> Option<bool> {
        if guard.at < self.from {
            return None;
        }
        let ends = |marker: &Transaction| {
            let is_before = guard.has_own_epoch && marker.epoch <= transaction.epoch;
            marker.producer == transaction.producer && !is_before
        };
        let mut behind = self.latest.iter().rev().take_while(|(at, _)| *at >= guard.at);
        Some(behind.any(|(_, marker)| ends(marker)))
    }
}

/// The leader's view of one partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub id: PartitionId,
    /// Resolved from the image; shared by the partitions of a topic.
    pub config: std::rc::Rc<TopicConfig>,
    /// Our reign; appends carry it.
    pub leader_epoch: LeaderEpoch,
    /// The followers, and who is in sync.
    pub replicas: Replicas,
    /// End of what is flushed here (written, under an interval flush policy).
    pub own: Offset,
    /// End of what is committed: that far on every in-sync replica.
    pub high_watermark: Offset,
    /// End of what the journal's writes have completed for.
    pub written: Offset,
    /// Of this reign.
    pub markers: RecentMarkers,
    /// acks=1.
    pub until_written: ParkedQueue,
    /// acks=all.
    pub until_committed: ParkedQueue,
    /// Reads that want what comes after the high watermark.
    pub readers: Vec<JobId>,
    /// Followers' fetch sessions that have this partition.
    pub replica_sessions: Vec<FollowerSession>,
    /// Why the log is offline, if it is.
    pub offline: Option<String>,
}

impl Partition {
    /// A partition of which everything below `high_watermark` is known to be committed, and below `own` to be flushed.
    pub fn new(
        id: PartitionId,
        config: std::rc::Rc<TopicConfig>,
        leader_epoch: LeaderEpoch,
        replicas: Replicas,
        high_watermark: Offset,
        own: Offset,
    ) -> Partition {
        Partition {
            id,
            config,
            leader_epoch,
            replicas,
            own,
            high_watermark,
            written: own,
            markers: RecentMarkers::default(),
            until_written: ParkedQueue::default(),
            until_committed: ParkedQueue::default(),
            readers: Vec::new(),
            replica_sessions: Vec::new(),
            offline: None,
        }
    }

    /// Whether the high watermark follows the write instead of the flush (an interval policy was configured).
    pub fn commits_when_written(&self) -> bool {
        matches!(self.config.flush, FlushPolicy::Interval { .. })
    }

    /// Whether acks=all may be accepted, and the high watermark may advance.
    pub fn has_enough_in_sync(&self) -> bool {
        i32::try_from(self.replicas.in_sync()).unwrap_or(i32::MAX) >= self.config.insync_replicas_min
    }

    /// Whether no replica outside of the ISR may be elected but by an unclean election (KIP-966): there are as many in sync
    /// as `min.insync.replicas` says, or all.
    pub fn is_led_next_from_the_isr(&self) -> bool {
        self.has_enough_in_sync() || self.replicas.in_sync() >= self.replicas.count()
    }

    /// Whether the high watermark has reached where the log ended when this reign began: until then the last leader may
    /// have told of more (KIP-207).
    pub fn knows_what_is_committed(&self) -> bool {
        self.high_watermark >= self.replicas.reign_start()
    }

    /// Raises the high watermark to `end`, never lowers it; whether it moved. It stands still while fewer replicas
    /// than `min.insync.replicas` are in sync.
    pub fn advance(&mut self, end: Offset) -> bool {
        let moves = end > self.high_watermark && self.has_enough_in_sync();
        if moves {
            self.high_watermark = end;
        }
        moves
    }

    /// The leader's invariants, beside the log's own.
    pub fn check(&self, log_start: Offset, log_end: Offset) {
        assert!(self.own <= log_end, "{}: flushed to {} beyond log end {log_end}", self.id, self.own);
        assert!(log_start <= log_end, "{}: log start {log_start} beyond log end {log_end}", self.id);
        assert!(
            self.high_watermark <= log_end,
            "{}: high watermark {} beyond log end {log_end}",
            self.id,
            self.high_watermark
        );
        assert!(self.written <= log_end, "{}: written {} beyond log end {log_end}", self.id, self.written);
    }
}
