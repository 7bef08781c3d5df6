//! How a log was at a batch's end up to which its active segment is flushed, so that a start reads the segment only from
//! there on (Kafka's `recovery-point-offset-checkpoint`, with what reading the rest would have told).
//!
//! A point says nothing that the segment does not: losing one costs time. It is written when the segment is flushed that
//! far, and removed before the segment counts as closed, so no cut ever meets one: only closed segments are cut.

use super::{
    checkpoint::Snapshot,
    epochs::LeaderEpochs,
    index::SegmentIndex,
    paths::SegmentName,
    producers::{PRODUCERS_PER_PARTITION_MAX, ProducerStates},
    sealed::{seal, unseal},
    segment::Segment,
};
use crate::ids::{Offset, PartitionId, TopicId};
use uuid::Uuid;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{I32, I64, U32, U64},
};

const MAGIC: [u8; 8] = *b"CLPOINT\x01";
/// Bytes between two entries of a point's index, at least: of a segment of 1 GiB it has 16,384, which are gathered and
/// written while produce requests wait.
const INDEX_INTERVAL_BYTES: u32 = 64 * 1024;
/// With more producers none is written, for the same reason.
const PRODUCERS_MAX: usize = PRODUCERS_PER_PARTITION_MAX / 64;
/// A point is written when the segment has grown by this part since the last: what is written of points stays in
/// proportion to what is written of records.
const GROWTH_PART: u64 = 16;

/// A recovery point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecoveryPoint {
    pub id: PartitionId,
    pub name: SegmentName,
    pub first_timestamp_ms: Option<i64>,
    /// Of the segment up to here.
    pub index: SegmentIndex,
    /// At the offset that follows.
    pub snapshot: Snapshot,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    topic: [u8; 16],
    partition: I32,
    serial: U32,
    base: I64,
    offset: I64,
    /// [`i64::MIN`]: there is none.
    first_timestamp_ms: I64,
    epochs_bytes: U64,
    producers_bytes: U64,
}

impl RecoveryPoint {
    /// Of a segment that takes appends, if it has grown by `least_bytes` since its last one, and by its part.
    pub fn take(
        id: PartitionId,
        segment: &Segment,
        epochs: &LeaderEpochs,
        producers: &ProducerStates,
        least_bytes: u64,
    ) -> Option<RecoveryPoint> {
        let grown = segment.bytes - segment.point_taken_at;
        if grown < least_bytes.max(segment.bytes / GROWTH_PART) || producers.len() > PRODUCERS_MAX {
            return None;
        }
        Some(RecoveryPoint {
            id,
            name: segment.name(),
            first_timestamp_ms: segment.first_timestamp_ms,
            index: segment.index.as_ref()?.thinned(INDEX_INTERVAL_BYTES),
            snapshot: Snapshot::take(segment.next, epochs, producers),
        })
    }

    /// Where in the segment it is: a batch ends there.
    pub fn position(&self) -> u64 {
        u64::from(self.index.observed_bytes())
    }

    /// For its file, with a CRC32C at the end.
    pub fn encode(&self) -> Vec<u8> {
        let Snapshot { offset, epochs, producers } = &self.snapshot;
        let head = Head {
            magic: MAGIC,
            topic: *self.id.topic.0.as_bytes(),
            partition: I32::new(self.id.index),
            serial: U32::new(self.name.serial),
            base: I64::new(self.name.base.0),
            offset: I64::new(offset.0),
            first_timestamp_ms: I64::new(self.first_timestamp_ms.unwrap_or(i64::MIN)),
            epochs_bytes: U64::new(epochs.len() as u64),
            producers_bytes: U64::new(producers.len() as u64),
        };
        let index = self.index.encode();
        let mut out = [head.as_bytes(), epochs, producers, &index].concat();
        seal(&mut out);
        out
    }

    /// What [`encode`](Self::encode) wrote; `None` of anything else, also of another version: then the segment is read.
    pub fn decode(bytes: &[u8]) -> Option<RecoveryPoint> {
        let content = unseal(bytes)?;
        let (head, rest) = Head::ref_from_prefix(content).ok()?;
        if head.magic != MAGIC {
            return None;
        }
        let (epochs, rest) = rest.split_at_checked(usize::try_from(head.epochs_bytes.get()).ok()?)?;
        let (producers, index) = rest.split_at_checked(usize::try_from(head.producers_bytes.get()).ok()?)?;
        let index = SegmentIndex::decode(index).ok()?;
        let (base, offset) = (Offset(head.base.get()), Offset(head.offset.get()));
        let first_timestamp_ms = head.first_timestamp_ms.get();
        (index.base() == base && index.next_offset() == offset).then(|| RecoveryPoint {
            id: PartitionId { topic: TopicId(Uuid::from_bytes(head.topic)), index: head.partition.get() },
            name: SegmentName::original(base, head.serial.get()),
            first_timestamp_ms: (first_timestamp_ms != i64::MIN).then_some(first_timestamp_ms),
            index,
            snapshot: Snapshot { offset, epochs: epochs.to_vec(), producers: producers.to_vec() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{log::testing, records::BatchHeader};

    fn point() -> RecoveryPoint {
        let mut index = SegmentIndex::new(Offset::ZERO, 4096);
        let batch = testing::batch(1, 3, 500, 17);
        index.observe(BatchHeader::view(&batch).expect("a batch"), 0).expect("the first");
        RecoveryPoint {
            id: testing::partition(7),
            name: SegmentName::original(Offset::ZERO, 4),
            first_timestamp_ms: Some(17),
            index,
            snapshot: Snapshot { offset: Offset(3), epochs: vec![1, 2, 3], producers: vec![4, 5] },
        }
    }

    #[test]
    fn a_recovery_point_is_read_back() {
        for first_timestamp_ms in [None, Some(-1), Some(17)] {
            let point = RecoveryPoint { first_timestamp_ms, ..point() };
            assert_eq!(RecoveryPoint::decode(&point.encode()), Some(point));
        }
    }

    #[test]
    fn a_damaged_recovery_point_is_none() {
        let bytes = point().encode();
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 4;
            assert_eq!(RecoveryPoint::decode(&bytes), None, "byte {place}");
            assert_eq!(RecoveryPoint::decode(&bytes[..place]), None);
        }
    }
}
