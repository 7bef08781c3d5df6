//! Producing and fetching.

use super::{
    broker::Broker,
    clients::{batch, create, fetch, produce, records, sequenced},
    files::Files,
};
use crate::error::ErrorCode;
use corelane_seam::ConnectionId;
use kafka_protocol::messages::{CreateTopicsResponse, FetchResponse, ProduceResponse};
use std::collections::VecDeque;

/// Two shards, a topic `t` of four partitions, a client on shard 0.
fn broker() -> (Broker, ConnectionId) {
    let mut broker = Broker::start(2, Files::default());
    let client = broker.connect(0, 1);
    let created: CreateTopicsResponse = broker.ask(client, 7, &create("t", 4, &[]));
    assert_eq!(created.topics[0].error_code, 0, "{created:?}");
    (broker, client)
}

fn errors(response: &ProduceResponse) -> Vec<(i16, i64)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.map(|partition| (partition.error_code, partition.base_offset)).collect()
}

#[test]
fn what_is_produced_to_partitions_of_two_shards_is_fetched_from_both() {
    let (mut broker, client) = broker();
    let request = produce("t", -1, &[(0, batch(&["a", "b"])), (1, batch(&["c"])), (2, batch(&["d"]))]);
    let response: ProduceResponse = broker.ask(client, 9, &request);
    assert_eq!(errors(&response), [(0, 0), (0, 0), (0, 0)]);
    let fetched: FetchResponse =
        broker.ask(client, 12, &fetch("t", &[(0, 1), (1, 0), (2, 0), (3, 0)], 1, 500));
    let mut found = records(&fetched);
    found.retain(|(partition, offset, _)| (*partition, *offset) != (0, 0));
    let expected = [(0, 1, "b"), (1, 0, "c"), (2, 0, "d")].map(|(p, o, v)| (p, o, v.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn acks_all_waits_for_the_flush_and_acks_1_for_the_write() {
    let (mut broker, client) = broker();
    let other = broker.connect(0, 2);
    broker.held = Some(VecDeque::new());
    broker.send(client, 9, &produce("t", -1, &[(0, batch(&["a"]))]));
    broker.send(other, 9, &produce("t", 1, &[(0, batch(&["b"]))]));
    assert!(broker.response::<ProduceResponse>(client, 9).is_none());
    let mut held = broker.held.take().expect("held");
    let written =
        held.iter().position(|(_, _, result)| matches!(result, corelane_seam::FileResult::Written(_)));
    let (shard, token, result) = held.remove(written.expect("a write was asked for")).expect("it is there");
    broker.held = Some(held);
    broker.input(shard, crate::engine::Input::File { token, result });
    assert!(broker.response::<ProduceResponse>(client, 9).is_none(), "not flushed yet");
    broker.release();
    assert_eq!(errors(&broker.response(client, 9).expect("flushed")), [(0, 0)]);
    assert_eq!(errors(&broker.response(other, 9).expect("written")), [(0, 1)]);
}

#[test]
fn nothing_above_the_high_watermark_is_fetched() {
    let (mut broker, client) = broker();
    let reader = broker.connect(1, 2);
    broker.held = Some(VecDeque::new());
    broker.send(client, 9, &produce("t", -1, &[(0, batch(&["a"]))]));
    let fetched: FetchResponse = broker.ask(reader, 12, &fetch("t", &[(0, 0)], 0, 0));
    assert_eq!(records(&fetched), []);
    broker.release();
    let fetched: FetchResponse = broker.ask(reader, 12, &fetch("t", &[(0, 0)], 0, 0));
    assert_eq!(records(&fetched).len(), 1);
}

#[test]
fn a_waiting_fetch_is_answered_when_records_are_committed_and_else_when_its_time_is_up() {
    let (mut broker, client) = broker();
    let reader = broker.connect(1, 2);
    broker.send(reader, 12, &fetch("t", &[(0, 0), (1, 0)], 1, 500));
    assert!(broker.response::<FetchResponse>(reader, 12).is_none());
    let _: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(1, batch(&["x"]))]));
    let fetched: FetchResponse = broker.response(reader, 12).expect("there is something");
    assert_eq!(records(&fetched), [(1, 0, "x".to_owned())]);
    broker.send(reader, 12, &fetch("t", &[(0, 0), (1, 1)], 1, 500));
    broker.pass_ms(499);
    assert!(broker.response::<FetchResponse>(reader, 12).is_none());
    broker.pass_ms(1);
    let fetched: FetchResponse = broker.response(reader, 12).expect("its time is up");
    assert_eq!(records(&fetched), []);
}

