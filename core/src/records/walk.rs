//! Goes over the records of a batch without keeping them: every length is checked against the record's own, and the
//! count against the body. Compressed batches stream through a window, and what lies whole in it goes by quickly.

use super::{
    compress::{DecompressFault, Scratch, decompressed_bytes_max, fault_of},
    header::{Batch, BatchHeader, Codec, TimestampType},
};
use std::{
    io::{self, BufRead},
    ops::ControlFlow,
};

mod window;

/// What is known of one record after it has been gone over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFacts {
    /// Its place in the batch, from 0.
    pub index: i32,
    /// Its offset, less the batch's base offset. Equal to the index until a cleaner removed records.
    pub offset_delta: i32,
    /// In Unix milliseconds: its own, or the batch's under LogAppendTime.
    pub timestamp_ms: i64,
    /// Whether its key is not null.
    pub has_key: bool,
}

/// Why the records of a batch cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkFault {
    /// The codec number in the attributes is unknown.
    #[error("unknown compression type id {0}")]
    Codec(i16),
    /// The compressed body.
    #[error(transparent)]
    Decompress(#[from] DecompressFault),
    /// A record.
    #[error("record {index} {what}")]
    Record {
        /// Its place in the batch, from 0.
        index: i32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Bytes are left behind the last record that the header counts.
    #[error("bytes are left behind the {0} records that the batch declares")]
    Excess(i32),
}

/// Goes over all records of `batch` (until `visit` breaks; then the rest is not looked at).
pub fn walk(
    batch: &Batch<'_>,
    scratch: &mut Scratch,
    visit: impl FnMut(RecordFacts) -> ControlFlow<()>,
) -> Result<(), WalkFault> {
    let header = batch.header();
    let body = batch.body();
    match header.codec().map_err(WalkFault::Codec)? {
        Codec::None => walk_plain(header, Codec::None, &mut { body }, visit),
        codec => {
            let mut reader = scratch.decompress(codec, body, decompressed_bytes_max(body.len()))?;
            walk_plain(header, codec, &mut reader, visit)
        }
    }
}

fn walk_plain(
    header: &BatchHeader,
    codec: Codec,
    reader: &mut impl BufRead,
    mut visit: impl FnMut(RecordFacts) -> ControlFlow<()>,
) -> Result<(), WalkFault> {
    let (count, base_timestamp_ms) = (header.record_count(), header.base_timestamp_ms());
    let mut index = 0;
    while index < count {
        let window = reader.fill_buf().map_err(|error| Stop::Io(error).at(index, codec))?;
        let mut at = 0;
        while index < count
            && let Some((bytes, mut facts)) = window::record(&window[at..], base_timestamp_ms)
        {
            facts.place(header, index);
            (at, index) = (at + bytes, index + 1);
            if visit(facts).is_break() {
                return Ok(());
            }
        }
        reader.consume(at);
        if index < count {
            let mut facts = walk_record(reader, base_timestamp_ms).map_err(|stop| stop.at(index, codec))?;
            facts.place(header, index);
            index += 1;
            if visit(facts).is_break() {
                return Ok(());
            }
        }
    }
    let rest = reader.fill_buf().map_err(|error| WalkFault::Decompress(fault_of(error, codec)))?;
    if rest.is_empty() { Ok(()) } else { Err(WalkFault::Excess(header.record_count())) }
}

enum Stop {
    Fault(&'static str),
    Io(io::Error),
}

impl Stop {
    fn at(self, index: i32, codec: Codec) -> WalkFault {
        match self {
            Stop::Fault(what) => WalkFault::Record { index, what },
            Stop::Io(error) => WalkFault::Decompress(fault_of(error, codec)),
        }
    }
}

impl RecordFacts {
    /// Sets what a record does not know of itself.
    fn place(&mut self, header: &BatchHeader, index: i32) {
        self.index = index;
        if header.timestamp_type() == TimestampType::LogAppendTime {
            self.timestamp_ms = header.max_timestamp_ms();
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Io(error)
    }
}

/// Byte by byte: a record that reaches beyond a window, or is wrong, and then this finds out in what.
fn walk_record(reader: &mut impl BufRead, base_timestamp_ms: i64) -> Result<RecordFacts, Stop> {
    // The length itself is not counted by the length: five bytes at most.
    let mut prefix = Reader { reader, left: 5 };
    let length = prefix.varint().map_err(|stop| match stop {
        Stop::Fault(_) => Stop::Fault("is missing: the batch declares more records than it holds"),
        Stop::Io(error) => Stop::Io(error),
    })?;
    let left = usize::try_from(length).map_err(|_| Stop::Fault("has a negative length"))?;
    let mut record = Reader { reader: prefix.reader, left };
    record.byte()?;
    let timestamp_delta = record.varlong()?;
    let offset_delta = record.varint()?;
    let timestamp_ms = base_timestamp_ms
        .checked_add(timestamp_delta)
        .ok_or(Stop::Fault("has a timestamp beyond what 64 bits hold"))?;
    let has_key = record.skip_nullable()?;
    record.skip_nullable()?;
    let headers = record.varint()?;
    match usize::try_from(headers) {
        // Each takes two bytes at least.
        Ok(headers) if headers <= record.left / 2 => record.skip_headers(headers)?,
        _ => return Err(Stop::Fault("has an impossible number of headers")),
    }
    if record.left > 0 {
        return Err(Stop::Fault("is shorter than its length says"));
    }
    Ok(RecordFacts { index: 0, offset_delta, timestamp_ms, has_key })
}

/// The parts of one record in memory.
pub(super) struct RecordParts<'a> {
    pub facts: RecordFacts,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub header_count: i32,
    pub headers: &'a [u8],
}

/// Takes the record with `index` from the start of `body`, uncompressed.
pub(super) fn split_record<'a>(
    header: &BatchHeader,
    index: i32,
    body: &mut &'a [u8],
) -> Result<RecordParts<'a>, WalkFault> {
    let whole = *body;
    let stopped = |stop: Stop| stop.at(index, Codec::None);
    let mut facts = walk_record(body, header.base_timestamp_ms()).map_err(stopped)?;
    facts.place(header, index);
    // Every length has been checked by now; what is left is to find the fields again.
    let mut record = &whole[..whole.len() - body.len()];
    let left = record.len();
    let mut reader = Reader { reader: &mut record, left };
    reader.varint().map_err(stopped)?;
    reader.byte().map_err(stopped)?;
    reader.varlong().map_err(stopped)?;
    reader.varint().map_err(stopped)?;
    let key = reader.take_nullable().map_err(stopped)?;
    let value = reader.take_nullable().map_err(stopped)?;
    let header_count = reader.varint().map_err(stopped)?;
    Ok(RecordParts { facts, key, value, header_count, headers: record })
}

