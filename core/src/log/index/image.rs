//! The index as bytes of a file.

use super::{Entry, MaxTimestamp, SegmentIndex};
use crate::{
    ids::{Offset, ProducerId},
    log::producers::AbortedTransaction,
};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::big_endian::{I64, U16, U32},
};

const VERSION: u16 = 2;
/// Before there were transactions: without those that were aborted.
const VERSION_1: u16 = 1;
/// Stands for "no timestamp yet".
const NONE: i64 = i64::MIN;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    version: U16,
    base: I64,
    interval_bytes: U32,
    observed: U32,
    next: I64,
    max_timestamp_ms: I64,
    max_timestamp_batch: I64,
    entries: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct EntryImage {
    offset: U32,
    position: U32,
    max_timestamp_before_ms: I64,
    max_timestamp_at: U32,
}

/// Behind the entries, up to the checksum.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct AbortedImage {
    first: I64,
    last: I64,
    producer: I64,
}

/// Why bytes are not an index. Whatever the reason, the caller builds it anew from the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamagedIndex {
    /// Fewer or more bytes than the count demands.
    #[error("index has the wrong length")]
    Length,
    /// The checksum does not match.
    #[error("index has a wrong checksum")]
    Checksum,
    /// Written by a version that this one does not know.
    #[error("index has version {0}")]
    Version(u16),
    /// Entries that do not ascend or reach beyond the segment.
    #[error("index contradicts itself")]
    Content,
}

impl SegmentIndex {
    /// For its file: version, what was observed, the entries, the aborted transactions, and CRC32C over all, big-endian.
    pub fn encode(&self) -> Vec<u8> {
        let (max_timestamp_ms, max_timestamp_batch) =
            self.max.map_or((NONE, self.base.0), |max| (max.timestamp_ms, max.batch.0));
        let head = Head {
            version: U16::new(VERSION),
            base: I64::new(self.base.0),
            interval_bytes: U32::new(self.interval_bytes),
            observed: U32::new(self.observed),
            next: I64::new(self.next.0),
            max_timestamp_ms: I64::new(max_timestamp_ms),
            max_timestamp_batch: I64::new(max_timestamp_batch),
            entries: U32::new(u32::try_from(self.entries.len()).expect("positions ascend within a u32")),
        };
        let aborted = self.aborted.len() * size_of::<AbortedImage>();
        let entries = self.entries.len() * size_of::<EntryImage>();
        let bytes = size_of::<Head>() + entries + aborted + size_of::<u32>();
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(head.as_bytes());
        for entry in &self.entries {
            let image = EntryImage {
                offset: U32::new(entry.offset),
                position: U32::new(entry.position),
                max_timestamp_before_ms: I64::new(entry.max_timestamp_before_ms),
                max_timestamp_at: U32::new(entry.max_timestamp_at),
            };
            out.extend_from_slice(image.as_bytes());
        }
        for aborted in &self.aborted {
            let image = AbortedImage {
                first: I64::new(aborted.first.0),
                last: I64::new(aborted.last.0),
                producer: I64::new(aborted.producer.0),
            };
            out.extend_from_slice(image.as_bytes());
        }
        out.extend_from_slice(&crc32c::crc32c(&out).to_be_bytes());
        out
    }

    /// What [`encode`](Self::encode) wrote. The caller still compares [`base`](Self::base) and
    /// [`observed_bytes`](Self::observed_bytes) with the segment it belongs to.
    pub fn decode(bytes: &[u8]) -> Result<SegmentIndex, DamagedIndex> {
        let (content, crc) = bytes.split_last_chunk::<4>().ok_or(DamagedIndex::Length)?;
        if u32::from_be_bytes(*crc) != crc32c::crc32c(content) {
            return Err(DamagedIndex::Checksum);
        }
        let (head, images) = Head::ref_from_prefix(content).map_err(|_| DamagedIndex::Length)?;
        let version = head.version.get();
        if version != VERSION && version != VERSION_1 {
            return Err(DamagedIndex::Version(version));
        }
        let count = usize::try_from(head.entries.get()).map_err(|_| DamagedIndex::Length)?;
        let (images, aborted) =
            <[EntryImage]>::ref_from_prefix_with_elems(images, count).map_err(|_| DamagedIndex::Length)?;
        let aborted = <[AbortedImage]>::ref_from_bytes(aborted).map_err(|_| DamagedIndex::Length)?;
        if version == VERSION_1 && !aborted.is_empty() {
            return Err(DamagedIndex::Length);
        }
        let max = (head.max_timestamp_ms.get() != NONE).then(|| MaxTimestamp {
            timestamp_ms: head.max_timestamp_ms.get(),
            batch: Offset(head.max_timestamp_batch.get()),
        });
        let mut index = SegmentIndex {
            base: Offset(head.base.get()),
            interval_bytes: head.interval_bytes.get(),
            entries: Vec::with_capacity(images.len()),
            observed: head.observed.get(),
            next: Offset(head.next.get()),
            max,
            aborted: Vec::with_capacity(aborted.len()),
        };
        for image in images {
            let entry = Entry {
                offset: image.offset.get(),
                position: image.position.get(),
                max_timestamp_before_ms: image.max_timestamp_before_ms.get(),
                max_timestamp_at: image.max_timestamp_at.get(),
            };
            if !index.may_follow(&entry) {
                return Err(DamagedIndex::Content);
            }
            index.entries.push(entry);
        }
        for image in aborted {
            let aborted = AbortedTransaction {
                first: Offset(image.first.get()),
                last: Offset(image.last.get()),
                producer: ProducerId(image.producer.get()),
            };
            if !index.may_follow_aborted(&aborted) {
                return Err(DamagedIndex::Content);
            }
            index.aborted.push(aborted);
        }
        index.is_consistent().then_some(index).ok_or(DamagedIndex::Content)
    }

    fn may_follow(&self, entry: &Entry) -> bool {
        let inside = entry.position < self.observed && self.absolute(entry.offset) < self.next;
        let Some(last) = self.entries.last() else {
            return inside && entry.position == 0;
        };
        inside
            && last.position < entry.position
            && last.offset < entry.offset
            && last.max_timestamp_before_ms <= entry.max_timestamp_before_ms
            && last.max_timestamp_at <= entry.max_timestamp_at
            && entry.max_timestamp_at < entry.offset
    }

    fn may_follow_aborted(&self, aborted: &AbortedTransaction) -> bool {
        (self.base..self.next).contains(&aborted.last)
            && aborted.first < aborted.last
            && self.aborted.last().is_none_or(|before| before.last < aborted.last)
    }

    fn is_consistent(&self) -> bool {
        let max_inside = self.max.is_none_or(|max| {
            max.timestamp_ms >= 0
                && (self.base..self.next).contains(&max.batch)
                && self.entries.last().is_some_and(|last| last.max_timestamp_before_ms <= max.timestamp_ms)
        });
        let lasts = self.entries.last().map_or(i64::MIN, |last| last.max_timestamp_before_ms);
        self.base.0 >= 0
            && self.next >= self.base
            && self.entries.is_empty() == (self.observed == 0)
            && (self.observed > 0 || self.next == self.base)
            && max_inside
            && (self.max.is_some() || lasts == i64::MIN)
    }
}
