//! What is written down of a log when a segment closes or the log start moves, so that recovery reads the log only
//! from there on.
//!
//! A checkpoint only ever speaks of closed segments. Losing one costs time, not records: segments, epochs and
//! producers are found again by reading the log. Only the log start has no other witness, so the journal keeps its
//! entry until the checkpoint that holds it is durable.

use super::{
    epochs::LeaderEpochs,
    index::MaxTimestamp,
    paths::SegmentName,
    producers::ProducerStates,
    sealed::{seal, unseal},
    segment::Segment,
};
use crate::ids::{Offset, PartitionId, TopicId};
use uuid::Uuid;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{I32, I64, U32, U64},
};

const MAGIC: [u8; 8] = *b"CLCKPT\x00\x04";
/// Before there were transactions: the same, without the part about them.
const MAGIC_3: [u8; 8] = *b"CLCKPT\x00\x03";
/// Before logs were cut: without the serial.
const MAGIC_2: [u8; 8] = *b"CLCKPT\x00\x02";
/// Before there was compaction: the same, without the part about it.
const MAGIC_1: [u8; 8] = *b"CLCKPT\x00\x01";

/// Epochs and producers as they were when the log ended at `offset`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub offset: Offset,
    pub epochs: Vec<u8>,
    pub producers: Vec<u8>,
}

impl Snapshot {
    pub fn take(offset: Offset, epochs: &LeaderEpochs, producers: &ProducerStates) -> Snapshot {
        Snapshot { offset, epochs: epochs.encode(), producers: producers.encode() }
    }

    /// Epochs and producers again; `None` where either is damaged.
    pub fn restore(&self) -> Option<(LeaderEpochs, ProducerStates)> {
        Some((LeaderEpochs::decode(&self.epochs).ok()?, ProducerStates::decode(&self.producers).ok()?))
    }
}

/// A closed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub name: SegmentName,
    pub next: Offset,
    pub bytes: u64,
    pub max_timestamp: Option<MaxTimestamp>,
    pub first_timestamp_ms: Option<i64>,
    /// Its index names aborted transactions.
    pub has_aborted: bool,
    /// Every transaction that ends behind it begins at or behind this.
    pub open_from: Offset,
}

impl From<&Segment> for Closed {
    fn from(segment: &Segment) -> Closed {
        let &Segment { next, bytes, max_timestamp, first_timestamp_ms, has_aborted, open_from, .. } = segment;
        Closed {
            name: segment.name(),
            next,
            bytes,
            max_timestamp,
            first_timestamp_ms,
            has_aborted,
            open_from,
        }
    }
}

/// A log's checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub id: PartitionId,
    pub log_start: Offset,
    pub high_watermark: Offset,
    pub next_serial: u32,
    /// Compaction went over everything below.
    pub cleaned_to: Offset,
    /// Segments with lower serials that are not named here were cut away.
    pub cut_serial: u32,
    pub snapshot: Snapshot,
    /// Oldest first.
    pub closed: Vec<Closed>,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    topic: [u8; 16],
    partition: I32,
    next_serial: U32,
    log_start: I64,
    high_watermark: I64,
    snapshot_offset: I64,
    epochs_bytes: U64,
    producers_bytes: U64,
    closed: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ClosedImage {
    base: I64,
    next: I64,
    bytes: U64,
    /// -1: no record has one.
    max_timestamp_ms: I64,
    max_timestamp_batch: I64,
    serial: U32,
}

/// Of each closed segment, what compaction needs to know. The offset up to which it went stands before these.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct CleaningImage {
    cleaning: U32,
    /// [`i64::MIN`]: not known.
    first_timestamp_ms: I64,
}

/// Of each closed segment, what is known of transactions; behind the part about compaction.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct TransactionsImage {
    open_from: I64,
    has_aborted: u8,
}

