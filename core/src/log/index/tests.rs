use super::*;
use crate::records::{Batch, BatchBuilder, NewRecord};
use bytes::Bytes;
use proptest::prelude::*;

/// A batch of `count` records; the last one has `timestamp_ms`, the others one less.
fn batch(base: i64, count: i64, timestamp_ms: i64) -> Bytes {
    let mut builder = BatchBuilder::new().base_offset(Offset(base));
    for at in 0..count {
        let timestamp_ms = if at == count - 1 { timestamp_ms } else { (timestamp_ms - 1).max(-1) };
        builder.push(NewRecord { timestamp_ms, value: Some(b"value"), ..NewRecord::default() });
    }
    builder.build()
}

/// A segment at `base` of batches of (records, timestamp, hole before), its index, and each batch's position.
fn segment(base: i64, interval: u32, batches: &[(i64, i64, i64)]) -> (SegmentIndex, Vec<(u32, Bytes)>) {
    let mut index = SegmentIndex::new(Offset(base), interval);
    let (mut next, mut stored) = (base, Vec::new());
    for (count, timestamp_ms, hole) in batches {
        let bytes = batch(next + hole, *count, *timestamp_ms);
        let position = index.observed_bytes();
        index.observe(header(&bytes), u64::from(position)).expect("in order");
        next += hole + count;
        stored.push((position, bytes));
    }
    (index, stored)
}

fn header(bytes: &[u8]) -> &BatchHeader {
    Batch::split_from(bytes).expect("whole").0.header()
}

#[test]
fn entries_are_at_least_an_interval_apart() {
    let one = u32::try_from(batch(0, 1, 1).len()).expect("small");
    let (index, _) = segment(0, one * 2, &[(1, 1, 0); 9]);
    assert_eq!(index.entries(), 5);
    let (index, _) = segment(0, one * 2 + 1, &[(1, 1, 0); 9]);
    assert_eq!(index.entries(), 3);
}

#[test]
fn the_latest_timestamp_is_the_first_batchs_that_has_it() {
    let (index, _) = segment(50, 0, &[(2, -1, 0), (2, 7, 0), (1, 9, 0), (1, 9, 0), (1, 3, 0)]);
    assert_eq!(index.max_timestamp(), Some(MaxTimestamp { timestamp_ms: 9, batch: Offset(54) }));
    assert_eq!(segment(0, 0, &[(3, -1, 0)]).0.max_timestamp(), None);
    assert_eq!(segment(0, 0, &[]).0.find_timestamp(0), None);
}

#[test]
fn offsets_outside_the_segment_are_not_in_it() {
    let (index, _) = segment(50, 0, &[(2, 1, 0), (2, 1, 0)]);
    assert_eq!((index.find_offset(Offset(49)), index.find_offset(Offset(54))), (None, None));
    assert!(index.find_offset(Offset(53)).is_some());
}

#[test]
fn in_a_hole_the_span_reaches_to_the_batch_behind_it() {
    let bytes = u32::try_from(batch(0, 2, 1).len()).expect("small");
    // Two batches to an entry, and a hole in the middle of the first two and behind them.
    let (index, stored) = segment(50, bytes + 1, &[(2, 1, 3), (2, 1, 4), (2, 1, 10), (2, 1, 0), (2, 1, 0)]);
    for offset in 50..index.next_offset().0 {
        let span = index.find_offset_or_next(Offset(offset)).expect("within the segment");
        let next = stored.iter().find(|(_, bytes)| header(bytes).next_offset().0 > offset);
        let (position, _) = next.expect("a batch at or behind it");
        assert!(span.from <= *position && position + bytes <= span.to, "{offset}: {span:?}, {position}");
    }
    assert_eq!(index.find_offset_or_next(index.next_offset()), None);
}

#[test]
fn a_batch_without_records_has_no_latest_timestamp() {
    let mut emptied = batch(50, 2, 9).to_vec();
    emptied.truncate(61);
    emptied[8..12].copy_from_slice(&49_i32.to_be_bytes());
    emptied[57..61].copy_from_slice(&0_i32.to_be_bytes());
    let mut index = SegmentIndex::new(Offset(50), 0);
    index.observe(header(&emptied), 0).expect("in order");
    assert_eq!((index.max_timestamp(), index.next_offset()), (None, Offset(52)));
}

