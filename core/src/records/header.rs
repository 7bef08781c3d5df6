//! The 61 bytes before the records of a v2 batch, read and patched in place.

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use std::fmt;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::big_endian::{I16, I32, I64, U32},
};

/// Bytes of a batch before its first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes of a batch that its length field does not count: base offset and the length itself.
pub const LENGTH_PREFIX_BYTES: usize = 12;
/// Where the checksummed part begins: at the attributes. Base offset and leader epoch lie before it, so that a broker
/// may set them without touching the checksum.
pub const CRC_STARTS_AT: usize = 21;
/// Where the magic is, in this format and in those before it.
const MAGIC_AT: usize = 16;
/// The only record format served since Kafka 4.0 dropped down-conversion.
pub const MAGIC_V2: i8 = 2;
/// "No timestamp" of a record or batch.
pub const NO_TIMESTAMP: i64 = -1;
/// A batch of an idempotent producer that stands outside of its sequences: markers, and what coordinators append in a
/// producer's name.
pub const NO_SEQUENCE: i32 = -1;
/// "No producer id" of a batch that is not idempotent.
pub const NO_PRODUCER_ID: i64 = -1;

const CODEC_MASK: i16 = 0b111;
const TIMESTAMP_TYPE_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;
const DELETE_HORIZON_BIT: i16 = 1 << 6;

/// How the records of a batch are compressed (attributes, bits 0 to 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// RFC 1952, members may follow each other.
    Gzip,
    /// Snappy, bare or in snappy-java's framing.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// Zstandard frames (KIP-110).
    Zstd,
}

impl Codec {
    /// All of them, in the order of their numbers.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The codec of a number in the attributes, if Kafka knows it.
    pub fn from_number(number: i16) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.number() == number)
    }

    /// The number in the attributes.
    pub const fn number(self) -> i16 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// Kafka's name, as in `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::None => "uncompressed",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

/// Whose clock a batch's timestamps are of (attributes, bit 3; `message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Each record's own, set by its producer.
    CreateTime,
    /// The broker's at append, the same for all records: the batch's max timestamp.
    LogAppendTime,
}

/// The header of a v2 batch as it stands in memory, big-endian and unaligned. A view proves only that 61 bytes are
/// there; [`Batch`] proves the rest of what it claims.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BatchHeader {
    base_offset: I64,
    length: I32,
    leader_epoch: I32,
    magic: i8,
    crc: U32,
    attributes: I16,
    last_offset_delta: I32,
    base_timestamp: I64,
    max_timestamp: I64,
    producer_id: I64,
    producer_epoch: I16,
    base_sequence: I32,
    record_count: I32,
}

const _: () = assert!(size_of::<BatchHeader>() == HEADER_BYTES);

impl BatchHeader {
    /// The header at the start of `bytes`, if 61 are there. Nothing it says has been checked.
    pub fn view(bytes: &[u8]) -> Option<&BatchHeader> {
        BatchHeader::ref_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    /// The same, to be patched.
    pub fn view_mut(bytes: &mut [u8]) -> Option<&mut BatchHeader> {
        BatchHeader::mut_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    /// Offset of the first record (before compaction).
    pub fn base_offset(&self) -> Offset {
        Offset(self.base_offset.get())
    }

    /// The length field: the bytes behind it. As it stands, thus possibly negative.
    pub fn length(&self) -> i32 {
        self.length.get()
    }

    /// Bytes of the whole batch by its length field, or none if that is less than a header.
    pub fn total_bytes(&self) -> Option<usize> {
        let total = usize::try_from(self.length.get()).ok()?.checked_add(LENGTH_PREFIX_BYTES)?;
        (total >= HEADER_BYTES).then_some(total)
    }

    /// Epoch of the leader that appended the batch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.get())
    }

    /// The format; 2 for everything this module understands.
    pub fn magic(&self) -> i8 {
        self.magic
    }

    /// The stored checksum (CRC32C from the attributes to the end).
    pub fn crc(&self) -> u32 {
        self.crc.get()
    }

    /// All attribute bits.
    pub fn attributes(&self) -> i16 {
        self.attributes.get()
    }

    /// The codec, or the unknown number in its place.
    pub fn codec(&self) -> Result<Codec, i16> {
        let number = self.attributes.get() & CODEC_MASK;
        Codec::from_number(number).ok_or(number)
    }

    /// Whose clock the timestamps are of.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes.get() & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes.get() & TRANSACTIONAL_BIT != 0
    }

    /// Whether the records are markers for the broker and never shown to an application.
    pub fn is_control(&self) -> bool {
        self.attributes.get() & CONTROL_BIT != 0
    }

