//! Consumers read from followers, and are sent to the nearest of them (KIP-392).

use super::{
    clients::{batch, fetch, name, produce, records},
    cluster::{Cluster, TOPIC},
};
use crate::error::ErrorCode;
use corelane_seam::ConnectionId;
use kafka_protocol::{
    messages::{FetchResponse, ProduceResponse},
    protocol::StrBytes,
};

fn produced(cluster: &mut Cluster, to: i32, value: &str) {
    let client = cluster.connect(to, 500);
    cluster.send(to, client, 10, &produce(TOPIC, -1, &[(0, batch(&[value]))]));
    cluster.settle();
    let response: ProduceResponse = cluster.response(client, 10).expect("it is answered");
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

/// A consumer in a rack asks a broker for what comes from an offset on, and waits for it.
fn ask(cluster: &mut Cluster, of: i32, consumer: ConnectionId, from: i64, rack: &str, epoch: i32) {
    let mut request = fetch(TOPIC, &[(0, from)], 1, 5_000);
    request.rack_id = StrBytes::from_string(rack.to_owned());
    request.topics[0].topic = name(TOPIC);
    request.topics[0].partitions[0].current_leader_epoch = epoch;
    cluster.send(of, consumer, 12, &request);
    cluster.settle();
}

fn told(cluster: &mut Cluster, consumer: ConnectionId) -> Option<FetchResponse> {
    cluster.response(consumer, 12)
}

#[test]
fn a_follower_gives_consumers_what_is_committed_and_more_when_that_comes() {
    let mut cluster = Cluster::start(2, 1);
    produced(&mut cluster, 1, "a");
    let consumer = cluster.connect(2, 1);
    ask(&mut cluster, 2, consumer, 0, "", 0);
    let read = told(&mut cluster, consumer).expect("there is something");
    assert_eq!(records(&read), [(0, 0, "a".to_owned())]);
    ask(&mut cluster, 2, consumer, 1, "", 0);
    assert!(told(&mut cluster, consumer).is_none(), "it waits");
    cluster.hold_disk(1);
    let client = cluster.connect(1, 9);
    cluster.send(1, client, 10, &produce(TOPIC, -1, &[(0, batch(&["b"]))]));
    cluster.settle();
    assert_eq!(cluster.marks(2, 0).2.0, 2, "the follower has it");
    assert!(told(&mut cluster, consumer).is_none(), "but it is not committed");
    cluster.release_disk(1);
    let read = told(&mut cluster, consumer).expect("now it is");
    assert_eq!(records(&read), [(0, 1, "b".to_owned())]);
}

#[test]
fn a_consumer_at_a_follower_is_answered_when_the_file_that_it_needs_is_open() {
    let mut cluster = Cluster::start(2, 1);
    cluster.configure("segment.ms", "1000");
    produced(&mut cluster, 1, "a");
    cluster.pass_ms(2_000);
    produced(&mut cluster, 1, "b");
    cluster.pass_ms(10_000);
    // The next process has nothing in memory.
    cluster.kill(2);
    cluster.settle();
    cluster.boot(2);
    cluster.pass_ms(2_000);
    cluster.hold_disk(2);
    let consumer = cluster.connect(2, 1);
    ask(&mut cluster, 2, consumer, 0, "", -1);
    assert!(told(&mut cluster, consumer).is_none(), "the file is not open yet");
    // One after the other: the file, its index.
    for _ in 0..2 {
        cluster.release_disk(2);
    }
    let read = told(&mut cluster, consumer).expect("there is something");
    assert_eq!(records(&read), [(0, 0, "a".to_owned())]);
}

#[test]
fn a_consumer_that_waits_at_a_follower_hears_that_the_disk_there_is_gone() {
    let mut cluster = Cluster::start(2, 1);
    produced(&mut cluster, 1, "a");
    let consumer = cluster.connect(2, 1);
    ask(&mut cluster, 2, consumer, 1, "", 0);
    assert!(told(&mut cluster, consumer).is_none(), "it waits");
    cluster.lose_directory(2);
    let read = told(&mut cluster, consumer).expect("it is answered");
    let code = read.responses[0].partitions[0].error_code;
    assert_eq!(ErrorCode::from_code(code), Some(ErrorCode::KafkaStorageError));
}

#[test]
fn a_consumer_that_waits_at_a_follower_hears_of_another_reign() {
    let mut cluster = Cluster::start(3, 1);
    produced(&mut cluster, 1, "a");
    for (number, epoch) in [(1, 0), (2, -1)] {
        let consumer = cluster.connect(2, number);
        ask(&mut cluster, 2, consumer, 1, "", epoch);
        assert!(told(&mut cluster, consumer).is_none(), "it waits");
    }
    cluster.elect(0, 3, None);
    let error = |cluster: &mut Cluster, number| {
        let response = told(cluster, ConnectionId(number)).expect("it is answered");
        ErrorCode::from_code(response.responses[0].partitions[0].error_code)
    };
    assert_eq!(error(&mut cluster, 1), Some(ErrorCode::FencedLeaderEpoch));
    // Who names no epoch waits on, and is served under the other reign, and when this broker leads itself.
    produced(&mut cluster, 3, "b");
    assert_eq!(error(&mut cluster, 2), Some(ErrorCode::None));
    ask(&mut cluster, 2, ConnectionId(2), 2, "", -1);
    cluster.elect(0, 2, None);
    produced(&mut cluster, 2, "c");
    assert_eq!(error(&mut cluster, 2), Some(ErrorCode::None));
    ask(&mut cluster, 2, ConnectionId(2), 3, "", -1);
    cluster.elect(0, 1, None);
    produced(&mut cluster, 1, "d");
    assert_eq!(error(&mut cluster, 2), Some(ErrorCode::None));
    let consumer = cluster.connect(2, 3);
    ask(&mut cluster, 2, consumer, 1, "", 9);
    let response = told(&mut cluster, consumer).expect("it is answered");
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(ErrorCode::from_code(code), Some(ErrorCode::UnknownLeaderEpoch));
}

#[test]
fn a_leader_sends_consumers_to_a_replica_in_their_rack_that_is_in_sync_and_far_enough() {
    let mut cluster = Cluster::start_in_racks(3, 1);
    produced(&mut cluster, 1, "a");
    let preferred = |cluster: &mut Cluster, number, from, rack| {
        let consumer = cluster.connect(1, number);
        ask(cluster, 1, consumer, from, rack, 0);
        let response = told(cluster, consumer);
        response.map(|response| {
            let partition = &response.responses[0].partitions[0];
            (partition.preferred_read_replica.0, records(&response).len())
        })
    };
    assert_eq!(preferred(&mut cluster, 1, 0, "rack 3"), Some((3, 0)));
    assert_eq!(preferred(&mut cluster, 2, 0, "rack 1"), Some((-1, 1)), "the leader is there");
    assert_eq!(preferred(&mut cluster, 3, 0, "nowhere"), Some((-1, 1)), "nobody is there");
    assert_eq!(preferred(&mut cluster, 4, 0, ""), Some((-1, 1)));
    assert_eq!(preferred(&mut cluster, 5, 1, "rack 2"), Some((2, 0)), "it may wait there");
    cluster.kill(3);
    cluster.settle();
    assert_eq!(preferred(&mut cluster, 6, 0, "rack 3"), Some((-1, 1)), "it has gone");
}
