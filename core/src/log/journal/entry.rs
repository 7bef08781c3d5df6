//! Journal entries: typed, each with its partition, generation, sequence and checksum.

use crate::ids::{LeaderEpoch, Offset, PartitionId, TopicId};
use uuid::Uuid;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{I32, I64, U32, U64},
};

/// Bytes of an entry before its payload.
pub(crate) const ENTRY_HEADER_BYTES: usize = size_of::<EntryHeader>();

/// What an entry says of its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The payload stands at `position` of segment (`base`, `serial`).
    Append { base: Offset, serial: u32, position: u64 },
    /// Nothing below `offset` is served any more. Said when the next segment was to have this serial: a cut of the log
    /// that came later has the last word.
    LogStart { offset: Offset, serial: u32 },
    /// The log and all its files are gone: all that have a lower serial. What comes behind this is of another log of the
    /// same partition, which was taken from this broker and given to it again.
    Deleted { serial: u32 },
}

// The numbers on disk. 2 (truncate: a cut is a replacement of the checkpoint instead), 4 (partition created) and 6 (extent written past the journal) are kept for
// entries that this version neither writes nor accepts.
const APPEND: u8 = 1;
const LOG_START: u8 = 3;
const DELETED: u8 = 5;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct EntryHeader {
    /// Of everything behind it, payload included, seeded with the boot's salt.
    crc: U32,
    kind: u8,
    reserved: [u8; 3],
    payload_bytes: U32,
    partition: I32,
    topic: [u8; 16],
    generation: U64,
    sequence: U64,
    leader_epoch: I32,
    serial: U32,
    offset: I64,
    position: U64,
    reserved_behind: U32,
}

/// An entry and where its payload lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub id: PartitionId,
    pub kind: Kind,
    /// The latest leader epoch among what was appended; -1 where it says nothing.
    pub leader_epoch: LeaderEpoch,
    pub sequence: u64,
}

/// Why bytes are not the entry that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadEntry {
    #[error("an entry is cut short")]
    Short,
    #[error("an entry's checksum does not match")]
    Checksum,
    #[error("an entry has the unknown kind {0}")]
    Kind(u8),
    #[error("an entry's generation or sequence is not the expected one")]
    Order,
}

fn checksum(salt: u64, header: &EntryHeader, payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &header.as_bytes()[size_of::<U32>()..]);
    crc32c::crc32c_append(crc, payload)
}

/// Writes the header of an entry whose payload already stands behind it in `space`.
///
/// # Panics
/// When `space` is shorter than a header or longer than a u32 counts.
pub(crate) fn seal(space: &mut [u8], salt: u64, generation: u64, entry: &Entry) {
    let (head, payload) = space.split_at_mut(ENTRY_HEADER_BYTES);
    let (number, offset, serial, position) = match entry.kind {
        Kind::Append { base, serial, position } => (APPEND, base, serial, position),
        Kind::LogStart { offset, serial } => (LOG_START, offset, serial, 0),
        Kind::Deleted { serial } => (DELETED, Offset::ZERO, serial, 0),
    };
    let mut header = EntryHeader {
        crc: U32::ZERO,
        kind: number,
        reserved: [0; 3],
        payload_bytes: U32::new(u32::try_from(payload.len()).expect("a group is smaller than 4 GiB")),
        partition: I32::new(entry.id.index),
        topic: *entry.id.topic.0.as_bytes(),
        generation: U64::new(generation),
        sequence: U64::new(entry.sequence),
        leader_epoch: I32::new(entry.leader_epoch.0),
        serial: U32::new(serial),
        offset: I64::new(offset.0),
        position: U64::new(position),
        reserved_behind: U32::ZERO,
    };
    header.crc = U32::new(checksum(salt, &header, payload));
    head.copy_from_slice(header.as_bytes());
}

/// Takes the entry at the start of `bytes`: the entry, its payload, and what lies behind it.
pub(crate) fn split(
    bytes: &[u8],
    salt: u64,
    generation: u64,
    sequence: u64,
) -> Result<(Entry, &[u8], &[u8]), BadEntry> {
    let (header, rest) = EntryHeader::ref_from_prefix(bytes).map_err(|_| BadEntry::Short)?;
    let length = usize::try_from(header.payload_bytes.get()).map_err(|_| BadEntry::Short)?;
    let (payload, rest) = rest.split_at_checked(length).ok_or(BadEntry::Short)?;
    if header.crc.get() != checksum(salt, header, payload) {
        return Err(BadEntry::Checksum);
    }
    if header.generation.get() != generation || header.sequence.get() != sequence {
        return Err(BadEntry::Order);
    }
    let offset = Offset(header.offset.get());
    let (serial, position) = (header.serial.get(), header.position.get());
    let kind = match header.kind {
        APPEND => Kind::Append { base: offset, serial, position },
        LOG_START => Kind::LogStart { offset, serial },
        DELETED => Kind::Deleted { serial },
        unknown => return Err(BadEntry::Kind(unknown)),
    };
    let id = PartitionId { topic: TopicId(Uuid::from_bytes(header.topic)), index: header.partition.get() };
    let leader_epoch = LeaderEpoch(header.leader_epoch.get());
    Ok((Entry { id, kind, leader_epoch, sequence }, payload, rest))
}
