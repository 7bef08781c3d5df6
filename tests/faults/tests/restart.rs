//! Stops and starts in order, and those that must be refused.

use corelane_fault_tests::{
    ACKS_ALL, Broker, BrokerOptions, Client,
    hostile::{self, batch_of, small_batch},
    payload::Stamp,
    read_all,
};
use std::{net::TcpListener, time::Duration};

const STOP_MAX: Duration = Duration::from_secs(10);

fn stamp(number: u64) -> Stamp {
    Stamp { producer: 1, number }
}

/// One record more in each of five partitions; then all of them are read.
fn write_and_read(broker: &Broker, round: u64) {
    let mut client = Client::connect(broker.address()).expect("it listens");
    client.create_topics(&["kept"], 5, &[]).expect("a topic");
    client.await_topic("kept", 5, Duration::from_secs(10)).expect("its leaders");
    for partition in 0..5 {
        let produced =
            client.produce("kept", partition, small_batch(stamp(round)), ACKS_ALL).expect("an answer");
        assert!(produced.error.is_none(), "{produced:?}");
        let log = read_all(&mut client, "kept", partition).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(log, (0..=round).map(stamp).collect::<Vec<_>>(), "partition {partition}");
    }
}

#[test]
fn a_clean_stop_keeps_everything_for_any_other_number_of_shards() {
    let directory = tempfile::tempdir().expect("a directory");
    for (round, shards) in (0..).zip([2, 4, 1, 3]) {
        let mut broker = Broker::start(&BrokerOptions::new(directory.path(), shards)).expect("it starts");
        write_and_read(&broker, round);
        let status = broker.terminate(STOP_MAX).expect("it stops");
        assert!(status.success(), "{status}; it said:\n{}", broker.said());
    }
}

#[test]
fn sigterm_ends_a_broker_under_load_within_seconds() {
    use corelane_fault_tests::{Ended, Producer, ProducerSettings};
    let directory = tempfile::tempdir().expect("a directory");
    let mut broker = Broker::start(&BrokerOptions::new(directory.path(), 2)).expect("it starts");
    write_and_read(&broker, 0);
    let address = broker.address();
    let mut producer = Producer::new(ProducerSettings {
        producer: 2,
        topic: "kept".into(),
        partitions: 5,
        idempotent: true,
        acks: ACKS_ALL,
        record_bytes: 100..=1000,
        batch_records: 1..=10,
        pause: Duration::ZERO,
        seed: 1,
    });
    std::thread::scope(|scope| {
        let never = std::sync::atomic::AtomicBool::new(false);
        let producing = scope.spawn({
            let producer = &mut producer;
            move || producer.run(address, &never)
        });
        // Idle ones, and one that waits for records that do not come.
        let idle: Vec<_> = (0..50).map(|_| Client::connect(address).expect("it listens")).collect();
        std::thread::sleep(Duration::from_millis(500));
        let status = broker.terminate(STOP_MAX).expect("it stops");
        assert!(status.success(), "{status}; it said:\n{}", broker.said());
        drop(idle);
        let ended = producing.join().expect("no panic").unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(ended, Ended::Disconnected);
    });
    let acknowledged = producer.ledger().acknowledged_records();
    assert!(acknowledged > 0, "there was no load");
    let broker = Broker::start(&BrokerOptions::new(directory.path(), 3)).expect("it starts");
    let mut client = Client::connect(broker.address()).expect("it listens");
    let mut found = 0;
    for partition in 0..5 {
        let log = read_all(&mut client, "kept", partition).unwrap_or_else(|error| panic!("{error:#}"));
        found += log.iter().filter(|stamp| stamp.producer == 2).count() as u64;
    }
    assert!(found >= acknowledged, "{acknowledged} records were acknowledged, {found} are there");
}

#[test]
fn clients_that_do_not_read_their_answers_hold_up_a_stop_for_seconds_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut broker = Broker::start(&BrokerOptions::new(directory.path(), 2)).expect("it starts");
    let mut client = Client::connect(broker.address()).expect("it listens");
    client.create_topics(&["large"], 2, &[]).expect("a topic");
    client.await_topic("large", 2, Duration::from_secs(10)).expect("its leaders");
    // More than the kernel's buffers of a connection hold, in each answer.
    for number in 0..64 {
        let produced =
            client.produce("large", 1, batch_of(stamp(number), 512 << 10), ACKS_ALL).expect("an answer");
        assert!(produced.error.is_none(), "{produced:?}");
    }
    let silent = hostile::never_read(broker.address(), "large", 8).expect("they connect");
    let status = broker.terminate(STOP_MAX).expect("it stops");
    assert!(status.success(), "{status}; it said:\n{}", broker.said());
    drop(silent);
}

fn refused(options: &BrokerOptions) -> String {
    let mut broker = Broker::spawn(options).expect("it runs");
    let status = broker.wait(Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.code(), Some(1), "it said:\n{}", broker.said());
    let said = broker.said();
    for part in ["error: ", "  why: ", "  fix: "] {
        assert!(said.lines().any(|line| line.starts_with(part)), "no {part:?} in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_second_broker_on_the_same_port_is_refused_and_the_first_serves_on() {
    let (one, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let first = Broker::start(&BrokerOptions::new(one.path(), 2)).expect("it starts");
    let mut options = BrokerOptions::new(other.path(), 2);
    options.port = first.address().port();
    let said = refused(&options);
    assert!(said.contains(&first.address().to_string()), "{said}");
    write_and_read(&first, 0);
}

#[test]
fn a_port_that_something_else_listens_on_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut options = BrokerOptions::new(directory.path(), 1);
    options.port = taken.local_addr().expect("an address").port();
    refused(&options);
}

#[test]
fn a_second_broker_on_the_same_directory_is_refused_and_the_first_serves_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = BrokerOptions::new(directory.path(), 2);
    let first = Broker::start(&options).expect("it starts");
    let said = refused(&options);
    assert!(said.contains(&directory.path().display().to_string()), "{said}");
    assert!(said.contains("another broker"), "{said}");
    write_and_read(&first, 0);
}