/// Takes one header from the start of `headers`, or none where there is no whole one.
pub(super) fn next_header<'a>(headers: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let left = headers.len();
    let mut reader = Reader { reader: headers, left };
    let key = reader.take_nullable().ok()??;
    let value = reader.take_nullable().ok()?;
    Some((key, value))
}

/// Reads within one record.
struct Reader<'a, R> {
    reader: &'a mut R,
    left: usize,
}

const TOO_LONG: Stop = Stop::Fault("is longer than its length says");
const CUT_OFF: Stop = Stop::Fault("is cut off");

impl<R: BufRead> Reader<'_, R> {
    fn byte(&mut self) -> Result<u8, Stop> {
        self.left = self.left.checked_sub(1).ok_or(TOO_LONG)?;
        let byte = *self.reader.fill_buf()?.first().ok_or(CUT_OFF)?;
        self.reader.consume(1);
        Ok(byte)
    }

    fn varint(&mut self) -> Result<i32, Stop> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Stop::Fault("has a varint of more than 5 bytes"))
    }

    fn varlong(&mut self) -> Result<i64, Stop> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Stop::Fault("has a varlong of more than 10 bytes"))
    }

    /// By the window, because a record can be nothing but headers; the one that straddles its end byte by byte.
    fn skip_headers(&mut self, count: usize) -> Result<(), Stop> {
        let mut rest = count;
        while rest > 0 {
            if self.left > 0 {
                let window = self.reader.fill_buf()?;
                let within = &window[..window.len().min(self.left)];
                let (skipped, bytes) = window::headers(within, rest);
                self.reader.consume(bytes);
                self.left -= bytes;
                rest -= skipped;
            }
            if rest > 0 {
                if !self.skip_nullable()? {
                    return Err(Stop::Fault("has a header with a null key"));
                }
                self.skip_nullable()?;
                rest -= 1;
            }
        }
        Ok(())
    }

    /// Skips a field behind its length, and says whether it is there (-1: null).
    fn skip_nullable(&mut self) -> Result<bool, Stop> {
        let length = self.varint()?;
        if length == -1 {
            return Ok(false);
        }
        let length = usize::try_from(length).map_err(|_| Stop::Fault("has a field of negative length"))?;
        self.left = self.left.checked_sub(length).ok_or(TOO_LONG)?;
        let mut rest = length;
        while rest > 0 {
            let there = self.reader.fill_buf()?.len();
            if there == 0 {
                return Err(CUT_OFF);
            }
            let taken = there.min(rest);
            self.reader.consume(taken);
            rest -= taken;
        }
        Ok(true)
    }
}

impl<'a> Reader<'_, &'a [u8]> {
    /// The field behind its length, in memory.
    fn take_nullable(&mut self) -> Result<Option<&'a [u8]>, Stop> {
        let length = self.varint()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Stop::Fault("has a field of negative length"))?;
        self.left = self.left.checked_sub(length).ok_or(TOO_LONG)?;
        let (field, rest) = self.reader.split_at_checked(length).ok_or(CUT_OFF)?;
        *self.reader = rest;
        Ok(Some(field))
    }
}

#[cfg(test)]
mod tests;
