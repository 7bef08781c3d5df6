use super::*;
use crate::{
    ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId},
    records::{BatchBuilder, NewRecord},
};
use proptest::prelude::*;

const NOW_MS: i64 = 1_700_000_000_000;

fn rules() -> ProduceRules {
    ProduceRules {
        message_bytes_max: 1024 * 1024,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compacted: false,
        compression: None,
        produce_version: 9,
    }
}

fn records(codec: Codec, count: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new().codec(codec).producer(ProducerId(4), ProducerEpoch(0), 0);
    for index in 0..count {
        builder.push(NewRecord {
            timestamp_ms: NOW_MS + index % 7,
            key: Some(format!("key-{index}").as_bytes()),
            value: Some(&b"value ".repeat(20)),
            headers: &[(b"h", Some(b"1")), (b"h", None)],
        });
    }
    builder
}

fn check(batch: &Bytes, rules: &ProduceRules) -> Result<Validated, Rejected> {
    validate(batch, rules, NOW_MS, &mut Scratch::new())
}

/// A sealed batch with some header bytes overwritten.
fn with_bytes(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut copy = batch.to_vec();
    copy[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut copy);
    Bytes::from(copy)
}

fn code(batch: &Bytes, rules: &ProduceRules) -> (ErrorCode, String) {
    let rejected = check(batch, rules).expect_err("rejected");
    (rejected.code, rejected.message)
}

fn body_of(batch: &Bytes) -> Vec<u8> {
    let (batch, _) = Batch::split_from(batch).expect("whole");
    let codec = batch.header().codec().expect("known");
    let mut plain = Vec::new();
    let mut scratch = Scratch::new();
    let mut reader = scratch.decompress(codec, batch.body(), usize::MAX).expect("opens");
    std::io::Read::read_to_end(&mut reader, &mut plain).expect("decompresses");
    plain
}

#[test]
fn a_good_batch_of_every_codec_passes_uncopied() {
    for codec in Codec::ALL {
        let batch = records(codec, 500).build();
        let valid = check(&batch, &rules()).unwrap_or_else(|rejected| panic!("{codec:?}: {rejected:?}"));
        assert_eq!(valid.batch.as_ptr(), batch.as_ptr(), "{codec:?} is a slice of the input");
        let facts = valid.facts;
        assert_eq!(
            (facts.record_count, facts.max_timestamp_ms, facts.max_timestamp_at),
            (500, NOW_MS + 6, 6)
        );
        assert_eq!(facts.producer.expect("idempotent").last_sequence, 499);
        assert_eq!(facts.append_time_ms, None);
    }
}

#[test]
fn exactly_one_batch_is_demanded() {
    let batch = records(Codec::None, 1).build();
    assert_eq!(code(&Bytes::new(), &rules()).0, ErrorCode::InvalidRecord);
    let (two, message) = code(&Bytes::from([&batch[..], &batch[..]].concat()), &rules());
    assert_eq!(two, ErrorCode::InvalidRecord);
    assert!(message.contains("exactly one record batch"), "{message}");
}

#[test]
fn damage_on_the_way_is_a_corrupt_message() {
    let batch = records(Codec::Lz4, 10).build();
    for at in 21..batch.len() {
        let mut damaged = batch.to_vec();
        damaged[at] ^= 0x10;
        assert_eq!(code(&Bytes::from(damaged), &rules()).0, ErrorCode::CorruptMessage, "byte {at}");
    }
    for length in 1..batch.len() {
        assert_eq!(code(&batch.slice(..length), &rules()).0, ErrorCode::CorruptMessage, "length {length}");
    }
}

#[test]
fn what_a_client_may_not_send_is_an_invalid_record() {
    let batch = records(Codec::None, 3).build();
    for (at, bytes, name) in [
        (0, &1_i64.to_be_bytes()[..], "base offset"),
        (16, &[1], "magic"),
        (21, &(1_i16 << 5).to_be_bytes(), "control"),
        (21, &(1_i16 << 6).to_be_bytes(), "delete horizon"),
        (23, &7_i32.to_be_bytes(), "offset range"),
        (43, &(-2_i64).to_be_bytes(), "producer id"),
        (51, &(-1_i16).to_be_bytes(), "epoch"),
        (53, &(-1_i32).to_be_bytes(), "sequence"),
        (57, &0_i32.to_be_bytes(), "count"),
        (57, &(-1_i32).to_be_bytes(), "count"),
    ] {
        let (code, message) = code(&with_bytes(&batch, at, bytes), &rules());
        assert_eq!(code, ErrorCode::InvalidRecord, "{name}");
        assert!(message.to_lowercase().contains(name), "{name}: {message}");
    }
}