#[test]
fn a_fetch_waits_until_min_bytes_are_there() {
    let (mut broker, client) = broker();
    let reader = broker.connect(1, 2);
    let one: FetchResponse = {
        let _: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(0, batch(&["x"]))]));
        broker.ask(reader, 12, &fetch("t", &[(0, 0)], 1, 500))
    };
    let bytes = one.responses[0].partitions[0].records.as_ref().expect("records").len();
    let two = i32::try_from(bytes * 2).expect("small");
    broker.send(reader, 12, &fetch("t", &[(0, 0)], two, 500));
    assert!(broker.response::<FetchResponse>(reader, 12).is_none());
    let _: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(0, batch(&["y"]))]));
    assert_eq!(records(&broker.response(reader, 12).expect("enough")).len(), 2);
}

#[test]
fn a_duplicate_batch_is_answered_with_the_originals_offsets_and_is_stored_once() {
    let (mut broker, client) = broker();
    let original = sequenced(&["a", "b"], 7, 0, 0);
    let ask = |broker: &mut Broker, batch| -> ProduceResponse {
        broker.ask(client, 9, &produce("t", -1, &[(0, batch)]))
    };
    assert_eq!(errors(&ask(&mut broker, original.clone())), [(0, 0)]);
    assert_eq!(errors(&ask(&mut broker, sequenced(&["c"], 7, 0, 2))), [(0, 2)]);
    assert_eq!(errors(&ask(&mut broker, original)), [(0, 0)]);
    let gap = ErrorCode::OutOfOrderSequenceNumber.code();
    assert_eq!(errors(&ask(&mut broker, sequenced(&["e"], 7, 0, 9))), [(gap, -1)]);
    let fetched: FetchResponse = broker.ask(client, 12, &fetch("t", &[(0, 0)], 1, 0));
    let values: Vec<String> = records(&fetched).into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(values, ["a", "b", "c"]);
}

#[test]
fn a_duplicate_of_what_is_not_flushed_yet_waits_for_the_flush_too() {
    let (mut broker, client) = broker();
    let other = broker.connect(0, 2);
    broker.held = Some(VecDeque::new());
    let original = sequenced(&["a"], 7, 0, 0);
    broker.send(client, 9, &produce("t", -1, &[(0, original.clone())]));
    broker.send(other, 9, &produce("t", -1, &[(0, original)]));
    assert!(broker.response::<ProduceResponse>(other, 9).is_none());
    broker.release();
    assert_eq!(errors(&broker.response(other, 9).expect("flushed")), [(0, 0)]);
}

#[test]
fn many_small_produces_share_one_flush() {
    let (mut broker, first) = broker();
    let clients: Vec<ConnectionId> = (2..12).map(|id| broker.connect(0, id)).collect();
    let _: ProduceResponse = broker.ask(first, 9, &produce("t", -1, &[(0, batch(&["warm"]))]));
    let before = broker.flushes;
    broker.held = Some(VecDeque::new());
    for client in &clients {
        broker.send(*client, 9, &produce("t", -1, &[(0, batch(&["x"]))]));
    }
    broker.release();
    for client in clients {
        assert!(broker.response::<ProduceResponse>(client, 9).is_some());
    }
    assert!(broker.flushes - before <= 2, "{} flushes", broker.flushes - before);
}

#[test]
fn pipelined_produces_of_one_connection_keep_their_order() {
    let (mut broker, client) = broker();
    broker.held = Some(VecDeque::new());
    for value in ["a", "b", "c"] {
        broker.send(client, 9, &produce("t", -1, &[(0, batch(&[value]))]));
    }
    broker.release();
    let offsets: Vec<_> = (0..3).map(|_| errors(&broker.response(client, 9).expect("answered"))[0]).collect();
    assert_eq!(offsets, [(0, 0), (0, 1), (0, 2)]);
}

#[test]
fn acks_0_is_not_answered_and_a_refused_one_closes_the_connection() {
    let (mut broker, client) = broker();
    broker.send(client, 9, &produce("t", 0, &[(0, batch(&["a"]))]));
    assert!(broker.response::<ProduceResponse>(client, 9).is_none());
    assert!(broker.closed.is_empty());
    let fetched: FetchResponse = broker.ask(client, 12, &fetch("t", &[(0, 0)], 1, 0));
    assert_eq!(records(&fetched).len(), 1);
    broker.send(client, 9, &produce("missing", 0, &[(0, batch(&["a"]))]));
    assert_eq!(broker.closed.len(), 1);
}

