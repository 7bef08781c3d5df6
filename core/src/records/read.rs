//! The records of a batch, decoded one by one: for lookups, tools and tests. Keys, values and headers are raw slices in
//! their order, repeated header keys included.

use super::{
    compress::{DecompressFault, Scratch, decompressed_bytes_max, fault_of},
    header::{Batch, BatchHeader, Codec},
    walk::{RecordParts, WalkFault, next_header, split_record},
};
use crate::ids::Offset;
use std::{borrow::Cow, io::Read};

/// The records of one batch, decompressed if they were compressed.
#[derive(Clone, Debug)]
pub struct DecodedBatch<'a> {
    header: &'a BatchHeader,
    body: Cow<'a, [u8]>,
}

/// One record, as slices of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the log.
    pub offset: Offset,
    /// In Unix milliseconds: its own, or the batch's under LogAppendTime.
    pub timestamp_ms: i64,
    /// Its key, or null.
    pub key: Option<&'a [u8]>,
    /// Its value, or null.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

impl<'a> DecodedBatch<'a> {
    /// Decompresses if need be; the records are not looked at yet. Holds at most [`decompressed_bytes_max`] of
    /// memory, and none for an uncompressed batch.
    pub fn new(batch: Batch<'a>, scratch: &mut Scratch) -> Result<DecodedBatch<'a>, WalkFault> {
        DecodedBatch::within(batch, usize::MAX, scratch)
    }

    /// The same, for a batch that decompresses to at most `bytes_max`.
    pub fn within(
        batch: Batch<'a>,
        bytes_max: usize,
        scratch: &mut Scratch,
    ) -> Result<DecodedBatch<'a>, WalkFault> {
        let header = batch.header();
        let bound = decompressed_bytes_max(batch.body().len()).min(bytes_max);
        let body = match header.codec().map_err(WalkFault::Codec)? {
            Codec::None => Cow::Borrowed(batch.body()),
            codec => Cow::Owned(decompress(codec, batch.body(), bound, scratch)?),
        };
        Ok(DecodedBatch { header, body })
    }

    /// The batch's header.
    pub(super) fn header(&self) -> &'a BatchHeader {
        self.header
    }

    /// The records' bytes, decompressed.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// How many bytes the records are, decompressed.
    pub fn records_bytes(&self) -> usize {
        self.body.len()
    }

    /// Its records. After an error there are no more.
    pub fn records(&self) -> Records<'_> {
        Records { header: self.header, rest: &self.body, index: 0 }
    }
}

fn decompress(
    codec: Codec,
    body: &[u8],
    bound: usize,
    scratch: &mut Scratch,
) -> Result<Vec<u8>, DecompressFault> {
    let mut reader = scratch.decompress(codec, body, bound)?;
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).map_err(|error| fault_of(error, codec))?;
    Ok(plain)
}

/// See [`DecodedBatch::records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    header: &'a BatchHeader,
    rest: &'a [u8],
    index: i32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, WalkFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.header.record_count();
        if self.index >= count {
            let excess = !std::mem::take(&mut self.rest).is_empty();
            return excess.then_some(Err(WalkFault::Excess(count)));
        }
        let parsed = split_record(self.header, self.index, &mut self.rest);
        match parsed {
            Ok(_) => self.index += 1,
            Err(_) => (self.index, self.rest) = (count, &[]),
        }
        Some(parsed.map(|parts| Record::of(self.header, &parts)))
    }
}

impl<'a> Record<'a> {
    /// From the parts of a record in the batch with this header.
    pub(super) fn of(header: &BatchHeader, parts: &RecordParts<'a>) -> Record<'a> {
        Record {
            offset: Offset(header.base_offset().0.saturating_add(i64::from(parts.facts.offset_delta))),
            timestamp_ms: parts.facts.timestamp_ms,
            key: parts.key,
            value: parts.value,
            headers: Headers { left: parts.header_count, rest: parts.headers },
        }
    }
}

/// One header of a record: a key (any bytes; Kafka's clients write UTF-8) and a value, or null.
pub type RecordHeader<'a> = (&'a [u8], Option<&'a [u8]>);

/// The headers of one record, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    left: i32,
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = RecordHeader<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        // They were checked with their record.
        next_header(&mut self.rest)
    }
}

#[cfg(test)]
mod tests;
