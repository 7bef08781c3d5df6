use super::*;
use crate::{
    ids::LeaderEpoch,
    records::{Batch, BatchBuilder, NewRecord, Scratch, header::sequence_plus},
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

const SPOT: Spot = Spot { serial: 3, position: 700 };

fn within(epoch: i16, sequence: i32) -> ProducerBatch {
    ProducerBatch { transactional: true, ..batch(epoch, sequence, 1) }
}

/// The end of producer 7's transaction.
fn end(states: &mut ProducerStates, epoch: i16, outcome: Outcome, at: i64) -> Option<AbortedTransaction> {
    let marker = Marker { outcome, coordinator_epoch: 5 };
    let bytes = marker.batch(ProducerId(7), ProducerEpoch(epoch), 0);
    let mut bytes = bytes.to_vec();
    crate::records::header::place(&mut bytes, Offset(at), LeaderEpoch(0));
    let (batch, _) = Batch::split_from(&bytes).expect("whole");
    let read = Marker::of(&batch, &mut Scratch::default());
    assert_eq!(read, Some(marker));
    states.replay(batch.header(), read, SPOT, at)
}

/// Appends as a leader would: the verdict first.
fn append(states: &mut ProducerStates, batch: ProducerBatch, base: i64) {
    assert_eq!(states.check(&batch), Ok(Verdict::Append), "{batch:?}");
    let count = i64::from(batch.last_sequence) - i64::from(batch.base_sequence);
    let last = Offset(base + count.rem_euclid(1 << 31));
    states.record(&batch, Offset(base), last, base + 1_000, SPOT, base);
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
    states.record(
        &ProducerBatch { id: ProducerId(8), ..batch(0, 0, 1) },
        Offset(0),
        Offset(0),
        0,
        SPOT,
        1_000,
    );
    let open = ProducerBatch { id: ProducerId(7), ..within(0, 0) };
    states.record(&open, Offset(1), Offset(1), 0, SPOT, 1_000);
    assert_eq!(states.expire(1_099, 100), 0);
    assert_eq!(states.expire(1_100, 100), 1);
    assert_eq!(states.iter().map(|(id, _)| id).collect::<Vec<_>>(), [ProducerId(7)]);
    assert_eq!(end(&mut states, 0, Outcome::Commit, 1_100), None);
    assert_eq!(states.expire(1_200, 100), 1);
}

#[test]
fn a_transaction_begins_with_its_first_batch_and_ends_with_its_marker() {
    let mut states = ProducerStates::new();
    append(&mut states, within(0, 0), 10);
    append(&mut states, within(0, 1), 11);
    assert_eq!(states.first_open_transaction(), Some(Offset(10)));
    assert_eq!(code(&states, batch(0, 2, 1)), ErrorCode::InvalidTxnState);
    assert_eq!(end(&mut states, 1, Outcome::Commit, 12), None);
    assert_eq!(states.first_open_transaction(), None);
    assert_eq!(code(&states, within(0, 2)), ErrorCode::InvalidProducerEpoch, "the marker raised the epoch");
    append(&mut states, batch(1, 0, 1), 13);
}

#[test]
fn an_aborted_transaction_is_told_from_its_first_batch_to_its_marker_and_an_empty_one_not() {
    let mut states = ProducerStates::new();
    append(&mut states, within(0, 0), 10);
    append(&mut states, within(0, 1), 11);
    let aborted = AbortedTransaction { first: Offset(10), last: Offset(12), producer: ProducerId(7) };
    assert_eq!(end(&mut states, 0, Outcome::Abort, 12), Some(aborted));
    assert_eq!(end(&mut states, 0, Outcome::Abort, 13), None, "its marker came twice");
}

#[test]
fn a_transaction_holds_readers_back_until_its_marker_is_committed() {
    let mut states = ProducerStates::new();
    append(&mut states, within(0, 0), 10);
    states.commit(Offset(11));
    assert_eq!(states.first_undecided(), Some((Offset(10), Some(SPOT))));
    end(&mut states, 0, Outcome::Commit, 12);
    assert_eq!(states.first_open_transaction(), None);
    states.commit(Offset(12));
    assert_eq!(states.first_undecided(), Some((Offset(10), Some(SPOT))), "the marker is not below 12");
    states.commit(Offset(13));
    assert_eq!(states.first_undecided(), None);
}

#[test]
fn a_marker_that_is_cut_off_opens_its_transaction_again() {
    let mut states = ProducerStates::new();
    append(&mut states, within(0, 0), 10);
    let before = states.clone();
    end(&mut states, 1, Outcome::Abort, 12);
    states.truncate(Offset(13));
    assert_eq!(states.first_open_transaction(), None, "it lies below");
    states.truncate(Offset(12));
    assert_eq!(states.first_open_transaction(), Some(Offset(10)));
    let (now, then) = (states.get(ProducerId(7)).unwrap(), before.get(ProducerId(7)).unwrap());
    assert_eq!((now.epoch, now.coordinator_epoch), (then.epoch, then.coordinator_epoch));
    assert!(states.check_marker(ProducerId(7), ProducerEpoch(1), marker(5), 2).is_ok(), "it comes again");
    states.truncate(Offset(10));
    assert_eq!(states.first_undecided(), None, "nothing of it is left");
}

fn marker(coordinator_epoch: i32) -> Marker {
    Marker { outcome: Outcome::Commit, coordinator_epoch }
}

#[test]
fn a_marker_of_an_older_epoch_or_coordinator_is_refused() {
    let mut states = ProducerStates::new();
    let check = |states: &ProducerStates, epoch, coordinator, version| {
        let refused =
            states.check_marker(ProducerId(7), ProducerEpoch(epoch), marker(coordinator), version).err();
        refused.map(|refused| refused.code)
    };
    assert_eq!(check(&states, 0, 0, 1), None, "a producer that was not seen");
    append(&mut states, within(3, 0), 10);
    assert_eq!(check(&states, 2, 5, 1), Some(ErrorCode::InvalidProducerEpoch));
    assert_eq!(check(&states, 3, 5, 1), None);
    assert_eq!(check(&states, 3, 5, 2), Some(ErrorCode::InvalidProducerEpoch), "it is of an earlier one");
    assert_eq!(check(&states, 4, 5, 2), None);
    end(&mut states, 4, Outcome::Commit, 11);
    assert_eq!(check(&states, 4, 5, 2), None, "it came twice");
    assert_eq!(check(&states, 4, 4, 2), Some(ErrorCode::TransactionCoordinatorFenced));
}

#[test]
fn what_a_coordinator_appends_in_a_producers_name_is_judged_by_its_epoch_only() {
    let mut states = ProducerStates::new();
    append(&mut states, within(1, 0), 10);
    let coordinated = |epoch| ProducerBatch { base_sequence: NO_SEQUENCE, ..within(epoch, 0) };
    append(&mut states, ProducerBatch { last_sequence: NO_SEQUENCE, ..coordinated(1) }, 11);
    append(&mut states, ProducerBatch { last_sequence: NO_SEQUENCE, ..coordinated(1) }, 12);
    assert_eq!(code(&states, coordinated(0)), ErrorCode::InvalidProducerEpoch);
    append(&mut states, within(1, 1), 13);
    assert_eq!(states.first_open_transaction(), Some(Offset(10)));
}

#[test]
fn what_is_undecided_survives_a_snapshot() {
    let mut states = ProducerStates::new();
    append(&mut states, within(0, 0), 10);
    end(&mut states, 1, Outcome::Abort, 11);
    append(&mut states, within(1, 0), 12);
    let open = ProducerBatch { id: ProducerId(8), ..within(0, 0) };
    append(&mut states, open, 13);
    let mut read = ProducerStates::decode(&states.encode()).expect("it was just written");
    assert_eq!(read, states);
    read.commit(Offset(12));
    assert_eq!(read.first_undecided(), Some((Offset(12), Some(SPOT))));
    states.truncate(Offset(11));
    assert_eq!(states.first_open_transaction(), Some(Offset(10)));
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
    states.replay(BatchHeader::view(&bytes).expect("whole"), None, SPOT, 77);
    let mut plain = BatchBuilder::new();
    plain.push(NewRecord::default());
    states.replay(BatchHeader::view(&plain.build()).expect("whole"), None, SPOT, 77);
    let mut recorded = ProducerStates::new();
    recorded.record(&batch(2, i32::MAX, 3), Offset(40), Offset(42), 9, SPOT, 77);
    assert_eq!(states, recorded);
}

#[test]
fn the_number_of_producers_is_bounded_and_the_silent_go_first() {
    let mut states = ProducerStates::new();
    let max = i64::try_from(PRODUCERS_PER_PARTITION_MAX).expect("small");
    for id in 0..=max {
        let batch = ProducerBatch { id: ProducerId(id), transactional: id == 0, ..batch(0, 0, 1) };
        states.record(&batch, Offset(id), Offset(id), 0, SPOT, id);
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
            states.record(&batch, Offset(at), Offset(at + 1), at, SPOT, at);
        }
        prop_assert_eq!(ProducerStates::decode(&states.encode()), Ok(states));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(noise in prop::collection::vec(any::<u8>(), 0..200), count in 0..4_u32, version in 1..=2_u8) {
        let mut bytes = vec![0, version];
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&noise);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        if let Ok(states) = ProducerStates::decode(&bytes) {
            prop_assert_eq!(ProducerStates::decode(&states.encode()), Ok(states));
        }
    }
}
