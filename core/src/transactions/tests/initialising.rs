//! InitProducerId.

use super::*;

#[test]
fn a_new_id_gets_a_fresh_producer() {
    let mut bench = Bench::new(2);
    let outcome = bench.ask(init(None));
    let value = empty(Layout::Flexible, ProducerId(1000), 0);
    assert_eq!(outcome.records, [Record { id: "x".into(), value: Some(value) }]);
    assert_eq!(outcome.replies[0].1, Ok(Response::Initialised(producer(1000, 0))));
    assert!(matches!(outcome.producer_id, ProducerIdUse::Taken));
}

#[test]
fn without_a_producer_id_at_hand_nothing_is_decided_and_the_request_comes_back() {
    let mut bench = Bench::new(2);
    bench.fresh_id = None;
    let outcome = bench.ask(init(None));
    assert!(outcome.records.is_empty() && outcome.replies.is_empty(), "{outcome:?}");
    let ProducerIdUse::Wanted(Some(again)) = outcome.producer_id else { panic!("it does not come back") };
    bench.fresh_id = Some(ProducerId(5));
    assert_eq!(initialised(bench.answer(again.1)), producer(5, 0));
    // The next epoch of the same needs none.
    bench.fresh_id = None;
    assert_eq!(bench.init(), producer(5, 1));
}

#[test]
fn while_a_producer_is_on_its_way_another_must_wait() {
    let mut bench = Bench::new(2);
    let first = bench.ask(init(None));
    let second = bench.ask(init(None));
    assert_eq!(second.replies[0].1, Err(ErrorCode::ConcurrentTransactions));
    bench.commit(first);
    assert_eq!(bench.init(), producer(1000, 1));
}

#[test]
fn a_timeout_is_positive_and_no_longer_than_the_broker_allows() {
    let mut bench = Bench::new(2);
    let Request::Init(valid) = init(None) else { unreachable!() };
    let most = bench.config.transactions.timeout_max_ms;
    for timeout_ms in [0, -1, most + 1] {
        let reply = bench.answer(Request::Init(InitProducer { timeout_ms, ..valid.clone() }));
        assert_eq!(reply, Err(ErrorCode::InvalidTransactionTimeout), "{timeout_ms}");
    }
    initialised(bench.answer(Request::Init(InitProducer { timeout_ms: most, ..valid })));
}

#[test]
fn two_phase_commit_and_kept_transactions_are_refused_as_in_kafka() {
    let mut bench = Bench::new(2);
    let Request::Init(valid) = init(None) else { unreachable!() };
    let two_phase = Request::Init(InitProducer { two_phase: true, ..valid.clone() });
    assert_eq!(bench.answer(two_phase), Err(ErrorCode::TransactionalIdAuthorizationFailed));
    let kept = Request::Init(InitProducer { keep_prepared: true, ..valid });
    assert_eq!(bench.answer(kept), Err(ErrorCode::UnsupportedVersion));
}

#[test]
fn a_new_producer_fences_the_old_one_and_aborts_its_transaction() {
    for level in [0, 1, 2] {
        let mut bench = Bench::new(level);
        let old = bench.begun(&[0, 2], 3);
        let done = bench.run(init(None));
        assert_eq!(done.reply, Some(Err(ErrorCode::ConcurrentTransactions)));
        assert_eq!(done.records[0].state, State::PrepareAbort);
        assert_eq!(done.records[0].epoch, ProducerEpoch(1), "nobody has it");
        let fenced = bench.answer(end(old, true, 4));
        assert_eq!(fenced, Err(ErrorCode::ProducerFenced), "transaction.version={level}");
        assert!(done.markers.iter().all(|it| !it.commit && it.producer == producer(1000, 1)));
        let expected_version = if level == 2 { 2 } else { 0 };
        assert_eq!(done.markers[0].transaction_version, expected_version);
        assert_eq!(bench.answer(init(None)), Err(ErrorCode::ConcurrentTransactions));
        bench.marked(&done.markers);
        assert_eq!(bench.state(), Some(State::CompleteAbort));
        assert_eq!(bench.init(), producer(1000, 2), "transaction.version={level}");
        assert_eq!(bench.add(old, &[0], 4), Err(ErrorCode::ProducerFenced));
    }
}

#[test]
fn a_producer_goes_on_after_an_error_and_may_ask_twice() {
    let mut bench = Bench::new(2);
    let first = bench.init();
    let next = initialised(bench.answer(init(Some(first))));
    assert_eq!(next, producer(1000, 1));
    // The answer was lost.
    assert_eq!(initialised(bench.answer(init(Some(first)))), next);
    assert_eq!(initialised(bench.answer(init(Some(first)))), next);
    // Another producer begins: the first one is fenced.
    assert_eq!(bench.init(), producer(1000, 2));
    for fenced in [first, next, producer(77, 2)] {
        assert_eq!(bench.answer(init(Some(fenced))), Err(ErrorCode::ProducerFenced), "{fenced:?}");
    }
}

#[test]
fn a_producer_that_was_fenced_cannot_abort_the_transaction_of_its_successor() {
    let mut bench = Bench::new(2);
    let old = bench.init();
    let new = bench.begun(&[0], 4);
    assert_eq!(bench.answer(init(Some(old))), Err(ErrorCode::ProducerFenced));
    assert_eq!(bench.state(), Some(State::Ongoing));
    // It may abort its own.
    assert_eq!(bench.answer(init(Some(new))), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(bench.state(), Some(State::PrepareAbort));
}

#[test]
fn epochs_that_are_used_up_mean_another_producer_id() {
    for level in [0, 2] {
        let mut bench = Bench::new(level);
        let last = bench.init_with_epoch(i16::MAX - 1);
        assert_eq!(bench.init(), producer(2000, 0));
        // Who was not told is not it: another one begins without a word of what was before.
        assert_eq!(bench.answer(init(Some(last))), Err(ErrorCode::ProducerFenced));
    }
}

#[test]
fn a_producer_that_got_another_id_may_ask_twice() {
    for level in [0, 2] {
        let mut bench = Bench::new(level);
        let last = bench.init_with_epoch(i16::MAX - 1);
        assert_eq!(initialised(bench.answer(init(Some(last)))), producer(2000, 0));
        let repeated = initialised(bench.answer(init(Some(last))));
        assert_eq!(repeated, producer(2000, 0), "transaction.version={level}");
    }
}

#[test]
fn fencing_the_last_epoch_leads_to_another_producer_id() {
    for level in [1, 2] {
        let mut bench = Bench::new(level);
        let last = bench.init_with_epoch(i16::MAX - 1);
        assert_eq!(bench.add(last, &[0], 4), Ok(added(&[0])));
        let done = bench.run(init(None));
        assert_eq!(done.reply, Some(Err(ErrorCode::ConcurrentTransactions)));
        assert_eq!(done.markers[0].producer, producer(1000, i16::MAX));
        bench.marked(&done.markers);
        // In version 2 the id comes with the abort, in version 1 with the next producer.
        let next = bench.init();
        assert_eq!(next, if level == 2 { producer(2000, 1) } else { producer(2000, 0) });
    }
}
