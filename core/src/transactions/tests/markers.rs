//! What becomes of markers.

use super::*;

/// A committed transaction, and its markers.
fn committed(bench: &mut Bench, partitions: &[i32]) -> Vec<Markers> {
    let producer = bench.begun(partitions, 3);
    bench.run(end(producer, true, 4)).markers
}

#[test]
fn a_marker_that_could_not_be_written_is_sent_again_and_only_that_one() {
    for error in [
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::NotEnoughReplicas,
        ErrorCode::NotEnoughReplicasAfterAppend,
        ErrorCode::RequestTimedOut,
        ErrorCode::KafkaStorageError,
        ErrorCode::CorruptMessage,
        ErrorCode::UnknownServerError,
    ] {
        let mut bench = Bench::new(2);
        let markers = committed(&mut bench, &[0, 1]);
        bench.answered(&markers[0], error);
        bench.answered(&markers[1], ErrorCode::None);
        assert_eq!(bench.state(), Some(State::PrepareCommit), "{error:?}");
        let again = bench.pass_ms(1000).markers;
        assert_eq!(again, [markers[0].clone()], "{error:?}");
        bench.marked(&again);
        assert_eq!(bench.state(), Some(State::CompleteCommit), "{error:?}");
    }
}

#[test]
fn markers_without_an_answer_are_sent_again() {
    let mut bench = Bench::new(2);
    let markers = committed(&mut bench, &[0, 1]);
    let lost = Err(ErrorCode::NetworkException);
    bench.with(|coordinator, scene| coordinator.marked(scene, &markers[0], lost));
    // An answer that names nothing.
    bench.with(|coordinator, scene| coordinator.marked(scene, &markers[1], Ok(Vec::new())));
    assert_eq!(bench.pass_ms(1000).markers, markers);
}

#[test]
fn each_failure_doubles_the_pause_up_to_a_second() {
    let mut bench = Bench::new(2);
    let mut markers = committed(&mut bench, &[0]);
    for pause_ms in [20, 40, 80, 160, 320, 640, 1000, 1000] {
        bench.answered(&markers[0], ErrorCode::NotLeaderOrFollower);
        assert!(bench.pass_ms(pause_ms - 1).markers.is_empty(), "after {pause_ms} ms");
        markers = bench.pass_ms(1).markers;
        assert_eq!(markers.len(), 1, "after {pause_ms} ms");
    }
}

#[test]
fn markers_go_to_whoever_leads_now() {
    let mut bench = Bench::new(2);
    let markers = committed(&mut bench, &[0]);
    bench.lead(None);
    bench.answered(&markers[0], ErrorCode::NotLeaderOrFollower);
    assert!(bench.pass_ms(1000).markers.is_empty(), "there is nobody to be told");
    bench.lead(Some(3));
    assert_eq!(bench.pass_ms(1000).markers[0].to, NodeId(3));
}

#[test]
fn partitions_that_are_deleted_need_no_marker() {
    let mut bench = Bench::new(2);
    let producer = bench.begun(&[0, 1], 3);
    bench.delete("t");
    let done = bench.run(end(producer, true, 4));
    assert!(done.markers.is_empty());
    assert_eq!(bench.state(), Some(State::CompleteCommit));
    // While they are being told.
    let mut bench = Bench::new(2);
    let markers = committed(&mut bench, &[0]);
    bench.delete("t");
    bench.answered(&markers[0], ErrorCode::UnknownTopicOrPartition);
    bench.pass_ms(1000);
    assert_eq!(bench.state(), Some(State::CompleteCommit));
}

#[test]
fn partitions_that_cannot_hold_markers_count_as_told() {
    for error in [ErrorCode::UnsupportedForMessageFormat, ErrorCode::UnsupportedVersion] {
        let mut bench = Bench::new(2);
        let markers = committed(&mut bench, &[0]);
        bench.answered(&markers[0], error);
        assert_eq!(bench.state(), Some(State::CompleteCommit));
    }
}

#[test]
fn whoever_is_told_that_another_knows_better_sends_no_more() {
    for error in [ErrorCode::TransactionCoordinatorFenced, ErrorCode::InvalidProducerEpoch] {
        let mut bench = Bench::new(2);
        let markers = committed(&mut bench, &[0, 1]);
        bench.answered(&markers[0], error);
        bench.answered(&markers[1], ErrorCode::None);
        assert!(bench.pass_ms(60_000).markers.is_empty());
        assert_eq!(bench.state(), Some(State::PrepareCommit));
        assert_eq!(bench.answer(init(None)), Err(ErrorCode::ConcurrentTransactions));
        // The next leader begins anew.
        bench.restart();
        assert_eq!(bench.pass_ms(0).markers.len(), 2);
    }
}

#[test]
fn answers_about_an_earlier_transaction_count_for_nothing() {
    let mut bench = Bench::new(2);
    let producer = bench.begun(&[0], 3);
    let first = bench.run(end(producer, true, 4)).markers;
    bench.answered(&first[0], ErrorCode::None);
    bench.add(producer, &[0], 3).expect("it begins");
    let second = bench.run(end(producer, false, 4)).markers;
    bench.answered(&first[0], ErrorCode::None);
    assert_eq!(bench.state(), Some(State::PrepareAbort));
    bench.answered(&second[0], ErrorCode::None);
    assert_eq!(bench.state(), Some(State::CompleteAbort));
}

#[test]
fn the_next_leader_goes_on_with_what_was_decided() {
    for (commit, version) in [(true, 4), (false, 4), (true, 5), (false, 5)] {
        let mut bench = Bench::new(2);
        let producer = bench.begun(&[0, 1], 4);
        let before = bench.run(end(producer, commit, version)).markers;
        bench.restart();
        assert_eq!(bench.answer(init(None)), Err(ErrorCode::ConcurrentTransactions));
        let markers = bench.pass_ms(0).markers;
        let epochs = (before[0].coordinator_epoch.0 + 1, markers[0].coordinator_epoch.0);
        assert_eq!(epochs.0, epochs.1);
        let told = |it: &Markers| (it.producer, it.commit, it.transaction_version, it.partitions.clone());
        let (before, after): (Vec<_>, Vec<_>) =
            (before.iter().map(told).collect(), markers.iter().map(told).collect());
        assert_eq!(before, after);
        bench.marked(&markers);
        let state = if commit { State::CompleteCommit } else { State::CompleteAbort };
        assert_eq!(bench.state(), Some(state));
    }
}

#[test]
fn a_completion_that_cannot_be_stored_is_tried_again() {
    let mut bench = Bench::new(2);
    let markers = committed(&mut bench, &[0]);
    let all = vec![(Arc::from("t"), 0, ErrorCode::None)];
    let outcome = bench.with(|coordinator, scene| coordinator.marked(scene, &markers[0], Ok(all)));
    assert_eq!(outcome.records[0].value.as_ref().map(|it| it.state), Some(State::CompleteCommit));
    // It is not appended.
    let then = outcome.then.expect("it waits for its record");
    let refusal = Err(ErrorCode::CoordinatorNotAvailable);
    bench.with(|coordinator, scene| coordinator.stored(scene, then, refusal));
    assert_eq!(bench.state(), Some(State::PrepareCommit));
    let later = bench.pass_ms(1000);
    assert!(later.markers.is_empty(), "every partition knows");
    assert_eq!(later.records[0].state, State::CompleteCommit);
    assert_eq!(bench.coordinator.soft["x"].pending, None);
}
