use super::*;
use crate::records::{BatchBuilder, Codec, NewRecord, TimestampType};
use bytes::Bytes;

fn batch(codec: Codec, kind: TimestampType, timestamps: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new().base_offset(Offset(100)).codec(codec).timestamp_type(kind);
    for timestamp_ms in timestamps {
        builder.push(NewRecord { timestamp_ms: *timestamp_ms, value: Some(b"v"), ..NewRecord::default() });
    }
    builder.build()
}

fn first(bytes: &Bytes, target_ms: i64, from: i64) -> Option<(i64, i64)> {
    let (batch, _) = Batch::split_from(bytes).expect("whole");
    let found = first_at_or_after(&batch, target_ms, Offset(from), &mut Scratch::new()).expect("readable");
    found.map(|timed| (timed.offset.0, timed.timestamp_ms))
}

fn latest_of(bytes: &Bytes) -> Option<(i64, i64)> {
    let (batch, _) = Batch::split_from(bytes).expect("whole");
    let found = latest(&batch, &mut Scratch::new()).expect("readable");
    found.map(|timed| (timed.offset.0, timed.timestamp_ms))
}

#[test]
fn the_first_record_by_offset_is_found_even_where_times_go_back() {
    for codec in Codec::ALL {
        let bytes = batch(codec, TimestampType::CreateTime, &[10, 30, 20, 40]);
        assert_eq!(first(&bytes, 0, 0), Some((100, 10)));
        assert_eq!(first(&bytes, 15, 0), Some((101, 30)));
        assert_eq!(first(&bytes, 31, 0), Some((103, 40)));
        assert_eq!(first(&bytes, 41, 0), None);
    }
}

#[test]
fn records_below_the_log_start_are_passed_over() {
    let bytes = batch(Codec::None, TimestampType::CreateTime, &[10, 30, 20]);
    assert_eq!(first(&bytes, 15, 102), Some((102, 20)));
    assert_eq!(first(&bytes, 25, 102), None);
}

#[test]
fn under_log_append_time_all_records_have_the_time_of_the_batch() {
    let bytes = batch(Codec::None, TimestampType::LogAppendTime, &[10, 30, 20]);
    assert_eq!(first(&bytes, 25, 0), Some((100, 30)));
    assert_eq!(latest_of(&bytes), Some((100, 30)));
}

#[test]
fn among_equal_latest_records_the_first_counts() {
    let bytes = batch(Codec::Zstd, TimestampType::CreateTime, &[10, 30, 20, 30]);
    assert_eq!(latest_of(&bytes), Some((101, 30)));
    assert_eq!(latest_of(&batch(Codec::None, TimestampType::CreateTime, &[-1, -1])), None);
}
