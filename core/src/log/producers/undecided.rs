//! Transactions of a log that hold its last stable offset back: those that are open, and those whose marker is not
//! committed yet (Kafka's `ongoingTxns` and `unreplicatedTxns`).

use crate::ids::{Offset, ProducerEpoch, ProducerId};
use std::collections::{BTreeMap, VecDeque};

/// Where a batch begins in the files of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The segment's number.
    pub serial: u32,
    /// Bytes of the segment before it.
    pub position: u32,
}

/// An aborted transaction of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbortedTransaction {
    /// Its first record.
    pub first: Offset,
    /// Its marker.
    pub last: Offset,
    /// Whose it was.
    pub producer: ProducerId,
}

/// A transaction that is not decided for all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    pub producer: ProducerId,
    /// Of its first batch; unknown when a checkpoint of an earlier version told of it.
    pub spot: Option<Spot>,
    pub ended: Option<Ended>,
}

/// A marker that is not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub marker: Offset,
    /// What the producer is again, should the marker be cut off.
    pub epoch_before: ProducerEpoch,
    pub coordinator_before: i32,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Undecided {
    by_start: BTreeMap<Offset, Transaction>,
    /// Starts of those that ended, in the order of their markers.
    ended: VecDeque<Offset>,
}

impl Undecided {
    pub fn begin(&mut self, start: Offset, producer: ProducerId, spot: Option<Spot>) {
        self.by_start.insert(start, Transaction { producer, spot, ended: None });
    }

    pub fn end(&mut self, start: Offset, ended: Ended) {
        if let Some(transaction) = self.by_start.get_mut(&start) {
            transaction.ended = Some(ended);
            self.ended.push_back(start);
        }
    }

    /// Everything below `high_watermark` is committed: markers there have decided.
    pub fn commit(&mut self, high_watermark: Offset) {
        while let Some(start) = self.ended.front() {
            let ended = self.by_start.get(start).and_then(|transaction| transaction.ended);
            if ended.is_some_and(|ended| ended.marker >= high_watermark) {
                return;
            }
            self.by_start.remove(start);
            self.ended.pop_front();
        }
    }

    /// The log ends at `end` now. Gives those that are open again, with what their producers were.
    pub fn truncate(&mut self, end: Offset) -> Vec<(Offset, ProducerId, Ended)> {
        self.by_start.split_off(&end);
        let mut reopened = Vec::new();
        while let Some(start) = self.ended.back().copied() {
            let Some(transaction) = self.by_start.get_mut(&start) else {
                self.ended.pop_back();
                continue;
            };
            match transaction.ended {
                Some(ended) if ended.marker >= end => {
                    transaction.ended = None;
                    reopened.push((start, transaction.producer, ended));
                    self.ended.pop_back();
                }
                _ => break,
            }
        }
        reopened
    }

    pub fn first(&self) -> Option<(Offset, Option<Spot>)> {
        self.by_start.first_key_value().map(|(start, transaction)| (*start, transaction.spot))
    }

    /// The first that is open, whatever is committed.
    pub fn first_open(&self) -> Option<Offset> {
        self.by_start.iter().find(|(_, transaction)| transaction.ended.is_none()).map(|(start, _)| *start)
    }

    pub fn spot(&self, start: Offset) -> Option<Spot> {
        self.by_start.get(&start)?.spot
    }

    /// Those that ended, in the order of their markers.
    pub fn ended(&self) -> impl ExactSizeIterator<Item = (Offset, &Transaction)> {
        self.ended.iter().map(|start| (*start, &self.by_start[start]))
    }
}
