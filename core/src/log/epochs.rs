//! Which leader epoch began at which offset (KIP-101): what followers truncate by and consumers check themselves with.

use crate::ids::{LeaderEpoch, Offset};

/// Where an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Offset of its first record.
    pub start: Offset,
}

const VERSION: u16 = 1;
const HEAD_BYTES: usize = 6;
const ENTRY_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// The epochs of one partition's log, ascending in both epoch and start offset. Bounded by the log itself: an epoch
/// without records leaves no entry, because the next one takes its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<EpochStart>,
}

impl LeaderEpochs {
    /// Without any.
    pub fn new() -> LeaderEpochs {
        LeaderEpochs::default()
    }

    /// All of them, ascending.
    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The latest.
    pub fn latest(&self) -> Option<EpochStart> {
        self.entries.last().copied()
    }

    /// Notes that `epoch` begins at `start`. A known latest epoch keeps its start, unless the new one is lower;
    /// entries that would not be below the new one in both epoch and offset go, because they held nothing that is
    /// still in the log. Gives whether anything changed.
    ///
    /// A negative epoch or offset is not noted: a batch from before leader epochs says nothing.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch.0 < 0 || start.0 < 0 {
            return false;
        }
        if self.latest().is_some_and(|latest| latest.epoch == epoch && latest.start <= start) {
            return false;
        }
        while self.latest().is_some_and(|latest| latest.epoch >= epoch || latest.start >= start) {
            self.entries.pop();
        }
        self.entries.push(EpochStart { epoch, start });
        true
    }

    /// Kafka's answer to OffsetForLeaderEpoch: the largest known epoch at or below `requested`, and where it ends:
    /// at the start of the next one, or at `log_end` for the latest. Below the first epoch: `requested` itself and
    /// the first start, so that the asker goes on from there. None (on the wire -1 and -1) for an unknown request,
    /// for one beyond the latest epoch, and for a log without epochs.
    pub fn end_offset_for(&self, requested: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if requested == LeaderEpoch::UNKNOWN {
            return None;
        }
        if self.latest()?.epoch == requested {
            return Some((requested, log_end));
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= requested);
        let next = self.entries.get(above)?;
        match above.checked_sub(1) {
            Some(floor) => Some((self.entries[floor].epoch, next.start)),
            None => Some((requested, next.start)),
        }
    }

    /// The epoch of the record at `offset`, if the log goes back that far. Beyond the end: the latest.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|entry| entry.start <= offset);
        above.checked_sub(1).map(|floor| self.entries[floor].epoch)
    }

    /// Forgets epochs that begin at or behind `end`, where the log now ends.
    pub fn truncate_from_end(&mut self, end: Offset) {
        let keep = self.entries.partition_point(|entry| entry.start < end);
        self.entries.truncate(keep);
    }

    /// Forgets epochs that end at or before `start`, where the log now begins; the one that holds `start` begins
    /// there from now on.
    pub fn truncate_from_start(&mut self, start: Offset) {
        let above = self.entries.partition_point(|entry| entry.start <= start);
        if let Some(floor) = above.checked_sub(1) {
            self.entries.drain(..floor);
            self.entries[0].start = start;
        }
    }

    /// For a checkpoint: version, count, entries and CRC32C, big-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.entries.len() * ENTRY_BYTES + CRC_BYTES);
        out.extend_from_slice(&VERSION.to_be_bytes());
        let count = u32::try_from(self.entries.len()).expect("epochs are i32, so there are fewer than 2^31");
        out.extend_from_slice(&count.to_be_bytes());
        for entry in &self.entries {
            out.extend_from_slice(&entry.epoch.0.to_be_bytes());
            out.extend_from_slice(&entry.start.0.to_be_bytes());
        }
        out.extend_from_slice(&crc32c::crc32c(&out).to_be_bytes());
        out
    }

    /// What [`encode`](Self::encode) wrote. Any other bytes are an error; then the log is read to find the epochs.
    pub fn decode(bytes: &[u8]) -> Result<LeaderEpochs, DamagedEpochs> {
        let (content, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or(DamagedEpochs::Short)?;
        if u32::from_be_bytes(*crc) != crc32c::crc32c(content) {
            return Err(DamagedEpochs::Checksum);
        }
        let (version, content) = content.split_first_chunk::<2>().ok_or(DamagedEpochs::Short)?;
        if u16::from_be_bytes(*version) != VERSION {
            return Err(DamagedEpochs::Version(u16::from_be_bytes(*version)));
        }
        let (count, content) = content.split_first_chunk::<4>().ok_or(DamagedEpochs::Short)?;
        let (entries, rest) = content.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() || u32::try_from(entries.len()) != Ok(u32::from_be_bytes(*count)) {
            return Err(DamagedEpochs::Short);
        }
        let mut epochs = LeaderEpochs { entries: Vec::with_capacity(entries.len()) };
        for [e0, e1, e2, e3, start @ ..] in entries {
            let epoch = LeaderEpoch(i32::from_be_bytes([*e0, *e1, *e2, *e3]));
            let start = Offset(i64::from_be_bytes(*start));
            let ascends = epochs.latest().is_none_or(|last| last.epoch < epoch && last.start < start);
            if epoch.0 < 0 || start.0 < 0 || !ascends {
                return Err(DamagedEpochs::Order);
            }
            epochs.entries.push(EpochStart { epoch, start });
        }
        Ok(epochs)
    }
}

/// Why bytes are not a checkpoint of leader epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamagedEpochs {
    /// Fewer or more bytes than the count demands.
    #[error("leader epoch checkpoint has the wrong length")]
    Short,
    /// The checksum does not match.
    #[error("leader epoch checkpoint has a wrong checksum")]
    Checksum,
    /// Written by a version that this one does not know.
    #[error("leader epoch checkpoint has version {0}")]
    Version(u16),
    /// Entries that are negative or do not ascend.
    #[error("leader epoch checkpoint does not ascend")]
    Order,
}

#[cfg(test)]
mod tests;
