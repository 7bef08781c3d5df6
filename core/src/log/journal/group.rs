//! Groups: what one write carries, and how one is told from whatever else lies in the file.

use super::entry::{self, BadEntry, ENTRY_HEADER_BYTES, Entry};
use crate::log::Boot;
use corelane_seam::{BLOCK, ChunkWriter};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

/// Bytes of a group before its first entry.
pub(crate) const GROUP_HEADER_BYTES: usize = size_of::<HeaderImage>();

/// Ends in the format's version.
const MAGIC: [u8; 8] = *b"CLJRNL\x00\x01";

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct HeaderImage {
    magic: [u8; 8],
    /// Of what follows in the header, seeded with the boot's salt.
    crc: U32,
    shard: U16,
    reserved: U16,
    generation: U64,
    number: U64,
    offset: U64,
    bytes: U64,
    first_sequence: U64,
    entries: U64,
    low: U64,
    flushed: U64,
}

/// What a group says of itself and of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    /// Counts the journal's groups from 0, without gaps.
    pub number: u64,
    /// Where in the file it stands: a group copied elsewhere is none.
    pub offset: u64,
    /// With this header, without padding.
    pub bytes: u64,
    /// Sequence of its first entry.
    pub first_sequence: u64,
    /// How many entries.
    pub entries: u64,
    /// Groups below this number are not needed: their data is in flushed segments.
    pub low: u64,
    /// Entries below this sequence are known to be flushed.
    pub flushed: u64,
}

impl GroupHeader {
    /// The sequence of the next group's first entry.
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(self.entries)
    }

    /// Bytes in whole blocks.
    pub fn padded(&self) -> u64 {
        self.bytes.next_multiple_of(BLOCK as u64)
    }
}

fn checksum(salt: u64, image: &HeaderImage) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &image.as_bytes()[12..])
}

/// The header at the start of `block`, if this journal (`boot`, `shard`) wrote one at `offset`.
pub(crate) fn read_header(block: &[u8], boot: Boot, shard: u16, offset: u64) -> Option<GroupHeader> {
    let (image, _) = HeaderImage::ref_from_prefix(block).ok()?;
    let ours = image.magic == MAGIC
        && image.generation.get() == boot.generation
        && image.shard.get() == shard
        && image.offset.get() == offset
        && image.bytes.get() >= GROUP_HEADER_BYTES as u64
        && image.crc.get() == checksum(boot.salt, image);
    ours.then(|| GroupHeader {
        number: image.number.get(),
        offset,
        bytes: image.bytes.get(),
        first_sequence: image.first_sequence.get(),
        entries: image.entries.get(),
        low: image.low.get(),
        flushed: image.flushed.get(),
    })
}

/// Hands each entry of a group, with its payload, to `visit`, after all of them were found right.
///
/// # Errors
/// When any entry is not the one that was written.
pub(crate) fn read_entries<'a>(
    group: &'a [u8],
    header: &GroupHeader,
    boot: Boot,
    mut visit: impl FnMut(Entry, &'a [u8]),
) -> Result<(), BadEntry> {
    let body = group.get(GROUP_HEADER_BYTES..).ok_or(BadEntry::Short)?;
    let pass = |mut visit: Option<&mut dyn FnMut(Entry, &'a [u8])>| {
        let mut rest = body;
        for sequence in header.first_sequence..header.next_sequence() {
            let (entry, payload, behind) = entry::split(rest, boot.salt, boot.generation, sequence)?;
            if let Some(visit) = visit.as_mut() {
                visit(entry, payload);
            }
            rest = behind;
        }
        if rest.is_empty() { Ok(()) } else { Err(BadEntry::Short) }
    };
    pass(None)?;
    pass(Some(&mut visit))
}

/// The space of a group that is being written.
pub(crate) struct GroupSpace<'a> {
    space: &'a mut [u8],
    used: usize,
    boot: Boot,
    sequence: u64,
}

impl GroupSpace<'_> {
    /// Adds an entry with `payload_bytes` that `fill` writes. The entry's sequence is set here.
    pub fn entry(&mut self, mut entry: Entry, payload_bytes: usize, fill: impl FnOnce(&mut [u8])) {
        let end = self.used + ENTRY_HEADER_BYTES + payload_bytes;
        let space = &mut self.space[self.used..end];
        fill(&mut space[ENTRY_HEADER_BYTES..]);
        entry.sequence = self.sequence;
        entry::seal(space, self.boot.salt, self.boot.generation, &entry);
        self.sequence += 1;
        self.used = end;
    }
}

