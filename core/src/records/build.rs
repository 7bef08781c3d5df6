//! Makes batches: for the broker's own records, the load generator and tests. Never for a client's.

use super::{
    compress,
    header::{
        BatchHeader, Codec, HEADER_BYTES, HeaderParts, NO_PRODUCER_ID, NO_TIMESTAMP, TimestampType, seal,
    },
};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use bytes::Bytes;
use zerocopy::IntoBytes;

/// One record to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// In Unix milliseconds, or [`NO_TIMESTAMP`].
    pub timestamp_ms: i64,
    /// Its key, or null.
    pub key: Option<&'a [u8]>,
    /// Its value, or null (a tombstone).
    pub value: Option<&'a [u8]>,
    /// Its headers, in this order; keys may repeat.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Collects records into one v2 batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    codec: Codec,
    timestamp_type: TimestampType,
    producer: Option<(ProducerId, ProducerEpoch, i32)>,
    transactional: bool,
    control: bool,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    count: i32,
    body: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder::new()
    }
}

impl BatchBuilder {
    /// An empty batch as a client would send it: base offset 0, leader epoch unknown, uncompressed, CreateTime, no
    /// producer.
    pub fn new() -> BatchBuilder {
        BatchBuilder {
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::UNKNOWN,
            codec: Codec::None,
            timestamp_type: TimestampType::CreateTime,
            producer: None,
            transactional: false,
            control: false,
            base_timestamp_ms: NO_TIMESTAMP,
            max_timestamp_ms: NO_TIMESTAMP,
            count: 0,
            body: Vec::new(),
        }
    }

    /// Begins at `offset`.
    pub fn base_offset(mut self, offset: Offset) -> Self {
        self.base_offset = offset;
        self
    }

    /// Appended by the leader of `epoch`.
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.leader_epoch = epoch;
        self
    }

    /// Compressed with `codec`.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// With timestamps of `kind`.
    pub fn timestamp_type(mut self, kind: TimestampType) -> Self {
        self.timestamp_type = kind;
        self
    }

    /// Idempotent: the first record has `base_sequence`.
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.producer = Some((id, epoch, base_sequence));
        self
    }

    /// Part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Made of markers for the broker.
    pub fn control(mut self) -> Self {
        self.control = true;
        self
    }

    /// Adds a record.
    ///
    /// # Panics
    /// When a field or the whole is longer than an i32 counts: the caller bounds its batches far below.
    pub fn push(&mut self, record: NewRecord<'_>) -> &mut Self {
        if self.count == 0 {
            self.base_timestamp_ms = record.timestamp_ms;
        }
        self.max_timestamp_ms = self.max_timestamp_ms.max(record.timestamp_ms);
        let mut bytes = vec![0]; // attributes, of which none is defined
        put_varlong(&mut bytes, record.timestamp_ms.wrapping_sub(self.base_timestamp_ms));
        put_varint(&mut bytes, self.count);
        put_nullable(&mut bytes, record.key);
        put_nullable(&mut bytes, record.value);
        put_length(&mut bytes, record.headers.len());
        for (key, value) in record.headers {
            put_nullable(&mut bytes, Some(key));
            put_nullable(&mut bytes, *value);
        }
        put_length(&mut self.body, bytes.len());
        self.body.extend_from_slice(&bytes);
        self.count += 1;
        self
    }

    /// Records so far.
    pub fn len(&self) -> i32 {
        self.count
    }

    /// Whether there are none so far.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch so far, before compression.
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// The batch, sealed.
    pub fn build(&self) -> Bytes {
        let (id, epoch, base_sequence) =
            self.producer.unwrap_or((ProducerId(NO_PRODUCER_ID), ProducerEpoch(-1), -1));
        let header = BatchHeader::from_parts(&HeaderParts {
            base_offset: self.base_offset,
            leader_epoch: self.leader_epoch,
            codec: self.codec,
            timestamp_type: self.timestamp_type,
            transactional: self.transactional,
            control: self.control,
            last_offset_delta: self.count - 1,
            base_timestamp_ms: self.base_timestamp_ms,
            max_timestamp_ms: self.max_timestamp_ms,
            producer_id: id,
            producer_epoch: epoch,
            base_sequence,
            record_count: self.count,
        });
        let mut out = Vec::with_capacity(self.bytes());
        out.extend_from_slice(header.as_bytes());
        compress::compress(self.codec, &mut &self.body[..], &mut out).expect("memory to memory");
        seal(&mut out);
        Bytes::from(out)
    }
}

fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_varlong(out, i64::from(value));
}

pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.push(zigzag.to_le_bytes()[0] | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag.to_le_bytes()[0]);
}

pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    put_varint(out, i32::try_from(length).expect("fields are shorter than 2 GiB"));
}

fn put_nullable(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(field) => {
            put_length(out, field.len());
            out.extend_from_slice(field);
        }
        None => put_varint(out, -1),
    }
}
