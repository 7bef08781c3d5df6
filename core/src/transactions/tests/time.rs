//! Timeouts and expiry.

use super::*;

#[test]
fn a_transaction_past_its_timeout_is_aborted_and_its_producer_fenced() {
    for level in [0, 2] {
        let mut bench = Bench::new(level);
        let old = bench.begun(&[0, 1], 3);
        let interval_ms = bench.config.transactions.timeout_check_ms;
        let early = bench.pass_ms(u64::from(TIMEOUT_MS.unsigned_abs()));
        assert!(early.records.is_empty(), "it may last that long");
        let late = bench.pass_ms(interval_ms);
        assert_eq!(late.records[0].state, State::PrepareAbort);
        assert!(late.markers.iter().all(|it| !it.commit && it.producer == producer(1000, 1)));
        assert_eq!(late.markers.len(), 2);
        bench.marked(&late.markers);
        assert_eq!(bench.answer(end(old, true, 4)), Err(ErrorCode::ProducerFenced));
        assert_eq!(bench.init(), producer(1000, 2), "transaction.version={level}");
    }
}

#[test]
fn what_is_on_its_way_is_not_aborted() {
    let mut bench = Bench::new(2);
    let producer = bench.begun(&[0], 3);
    let outcome = bench.ask(end(producer, true, 4));
    assert!(bench.pass_ms(600_000).records.is_empty());
    bench.commit(outcome);
    assert_eq!(bench.state(), Some(State::PrepareCommit));
    // An addition delays it until the next look.
    let mut bench = Bench::new(2);
    let producer = bench.init();
    let outcome = bench.ask(add(producer, &[0], 4));
    assert!(bench.pass_ms(600_000).records.is_empty());
    bench.commit(outcome);
    let interval_ms = bench.config.transactions.timeout_check_ms;
    assert_eq!(bench.pass_ms(interval_ms).records[0].state, State::PrepareAbort);
}

#[test]
fn the_next_leader_counts_from_when_a_transaction_began() {
    let mut bench = Bench::new(2);
    bench.begun(&[0], 3);
    bench.pass_ms(55_000);
    bench.restart();
    let interval_ms = bench.config.transactions.timeout_check_ms;
    assert_eq!(bench.pass_ms(interval_ms).records[0].state, State::PrepareAbort);
}

#[test]
fn an_abort_that_needs_a_producer_id_waits_for_one() {
    let mut bench = Bench::new(2);
    let last = bench.init_with_epoch(i16::MAX - 1);
    bench.add(last, &[0], 4).expect("it begins");
    let fresh = bench.fresh_id.take();
    bench.now.monotonic = bench.now.monotonic.after_ms(600_000);
    bench.now.unix_ms += 600_000;
    let outcome = bench.with(Coordinator::alarm).expect("it is time");
    assert!(matches!(outcome.producer_id, ProducerIdUse::Wanted(None)), "{outcome:?}");
    assert!(bench.pass_ms(0).records.is_empty(), "it waits");
    bench.fresh_id = fresh;
    let aborted = &bench.pass_ms(100).records[0];
    assert_eq!((aborted.state, aborted.next_id), (State::PrepareAbort, fresh));
}

#[test]
fn an_abort_that_cannot_be_stored_is_tried_at_the_next_look() {
    let mut bench = Bench::new(2);
    bench.begun(&[0], 3);
    bench.now.monotonic = bench.now.monotonic.after_ms(600_000);
    bench.now.unix_ms += 600_000;
    let outcome = bench.with(Coordinator::alarm).expect("it is time");
    let then = outcome.then.expect("it waits for its record");
    bench.with(|coordinator, scene| coordinator.stored(scene, then, Err(ErrorCode::CoordinatorNotAvailable)));
    assert!(bench.pass_ms(0).records.is_empty(), "not at once");
    let interval_ms = bench.config.transactions.timeout_check_ms;
    assert_eq!(bench.pass_ms(interval_ms).records[0].state, State::PrepareAbort);
}

#[test]
fn a_transaction_of_a_two_phase_commit_has_no_timeout() {
    let mut bench = Bench::new(2);
    let producer = bench.begun(&[0], 3);
    let value = Transaction { timeout_ms: i32::MAX, ..bench.transaction().clone() };
    let record = Record { id: "x".into(), value: Some(value) };
    bench.append(&Outcome { records: vec![record], ..Outcome::default() });
    assert!(bench.pass_ms(60_000_000_000).records.is_empty());
    assert_eq!(bench.answer(end(producer, true, 4)), Ok(Response::Ended(None)));
}

#[test]
fn a_silent_transactional_id_expires() {
    let mut bench = Bench::new(2);
    bench.init();
    let expiration_ms = u64::try_from(bench.config.transactions.expiration_ms).expect("positive");
    bench.pass_ms(expiration_ms - 1);
    assert_eq!(bench.state(), Some(State::Empty));
    bench.pass_ms(bench.config.transactions.expiry_check_ms);
    assert_eq!(bench.state(), None);
    assert_eq!(bench.log.last(), Some(&Record { id: "x".into(), value: None }));
    assert!(bench.coordinator.soft.is_empty());
    // Whoever comes back gets another producer id.
    assert_eq!(bench.init(), producer(2000, 0));
}

#[test]
fn an_id_with_a_transaction_does_not_expire_however_long_it_takes() {
    let mut bench = Bench::new(2);
    let producer = bench.begun(&[0], 3);
    bench.run(end(producer, true, 4));
    bench.pass_ms(2 * u64::try_from(bench.config.transactions.expiration_ms).expect("positive"));
    assert_eq!(bench.state(), Some(State::PrepareCommit));
}

#[test]
fn a_look_for_expired_ids_goes_on_until_it_has_seen_all() {
    let mut bench = Bench::new(2);
    bench.init();
    let value = bench.transaction().clone();
    for number in 0..2500 {
        let record = Record { id: number.to_string().into(), value: Some(value.clone()) };
        bench.coordinator.replay(record);
    }
    bench.pass_ms(u64::try_from(bench.config.transactions.expiration_ms).expect("positive"));
    assert_eq!(bench.coordinator.size(), (0, 0));
}
