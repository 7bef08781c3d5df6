//! Compacted topics, as a client sees them.

use super::{
    broker::Broker,
    clients::{alter, batch, create, delete_records, fetch, produce, records, sequenced},
    files::Files,
};
use crate::error::ErrorCode;
use corelane_seam::ConnectionId;
use kafka_protocol::messages::{
    CreateTopicsResponse, DeleteRecordsResponse, FetchResponse, IncrementalAlterConfigsResponse,
    ProduceResponse,
};

/// A topic `t` of one partition, whose segments end with every append.
fn broker(policy: &str) -> (Broker, ConnectionId) {
    let mut broker = Broker::start(1, Files::default());
    let client = broker.connect(0, 1);
    let configs = [("cleanup.policy", policy), ("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0")];
    let created: CreateTopicsResponse = broker.ask(client, 7, &create("t", 1, &configs));
    assert_eq!(created.topics[0].error_code, 0, "{created:?}");
    (broker, client)
}

/// Appends to one key, and lets time pass.
fn append(broker: &mut Broker, client: ConnectionId, value: &str) {
    let response: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(0, batch(&[value]))]));
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    broker.pass_ms(20_000);
}

fn values(broker: &mut Broker, client: ConnectionId) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    loop {
        let from = found.last().map_or(0, |(offset, _)| offset + 1);
        let fetched: FetchResponse = broker.ask(client, 12, &fetch("t", &[(0, from)], 0, 0));
        let new = records(&fetched).into_iter().filter(|(_, offset, _)| *offset >= from);
        let before = found.len();
        found.extend(new.map(|(_, offset, value)| (offset, value)));
        if found.len() == before {
            return found;
        }
    }
}

#[test]
fn a_consumer_of_a_compacted_topic_gets_the_last_value_at_its_old_offset() {
    let (mut broker, client) = broker("compact");
    for value in ["a", "b", "c", "d", "e"] {
        append(&mut broker, client, value);
    }
    // The last segment is not compacted.
    assert_eq!(values(&mut broker, client), [(3, "d".to_owned()), (4, "e".to_owned())]);
}

#[test]
fn a_topic_is_compacted_from_when_its_policy_says_so() {
    let (mut broker, client) = broker("delete");
    for value in ["a", "b", "c"] {
        append(&mut broker, client, value);
    }
    assert_eq!(values(&mut broker, client).len(), 3);
    let altered: IncrementalAlterConfigsResponse =
        broker.ask(client, 1, &alter("t", "cleanup.policy", "compact"));
    assert_eq!(altered.responses[0].error_code, 0, "{altered:?}");
    broker.pass_ms(20_000);
    broker.pass_ms(20_000);
    assert_eq!(values(&mut broker, client).len(), 2);
}

#[test]
fn a_record_without_a_key_is_refused() {
    let (mut broker, client) = broker("compact");
    let response: ProduceResponse =
        broker.ask(client, 9, &produce("t", -1, &[(0, sequenced(&["a"], 5, 0, 0))]));
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, ErrorCode::InvalidRecord.code(), "{answer:?}");
}

#[test]
fn records_are_deleted_by_hand_only_where_the_policy_deletes() {
    for (policy, expected) in [
        ("compact", ErrorCode::PolicyViolation),
        ("compact,delete", ErrorCode::None),
        ("delete", ErrorCode::None),
    ] {
        let (mut broker, client) = broker(policy);
        append(&mut broker, client, "a");
        let response: DeleteRecordsResponse = broker.ask(client, 2, &delete_records("t", 1));
        assert_eq!(response.topics[0].partitions[0].error_code, expected.code(), "{policy}");
    }
}