#[test]
fn a_transactional_batch_needs_a_producer() {
    let mut builder = BatchBuilder::new().transactional();
    builder.push(NewRecord { timestamp_ms: NOW_MS, ..NewRecord::default() });
    assert!(code(&builder.build(), &rules()).1.contains("without a producer id"));
}

#[test]
fn the_count_must_be_that_of_the_body() {
    for codec in Codec::ALL {
        let batch = records(codec, 3).build();
        for (count, what) in [(2_i32, "bytes are left"), (4, "more records than it holds")] {
            let lied = with_bytes(&batch, 23, &(count - 1).to_be_bytes());
            let lied = with_bytes(&lied, 57, &count.to_be_bytes());
            let (code, message) = code(&lied, &rules());
            assert_eq!(code, ErrorCode::InvalidRecord);
            assert!(message.contains(what), "{codec:?}: {message}");
        }
    }
}

#[test]
fn offset_deltas_count_from_zero_without_gaps() {
    // The first record: length, attributes, timestamp delta, then the offset delta.
    let batch = records(Codec::None, 2).build();
    let at = HEADER_BYTES + 2 + 1 + 1;
    assert_eq!(batch[at], 0);
    let rejected = check(&with_bytes(&batch, at, &[2]), &rules()).expect_err("rejected");
    assert_eq!(rejected.code, ErrorCode::InvalidRecord);
    assert_eq!(rejected.records.len(), 1);
    assert_eq!(rejected.records[0].index, 0);
}

#[test]
fn a_compacted_topic_names_every_record_without_a_key() {
    let mut builder = BatchBuilder::new();
    for key in [Some(&b"k"[..]), None, Some(b""), None] {
        builder.push(NewRecord { timestamp_ms: NOW_MS, key, ..NewRecord::default() });
    }
    let compacted = ProduceRules { compacted: true, ..rules() };
    let rejected = check(&builder.build(), &compacted).expect_err("rejected");
    assert_eq!(rejected.code, ErrorCode::InvalidRecord);
    assert_eq!(rejected.records.iter().map(|error| error.index).collect::<Vec<_>>(), [1, 3]);
    assert!(check(&builder.build(), &rules()).is_ok());
}

#[test]
fn the_number_of_reported_records_is_bounded() {
    let mut builder = BatchBuilder::new();
    for _ in 0..1_000 {
        builder.push(NewRecord { timestamp_ms: NOW_MS, ..NewRecord::default() });
    }
    let compacted = ProduceRules { compacted: true, ..rules() };
    let rejected = check(&builder.build(), &compacted).expect_err("rejected");
    assert_eq!(rejected.records.len(), RECORD_ERRORS_MAX);
    assert!(rejected.message.contains("1000 record errors"), "{}", rejected.message);
}

#[test]
fn timestamps_must_lie_within_the_topics_bounds() {
    let bounded = ProduceRules { timestamp_before_max_ms: 1_000, timestamp_after_max_ms: 500, ..rules() };
    for (timestamp_ms, good) in [
        (NOW_MS - 1_000, true),
        (NOW_MS - 1_001, false),
        (NOW_MS + 500, true),
        (NOW_MS + 501, false),
        (i64::MAX, false),
        (i64::MIN, false),
        (NO_TIMESTAMP, true),
    ] {
        let mut builder = BatchBuilder::new();
        builder.push(NewRecord { timestamp_ms, ..NewRecord::default() });
        let checked = check(&builder.build(), &bounded);
        assert_eq!(checked.is_ok(), good, "{timestamp_ms}");
        if let Err(rejected) = checked {
            assert_eq!((rejected.code, rejected.records.len()), (ErrorCode::InvalidTimestamp, 1));
        }
    }
}

#[test]
fn a_producer_may_not_claim_log_append_time() {
    let mut builder = BatchBuilder::new().timestamp_type(TimestampType::LogAppendTime);
    builder.push(NewRecord { timestamp_ms: NOW_MS, ..NewRecord::default() });
    assert_eq!(code(&builder.build(), &rules()).0, ErrorCode::InvalidTimestamp);
}

