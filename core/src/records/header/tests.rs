use super::*;
use crate::records::{BatchBuilder, NewRecord};
use proptest::prelude::*;

fn batch_at(offset: i64, values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new().base_offset(Offset(offset)).leader_epoch(LeaderEpoch(3));
    for value in values {
        builder.push(NewRecord { timestamp_ms: 1_000, value: Some(value), ..NewRecord::default() });
    }
    builder.build().to_vec()
}

#[test]
fn the_fields_lie_where_kip_98_puts_them() {
    // Field by field, by hand.
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&7_i64.to_be_bytes());
    bytes.extend_from_slice(&49_i32.to_be_bytes());
    bytes.extend_from_slice(&5_i32.to_be_bytes());
    bytes.push(2);
    bytes.extend_from_slice(&0xdead_beef_u32.to_be_bytes());
    bytes.extend_from_slice(&0b0111_1100_i16.to_be_bytes());
    bytes.extend_from_slice(&9_i32.to_be_bytes());
    bytes.extend_from_slice(&100_i64.to_be_bytes());
    bytes.extend_from_slice(&200_i64.to_be_bytes());
    bytes.extend_from_slice(&4_000_i64.to_be_bytes());
    bytes.extend_from_slice(&6_i16.to_be_bytes());
    bytes.extend_from_slice(&i32::MAX.to_be_bytes());
    bytes.extend_from_slice(&10_i32.to_be_bytes());
    assert_eq!(bytes.len(), HEADER_BYTES);
    let header = BatchHeader::view(&bytes).expect("61 bytes");
    assert_eq!(
        (header.base_offset(), header.length(), header.leader_epoch()),
        (Offset(7), 49, LeaderEpoch(5))
    );
    assert_eq!((header.magic(), header.crc(), header.attributes()), (2, 0xdead_beef, 0x7c));
    assert_eq!(header.codec(), Ok(Codec::Zstd));
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
    assert!(header.is_transactional() && header.is_control() && header.has_delete_horizon());
    assert_eq!(
        (header.last_offset_delta(), header.last_offset(), header.next_offset()),
        (9, Offset(16), Offset(17))
    );
    assert_eq!((header.base_timestamp_ms(), header.max_timestamp_ms()), (100, 200));
    assert_eq!((header.record_count(), header.total_bytes()), (10, Some(61)));
    let producer = ProducerBatch {
        id: ProducerId(4_000),
        epoch: ProducerEpoch(6),
        base_sequence: i32::MAX,
        last_sequence: 8,
        transactional: true,
    };
    assert_eq!(header.producer(), Some(producer));
}

#[test]
fn placing_a_batch_leaves_its_checksum_valid() {
    let mut bytes = batch_at(0, &[b"a", b"b"]);
    place(&mut bytes, Offset(1 << 40), LeaderEpoch(77));
    let (batch, rest) = Batch::split_from(&bytes).expect("whole");
    assert!(batch.checksum_matches() && rest.is_empty());
    assert_eq!(
        (batch.header().base_offset(), batch.header().leader_epoch()),
        (Offset(1 << 40), LeaderEpoch(77))
    );
    assert_eq!(batch.header().last_offset(), Offset((1 << 40) + 1));
}

#[test]
fn any_other_changed_byte_breaks_the_checksum() {
    let bytes = batch_at(0, &[b"value"]);
    for at in CRC_STARTS_AT..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let (batch, _) = Batch::split_from(&damaged).expect("length and magic are as they were");
        assert!(!batch.checksum_matches(), "byte {at}");
    }
}

#[test]
fn batches_are_given_one_after_another_until_the_truncated_tail() {
    let (first, second) = (batch_at(0, &[b"a"]), batch_at(1, &[b"b", b"c"]));
    let both = [first.clone(), second.clone()].concat();
    let whole: Vec<&[u8]> = Batches::new(&both).map(|batch| batch.expect("whole").bytes()).collect();
    assert_eq!(whole, [&first[..], &second[..]]);
    for cut in 1..second.len() {
        let mut batches = Batches::new(&both[..first.len() + cut]);
        assert_eq!(batches.next().expect("the first").expect("whole").bytes(), &first[..]);
        let need = if cut < HEADER_BYTES { HEADER_BYTES } else { second.len() };
        assert_eq!(batches.next().expect("a tail").err(), Some(BatchFault::Truncated { have: cut, need }));
        assert!(batches.next().is_none());
        assert_eq!(batches.position(), first.len());
    }
    assert!(Batches::new(&[]).next().is_none());
}

#[test]
fn a_length_less_than_a_header_is_a_fault() {
    for length in [i32::MIN, -1, 0, 48] {
        let mut bytes = batch_at(0, &[b"a"]);
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        assert_eq!(Batch::split_from(&bytes).err(), Some(BatchFault::Length(length)));
    }
}

#[test]
fn an_old_format_is_named() {
    let mut bytes = batch_at(0, &[b"a"]);
    bytes[16] = 1;
    // A message of the old format is shorter than a v2 header.
    for length in [17, 34, bytes.len()] {
        assert_eq!(Batch::split_from(&bytes[..length]).err(), Some(BatchFault::Magic(1)));
    }
}

#[test]
fn a_sequence_wraps_to_zero() {
    assert_eq!(sequence_plus(5, 3), 8);
    assert_eq!(sequence_plus(i32::MAX - 1, 1), i32::MAX);
    assert_eq!(sequence_plus(i32::MAX, 1), 0);
    assert_eq!(sequence_plus(i32::MAX, i32::MAX), i32::MAX - 1);
    assert_eq!(sequence_plus(-1, 0), -1);
}

proptest! {
    #[test]
    fn no_bytes_make_the_iterator_panic(
        start in 0usize..70, noise in prop::collection::vec(any::<u8>(), 0..300), keep_head in any::<bool>()
    ) {
        let mut bytes = batch_at(0, &[b"a"]);
        bytes.truncate(if keep_head { start.min(bytes.len()) } else { 0 });
        bytes.extend_from_slice(&noise);
        let mut total = 0;
        for batch in Batches::new(&bytes).flatten() {
            total += batch.bytes().len();
            let header = batch.header();
            let _ = (header.next_offset(), header.producer(), header.codec(), batch.checksum_matches());
        }
        prop_assert!(total <= bytes.len());
    }
}
