//! What the replicas of a shard hold, for whoever compares brokers with each other: the simulator does.

use super::{Effects, Engine};
use crate::{
    ids::{LeaderEpoch, Offset, PartitionId},
    log::{ReadError, ReadRequest, Slot},
};
use corelane_seam::Part;

/// Bytes of one look into a log.
const LOOK_BYTES_MAX: usize = 1 << 20;

/// A replica as its shard has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Which.
    pub id: PartitionId,
    /// Its log: another one when the partition was taken from this broker and given to it again.
    pub log: Slot,
    /// In which epoch it is led here, if it is.
    pub leads: Option<LeaderEpoch>,
    /// If it is led here: how many replicas are in sync.
    pub in_sync: usize,
    /// Where its log starts.
    pub log_start: Offset,
    /// What it knows to be committed.
    pub high_watermark: Offset,
    /// What its disk holds for certain.
    pub flushed_end: Offset,
    /// Where its log ends.
    pub log_end: Offset,
    /// Its log is offline.
    pub offline: bool,
}

impl Engine {
    /// All replicas of this shard.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaView> {
        let owner = &self.owner;
        owner.store.slots().map(|(id, slot)| {
            let led = owner.partitions.get(&id);
            ReplicaView {
                id,
                log: slot,
                leads: led.map(|partition| partition.leader_epoch),
                in_sync: led.map_or(0, |partition| partition.replicas.in_sync()),
                log_start: owner.store.log_start(slot),
                high_watermark: owner.store.high_watermark(slot),
                flushed_end: owner.store.flushed_end(slot),
                log_end: owner.store.log_end(slot),
                offline: owner.store.offline(slot).is_some(),
            }
        })
    }

    /// Whole batches of a replica from `from` on, whoever leads it, out of memory or files. What the files hold may begin
    /// before `from` and end within a batch.
    ///
    /// # Errors
    /// [`ReadError::Later`]: a file must be opened first, by the operations in `effects`; then it may be asked again.
    pub fn read_replica(
        &mut self,
        id: PartitionId,
        from: Offset,
        effects: &mut Effects,
    ) -> Result<Vec<Part>, ReadError> {
        let store = &mut self.owner.store;
        let slot = store.slot(id).ok_or(ReadError::Unknown)?;
        let up_to = store.log_end(slot);
        let request = ReadRequest { from, max_bytes: LOOK_BYTES_MAX, up_to, at_least_one: true };
        store.read_unflushed(slot, request, &mut effects.files).map(|read| read.parts)
    }
}
