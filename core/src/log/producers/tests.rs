use super::*;
use crate::{
    ids::LeaderEpoch,
    records::{BatchBuilder, NewRecord, header::sequence_plus},
};
use proptest::prelude::*;

fn batch(epoch: i16, base_sequence: i32, count: i32) -> ProducerBatch {
    ProducerBatch {
        id: ProducerId(7),
        epoch: ProducerEpoch(epoch),
        base_sequence,
        last_sequence: sequence_plus(base_sequence, count - 1),
        transactional: false,
    }
}

/// Appends as a leader would: the verdict first.
fn append(states: &mut ProducerStates, batch: ProducerBatch, base: i64) {
    assert_eq!(states.check(&batch), Ok(Verdict::Append), "{batch:?}");
    let count = i64::from(batch.last_sequence) - i64::from(batch.base_sequence);
    let last = Offset(base + count.rem_euclid(1 << 31));
    states.record(&batch, Offset(base), last, base + 1_000, base);
}

fn code(states: &ProducerStates, batch: ProducerBatch) -> ErrorCode {
    states.check(&batch).expect_err("refused").code
}

#[test]
fn append_rejects_a_sequence_gap() {
    let mut states = ProducerStates::new();
    append(&mut states, batch(0, 0, 3), 0);
    assert_eq!(code(&states, batch(0, 4, 1)), ErrorCode::OutOfOrderSequenceNumber);
    append(&mut states, batch(0, 3, 1), 3);
}

#[test]
fn a_retry_is_answered_with_the_original_offsets() {
    let mut states = ProducerStates::new();
    append(&mut states, batch(0, 0, 3), 10);
    append(&mut states, batch(0, 3, 2), 13);
    let original = |base: i64, last: i64| {
        Ok(Verdict::Duplicate {
            base_offset: Offset(base),
            last_offset: Offset(last),
            timestamp_ms: base + 1_000,
        })
    };
    assert_eq!(states.check(&batch(0, 0, 3)), original(10, 12));
    assert_eq!(states.check(&batch(0, 3, 2)), original(13, 14));
}