/// Writes the group that `header` describes into `chunk`, padded with zeros to whole blocks.
///
/// # Panics
/// When `fill` adds other entries or bytes than the header says, or the chunk has too little space.
pub(crate) fn write(
    chunk: &mut ChunkWriter,
    boot: Boot,
    shard: u16,
    header: &GroupHeader,
    fill: impl FnOnce(&mut GroupSpace<'_>),
) {
    let padded = usize::try_from(header.padded()).expect("a group fits in memory");
    let bytes = usize::try_from(header.bytes).expect("less than padded");
    chunk.append_with(padded, |space| {
        let mut image = HeaderImage {
            magic: MAGIC,
            crc: U32::ZERO,
            shard: U16::new(shard),
            reserved: U16::ZERO,
            generation: U64::new(boot.generation),
            number: U64::new(header.number),
            offset: U64::new(header.offset),
            bytes: U64::new(header.bytes),
            first_sequence: U64::new(header.first_sequence),
            entries: U64::new(header.entries),
            low: U64::new(header.low),
            flushed: U64::new(header.flushed),
        };
        image.crc = U32::new(checksum(boot.salt, &image));
        space[..GROUP_HEADER_BYTES].copy_from_slice(image.as_bytes());
        space[bytes..].fill(0);
        let sequence = header.first_sequence;
        let mut group = GroupSpace { space, used: GROUP_HEADER_BYTES, boot, sequence };
        fill(&mut group);
        assert_eq!(
            (group.used, group.sequence),
            (bytes, header.next_sequence()),
            "a group as it was planned"
        );
    });
}

#[cfg(test)]
mod tests {
    use super::{super::entry::Kind, *};
    use crate::ids::{LeaderEpoch, Offset, PartitionId, TopicId};

    const BOOT: Boot = Boot { generation: 3, salt: 77 };

    fn entries() -> [(Entry, &'static [u8]); 3] {
        let id = PartitionId { topic: TopicId(uuid::Uuid::from_u128(9)), index: 4 };
        let entry = |kind, sequence| Entry { id, kind, leader_epoch: LeaderEpoch(2), sequence };
        [
            (entry(Kind::Append { base: Offset(10), serial: 1, position: 99 }, 100), b"some bytes"),
            (entry(Kind::LogStart { offset: Offset(11), serial: 2 }, 101), b""),
            (entry(Kind::Deleted { serial: 3 }, 102), b""),
        ]
    }

    fn group() -> (GroupHeader, Vec<u8>) {
        let payload: usize = entries().iter().map(|(_, payload)| payload.len()).sum();
        let bytes = (GROUP_HEADER_BYTES + 3 * ENTRY_HEADER_BYTES + payload) as u64;
        let header = GroupHeader {
            number: 5,
            offset: 8192,
            bytes,
            first_sequence: 100,
            entries: 3,
            low: 2,
            flushed: 100,
        };
        let mut chunk = ChunkWriter::with_capacity(BLOCK);
        write(&mut chunk, BOOT, 1, &header, |group| {
            for (entry, payload) in entries() {
                group.entry(entry, payload.len(), |space| space.copy_from_slice(payload));
            }
        });
        let bytes = chunk.slice(0..chunk.len()).to_vec();
        (header, bytes)
    }

    #[test]
    fn a_group_is_read_back_as_it_was_written() {
        let (header, bytes) = group();
        assert_eq!(bytes.len(), BLOCK);
        assert_eq!(read_header(&bytes, BOOT, 1, 8192), Some(header));
        let mut seen = Vec::new();
        let exact = &bytes[..usize::try_from(header.bytes).unwrap()];
        read_entries(exact, &header, BOOT, |entry, payload| seen.push((entry, payload))).unwrap();
        assert_eq!(seen, entries());
    }

    #[test]
    fn a_group_elsewhere_or_of_another_boot_or_shard_is_none() {
        let (_, bytes) = group();
        assert_eq!(read_header(&bytes, BOOT, 1, 4096), None);
        assert_eq!(read_header(&bytes, BOOT, 2, 8192), None);
        assert_eq!(read_header(&bytes, Boot { generation: 4, ..BOOT }, 1, 8192), None);
        assert_eq!(read_header(&bytes, Boot { salt: 78, ..BOOT }, 1, 8192), None);
    }

    #[test]
    fn every_flipped_bit_of_a_group_is_seen() {
        let (header, bytes) = group();
        let length = usize::try_from(header.bytes).unwrap();
        for place in 0..length * 8 {
            let mut bytes = bytes.clone();
            bytes[place / 8] ^= 1 << (place % 8);
            let same = read_header(&bytes, BOOT, 1, 8192) == Some(header)
                && read_entries(&bytes[..length], &header, BOOT, |_, _| {}).is_ok();
            assert!(!same, "bit {place}");
        }
    }
}
