//! Transactions of a log: their markers, and what a reader of committed records sees.

use super::{
    super::{partition_log::Life, producers::AbortedTransaction},
    AppendError, Appended, Operations, ReadError, Slot, Store,
    read::Missing,
};
use crate::{
    ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId},
    log::Fault,
    records::Marker,
};
use corelane_seam::Now;

/// A transaction's end, as its coordinator has it written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    /// Whose it is.
    pub producer: ProducerId,
    /// The epoch of the end: of the producer's batches, or in transactions of version 2 (KIP-890) a later one.
    pub epoch: ProducerEpoch,
    /// What is written.
    pub marker: Marker,
    /// `transaction.version` of the transaction.
    pub transaction_version: u8,
}

impl Store {
    /// Appends the marker that ends a producer's transaction. It is appended again when it comes twice, which changes
    /// nothing for readers.
    ///
    /// # Errors
    /// Then nothing changed. [`AppendError::Producer`] as [`check_marker`](super::ProducerStates::check_marker) says.
    pub fn end_transaction(
        &mut self,
        now: Now,
        slot: Slot,
        leader_epoch: LeaderEpoch,
        end: EndTransaction,
    ) -> Result<Appended, AppendError> {
        let log = self.appendable(slot)?;
        let EndTransaction { producer, epoch, marker, transaction_version } = end;
        let checked = log.producers.check_marker(producer, epoch, marker, transaction_version);
        checked.map_err(AppendError::Producer)?;
        let batch = marker.batch(producer, epoch, now.unix_ms);
        self.append_checked(now, slot, leader_epoch, &batch)
    }

    /// Whether a producer's transaction has begun here, in this incarnation of it, and is open.
    pub fn is_in_transaction(&self, slot: Slot, producer: ProducerId, epoch: ProducerEpoch) -> bool {
        let known = self.get(slot).and_then(|log| log.producers.get(producer));
        known.is_some_and(|known| known.transaction_start.is_some() && known.epoch == epoch)
    }

    /// Everything below is committed and of transactions that are decided: what a reader of committed records may see.
    pub fn last_stable(&self, slot: Slot) -> Offset {
        self.log(slot).last_stable()
    }

    /// The aborted transactions with records from `from` to `to` (exclusive), or with their marker there, in the order of
    /// their markers. `to` is at most the last stable offset: all of these have ended.
    ///
    /// # Errors
    /// [`ReadError::Later`] when an index must be read first: [`Event::Readable`](super::Event::Readable) follows.
    pub fn aborted(
        &mut self,
        slot: Slot,
        from: Offset,
        to: Offset,
        out: &mut Operations,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        let log = self.get(slot).filter(|log| log.life == Life::Lives).ok_or(ReadError::Unknown)?;
        let mut found = Vec::new();
        if self.settings.fault == Fault::ForgetAborted {
            return Ok(found);
        }
        let mut missing = None;
        let at = log.segments.partition_point(|segment| segment.next <= from);
        for segment in log.segments.range(at..) {
            if segment.has_aborted {
                let Some(index) = &segment.index else {
                    missing = Some(segment.name());
                    break;
                };
                let all = index.aborted();
                let behind = all.partition_point(|aborted| aborted.last < from);
                found.extend(all[behind..].iter().filter(|aborted| aborted.first < to));
            }
            if log.open_from(segment) >= to {
                break;
            }
        }
        match missing {
            None => Ok(found),
            Some(name) => {
                self.fetch(slot, name, Missing::Index, None, out);
                Err(ReadError::Later)
            }
        }
    }
}
