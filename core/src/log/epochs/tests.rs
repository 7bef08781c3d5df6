use super::*;
use proptest::prelude::*;

fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
    let mut epochs = LeaderEpochs::new();
    for (epoch, start) in entries {
        epochs.assign(LeaderEpoch(*epoch), Offset(*start));
    }
    epochs
}

fn listed(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
    epochs.entries().iter().map(|entry| (entry.epoch.0, entry.start.0)).collect()
}

fn end_of(epochs: &LeaderEpochs, requested: i32) -> Option<(i32, i64)> {
    let end = epochs.end_offset_for(LeaderEpoch(requested), Offset(100));
    end.map(|(epoch, offset)| (epoch.0, offset.0))
}

#[test]
fn the_end_of_an_epoch_is_the_start_of_the_next_known_one() {
    let epochs = epochs(&[(2, 10), (4, 20), (7, 30)]);
    assert_eq!(end_of(&epochs, 2), Some((2, 20)));
    assert_eq!(end_of(&epochs, 3), Some((2, 20)), "an epoch without records: the largest below");
    assert_eq!(end_of(&epochs, 4), Some((4, 30)));
    assert_eq!(end_of(&epochs, 6), Some((4, 30)));
    assert_eq!(end_of(&epochs, 7), Some((7, 100)), "the latest ends with the log");
}

#[test]
fn an_epoch_below_the_first_ends_where_the_log_begins() {
    assert_eq!(end_of(&epochs(&[(2, 10), (4, 20)]), 1), Some((1, 10)));
}

#[test]
fn an_unknown_epoch_has_no_end() {
    let some = epochs(&[(2, 10)]);
    assert_eq!(end_of(&some, -1), None);
    assert_eq!(end_of(&some, 3), None, "beyond the latest");
    assert_eq!(end_of(&LeaderEpochs::new(), 0), None);
}

#[test]
fn a_known_epoch_keeps_its_start() {
    let mut epochs = epochs(&[(0, 0), (1, 5)]);
    assert!(!epochs.assign(LeaderEpoch(1), Offset(9)));
    assert_eq!(listed(&epochs), [(0, 0), (1, 5)]);
}

#[test]
fn an_epoch_that_wrote_nothing_gives_way() {
    let mut epochs = epochs(&[(0, 0), (1, 5), (2, 5)]);
    assert_eq!(listed(&epochs), [(0, 0), (2, 5)]);
    assert!(epochs.assign(LeaderEpoch(1), Offset(3)), "a lower epoch contradicts the later one");
    assert_eq!(listed(&epochs), [(0, 0), (1, 3)]);
}

#[test]
fn a_batch_from_before_leader_epochs_is_not_noted() {
    let mut epochs = LeaderEpochs::new();
    assert!(!epochs.assign(LeaderEpoch::UNKNOWN, Offset(0)));
    assert_eq!(epochs.latest(), None);
}

#[test]
fn an_offset_belongs_to_the_epoch_that_began_at_or_before_it() {
    let epochs = epochs(&[(2, 10), (4, 20)]);
    let at = |offset| epochs.epoch_at(Offset(offset)).map(|epoch| epoch.0);
    assert_eq!((at(9), at(10), at(19), at(20), at(1_000)), (None, Some(2), Some(2), Some(4), Some(4)));
}

#[test]
fn truncation_at_the_end_forgets_what_began_there() {
    let mut cut = epochs(&[(2, 10), (4, 20), (7, 30)]);
    cut.truncate_from_end(Offset(31));
    assert_eq!(listed(&cut), [(2, 10), (4, 20), (7, 30)]);
    cut.truncate_from_end(Offset(30));
    assert_eq!(listed(&cut), [(2, 10), (4, 20)]);
    cut.truncate_from_end(Offset(0));
    assert_eq!(listed(&cut), []);
}

#[test]
fn truncation_at_the_start_moves_the_epoch_that_holds_it() {
    let all = epochs(&[(2, 10), (4, 20), (7, 30)]);
    for (start, left) in [
        (5, &[(2, 10), (4, 20), (7, 30)][..]),
        (10, &[(2, 10), (4, 20), (7, 30)]),
        (15, &[(2, 15), (4, 20), (7, 30)]),
        (20, &[(4, 20), (7, 30)]),
        (90, &[(7, 90)]),
    ] {
        let mut cut = all.clone();
        cut.truncate_from_start(Offset(start));
        assert_eq!(listed(&cut), left, "at {start}");
    }
}

#[test]
fn every_single_damaged_bit_of_a_checkpoint_is_noticed() {
    let bytes = epochs(&[(2, 10), (4, 20)]).encode();
    assert_eq!(listed(&LeaderEpochs::decode(&bytes).expect("whole")), [(2, 10), (4, 20)]);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(LeaderEpochs::decode(&damaged).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(LeaderEpochs::decode(&bytes[..length]).is_err(), "length {length}");
    }
}

#[test]
fn entries_that_do_not_ascend_are_refused() {
    let unordered = LeaderEpochs {
        entries: vec![
            EpochStart { epoch: LeaderEpoch(2), start: Offset(10) },
            EpochStart { epoch: LeaderEpoch(2), start: Offset(20) },
        ],
    };
    assert_eq!(LeaderEpochs::decode(&unordered.encode()), Err(DamagedEpochs::Order));
}

proptest! {
    #[test]
    fn whatever_is_assigned_ascends_and_survives_a_checkpoint(
        entries in prop::collection::vec((-1_i32..20, -1_i64..50), 0..40),
        start in 0_i64..60, end in 0_i64..60,
    ) {
        let mut epochs = epochs(&entries);
        let ascends = |epochs: &LeaderEpochs| epochs
            .entries()
            .is_sorted_by(|a, b| a.epoch < b.epoch && a.start < b.start);
        prop_assert!(ascends(&epochs));
        epochs.truncate_from_start(Offset(start));
        prop_assert!(ascends(&epochs));
        epochs.truncate_from_end(Offset(end));
        prop_assert!(ascends(&epochs));
        prop_assert_eq!(LeaderEpochs::decode(&epochs.encode()), Ok(epochs));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(content in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut bytes = content;
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        let _ = LeaderEpochs::decode(&bytes);
    }
}