#[test]
fn a_retry_with_other_bounds_is_no_duplicate() {
    let mut states = ProducerStates::new();
    append(&mut states, batch(0, 0, 3), 0);
    assert_eq!(code(&states, batch(0, 0, 2)), ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(code(&states, batch(0, 1, 2)), ErrorCode::OutOfOrderSequenceNumber);
}

#[test]
fn only_the_last_five_batches_are_known_as_duplicates() {
    let mut states = ProducerStates::new();
    for sequence in 0..6 {
        append(&mut states, batch(0, sequence, 1), i64::from(sequence));
    }
    assert_eq!(code(&states, batch(0, 0, 1)), ErrorCode::OutOfOrderSequenceNumber);
    for sequence in 1..6 {
        assert!(matches!(states.check(&batch(0, sequence, 1)), Ok(Verdict::Duplicate { .. })));
    }
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    let mut states = ProducerStates::new();
    append(&mut states, batch(3, 500, 1), 0);
    append(&mut states, batch(3, 501, 1), 1);
}

#[test]
fn an_older_epoch_is_fenced() {
    let mut states = ProducerStates::new();
    append(&mut states, batch(1, 0, 1), 0);
    assert_eq!(code(&states, batch(0, 1, 1)), ErrorCode::InvalidProducerEpoch);
}

#[test]
fn a_new_epoch_begins_at_sequence_zero() {
    let mut states = ProducerStates::new();
    append(&mut states, batch(0, 0, 5), 0);
    assert_eq!(code(&states, batch(1, 5, 1)), ErrorCode::OutOfOrderSequenceNumber);
    append(&mut states, batch(1, 0, 5), 5);
    assert_eq!(states.get(ProducerId(7)).expect("known").batches.len(), 1, "the old epoch's are forgotten");
}

#[test]
fn the_sequence_wraps_from_the_largest_to_zero() {
    let mut states = ProducerStates::new();
    append(&mut states, batch(0, i32::MAX - 1, 2), 0);
    append(&mut states, batch(0, 0, 1), 2);
    // And inside a batch: MAX, 0, 1.
    let mut states = ProducerStates::new();
    append(&mut states, batch(0, i32::MAX, 3), 0);
    assert_eq!(code(&states, batch(0, 1, 1)), ErrorCode::OutOfOrderSequenceNumber);
    append(&mut states, batch(0, 2, 1), 3);
}

#[test]
fn a_silent_producer_expires_unless_its_transaction_is_open() {
    let mut states = ProducerStates::new();
    states.record(&batch(0, 0, 1), Offset(0), Offset(0), 0, 1_000);
    let open = ProducerBatch { id: ProducerId(8), transactional: true, ..batch(0, 0, 1) };
    states.record(&open, Offset(1), Offset(1), 0, 1_000);
    assert_eq!(states.expire(1_099, 100), 0);
    assert_eq!(states.expire(1_100, 100), 1);
    assert_eq!(states.iter().map(|(id, _)| id).collect::<Vec<_>>(), [ProducerId(8)]);
    states.end_transaction(ProducerId(8), ProducerEpoch(0), 1_100);
    assert_eq!(states.expire(1_200, 100), 1);
}

#[test]
fn a_transaction_begins_with_its_first_batch_and_ends_with_its_marker() {
    let mut states = ProducerStates::new();
    let within = |sequence| ProducerBatch { transactional: true, ..batch(0, sequence, 1) };
    append(&mut states, within(0), 10);
    append(&mut states, within(1), 11);
    assert_eq!(states.first_open_transaction(), Some(Offset(10)));
    assert_eq!(code(&states, batch(0, 2, 1)), ErrorCode::InvalidTxnState);
    states.end_transaction(ProducerId(7), ProducerEpoch(1), 0);
    assert_eq!(states.first_open_transaction(), None);
    assert_eq!(code(&states, within(2)), ErrorCode::InvalidProducerEpoch, "the marker raised the epoch");
    append(&mut states, batch(1, 0, 1), 12);
}

#[test]
fn replaying_the_log_gives_what_recording_gave() {
    let mut states = ProducerStates::new();
    let mut builder = BatchBuilder::new().base_offset(Offset(40)).leader_epoch(LeaderEpoch(1)).producer(
        ProducerId(7),
        ProducerEpoch(2),
        i32::MAX,
    );
    for timestamp_ms in [5, 9, 7] {
        builder.push(NewRecord { timestamp_ms, ..NewRecord::default() });
    }
    let bytes = builder.build();
    states.replay(BatchHeader::view(&bytes).expect("whole"), 77);
    let mut plain = BatchBuilder::new();
    plain.push(NewRecord::default());
    states.replay(BatchHeader::view(&plain.build()).expect("whole"), 77);
    let mut recorded = ProducerStates::new();
    recorded.record(&batch(2, i32::MAX, 3), Offset(40), Offset(42), 9, 77);
    assert_eq!(states, recorded);
}

#[test]
fn the_number_of_producers_is_bounded_and_the_silent_go_first() {
    let mut states = ProducerStates::new();
    let max = i64::try_from(PRODUCERS_PER_PARTITION_MAX).expect("small");
    for id in 0..=max {
        let batch = ProducerBatch { id: ProducerId(id), transactional: id == 0, ..batch(0, 0, 1) };
        states.record(&batch, Offset(id), Offset(id), 0, id);
    }
    assert_eq!(states.len(), PRODUCERS_PER_PARTITION_MAX - FORGOTTEN_AT_ONCE + 1);
    assert!(states.get(ProducerId(0)).is_some(), "its transaction is open");
    assert!(states.get(ProducerId(1)).is_none());
    assert!(states.get(ProducerId(max)).is_some());
}

#[test]
fn every_single_damaged_bit_of_a_snapshot_is_noticed() {
    let mut states = ProducerStates::new();
    append(&mut states, batch(0, 0, 3), 10);
    let open = ProducerBatch { id: ProducerId(8), transactional: true, ..batch(0, 0, 1) };
    append(&mut states, open, 13);
    let bytes = states.encode();
    assert_eq!(ProducerStates::decode(&bytes), Ok(states));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(ProducerStates::decode(&damaged).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(ProducerStates::decode(&bytes[..length]).is_err(), "length {length}");
    }
}

proptest! {
    #[test]
    fn any_history_survives_a_snapshot(
        history in prop::collection::vec((0_i64..6, 0_i16..3, any::<i32>(), 0..100_i32, any::<bool>()), 0..40)
    ) {
        let mut states = ProducerStates::new();
        for (at, (id, epoch, sequence, count, transactional)) in history.into_iter().enumerate() {
            let batch = ProducerBatch {
                id: ProducerId(id),
                epoch: ProducerEpoch(epoch),
                base_sequence: sequence,
                last_sequence: sequence_plus(sequence, count),
                transactional,
            };
            let _ = states.check(&batch);
            let at = i64::try_from(at).expect("small");
            states.record(&batch, Offset(at), Offset(at + 1), at, at);
        }
        prop_assert_eq!(ProducerStates::decode(&states.encode()), Ok(states));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(noise in prop::collection::vec(any::<u8>(), 0..200), count in any::<u32>()) {
        let mut bytes = vec![0, 1];
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&noise);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        if let Ok(states) = ProducerStates::decode(&bytes) {
            prop_assert_eq!(states.encode(), bytes);
        }
    }
}