    /// Whether the base timestamp is a time after which tombstones may go (KIP-534); only a cleaner sets it.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes.get() & DELETE_HORIZON_BIT != 0
    }

    /// The time from which on the tombstones of this batch may go, in Unix milliseconds, once a cleaner passed them.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.has_delete_horizon().then(|| self.base_timestamp_ms())
    }

    /// Offset of the last record, less the base offset.
    pub fn last_offset_delta(&self) -> i32 {
        self.last_offset_delta.get()
    }

    /// Offset of the last record. Saturates, because the fields may hold anything.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.get().saturating_add(i64::from(self.last_offset_delta.get())))
    }

    /// The offset behind the last record. Saturates like [`last_offset`](Self::last_offset).
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// What the records' timestamp deltas count from, in Unix milliseconds.
    pub fn base_timestamp_ms(&self) -> i64 {
        self.base_timestamp.get()
    }

    /// The latest timestamp of the records, in Unix milliseconds; the append time under
    /// [`TimestampType::LogAppendTime`].
    pub fn max_timestamp_ms(&self) -> i64 {
        self.max_timestamp.get()
    }

    /// The producer id field; [`NO_PRODUCER_ID`] without idempotence.
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(self.producer_id.get())
    }

    /// The producer epoch field.
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(self.producer_epoch.get())
    }

    /// Sequence of the first record.
    pub fn base_sequence(&self) -> i32 {
        self.base_sequence.get()
    }

    /// The record count field. As it stands, thus possibly negative or a lie.
    pub fn record_count(&self) -> i32 {
        self.record_count.get()
    }

    /// What idempotence needs to know, or none if no producer id is set.
    pub fn producer(&self) -> Option<ProducerBatch> {
        (self.producer_id.get() > NO_PRODUCER_ID).then(|| ProducerBatch {
            id: self.producer_id(),
            epoch: self.producer_epoch(),
            base_sequence: self.base_sequence(),
            last_sequence: sequence_plus(self.base_sequence(), self.last_offset_delta()),
            transactional: self.is_transactional(),
        })
    }

    /// Sets where the batch begins in its log. Outside the checksum.
    pub fn set_base_offset(&mut self, offset: Offset) {
        self.base_offset.set(offset.0);
    }

    /// Sets who appended the batch. Outside the checksum.
    pub fn set_leader_epoch(&mut self, epoch: LeaderEpoch) {
        self.leader_epoch.set(epoch.0);
    }

    pub(super) fn set_length(&mut self, length: i32) {
        self.length.set(length);
    }

    pub(super) fn set_crc(&mut self, crc: u32) {
        self.crc.set(crc);
    }

    pub(super) fn set_max_timestamp_ms(&mut self, kind: TimestampType, timestamp_ms: i64) {
        let rest = self.attributes.get() & !TIMESTAMP_TYPE_BIT;
        let bit = match kind {
            TimestampType::CreateTime => 0,
            TimestampType::LogAppendTime => TIMESTAMP_TYPE_BIT,
        };
        self.attributes.set(rest | bit);
        self.max_timestamp.set(timestamp_ms);
    }

    pub(super) fn set_codec(&mut self, codec: Codec) {
        self.attributes.set((self.attributes.get() & !CODEC_MASK) | codec.number());
    }

    pub(super) fn set_record_count(&mut self, count: i32) {
        self.record_count.set(count);
    }

    /// Makes the base timestamp a delete horizon: timestamp deltas count from it, too.
    pub(super) fn set_delete_horizon_ms(&mut self, horizon_ms: i64) {
        self.attributes.set(self.attributes.get() | DELETE_HORIZON_BIT);
        self.base_timestamp.set(horizon_ms);
    }

    /// Of a batch that has no records any more: neither codec nor horizon, and no base timestamp.
    pub(super) fn set_emptied(&mut self) {
        self.attributes.set(self.attributes.get() & !(CODEC_MASK | DELETE_HORIZON_BIT));
        self.base_timestamp.set(NO_TIMESTAMP);
        self.record_count.set(0);
    }

    /// A header from its values; length and checksum are still to be [sealed](seal).
    pub(super) fn from_parts(parts: &HeaderParts) -> BatchHeader {
        let mut attributes = parts.codec.number();
        for (set, bit) in [
            (parts.timestamp_type == TimestampType::LogAppendTime, TIMESTAMP_TYPE_BIT),
            (parts.transactional, TRANSACTIONAL_BIT),
            (parts.control, CONTROL_BIT),
        ] {
            if set {
                attributes |= bit;
            }
        }
        BatchHeader {
            base_offset: I64::new(parts.base_offset.0),
            length: I32::new(0),
            leader_epoch: I32::new(parts.leader_epoch.0),
            magic: MAGIC_V2,
            crc: U32::new(0),
            attributes: I16::new(attributes),
            last_offset_delta: I32::new(parts.last_offset_delta),
            base_timestamp: I64::new(parts.base_timestamp_ms),
            max_timestamp: I64::new(parts.max_timestamp_ms),
            producer_id: I64::new(parts.producer_id.0),
            producer_epoch: I16::new(parts.producer_epoch.0),
            base_sequence: I32::new(parts.base_sequence),
            record_count: I32::new(parts.record_count),
        }
    }
}

