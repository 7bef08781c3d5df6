//! What a request costs, in instructions. Not run by default; under callgrind, which counts only what is named:
//!
//! ```text
//! cargo test --release -p corelane-core --lib --no-run
//! valgrind --tool=callgrind --toggle-collect='*Engine::handle*' <that binary> --ignored cost::
//! ```
//!
//! Divide by the number of requests of the test chosen.

use super::{
    broker::Broker,
    clients::{create, fetch, produce},
    files::Files,
};
use crate::{
    records::{BatchBuilder, NewRecord},
    wire::encode_request,
};
use bytes::Bytes;
use corelane_seam::ConnectionId;
use kafka_protocol::{
    messages::{
        CreateTopicsResponse, FindCoordinatorRequest, FindCoordinatorResponse, OffsetCommitRequest,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    },
    protocol::{Request, StrBytes},
};
use std::collections::VecDeque;

const REQUESTS: usize = 4096;
const VERSION: i16 = 9;

/// One shard, a topic of four partitions, a client; invariants are not asserted at each input.
fn broker() -> (Broker, ConnectionId) {
    let mut broker = Broker::start(1, Files::default());
    broker.checks = false;
    let client = broker.connect(0, 1);
    let created: CreateTopicsResponse = broker.ask(client, 7, &create("topic", 4, &[]));
    assert_eq!(created.topics[0].error_code, 0, "{created:?}");
    (broker, client)
}

/// A request as it lies in a connection's buffer.
fn frame<T: Request>(version: i16, request: &T) -> Bytes {
    encode_request(1, Some("client"), version, request).expect("encodes").slice(4..)
}

/// One record of 1 KiB to one partition, acks=all.
fn produce_frame() -> Bytes {
    let value = [b'v'; 1024];
    let mut batch = BatchBuilder::new();
    let timestamp_ms = 1_700_000_000_000;
    batch.push(NewRecord { timestamp_ms, key: None, value: Some(&value), headers: &[] });
    frame(VERSION, &produce("topic", -1, &[(0, batch.build())]))
}

/// The client asks for a coordinator, and with it comes `__consumer_offsets`: this shard coordinates groups from then on.
fn coordinate(broker: &mut Broker, client: ConnectionId) {
    let request = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("g"));
    let found: FindCoordinatorResponse = broker.ask(client, 3, &request);
    assert_eq!(found.error_code, 0, "{found:?}");
}

fn produce_all(pipelined: usize) {
    let (mut broker, client) = broker();
    coordinate(&mut broker, client);
    sends(&mut broker, client, &produce_frame(), pipelined);
}

fn sends(broker: &mut Broker, client: ConnectionId, frame: &Bytes, pipelined: usize) {
    for _ in 0..REQUESTS / pipelined {
        broker.held = Some(VecDeque::new());
        for _ in 0..pipelined {
            broker.send_frame(client, Bytes::copy_from_slice(frame));
        }
        broker.release();
        assert_eq!(broker.take_replies(client), pipelined);
    }
}

#[test]
#[ignore = "counted under callgrind"]
fn produces_one_at_a_time() {
    produce_all(1);
}

#[test]
#[ignore = "counted under callgrind"]
fn produces_sixteen_at_a_time() {
    produce_all(16);
}

/// Of a group without members, acks as all commits.
#[test]
#[ignore = "counted under callgrind"]
fn commits_one_offset_at_a_time() {
    let (mut broker, client) = broker();
    coordinate(&mut broker, client);
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(StrBytes::from_static_str("topic").into())
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(StrBytes::from_static_str("g").into())
        .with_topics(vec![topic]);
    sends(&mut broker, client, &frame(8, &request), 1);
}

#[test]
#[ignore = "counted under callgrind"]
fn fetches_of_one_kib_from_memory() {
    let (mut broker, client) = broker();
    broker.send_frame(client, produce_frame());
    let frame = frame(12, &fetch("topic", &[(0, 0), (1, 0), (2, 0), (3, 0)], 1, 500));
    assert_eq!(broker.take_replies(client), 1);
    for _ in 0..REQUESTS {
        broker.send_frame(client, Bytes::copy_from_slice(&frame));
        assert_eq!(broker.take_replies(client), 1);
    }
}
