//! What a broker checks before it believes a client's batch, as Kafka's LogValidator does, with its error codes.

use super::{
    compress::{self, Scratch, decompressed_bytes_max, fault_of},
    header::{
        Batch, BatchFault, BatchHeader, Codec, HEADER_BYTES, NO_TIMESTAMP, ProducerBatch, TimestampType, seal,
    },
    walk::{RecordFacts, WalkFault, walk},
};
use crate::error::ErrorCode;
use bytes::Bytes;
use std::ops::ControlFlow;

/// Errors of single records that are reported for one batch (KIP-467). Each costs a sentence in the response while a
/// record may be 7 bytes; a client marks the others as rejected for the company they kept.
pub const RECORD_ERRORS_MAX: usize = 100;

/// The first Produce version whose clients know zstd (KIP-110).
const ZSTD_SINCE_PRODUCE: i16 = 7;

/// What a topic demands of its batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceRules {
    /// `max.message.bytes`: of a whole batch.
    pub message_bytes_max: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a record's timestamp may lie behind the broker's clock.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far it may lie ahead.
    pub timestamp_after_max_ms: i64,
    /// Whether `cleanup.policy` has `compact`: then every record needs a key.
    pub compacted: bool,
    /// `compression.type`: the codec that batches are stored with, or none to keep the producer's.
    pub compression: Option<Codec>,
    /// The version of the Produce request.
    pub produce_version: i16,
}

/// A batch that may be appended.
#[derive(Clone, Debug)]
pub struct Validated {
    /// The batch: a slice of what came in, or a copy where the rules demanded a change
    /// (LogAppendTime, another codec, a max timestamp that is not the records').
    pub batch: Bytes,
    /// What is known of it.
    pub facts: BatchFacts,
}

/// What is known of a batch that has been gone over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchFacts {
    /// How many records, at least 1. The last one's offset delta is one less.
    pub record_count: i32,
    /// The latest timestamp, in Unix milliseconds, or [`NO_TIMESTAMP`].
    pub max_timestamp_ms: i64,
    /// Offset delta of the first record that has it.
    pub max_timestamp_at: i32,
    /// The broker's time that was set, under LogAppendTime: for the response.
    pub append_time_ms: Option<i64>,
    /// What idempotence needs to know.
    pub producer: Option<ProducerBatch>,
}

/// Why a client's batch is not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Kafka's code for the partition.
    pub code: ErrorCode,
    /// What is wrong, for the response's error message.
    pub message: String,
    /// Which records, if it is single ones.
    pub records: Vec<RecordError>,
}

/// What is wrong with one record (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Its place in the batch, from 0.
    pub index: i32,
    /// What is wrong.
    pub message: String,
}

impl Rejected {
    fn new(code: ErrorCode, message: impl Into<String>) -> Rejected {
        Rejected { code, message: message.into(), records: Vec::new() }
    }

    fn invalid(message: impl Into<String>) -> Rejected {
        Rejected::new(ErrorCode::InvalidRecord, message)
    }
}

/// Checks the payload of one partition in a Produce request of version 3 or later: exactly one v2 batch that keeps
/// `rules`. The result's offsets and leader epoch are still the client's; [`place`](super::header::place) sets them.
///
/// Codes: `INVALID_RECORD` for what is malformed or not a client's to send, `CORRUPT_MESSAGE` where bytes were
/// damaged on their way (length, checksum: sending again may help), `MESSAGE_TOO_LARGE`,
/// `UNSUPPORTED_COMPRESSION_TYPE`, `INVALID_TIMESTAMP`.
///
/// Copies nothing and allocates nothing per record on the ordinary path.
pub fn validate(
    records: &Bytes,
    rules: &ProduceRules,
    now_unix_ms: i64,
    scratch: &mut Scratch,
) -> Result<Validated, Rejected> {
    let batch = only_batch(records, rules.produce_version)?;
    check_size(batch.bytes().len(), rules)?;
    let codec = check_header(&batch, rules)?;
    let seen = check_records(&batch, rules, now_unix_ms, scratch)?;

    let header = batch.header();
    let append_time_ms = (rules.timestamp_type == TimestampType::LogAppendTime).then_some(now_unix_ms);
    let facts = BatchFacts {
        record_count: header.record_count(),
        max_timestamp_ms: append_time_ms.unwrap_or(seen.max_timestamp_ms),
        max_timestamp_at: if append_time_ms.is_some() { 0 } else { seen.max_timestamp_at },
        append_time_ms,
        producer: header.producer(),
    };
    let target = rules.compression.unwrap_or(codec);
    let unchanged =
        target == codec && append_time_ms.is_none() && header.max_timestamp_ms() == facts.max_timestamp_ms;
    let batch = if unchanged {
        records.clone()
    } else {
        let changed = rewrite(&batch, codec, target, rules.timestamp_type, facts.max_timestamp_ms, scratch)?;
        check_size(changed.len(), rules)?;
        changed
    };
    Ok(Validated { batch, facts })
}

