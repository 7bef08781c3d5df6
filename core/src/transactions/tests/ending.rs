//! EndTxn.

use super::*;

#[test]
fn a_commit_is_written_down_told_to_every_leader_and_then_completed() {
    let mut bench = Bench::new(2);
    let producer = bench.begun(&[0, 2], 3);
    let outcome = bench.ask(end(producer, true, 3));
    let prepared = Transaction { state: State::PrepareCommit, ..bench.transaction().clone() };
    assert_eq!(outcome.records, [Record { id: "x".into(), value: Some(prepared) }]);
    assert_eq!(outcome.replies[0].1, Ok(Response::Ended(None)));
    assert!(outcome.markers.is_empty(), "nothing is committed yet");
    let done = bench.commit(outcome);
    let to = |broker: i32| Markers {
        id: "x".into(),
        round: MarkersRound(1),
        to: NodeId(broker),
        coordinator_epoch: bench.coordinator.epoch,
        producer,
        commit: true,
        transaction_version: 0,
        partitions: of_t(&[broker]),
    };
    assert_eq!(done.markers, [to(0), to(2)]);
    let half = bench.answered(&done.markers[0], ErrorCode::None);
    assert!(half.records.is_empty());
    let whole = bench.answered(&done.markers[1], ErrorCode::None);
    assert_eq!(whole.records[0].state, State::CompleteCommit);
    assert!(whole.records[0].partitions.is_empty());
    // The next transaction of version 1 has the same epoch.
    assert_eq!(bench.add(producer, &[1], 3), Ok(added(&[1])));
}

#[test]
fn what_is_decided_is_not_decided_again_while_it_is_on_its_way() {
    for version in [4, 5] {
        let mut bench = Bench::new(2);
        let producer = bench.begun(&[0], 4);
        let outcome = bench.ask(end(producer, true, version));
        let requests = [end(producer, true, version), end(producer, false, 5), init(None)];
        for request in requests.clone() {
            let reply = bench.ask(request).replies.remove(0).1;
            assert_eq!(reply, Err(ErrorCode::ConcurrentTransactions));
        }
        let markers = bench.commit(outcome).markers;
        for request in requests {
            let reply = bench.ask(request).replies.remove(0).1;
            assert_eq!(reply, Err(ErrorCode::ConcurrentTransactions), "markers are on their way");
        }
        assert_eq!(bench.add(producer, &[1], 3), Err(ErrorCode::ConcurrentTransactions));
        bench.marked(&markers);
        assert_eq!(bench.state(), Some(State::CompleteCommit));
    }
}

#[test]
fn version_1_takes_the_same_end_again_and_no_other() {
    for (commit, state) in [(true, State::CompleteCommit), (false, State::CompleteAbort)] {
        let mut bench = Bench::new(2);
        let producer = bench.begun(&[0], 3);
        let markers = bench.run(end(producer, commit, 4)).markers;
        bench.marked(&markers);
        assert_eq!(bench.state(), Some(state));
        let repeated = bench.run(end(producer, commit, 4));
        assert_eq!(repeated.reply, Some(Ok(Response::Ended(None))));
        assert!(repeated.records.is_empty());
        assert_eq!(bench.answer(end(producer, !commit, 4)), Err(ErrorCode::InvalidTxnState));
    }
}

#[test]
fn version_1_ends_nothing_that_did_not_begin() {
    let mut bench = Bench::new(2);
    let unknown = bench.answer(end(producer(1, 0), true, 4));
    assert_eq!(unknown, Err(ErrorCode::InvalidProducerIdMapping));
    let producer = bench.init();
    for commit in [true, false] {
        assert_eq!(bench.answer(end(producer, commit, 4)), Err(ErrorCode::InvalidTxnState));
    }
    let ahead = Producer { epoch: ProducerEpoch(1), ..producer };
    assert_eq!(bench.answer(end(ahead, true, 4)), Err(ErrorCode::ProducerFenced));
}

#[test]
fn version_2_gives_each_transaction_an_epoch() {
    let mut bench = Bench::new(2);
    let first = bench.begun(&[0], 4);
    let done = bench.run(end(first, true, 5));
    let next = producer(1000, 1);
    assert_eq!(done.reply, Some(Ok(Response::Ended(Some(next)))));
    assert_eq!((done.markers[0].producer, done.markers[0].transaction_version), (next, 2));
    bench.marked(&done.markers);
    // Its answer was lost: it is told again, and nothing happens.
    let repeated = bench.run(end(first, true, 5));
    assert_eq!(repeated.reply, Some(Ok(Response::Ended(Some(next)))));
    assert!(repeated.records.is_empty());
    assert_eq!(bench.answer(end(first, false, 5)), Err(ErrorCode::InvalidTxnState));
    // Of the next transaction nothing is known.
    assert_eq!(bench.answer(end(next, true, 5)), Err(ErrorCode::InvalidTxnState));
    assert_eq!(bench.add(first, &[0], 4), Err(ErrorCode::ProducerFenced));
    assert_eq!(bench.add(next, &[0], 4), Ok(added(&[0])));
    assert_eq!(bench.answer(end(first, true, 5)), Err(ErrorCode::ProducerFenced), "that is another one");
}

