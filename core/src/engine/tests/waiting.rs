//! Requests that wait at their owners, and what ends the wait.

use super::{
    broker::Broker,
    clients::{alter, batch, create, delete_records, delete_topic, fetch, produce, records},
    files::Files,
};
use crate::{
    engine::{Input, ShardMessage},
    error::{ErrorCode, Fatal},
    ids::PartitionId,
    metadata::Image,
};
use corelane_seam::{ConnectionId, ShardId};
use kafka_protocol::messages::{
    CreateTopicsResponse, DeleteRecordsResponse, DeleteTopicsResponse, FetchResponse,
    IncrementalAlterConfigsResponse, ProduceResponse,
};
use std::collections::VecDeque;

fn append(broker: &mut Broker, client: ConnectionId, acks: i16, index: i32, value: &str) {
    let response: ProduceResponse = broker.ask(client, 9, &produce("t", acks, &[(index, batch(&[value]))]));
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0, "{response:?}");
}

#[test]
fn more_cold_partitions_than_the_store_keeps_indexes_of_are_fetched() {
    const PARTITIONS: i32 = 100;
    let files = Files::default();
    let image = {
        let mut broker = Broker::start(1, files.clone());
        let client = broker.connect(0, 1);
        let _: CreateTopicsResponse =
            broker.ask(client, 7, &create("t", PARTITIONS, &[("segment.ms", "1000")]));
        for value in ["x", "y"] {
            (0..PARTITIONS).for_each(|index| append(&mut broker, client, -1, index, value));
            broker.pass_ms(2000);
        }
        broker.image()
    };
    for (min_bytes, max_wait_ms) in [(0, 0), (1, 500)] {
        let mut broker = Broker::start_with(1, files.clone(), image.clone());
        let client = broker.connect(0, 1);
        let mut wanted: Vec<(i32, i64)> = (0..PARTITIONS).map(|index| (index, 0)).collect();
        let mut rounds = 0;
        while !wanted.is_empty() {
            let request = fetch("t", &wanted, min_bytes, max_wait_ms);
            let fetched: FetchResponse = broker.ask(client, 12, &request);
            let found = records(&fetched);
            assert!(!found.is_empty(), "a round brought nothing; {} are left", wanted.len());
            wanted.retain(|(index, _)| found.iter().all(|(other, _, _)| other != index));
            rounds += 1;
        }
        assert!(rounds <= 20, "{rounds} rounds");
    }
}

#[test]
fn an_owner_that_finds_nothing_behind_a_file_says_so() {
    let mut broker = Broker::start_within(128 << 10, 2, Files::default(), Image::default());
    let client = broker.connect(0, 1);
    let created: CreateTopicsResponse =
        broker.ask(client, 7, &create("t", 2, &[("index.interval.bytes", "1000000")]));
    let owner =
        |index| PartitionId { topic: crate::ids::TopicId(created.topics[0].topic_id), index }.owner(2);
    assert_ne!(owner(0), owner(1));
    append(&mut broker, client, -1, 0, "warm");
    append(&mut broker, client, -1, 1, "cold");
    // From now on the high watermark stands still, inside what one entry of the index stands for: the bytes below it
    // are in the file, but the index cannot tell where they end.
    let _: IncrementalAlterConfigsResponse = broker.ask(client, 1, &alter("t", "min.insync.replicas", "2"));
    (0..64).for_each(|_| append(&mut broker, client, 1, 1, &"v".repeat(4000)));
    let fetched: FetchResponse = broker.ask(client, 12, &fetch("t", &[(0, 0), (1, 0)], 1, 500));
    assert_eq!(records(&fetched), [(0, 0, "warm".to_owned())]);
}

/// A broker with a DeleteRecords that waits for the journal, and its connection; another connection.
fn deleting() -> (Broker, ConnectionId, ConnectionId) {
    let mut broker = Broker::start(1, Files::default());
    let (client, other) = (broker.connect(0, 1), broker.connect(0, 2));
    let _: CreateTopicsResponse = broker.ask(client, 7, &create("t", 1, &[]));
    append(&mut broker, client, -1, 0, "x");
    broker.held = Some(VecDeque::new());
    broker.send(client, 2, &delete_records("t", 1));
    assert!(broker.response::<DeleteRecordsResponse>(client, 2).is_none(), "it is not durable yet");
    (broker, client, other)
}

fn deleted(broker: &mut Broker, client: ConnectionId) -> (i16, i64) {
    let response: DeleteRecordsResponse = broker.response(client, 2).expect("answered at once");
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.low_watermark)
}

#[test]
fn a_deletion_of_records_fails_at_once_when_its_topic_is_deleted() {
    let (mut broker, client, other) = deleting();
    let _: DeleteTopicsResponse = broker.ask(other, 6, &delete_topic("t"));
    assert_eq!(deleted(&mut broker, client), (ErrorCode::UnknownTopicOrPartition.code(), -1));
    broker.release();
}

#[test]
fn a_deletion_of_records_fails_at_once_when_its_log_goes_offline() {
    let (mut broker, client, _) = deleting();
    let message = ShardMessage::DirectoryOffline(Fatal::new("the disk is gone".to_owned()));
    broker.input(0, Input::Message { from: ShardId(1), message });
    assert_eq!(deleted(&mut broker, client), (ErrorCode::KafkaStorageError.code(), -1));
}

#[test]
fn a_shard_that_hears_of_the_stop_late_still_gets_its_answers_from_one_that_heard_of_it_early() {
    for early in [0, 1] {
        let late = 1 - early;
        let mut broker = Broker::start(2, Files::default());
        let client = broker.connect(late, 1);
        let _: CreateTopicsResponse = broker.ask(client, 7, &create("t", 8, &[]));
        broker.input(early, Input::Stop);
        broker.settle();
        // Some of them belong to the other shard.
        (0..8).for_each(|index| append(&mut broker, client, -1, index, "x"));
        assert_eq!(broker.stopped, [false, false], "nothing has stopped while it may be asked");
        broker.input(late, Input::Stop);
        broker.settle();
        assert_eq!(broker.stopped, [true, true]);
    }
}