#[test]
fn a_batch_out_of_its_place_is_refused_and_changes_nothing() {
    let (mut index, _) = segment(50, 0, &[(2, 1, 0)]);
    let (before, end) = (index.clone(), u64::from(index.observed_bytes()));
    let refused = |index: &mut SegmentIndex, base: i64, position: u64| {
        index.observe(header(&batch(base, 1, 1)), position).expect_err("refused")
    };
    let expected = index.observed_bytes();
    assert_eq!(refused(&mut index, 52, end + 1), Unindexable::Position { given: end + 1, expected });
    assert_eq!(refused(&mut index, 51, end), Unindexable::Offset(Offset(51)));
    let far = 50 + (1_i64 << 32);
    assert_eq!(refused(&mut index, far, end), Unindexable::Offset(Offset(far)));
    assert_eq!(index, before);
}

#[test]
fn every_single_damaged_bit_of_the_file_is_noticed() {
    let (index, _) = segment(50, 0, &[(2, 5, 0), (2, 9, 1), (1, 3, 0)]);
    let bytes = index.encode();
    assert_eq!(SegmentIndex::decode(&bytes), Ok(index));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(SegmentIndex::decode(&damaged).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(SegmentIndex::decode(&bytes[..length]).is_err(), "length {length}");
    }
}

/// What an index answers is held against going over the whole segment.
fn batches() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    prop::collection::vec((1_i64..5, -1_i64..30, 0_i64..3), 0..30)
}

proptest! {
    #[test]
    fn the_batch_with_an_offset_lies_in_the_span(batches in batches(), interval in 0_u32..1_000) {
        let (index, stored) = segment(10, interval, &batches);
        for (position, bytes) in &stored {
            let header = header(bytes);
            for offset in header.base_offset().0..=header.last_offset().0 {
                let span = index.find_offset(Offset(offset)).expect("it is there");
                prop_assert!(span.from <= *position && *position < span.to, "{offset}: {span:?} {position}");
            }
        }
    }

    #[test]
    fn the_first_batch_of_a_time_lies_in_the_span(batches in batches(), interval in 0_u32..1_000) {
        let (index, stored) = segment(10, interval, &batches);
        for target_ms in [i64::MIN].into_iter().chain(0..32) {
            let first = stored.iter().find(|(_, bytes)| {
                let max = header(bytes).max_timestamp_ms();
                max >= 0 && max >= target_ms
            });
            let span = index.find_timestamp(target_ms);
            match (first, span) {
                (Some((position, _)), Some(span)) => {
                    prop_assert!(span.from <= *position && (target_ms < 0 || *position < span.to));
                }
                (None, None) => {}
                other => prop_assert!(false, "{target_ms}: {other:?}"),
            }
        }
    }

    #[test]
    fn truncated_and_observed_again_it_is_as_if_nothing_had_been(
        batches in batches(), interval in 0_u32..1_000, at in any::<prop::sample::Index>()
    ) {
        let (whole, stored) = segment(10, interval, &batches);
        let cut = u32::try_from(at.index(usize::try_from(whole.observed_bytes()).expect("small") + 1)).expect("small");
        let mut index = whole.clone();
        let resume = index.truncate(cut);
        prop_assert!(resume <= cut);
        for (position, bytes) in stored.iter().filter(|(position, _)| *position >= resume) {
            prop_assert!(index.observe(header(bytes), u64::from(*position)).is_ok());
        }
        prop_assert_eq!(index, whole);
    }

    #[test]
    fn it_survives_its_file(batches in batches(), interval in 0_u32..1_000) {
        let (index, _) = segment(10, interval, &batches);
        prop_assert_eq!(SegmentIndex::decode(&index.encode()), Ok(index));
    }

    #[test]
    fn no_bytes_make_it_panic(
        batches in batches(), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        target in any::<i64>(), cut in any::<u32>(),
    ) {
        let mut bytes = segment(10, 0, &batches).0.encode();
        let content = bytes.len() - 4;
        for (at, byte) in edits {
            bytes[at.index(content)] = byte;
        }
        let crc = crc32c::crc32c(&bytes[..content]);
        bytes[content..].copy_from_slice(&crc.to_be_bytes());
        if let Ok(mut index) = SegmentIndex::decode(&bytes) {
            let _ = (index.find_offset(Offset(target)), index.find_timestamp(target));
            let next = batch(index.next_offset().0.clamp(0, i64::MAX - 9), 1, 5);
            let _ = index.observe(header(&next), u64::from(index.observed_bytes()));
            index.truncate(cut);
        }
    }
}