#[test]
fn version_2_aborts_what_never_began_and_gives_an_epoch_for_it() {
    let mut bench = Bench::new(2);
    let first = bench.init();
    assert_eq!(bench.answer(end(first, true, 5)), Err(ErrorCode::InvalidTxnState));
    let done = bench.run(end(first, false, 5));
    assert_eq!(done.reply, Some(Ok(Response::Ended(Some(producer(1000, 1))))));
    let states: Vec<State> = done.records.iter().map(|it| it.state).collect();
    assert_eq!(states, [State::PrepareAbort, State::CompleteAbort], "there is nobody to be told");
    assert_eq!(done.records[0].started_ms, UNIX_MS);
    // After an abort, and after a commit.
    let done = bench.run(end(producer(1000, 1), false, 5));
    assert_eq!(done.reply, Some(Ok(Response::Ended(Some(producer(1000, 2))))));
    bench.add(producer(1000, 2), &[0], 4).expect("it begins");
    let markers = bench.run(end(producer(1000, 2), true, 5)).markers;
    bench.marked(&markers);
    let done = bench.run(end(producer(1000, 3), false, 5));
    assert_eq!(done.reply, Some(Ok(Response::Ended(Some(producer(1000, 4))))));
    assert_eq!(bench.state(), Some(State::CompleteAbort));
}

#[test]
fn version_2_tells_a_repeated_end_from_the_next_one_by_its_epoch() {
    let mut bench = Bench::new(2);
    let first = bench.init();
    bench.run(end(first, false, 5));
    let repeated = bench.run(end(first, false, 5));
    assert_eq!(repeated.reply, Some(Ok(Response::Ended(Some(producer(1000, 1))))));
    assert!(repeated.records.is_empty());
    assert_eq!(bench.answer(end(first, true, 5)), Err(ErrorCode::InvalidTxnState));
    let ahead = producer(1000, 2);
    assert_eq!(bench.answer(end(ahead, false, 5)), Err(ErrorCode::ProducerFenced));
    let other = producer(77, 1);
    assert_eq!(bench.answer(end(other, false, 5)), Err(ErrorCode::InvalidProducerIdMapping));
}

#[test]
fn a_producer_of_version_2_does_not_pass_for_its_successor_of_version_1() {
    let mut bench = Bench::new(2);
    let old = bench.init();
    let new = bench.begun(&[0], 3);
    let markers = bench.run(end(new, false, 4)).markers;
    bench.marked(&markers);
    // One epoch lies between them, as after an end of the old one.
    assert_eq!(bench.answer(end(old, false, 5)), Err(ErrorCode::ProducerFenced));
}

#[test]
fn version_2_takes_the_abort_of_a_transaction_that_timed_out_for_the_end_of_it() {
    let mut bench = Bench::new(2);
    let old = bench.begun(&[0], 4);
    let markers = bench.pass_ms(120_000).markers;
    bench.marked(&markers);
    assert_eq!(bench.answer(end(old, true, 5)), Err(ErrorCode::InvalidTxnState));
    let next = producer(1000, 1);
    assert_eq!(bench.answer(end(old, false, 5)), Ok(Response::Ended(Some(next))));
    assert_eq!(bench.add(next, &[0], 4), Ok(added(&[0])));
}

#[test]
fn version_2_gives_another_producer_id_when_epochs_are_used_up() {
    let mut bench = Bench::new(2);
    let last = bench.init_with_epoch(i16::MAX - 1);
    bench.add(last, &[0], 4).expect("it begins");
    let (id, fresh) = (last.id, bench.fresh_id.take());
    let outcome = bench.ask(end(last, true, 5));
    let ProducerIdUse::Wanted(Some(again)) = outcome.producer_id else { panic!("it does not come back") };
    bench.fresh_id = fresh;
    let done = bench.run(again.1);
    let next = producer(2000, 0);
    assert_eq!(done.reply, Some(Ok(Response::Ended(Some(next)))));
    assert_eq!(done.records[0].next_id, Some(next.id));
    // The epoch that nobody gets is that of the markers.
    assert_eq!(done.markers[0].producer, Producer { id, epoch: ProducerEpoch(i16::MAX) });
    // Another leader completes it alike.
    bench.restart();
    let markers = bench.pass_ms(0).markers;
    let completed = &bench.marked(&markers).records[0];
    assert_eq!((completed.producer_id, completed.epoch), (next.id, next.epoch));
    assert_eq!((completed.previous_id, completed.next_id), (Some(id), None));
    assert_eq!(bench.answer(end(last, true, 5)), Ok(Response::Ended(Some(next))), "told again");
    assert_eq!(bench.add(next, &[0], 4), Ok(added(&[0])));
}

#[test]
fn the_plain_layout_knows_version_1_only() {
    let mut bench = Bench::new(0);
    let producer = bench.begun(&[0], 4);
    let done = bench.run(end(producer, true, 5));
    assert_eq!(done.reply, Some(Ok(Response::Ended(None))));
    assert_eq!((done.markers[0].producer, done.markers[0].transaction_version), (producer, 0));
}