impl Checkpoint {
    /// For its file, with a CRC32C at the end.
    pub fn encode(&self) -> Vec<u8> {
        let head = Head {
            magic: MAGIC,
            topic: *self.id.topic.0.as_bytes(),
            partition: I32::new(self.id.index),
            next_serial: U32::new(self.next_serial),
            log_start: I64::new(self.log_start.0),
            high_watermark: I64::new(self.high_watermark.0),
            snapshot_offset: I64::new(self.snapshot.offset.0),
            epochs_bytes: U64::new(self.snapshot.epochs.len() as u64),
            producers_bytes: U64::new(self.snapshot.producers.len() as u64),
            closed: U64::new(self.closed.len() as u64),
        };
        let mut out = head.as_bytes().to_vec();
        out.extend_from_slice(&self.snapshot.epochs);
        out.extend_from_slice(&self.snapshot.producers);
        for closed in &self.closed {
            let max = closed.max_timestamp;
            let image = ClosedImage {
                base: I64::new(closed.name.base.0),
                next: I64::new(closed.next.0),
                bytes: U64::new(closed.bytes),
                max_timestamp_ms: I64::new(max.map_or(-1, |max| max.timestamp_ms)),
                max_timestamp_batch: I64::new(max.map_or(-1, |max| max.batch.0)),
                serial: U32::new(closed.name.serial),
            };
            out.extend_from_slice(image.as_bytes());
        }
        out.extend_from_slice(I64::new(self.cleaned_to.0).as_bytes());
        out.extend_from_slice(U32::new(self.cut_serial).as_bytes());
        for closed in &self.closed {
            let image = CleaningImage {
                cleaning: U32::new(closed.name.cleaning),
                first_timestamp_ms: I64::new(closed.first_timestamp_ms.unwrap_or(i64::MIN)),
            };
            out.extend_from_slice(image.as_bytes());
        }
        for closed in &self.closed {
            let open_from = I64::new(closed.open_from.0);
            let image = TransactionsImage { open_from, has_aborted: u8::from(closed.has_aborted) };
            out.extend_from_slice(image.as_bytes());
        }
        seal(&mut out);
        out
    }

