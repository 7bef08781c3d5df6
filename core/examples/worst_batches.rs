//! How long the batches take that cost most to validate of all that are legal: what one request may keep a shard
//! busy for. `cargo run --release --package corelane-core --example worst_batches`

// A measurement has a clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use corelane_core::records::{
    BatchBuilder, Codec, NewRecord, ProduceRules, Scratch, TimestampType, compress::decompressed_bytes_max,
    header::HEADER_BYTES, validate,
};
use std::time::Instant;

const NOW_MS: i64 = 1_700_000_000_000;
const RULES: ProduceRules = ProduceRules {
    message_bytes_max: usize::MAX,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: 3_600_000,
    compacted: false,
    compression: None,
    produce_version: 9,
};

fn main() {
    let bound = decompressed_bytes_max(1);
    let headers = vec![(&b""[..], None); bound / 2 - 64];
    let headers_with_keys = vec![(&b"k"[..], None); bound / 3 - 64];
    for (what, value, headers) in [
        ("one large record", vec![0; bound - 128], &[][..]),
        ("the smallest records", Vec::new(), &[][..]),
        ("the smallest headers", Vec::new(), &headers[..]),
        ("headers with keys of one byte", Vec::new(), &headers_with_keys[..]),
    ] {
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            measure(
                what,
                bound,
                codec,
                &NewRecord { timestamp_ms: NOW_MS, value: Some(&value), headers, ..NewRecord::default() },
            );
        }
    }
}

/// A batch of as many copies of a record as the bound on what a batch decompresses to allows.
fn measure(what: &str, bound: usize, codec: Codec, record: &NewRecord<'_>) {
    let mut builder = BatchBuilder::new().codec(codec);
    let record_bytes = record.value.map_or(0, <[u8]>::len) + 2 * record.headers.len() + 16;
    while builder.is_empty() || builder.bytes() + record_bytes < bound {
        builder.push(*record);
    }
    let batch = builder.build();
    let mut scratch = Scratch::new();
    let began = Instant::now();
    validate(&batch, &RULES, NOW_MS, &mut scratch).expect("it is legal");
    let took = began.elapsed();
    let began = Instant::now();
    let mut reader = scratch.decompress(codec, &batch[HEADER_BYTES..], bound).expect("opens");
    std::io::copy(&mut reader, &mut std::io::sink()).expect("decompresses");
    let decompressing = began.elapsed();
    println!(
        "{what}, {}: {} records, {} bytes, {} ms, of which decompressing {} ms",
        codec.name(),
        builder.len(),
        batch.len(),
        took.as_millis(),
        decompressing.as_millis()
    );
}