/// What a header is built from.
pub(super) struct HeaderParts {
    pub base_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub codec: Codec,
    pub timestamp_type: TimestampType,
    pub transactional: bool,
    pub control: bool,
    pub last_offset_delta: i32,
    pub base_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub record_count: i32,
}

/// Sets base offset and leader epoch of the batch at the start of `batch`, in place.
///
/// # Panics
/// When `batch` is shorter than a header: what is appended has been checked before.
pub fn place(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    let header = BatchHeader::view_mut(batch).expect("a checked batch is longer than its header");
    header.set_base_offset(base_offset);
    header.set_leader_epoch(leader_epoch);
}

/// Sets the length and the checksum of the batch that `batch` is, whole.
///
/// # Panics
/// When `batch` is shorter than a header or longer than an i32 counts.
pub(super) fn seal(batch: &mut [u8]) {
    let length = i32::try_from(batch.len() - LENGTH_PREFIX_BYTES).expect("a batch is shorter than 2 GiB");
    let crc = crc32c::crc32c(&batch[CRC_STARTS_AT..]);
    let header = BatchHeader::view_mut(batch).expect("a batch is longer than its header");
    header.set_length(length);
    header.set_crc(crc);
}

/// What the idempotence of a partition needs to know of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Who produced it.
    pub id: ProducerId,
    /// In which incarnation.
    pub epoch: ProducerEpoch,
    /// Sequence of the first record.
    pub base_sequence: i32,
    /// Sequence of the last record; smaller than the first when the sequence wrapped in between.
    pub last_sequence: i32,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
}

/// The sequence `delta` further on; behind `i32::MAX` comes 0, not a negative number (KIP-98). A negative `delta`
/// counts as 0.
pub fn sequence_plus(sequence: i32, delta: i32) -> i32 {
    let span = i64::from(i32::MAX) + 1;
    let sum = i64::from(sequence) + i64::from(delta.max(0));
    i32::try_from(if sum >= span { sum - span } else { sum }).expect("below 2^31 after one wrap")
}

/// One whole batch: the magic is 2 and the length field says exactly `bytes().len()`. Checksum and contents are
/// not checked ([`checksum_matches`](Self::checksum_matches)).
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Takes the batch at the start of `bytes` and gives what lies behind it.
    pub fn split_from(bytes: &'a [u8]) -> Result<(Batch<'a>, &'a [u8]), BatchFault> {
        // First the magic: it lies at the same place in every format, and older ones have shorter headers.
        if let Some(&magic) = bytes.get(MAGIC_AT)
            && magic.cast_signed() != MAGIC_V2
        {
            return Err(BatchFault::Magic(magic.cast_signed()));
        }
        let Some(header) = BatchHeader::view(bytes) else {
            return Err(BatchFault::Truncated { have: bytes.len(), need: HEADER_BYTES });
        };
        let Some(total) = header.total_bytes() else {
            return Err(BatchFault::Length(header.length()));
        };
        match bytes.split_at_checked(total) {
            Some((bytes, rest)) => Ok((Batch { bytes }, rest)),
            None => Err(BatchFault::Truncated { have: bytes.len(), need: total }),
        }
    }

    /// All its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its header.
    pub fn header(&self) -> &'a BatchHeader {
        BatchHeader::view(self.bytes).expect("checked when the batch was split off")
    }

    /// The records behind the header, compressed or not.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The checksum that the bytes have.
    pub fn computed_crc(&self) -> u32 {
        crc32c::crc32c(&self.bytes[CRC_STARTS_AT..])
    }

    /// Whether the bytes have the checksum that the header says.
    pub fn checksum_matches(&self) -> bool {
        self.header().crc() == self.computed_crc()
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header();
        write!(f, "Batch({}..={}, {} bytes)", header.base_offset(), header.last_offset(), self.bytes.len())
    }
}

/// Why bytes do not begin with a v2 batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchFault {
    /// Fewer bytes than the header or its length field demand.
    #[error("batch is truncated: {have} bytes of {need}")]
    Truncated {
        /// Bytes that are there.
        have: usize,
        /// Bytes that should be.
        need: usize,
    },
    /// A length field that is less than a header.
    #[error("batch length {0} is less than a v2 header's")]
    Length(i32),
    /// Another format than v2.
    #[error("batch magic is {0}, only 2 is known")]
    Magic(i8),
}

/// The batches of contiguous bytes, one after another. Ends behind the last whole batch, or with one error.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Batches<'a> {
    /// Over `bytes`, which begin with a batch.
    pub fn new(bytes: &'a [u8]) -> Batches<'a> {
        Batches { rest: bytes, position: 0 }
    }

    /// Bytes from the start to the next batch: after an error, how much was whole.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Batch::split_from(self.rest) {
            Ok((batch, rest)) => {
                self.position += batch.bytes().len();
                self.rest = rest;
                Some(Ok(batch))
            }
            Err(fault) => {
                self.rest = &[];
                Some(Err(fault))
            }
        }
    }
}

#[cfg(test)]
mod tests;