    /// What [`encode`](Self::encode) wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Checkpoint> {
        let content = unseal(bytes)?;
        let (head, rest) = Head::ref_from_prefix(content).ok()?;
        if ![MAGIC, MAGIC_3, MAGIC_2, MAGIC_1].contains(&head.magic) {
            return None;
        }
        let (epochs, rest) = rest.split_at_checked(usize::try_from(head.epochs_bytes.get()).ok()?)?;
        let (producers, rest) = rest.split_at_checked(usize::try_from(head.producers_bytes.get()).ok()?)?;
        let count = usize::try_from(head.closed.get()).ok()?;
        let (images, rest) = <[ClosedImage]>::ref_from_prefix_with_elems(rest, count).ok()?;
        let (cleaned_to, cut_serial, cleanings, transactions) = match head.magic {
            MAGIC_1 => rest.is_empty().then_some((Offset::ZERO, 0, None, None))?,
            magic => {
                let (cleaned_to, rest) = I64::ref_from_prefix(rest).ok()?;
                let (cut_serial, rest) = match magic {
                    MAGIC_2 => (0, rest),
                    _ => U32::ref_from_prefix(rest).ok().map(|(serial, rest)| (serial.get(), rest))?,
                };
                let (cleanings, rest) = <[CleaningImage]>::ref_from_prefix_with_elems(rest, count).ok()?;
                let transactions = match magic {
                    MAGIC => Some(<[TransactionsImage]>::ref_from_bytes_with_elems(rest, count).ok()?),
                    _ => rest.is_empty().then_some(None)?,
                };
                (Offset(cleaned_to.get()), cut_serial, Some(cleanings), transactions)
            }
        };
        let closed = images.iter().enumerate().map(|(index, image)| {
            let cleaning = cleanings.map(|all| &all[index]);
            let transactions = transactions.map(|all| &all[index]);
            Closed {
                name: SegmentName {
                    base: Offset(image.base.get()),
                    serial: image.serial.get(),
                    cleaning: cleaning.map_or(0, |image| image.cleaning.get()),
                },
                next: Offset(image.next.get()),
                bytes: image.bytes.get(),
                max_timestamp: (image.max_timestamp_ms.get() >= 0).then(|| MaxTimestamp {
                    timestamp_ms: image.max_timestamp_ms.get(),
                    batch: Offset(image.max_timestamp_batch.get()),
                }),
                first_timestamp_ms: cleaning
                    .map(|image| image.first_timestamp_ms.get())
                    .filter(|first| *first != i64::MIN),
                has_aborted: transactions.is_some_and(|image| image.has_aborted != 0),
                open_from: transactions
                    .map_or(Offset(image.next.get()), |image| Offset(image.open_from.get())),
            }
        });
        Some(Checkpoint {
            id: PartitionId { topic: TopicId(Uuid::from_bytes(head.topic)), index: head.partition.get() },
            log_start: Offset(head.log_start.get()),
            high_watermark: Offset(head.high_watermark.get()),
            next_serial: head.next_serial.get(),
            cleaned_to,
            cut_serial,
            snapshot: Snapshot {
                offset: Offset(head.snapshot_offset.get()),
                epochs: epochs.to_vec(),
                producers: producers.to_vec(),
            },
            closed: closed.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let max = MaxTimestamp { timestamp_ms: 99, batch: Offset(12) };
        let closed = |base, serial, max_timestamp: Option<MaxTimestamp>| Closed {
            name: SegmentName { base: Offset(base), serial, cleaning: serial },
            next: Offset(base + 10),
            bytes: 777,
            max_timestamp,
            first_timestamp_ms: max_timestamp.map(|max| max.timestamp_ms),
            has_aborted: serial > 0,
            open_from: Offset(base + 7),
        };
        Checkpoint {
            id: PartitionId { topic: TopicId(Uuid::from_u128(5)), index: 6 },
            log_start: Offset(3),
            high_watermark: Offset(19),
            next_serial: 4,
            cleaned_to: Offset(9),
            cut_serial: 3,
            snapshot: Snapshot { offset: Offset(20), epochs: vec![1, 2, 3], producers: vec![4, 5] },
            closed: vec![closed(0, 0, None), closed(10, 2, Some(max))],
        }
    }

    #[test]
    fn a_checkpoint_is_read_back() {
        assert_eq!(Checkpoint::decode(&checkpoint().encode()), Some(checkpoint()));
    }

    /// As it is read from an image of before there were transactions.
    fn before_transactions() -> Checkpoint {
        let mut checkpoint = checkpoint();
        for closed in &mut checkpoint.closed {
            (closed.has_aborted, closed.open_from) = (false, closed.next);
        }
        checkpoint
    }

    /// Without checksum and what is said of transactions.
    fn image_before_transactions() -> Vec<u8> {
        let mut bytes = checkpoint().encode();
        bytes.truncate(bytes.len() - 4 - 2 * size_of::<TransactionsImage>());
        bytes
    }

    #[test]
    fn a_checkpoint_of_before_transactions_is_read() {
        let mut bytes = image_before_transactions();
        bytes[..8].copy_from_slice(&MAGIC_3);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        assert_eq!(Checkpoint::decode(&bytes), Some(before_transactions()));
    }

    #[test]
    fn a_checkpoint_of_before_compaction_is_read() {
        let mut bytes = image_before_transactions();
        bytes.truncate(bytes.len() - 2 * size_of::<CleaningImage>() - 4 - 8);
        bytes[..8].copy_from_slice(&MAGIC_1);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let mut expected = before_transactions();
        (expected.cleaned_to, expected.cut_serial) = (Offset::ZERO, 0);
        for closed in &mut expected.closed {
            (closed.name.cleaning, closed.first_timestamp_ms) = (0, None);
        }
        assert_eq!(Checkpoint::decode(&bytes), Some(expected));
    }

    #[test]
    fn a_checkpoint_of_before_logs_were_cut_is_read() {
        let mut bytes = image_before_transactions();
        let behind = 2 * size_of::<CleaningImage>();
        bytes.drain(bytes.len() - behind - 4..bytes.len() - behind);
        bytes[..8].copy_from_slice(&MAGIC_2);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        assert_eq!(Checkpoint::decode(&bytes), Some(Checkpoint { cut_serial: 0, ..before_transactions() }));
    }

    #[test]
    fn a_damaged_checkpoint_is_none() {
        let bytes = checkpoint().encode();
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 4;
            assert_eq!(Checkpoint::decode(&bytes), None, "byte {place}");
            assert_eq!(Checkpoint::decode(&bytes[..place]), None);
        }
    }
}
