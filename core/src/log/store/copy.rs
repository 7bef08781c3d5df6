//! A follower's appends: batches as their leader wrote them.

use super::{CopyError, Slot, Store};
use crate::{
    ids::{LeaderEpoch, Offset},
    records::{Batch, BatchFault},
};
use corelane_seam::Now;

impl Store {
    /// Appends what a leader sent: whole batches, each checked against its CRC, with offsets and leader epochs as they
    /// are, going on where the log ends. Between two batches there may be offsets that the leader's compaction took
    /// away, which touches only what is `committed`, as the leader says: above it a hole means that what was there was
    /// cut off while it was sent. Ends before the first batch of an epoch above `followed`, that of the leader that was
    /// asked (such a batch cannot be its own), and before one that is cut short. What lies wholly below the log's end
    /// is passed over: reads of files begin before the offset that was asked for. Gives the log's end.
    ///
    /// # Errors
    /// Batches before the one that is wrong are appended all the same.
    pub fn append_copies(
        &mut self,
        now: Now,
        slot: Slot,
        followed: LeaderEpoch,
        committed: Offset,
        mut batches: &[u8],
    ) -> Result<Offset, CopyError> {
        self.appendable(slot).map_err(CopyError::Append)?;
        while !batches.is_empty() {
            let (batch, rest) = match Batch::split_from(batches) {
                Ok(split) => split,
                Err(BatchFault::Truncated { .. }) => break,
                Err(fault) => return Err(CopyError::Unsound(format!("{fault:?}"))),
            };
            let header = batch.header();
            let log = self.log(slot);
            if header.last_offset() < log.end {
                batches = rest;
                continue;
            }
            if header.leader_epoch() > followed {
                break;
            }
            if log.start == log.end && header.base_offset() < log.end {
                return Err(CopyError::BeginsBefore(header.base_offset()));
            }
            self.check_copy(slot, &batch, committed).map_err(CopyError::Unsound)?;
            self.has_room_for(slot).map_err(CopyError::Append)?;
            let bytes = &batches[..batches.len() - rest.len()];
            let (log, chunks) = self.log_and_chunks(slot);
            let filled = log.tail.chunks();
            log.append_copy(now, bytes, chunks);
            let filled = log.tail.chunks() > filled;
            self.note_appended(slot, bytes.len() as u64, filled);
            batches = rest;
        }
        Ok(self.log(slot).end)
    }

    /// What is wrong with a leader's batch, if anything.
    fn check_copy(&self, slot: Slot, batch: &Batch<'_>, committed: Offset) -> Result<(), String> {
        let (log, header) = (self.log(slot), batch.header());
        let (base, last, epoch) = (header.base_offset(), header.last_offset(), header.leader_epoch());
        if base < log.end || last < base {
            return Err(format!("a batch with offsets {base} to {last} where the log ends at {}", log.end));
        }
        if epoch.0 < 0 || log.epochs.latest().is_some_and(|latest| latest.epoch > epoch) {
            return Err(format!("a batch of epoch {epoch} at offset {base}, behind those of a later one"));
        }
        if base > log.end && base > committed {
            return Err(format!(
                "nothing between {} and {base}, with what is committed ending at {committed}",
                log.end
            ));
        }
        // The index of a segment counts offsets in 32 bits, from the offset at which the log now ends.
        if last.0 - log.end.0 > i64::from(i32::MAX) {
            return Err(format!("a hole of more than 2^31 offsets before offset {base}"));
        }
        if !batch.checksum_matches() {
            return Err(format!("a batch at offset {base} whose checksum does not match"));
        }
        Ok(())
    }
}