#[test]
fn log_append_time_is_set_in_a_sealed_copy() {
    let append_time = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    for codec in Codec::ALL {
        let batch = records(codec, 5).build();
        let valid = check(&batch, &append_time).expect("valid");
        let (stored, _) = Batch::split_from(&valid.batch).expect("whole");
        assert!(stored.checksum_matches());
        assert_eq!(stored.header().timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(stored.header().max_timestamp_ms(), NOW_MS);
        assert_eq!(stored.header().codec(), Ok(codec));
        assert_eq!(stored.body(), &batch[HEADER_BYTES..]);
        let facts = valid.facts;
        assert_eq!((facts.max_timestamp_ms, facts.max_timestamp_at), (NOW_MS, 0));
        assert_eq!(facts.append_time_ms, Some(NOW_MS));
    }
}

#[test]
fn a_wrong_max_timestamp_is_put_right() {
    let batch = with_bytes(&records(Codec::None, 9).build(), 35, &i64::MAX.to_be_bytes());
    let valid = check(&batch, &rules()).expect("valid");
    let (stored, _) = Batch::split_from(&valid.batch).expect("whole");
    assert!(stored.checksum_matches());
    assert_eq!(stored.header().max_timestamp_ms(), NOW_MS + 6);
}

#[test]
fn another_codec_is_stored_when_the_topic_demands_it() {
    for from in Codec::ALL {
        let batch = records(from, 700).build();
        for to in Codec::ALL {
            let valid = check(&batch, &ProduceRules { compression: Some(to), ..rules() }).expect("valid");
            let (stored, _) = Batch::split_from(&valid.batch).expect("whole");
            assert!(stored.checksum_matches());
            assert_eq!(stored.header().codec(), Ok(to));
            assert_eq!(body_of(&valid.batch), body_of(&batch), "{from:?} to {to:?}");
            check(&valid.batch, &rules()).expect("what is stored is valid itself");
        }
    }
}

#[test]
fn the_size_is_that_of_the_batch_as_it_is_stored() {
    let batch = records(Codec::None, 20).build();
    let exact = ProduceRules { message_bytes_max: batch.len(), ..rules() };
    assert!(check(&batch, &exact).is_ok());
    let less = ProduceRules { message_bytes_max: batch.len() - 1, ..rules() };
    assert_eq!(code(&batch, &less).0, ErrorCode::MessageTooLarge);
    let packed = records(Codec::Zstd, 20).build();
    let unpacked =
        ProduceRules { message_bytes_max: packed.len(), compression: Some(Codec::None), ..rules() };
    assert_eq!(code(&packed, &unpacked).0, ErrorCode::MessageTooLarge);
}

#[test]
fn zstd_needs_produce_version_7_and_other_numbers_are_unknown() {
    let old = ProduceRules { produce_version: 6, ..rules() };
    assert_eq!(code(&records(Codec::Zstd, 1).build(), &old).0, ErrorCode::UnsupportedCompressionType);
    assert!(check(&records(Codec::Lz4, 1).build(), &old).is_ok());
    for number in 5_i16..8 {
        let unknown = with_bytes(&records(Codec::None, 1).build(), 21, &number.to_be_bytes());
        assert_eq!(code(&unknown, &rules()).0, ErrorCode::UnsupportedCompressionType);
    }
}

#[test]
fn a_bomb_is_refused() {
    // 80 MiB of one record's zeros in a few kilobytes.
    let mut zeros = BatchBuilder::new().codec(Codec::Zstd);
    zeros.push(NewRecord { timestamp_ms: NOW_MS, value: Some(&vec![0; 80 << 20]), ..NewRecord::default() });
    let batch = zeros.build();
    assert!(batch.len() < 100_000);
    let (code, message) = code(&batch, &rules());
    assert_eq!(code, ErrorCode::InvalidRecord);
    assert!(message.contains("exceed"), "{message}");
}

#[test]
fn a_placed_batch_keeps_what_was_validated() {
    let mut stored = check(&records(Codec::Gzip, 5).build(), &rules()).expect("valid").batch.to_vec();
    crate::records::header::place(&mut stored, Offset(900), LeaderEpoch(3));
    let (batch, _) = Batch::split_from(&stored).expect("whole");
    assert!(batch.checksum_matches());
    assert_eq!(batch.header().last_offset(), Offset(904));
}

proptest! {
    /// Damage behind a checksum that was made to fit: every parser behind it must stand on its own.
    #[test]
    fn no_sealed_bytes_make_validation_panic(
        codec in 0_usize..5,
        edits in prop::collection::vec((21_usize..400, any::<u8>()), 1..6),
        cut in prop::option::of(61_usize..400),
    ) {
        let mut bytes = records(Codec::ALL[codec], 5).build().to_vec();
        for (at, value) in edits {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        seal(&mut bytes);
        let _ = check(&Bytes::from(bytes), &rules());
    }

    #[test]
    fn no_body_makes_validation_panic(
        codec in 0_i16..8,
        body in prop::collection::vec(any::<u8>(), 0..200),
        count in 1_i32..50,
    ) {
        let mut bytes = records(Codec::None, 1).build()[..HEADER_BYTES].to_vec();
        bytes[21..23].copy_from_slice(&codec.to_be_bytes());
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&body);
        seal(&mut bytes);
        let _ = check(&Bytes::from(bytes), &rules());
    }
}