fn only_batch(records: &[u8], version: i16) -> Result<Batch<'_>, Rejected> {
    if records.is_empty() {
        return Err(Rejected::invalid(format!(
            "Produce requests with version {version} must have exactly one record batch per partition"
        )));
    }
    let (batch, rest) = Batch::split_from(records).map_err(|fault| match fault {
        BatchFault::Magic(magic) => Rejected::invalid(format!(
            "Produce requests with version {version} are only allowed to contain record batches with magic \
             version 2, not {magic}"
        )),
        BatchFault::Truncated { .. } | BatchFault::Length(_) => {
            Rejected::new(ErrorCode::CorruptMessage, fault.to_string())
        }
    })?;
    if !rest.is_empty() {
        return Err(Rejected::invalid(format!(
            "Produce requests with version {version} are only allowed to contain exactly one record batch per \
             partition ({} bytes follow the first)",
            rest.len()
        )));
    }
    Ok(batch)
}

fn check_size(bytes: usize, rules: &ProduceRules) -> Result<(), Rejected> {
    if bytes > rules.message_bytes_max {
        return Err(Rejected::new(
            ErrorCode::MessageTooLarge,
            format!(
                "The record batch is {bytes} bytes, which exceeds the maximum configured value of {}",
                rules.message_bytes_max
            ),
        ));
    }
    Ok(())
}

fn check_header(batch: &Batch<'_>, rules: &ProduceRules) -> Result<Codec, Rejected> {
    let header = batch.header();
    let computed = batch.computed_crc();
    if header.crc() != computed {
        return Err(Rejected::new(
            ErrorCode::CorruptMessage,
            format!("Record batch is corrupt (stored crc = {}, computed crc = {computed})", header.crc()),
        ));
    }
    let codec = header.codec().map_err(|number| {
        Rejected::new(ErrorCode::UnsupportedCompressionType, format!("Unknown compression type id {number}"))
    })?;
    if codec == Codec::Zstd && rules.produce_version < ZSTD_SINCE_PRODUCE {
        return Err(Rejected::new(
            ErrorCode::UnsupportedCompressionType,
            format!(
                "Produce requests with version {} are not allowed to use ZStandard compression",
                rules.produce_version
            ),
        ));
    }
    if header.base_offset().0 != 0 {
        return Err(Rejected::invalid(format!(
            "The base offset of the record batch should be 0, but it is {}",
            header.base_offset()
        )));
    }
    if header.is_control() {
        return Err(Rejected::invalid("Clients are not allowed to write control records"));
    }
    if header.has_delete_horizon() {
        return Err(Rejected::invalid("Clients are not allowed to set a delete horizon"));
    }
    check_counts(header)?;
    check_producer(header)?;
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Rejected::new(
            ErrorCode::InvalidTimestamp,
            "Invalid timestamp type: a producer should not set the timestamp type to LogAppendTime",
        ));
    }
    Ok(codec)
}

fn check_counts(header: &BatchHeader) -> Result<(), Rejected> {
    let (count, last) = (header.record_count(), header.last_offset_delta());
    if count <= 0 {
        return Err(Rejected::invalid(format!("Invalid reported count for record batch: {count}")));
    }
    if last != count - 1 {
        return Err(Rejected::invalid(format!(
            "Inconsistent batch offset range [0, {last}] and count of records {count}"
        )));
    }
    Ok(())
}

fn check_producer(header: &BatchHeader) -> Result<(), Rejected> {
    let (id, epoch, sequence) = (header.producer_id(), header.producer_epoch(), header.base_sequence());
    let Some(_) = header.producer() else {
        if id.0 != super::header::NO_PRODUCER_ID {
            return Err(Rejected::invalid(format!("Invalid producer id {}", id.0)));
        }
        if header.is_transactional() {
            return Err(Rejected::invalid("Transactional record batch without a producer id"));
        }
        return Ok(());
    };
    if sequence < 0 {
        return Err(Rejected::invalid(format!(
            "Invalid sequence number {sequence} in record batch with producerId {}",
            id.0
        )));
    }
    if epoch.0 < 0 {
        return Err(Rejected::invalid(format!(
            "Invalid epoch {} in record batch with producerId {}",
            epoch.0, id.0
        )));
    }
    Ok(())
}

/// What going over the records showed.
struct Seen {
    max_timestamp_ms: i64,
    max_timestamp_at: i32,
}

