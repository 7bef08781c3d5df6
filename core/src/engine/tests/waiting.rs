//! Requests that wait at their owners, and what ends the wait.

use super::{
    broker::Broker,
    clients::{alter, batch, create, fetch, produce, records},
    files::Files,
};
use crate::{ids::PartitionId, metadata::Image};
use corelane_seam::ConnectionId;
use kafka_protocol::messages::{
    CreateTopicsResponse, FetchResponse, IncrementalAlterConfigsResponse, ProduceResponse,
};

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