#[test]
fn a_batch_that_was_damaged_on_its_way_is_refused() {
    let (mut broker, client) = broker();
    let mut damaged = batch(&["abc"]).to_vec();
    *damaged.last_mut().expect("not empty") ^= 1;
    let response: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(0, damaged.into())]));
    assert_eq!(errors(&response), [(ErrorCode::CorruptMessage.code(), -1)]);
}

#[test]
fn min_insync_replicas_beyond_the_replicas_refuses_acks_all() {
    let (mut broker, client) = broker();
    let _: CreateTopicsResponse =
        broker.ask(client, 7, &create("strict", 1, &[("min.insync.replicas", "2")]));
    let response: ProduceResponse = broker.ask(client, 9, &produce("strict", -1, &[(0, batch(&["a"]))]));
    assert_eq!(errors(&response), [(ErrorCode::NotEnoughReplicas.code(), -1)]);
}

#[test]
fn a_fetch_session_names_only_news() {
    let (mut broker, client) = broker();
    let mut full = fetch("t", &[(0, 0), (1, 0)], 0, 0);
    full.session_epoch = 0;
    let first: FetchResponse = broker.ask(client, 12, &full);
    assert!(first.session_id > 0);
    assert_eq!(first.responses[0].partitions.len(), 2);
    let _: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(1, batch(&["n"]))]));
    let mut next = fetch("t", &[], 0, 0);
    next.topics.clear();
    next.session_id = first.session_id;
    next.session_epoch = 1;
    let second: FetchResponse = broker.ask(client, 12, &next);
    assert_eq!(records(&second), [(1, 0, "n".to_owned())]);
    assert_eq!(second.responses[0].partitions.len(), 1);
}

#[test]
fn records_and_metadata_outlive_a_restart_with_another_number_of_shards() {
    let files = Files::default();
    let image = {
        let mut broker = Broker::start(2, files.clone());
        let client = broker.connect(0, 1);
        let _: CreateTopicsResponse = broker.ask(client, 7, &create("t", 4, &[]));
        let batches: Vec<_> = (0..4).map(|index| (index, sequenced(&["a", "b"], 7, 0, 0))).collect();
        let response: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &batches));
        assert!(errors(&response).iter().all(|(error, _)| *error == 0));
        broker.image()
    };
    let mut broker = Broker::start_with(3, files, image);
    let client = broker.connect(2, 1);
    let fetched: FetchResponse = broker.ask(client, 12, &fetch("t", &[(0, 0), (1, 0), (2, 0), (3, 0)], 1, 0));
    assert_eq!(records(&fetched).len(), 8);
    let again: ProduceResponse =
        broker.ask(client, 9, &produce("t", -1, &[(0, sequenced(&["a", "b"], 7, 0, 0))]));
    assert_eq!(errors(&again), [(0, 0)], "the producer's state was recovered");
}

#[test]
fn an_owner_that_is_behind_in_metadata_answers_when_it_has_caught_up() {
    let (mut broker, client) = broker();
    broker.delay_images_to(1);
    let _: CreateTopicsResponse = broker.ask(client, 7, &create("new", 2, &[]));
    let batches = [(0, batch(&["a"])), (1, batch(&["b"]))];
    broker.send(client, 9, &produce("new", -1, &batches));
    assert!(broker.response::<ProduceResponse>(client, 9).is_none(), "shard 1 does not know the topic yet");
    broker.release_images();
    assert_eq!(errors(&broker.response(client, 9).expect("answered")), [(0, 0), (0, 0)]);
}

#[test]
fn a_producer_that_was_silent_for_longer_than_its_expiration_is_forgotten() {
    let (mut broker, client) = broker();
    let ask = |broker: &mut Broker, batch| -> ProduceResponse {
        broker.ask(client, 9, &produce("t", -1, &[(0, batch)]))
    };
    assert_eq!(errors(&ask(&mut broker, sequenced(&["a"], 7, 0, 0))), [(0, 0)]);
    let gap = ErrorCode::OutOfOrderSequenceNumber.code();
    assert_eq!(errors(&ask(&mut broker, sequenced(&["b"], 7, 0, 9))), [(gap, -1)]);
    broker.pass_ms(25 * 3_600_000);
    broker.pass_ms(1_000);
    assert_eq!(
        errors(&ask(&mut broker, sequenced(&["b"], 7, 0, 9))),
        [(0, 1)],
        "an unknown producer may begin anywhere"
    );
}