fn check_records(
    batch: &Batch<'_>,
    rules: &ProduceRules,
    now_unix_ms: i64,
    scratch: &mut Scratch,
) -> Result<Seen, Rejected> {
    let mut seen = Seen { max_timestamp_ms: NO_TIMESTAMP, max_timestamp_at: 0 };
    let mut faults = RecordFaults::default();
    walk(batch, scratch, |record| {
        faults.check(&record, rules, now_unix_ms);
        if record.timestamp_ms > seen.max_timestamp_ms {
            seen = Seen { max_timestamp_ms: record.timestamp_ms, max_timestamp_at: record.offset_delta };
        }
        ControlFlow::Continue(())
    })
    .map_err(|fault| match fault {
        WalkFault::Codec(_) => Rejected::new(ErrorCode::UnsupportedCompressionType, fault.to_string()),
        WalkFault::Decompress(_) | WalkFault::Record { .. } | WalkFault::Excess(_) => {
            Rejected::invalid(fault.to_string())
        }
    })?;
    faults.into_result().map(|()| seen)
}

/// Errors of single records, collected: the client learns of all at once, up to a bound.
#[derive(Default)]
struct RecordFaults {
    count: usize,
    any_timestamp: bool,
    shown: Vec<RecordError>,
}

impl RecordFaults {
    fn check(&mut self, record: &RecordFacts, rules: &ProduceRules, now_unix_ms: i64) {
        if record.offset_delta != record.index {
            self.add(record.index, || {
                format!("Record has offset delta {} where {} was expected", record.offset_delta, record.index)
            });
        } else if rules.compacted && !record.has_key {
            self.add(record.index, || "Compacted topic cannot accept message without key".to_owned());
        } else if rules.timestamp_type == TimestampType::CreateTime && record.timestamp_ms != NO_TIMESTAMP {
            let (before, after) = (rules.timestamp_before_max_ms, rules.timestamp_after_max_ms);
            let age_ms = now_unix_ms.saturating_sub(record.timestamp_ms);
            if age_ms > before || age_ms.saturating_neg() > after {
                self.any_timestamp = true;
                self.add(record.index, || {
                    let (from, to) = (now_unix_ms.saturating_sub(before), now_unix_ms.saturating_add(after));
                    let timestamp_ms = record.timestamp_ms;
                    format!("Timestamp {timestamp_ms} is out of range, it should be within [{from}, {to}]")
                });
            }
        }
    }

    fn add(&mut self, index: i32, message: impl FnOnce() -> String) {
        self.count += 1;
        if self.shown.len() < RECORD_ERRORS_MAX {
            self.shown.push(RecordError { index, message: message() });
        }
    }

    fn into_result(self) -> Result<(), Rejected> {
        if self.count == 0 {
            return Ok(());
        }
        let (code, message) = if self.any_timestamp {
            let message = "One or more records have been rejected due to invalid timestamp".to_owned();
            (ErrorCode::InvalidTimestamp, message)
        } else {
            let message = format!(
                "One or more records have been rejected due to {} record errors in total, the first: {}",
                self.count, self.shown[0].message
            );
            (ErrorCode::InvalidRecord, message)
        };
        Err(Rejected { code, message, records: self.shown })
    }
}

/// A copy of `batch` with another codec or timestamp, sealed again.
fn rewrite(
    batch: &Batch<'_>,
    from: Codec,
    to: Codec,
    timestamp_type: TimestampType,
    max_timestamp_ms: i64,
    scratch: &mut Scratch,
) -> Result<Bytes, Rejected> {
    let mut copy = batch.bytes().to_vec();
    if from != to {
        copy.truncate(HEADER_BYTES);
        let bound = decompressed_bytes_max(batch.body().len());
        let faulty = |fault: compress::DecompressFault| Rejected::invalid(fault.to_string());
        let mut plain = scratch.decompress(from, batch.body(), bound).map_err(faulty)?;
        compress::compress(to, &mut plain, &mut copy).map_err(|error| faulty(fault_of(error, from)))?;
    }
    // The size is compared with the topic's limit afterwards, but the length field holds 31 bits.
    if i32::try_from(copy.len()).is_err() {
        return Err(Rejected::new(
            ErrorCode::MessageTooLarge,
            format!("The record batch would be {} bytes as {}", copy.len(), to.name()),
        ));
    }
    let header = BatchHeader::view_mut(&mut copy).expect("a copy of a whole batch");
    header.set_codec(to);
    header.set_max_timestamp_ms(timestamp_type, max_timestamp_ms);
    seal(&mut copy);
    Ok(Bytes::from(copy))
}

#[cfg(test)]
mod tests;
