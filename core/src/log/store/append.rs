//! Appending: what may be appended, and what is noted of it.

use super::{AppendError, Appended, Slot, Store};
use crate::{
    error::ErrorCode,
    ids::LeaderEpoch,
    log::{
        partition_log::{Life, PartitionLog},
        producers::Verdict,
    },
    records::BatchHeader,
};
use corelane_seam::Now;

impl Store {
    /// Appends one validated batch (magic 2, one whole batch, CRC right), in which the log writes offset and leader
    /// epoch. Producer id, epoch and sequence are checked and recorded.
    ///
    /// # Errors
    /// Then nothing changed.
    pub fn append(
        &mut self,
        now: Now,
        slot: Slot,
        leader_epoch: LeaderEpoch,
        batch: &[u8],
    ) -> Result<Appended, AppendError> {
        let log = self.appendable(slot)?;
        let header = BatchHeader::view(batch).expect("a validated batch has its header");
        if let Some(producer) = header.producer().filter(|_| !header.is_control()) {
            let verdict = match log.producers.check(&producer) {
                // What came before it was refused for want of space and comes again: this is no gap of the producer's.
                // Told of one, librdkafka takes up a new epoch, in which what is under way elsewhere is sent again.
                Err(refused) if self.disk_full && refused.code == ErrorCode::OutOfOrderSequenceNumber => {
                    return Err(AppendError::DiskReserve);
                }
                verdict => verdict.map_err(AppendError::Producer)?,
            };
            match verdict {
                Verdict::Append => {}
                Verdict::Duplicate { base_offset, last_offset, .. } => {
                    return Ok(Appended { base_offset, last_offset, duplicate: true });
                }
            }
        }
        self.append_checked(now, slot, leader_epoch, batch)
    }

    /// A log that lives and is not offline.
    pub(super) fn appendable(&self, slot: Slot) -> Result<&PartitionLog, AppendError> {
        if let Some(reason) = &self.journal.failed {
            return Err(AppendError::Offline(reason.clone()));
        }
        let log = self.get(slot).filter(|log| log.life == Life::Lives).ok_or(AppendError::Unknown)?;
        match &log.offline {
            Some(reason) => Err(AppendError::Offline(reason.clone())),
            None => Ok(log),
        }
    }

    /// Appends a batch whose producer was checked, if there is room.
    pub(super) fn append_checked(
        &mut self,
        now: Now,
        slot: Slot,
        leader_epoch: LeaderEpoch,
        batch: &[u8],
    ) -> Result<Appended, AppendError> {
        self.has_room_for(slot)?;
        let header = BatchHeader::view(batch).expect("a validated batch has its header");
        let count = i64::from(header.last_offset_delta());
        let (log, chunks) = self.log_and_chunks(slot);
        let filled = log.tail.chunks();
        let base_offset = log.append(now, leader_epoch, batch, chunks);
        // Followers read what is written, so that their flushes run beside this one.
        log.write_awaited |= log.is_replicated;
        let filled = log.tail.chunks() > filled;
        self.note_appended(slot, batch.len() as u64, filled);
        Ok(Appended { base_offset, last_offset: base_offset.plus(count), duplicate: false })
    }

    /// Someone waits for what was appended to be written: it is told before it is flushed.
    pub fn await_write(&mut self, slot: Slot) {
        self.log_mut(slot).write_awaited = true;
    }

    /// Whether a batch may be appended now.
    pub(super) fn has_room_for(&mut self, slot: Slot) -> Result<(), AppendError> {
        if self.disk_full {
            return Err(AppendError::DiskReserve);
        }
        if self.is_full() {
            self.room_wanted = true;
            return Err(AppendError::Full);
        }
        if self.log(slot).cut.is_some() {
            // Not memory is wanted, and memory must not be offered over and over: the end of the cut offers it.
            return Err(AppendError::Full);
        }
        Ok(())
    }

    /// The replicated logs that were appended to since this was last asked. Some may stand there twice.
    pub fn take_appended(&mut self) -> Vec<Slot> {
        std::mem::take(&mut self.appended)
    }

    /// Counts what was appended; `filled`: it began another chunk of memory.
    pub(super) fn note_appended(&mut self, slot: Slot, bytes: u64, filled: bool) {
        if self.log(slot).is_replicated && self.appended.last() != Some(&slot) {
            self.appended.push(slot);
        }
        let newly_dirty = !std::mem::replace(&mut self.log_mut(slot).dirty, true);
        self.unsealed += bytes;
        self.appended_since_space += bytes;
        self.largest_batch = self.largest_batch.max(bytes);
        if newly_dirty {
            // The log may have been dirty no more while bytes of it were in no group: there are none.
            self.journal.dirty.push_back(slot);
        }
        if filled && !std::mem::replace(&mut self.log_mut(slot).filled, true) {
            self.filled.push_back(slot);
        }
        self.count_memory(slot);
        let least = self.settings.recovery_point_bytes;
        self.log_mut(slot).take_point(least);
    }
}
