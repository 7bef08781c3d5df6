//! A disk that fills: produce is refused with a clear error before the space is gone, and reads go on.

use bytes::Bytes;
use corelane_core::{
    error::ErrorCode,
    records::{BatchBuilder, NewRecord},
};
use corelane_fault_tests::{
    ACKS_ALL, Broker, BrokerOptions, Client, clock, payload::Stamp, read_all, requests::Produced,
    small_disk::SmallDisk,
};
use std::time::Duration;

fn large_batch(number: u64) -> Bytes {
    let value = Stamp { producer: 1, number }.value(500_000);
    let mut batch = BatchBuilder::new();
    batch.push(NewRecord { timestamp_ms: clock::unix_ms(), value: Some(&value), ..NewRecord::default() });
    batch.build()
}

fn client(broker: &Broker) -> Client {
    let mut client = Client::connect(broker.address()).expect("it listens");
    client.create_topics(&["t"], 1, &[("segment.bytes", "4194304")]).expect("a topic");
    client.await_topic("t", 1, Duration::from_secs(10)).expect("its leader");
    client
}

/// Produces until it is refused; how many batches were taken, and the refusal.
fn produce_until_refused(client: &mut Client, from: u64, batches_max: u64) -> (u64, Produced) {
    for number in from..batches_max {
        let produced = client.produce("t", 0, large_batch(number), ACKS_ALL).expect("an answer");
        if !produced.error.is_none() {
            return (number, produced);
        }
        assert_eq!(produced.base_offset, number as i64);
    }
    panic!("{batches_max} batches of half a megabyte were taken");
}

fn assert_all_there(client: &mut Client, count: u64) {
    let log = read_all(client, "t", 0).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(log, (0..count).map(|number| Stamp { producer: 1, number }).collect::<Vec<_>>());
}

#[test]
fn a_reserve_larger_than_the_disk_refuses_produce_and_serves_reads() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = BrokerOptions::new(directory.path(), 1);
    let mut broker = Broker::start(&options).expect("it starts");
    let produced = client(&broker).produce("t", 0, large_batch(0), ACKS_ALL).expect("an answer");
    assert!(produced.error.is_none(), "{produced:?}");
    assert!(broker.terminate(Duration::from_secs(10)).expect("it stops").success());

    let options = options.with("corelane.disk.reserve.bytes", i64::MAX);
    let broker = Broker::start(&options).unwrap_or_else(|error| panic!("{error:#}"));
    let mut client = client(&broker);
    let (taken, refusal) = produce_until_refused(&mut client, 1, 100);
    println!("after {taken} batches: {refusal:?}");
    assert_eq!(refusal.error, ErrorCode::KafkaStorageError);
    assert_all_there(&mut client, taken);
}

/// Needs to mount: root. Where that is not so the test says it, and the one above stands alone.
#[test]
fn a_disk_that_fills_refuses_produce_serves_reads_and_recovers() {
    const BYTES: u64 = 320 << 20;
    let disk = match SmallDisk::new(BYTES) {
        Ok(disk) => disk,
        Err(error) => {
            println!("NOT RUN: no small file system can be mounted here: {error:#}");
            return;
        }
    };
    let options = BrokerOptions::new(&disk.path().join("data"), 2)
        .with("corelane.journal.bytes.max", 16 << 20)
        .with("corelane.disk.reserve.bytes", 64 << 20);
    let mut broker = Broker::start(&options).unwrap_or_else(|error| panic!("{error:#}"));
    let mut client = client(&broker);
    let (taken, refusal) = produce_until_refused(&mut client, 0, BYTES / 500_000);
    let free = disk.free_bytes().expect("df");
    println!("after {taken} batches, {} MiB free: {refusal:?}", free >> 20);
    assert_eq!(refusal.error, ErrorCode::KafkaStorageError);
    assert!(refusal.message.as_ref().is_some_and(|message| !message.is_empty()), "{refusal:?}");
    assert!(free > 16 << 20, "the reserve is gone: {free} bytes are free");
    assert_all_there(&mut client, taken);

    // Killed on a full disk it recovers there.
    broker.kill();
    let mut broker = Broker::start(&options).unwrap_or_else(|error| panic!("{error:#}"));
    let mut client = Client::connect(broker.address()).expect("it listens");
    client.await_topic("t", 1, Duration::from_secs(10)).expect("its leader");
    assert_all_there(&mut client, taken);

    // Space again, and it goes on by itself.
    client.create_topics(&["other"], 1, &[]).expect("metadata has its reserve");
    client.delete_topics(&["t"]).expect("deleting frees");
    client.await_topic("other", 1, Duration::from_secs(10)).expect("its leader");
    let mut outcome = None;
    for _ in 0..300 {
        let produced = client.produce("other", 0, large_batch(0), ACKS_ALL).expect("an answer");
        if produced.error.is_none() {
            outcome = Some(produced);
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(outcome.is_some(), "produce is refused with {} bytes free", disk.free_bytes().expect("df"));
    assert!(broker.terminate(Duration::from_secs(10)).expect("it stops").success());
}
