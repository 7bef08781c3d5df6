//! Everything that reads record batches, on arbitrary bytes: once as they are, and once with length and checksum made
//! to fit, so that what lies behind the checksum is reached.

use bytes::Bytes;
use corelane_core::{
    ids::Offset,
    log::timestamp::{first_at_or_after, latest},
    records::{
        Batch, Batches, DecodedBatch, ProduceRules, Scratch, TimestampType,
        header::{CRC_STARTS_AT, HEADER_BYTES, LENGTH_PREFIX_BYTES, MAGIC_V2},
        validate,
    },
};

const NOW_MS: i64 = 1_700_000_000_000;

/// One input.
pub fn exercise(data: &[u8]) {
    let mut scratch = Scratch::new();
    read(data, &mut scratch);
    if let Some(sealed) = seal(data) {
        read(&sealed, &mut scratch);
    }
}

fn read(bytes: &[u8], scratch: &mut Scratch) {
    let rules = ProduceRules {
        message_bytes_max: 1024 * 1024,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compacted: false,
        compression: None,
        produce_version: 9,
    };
    if let Ok(valid) = validate(&Bytes::copy_from_slice(bytes), &rules, NOW_MS, scratch) {
        // What was accepted can be read again, all of it.
        let (batch, rest) = Batch::split_from(&valid.batch).expect("validated");
        assert!(rest.is_empty() && batch.checksum_matches());
        let decoded = DecodedBatch::new(batch, scratch).expect("validated");
        let read = decoded.records().inspect(|record| assert!(record.is_ok(), "validated")).count();
        assert_eq!(i32::try_from(read), Ok(valid.facts.record_count));
    }
    for batch in Batches::new(bytes).flatten() {
        let _ = first_at_or_after(&batch, NOW_MS, Offset::ZERO, scratch);
        let _ = latest(&batch, scratch);
        if let Ok(decoded) = DecodedBatch::new(batch, scratch) {
            for record in decoded.records().flatten() {
                let _ = record.headers.count();
            }
        }
    }
}

fn seal(data: &[u8]) -> Option<Vec<u8>> {
    if data.len() < HEADER_BYTES {
        return None;
    }
    let mut bytes = data.to_vec();
    let length = i32::try_from(bytes.len() - LENGTH_PREFIX_BYTES).ok()?;
    bytes[..8].fill(0);
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = MAGIC_V2.to_be_bytes()[0];
    let crc = crc32c::crc32c(&bytes[CRC_STARTS_AT..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Some(bytes)
}
