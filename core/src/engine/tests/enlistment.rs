//! Partitions for transactions whose coordinator is another broker.

use super::{
    clients::{produce, transactional},
    cluster::Cluster,
};
use crate::{engine::Line, error::ErrorCode};
use corelane_seam::ConnectionId;
use kafka_protocol::{
    messages::{InitProducerIdRequest, InitProducerIdResponse, ProduceResponse},
    protocol::StrBytes,
};

/// Who coordinates, and who leads `t`.
const COORDINATOR: i32 = 1;
const LEADER: i32 = 2;

fn transactional_id(number: u64) -> StrBytes {
    StrBytes::from_string(format!("tx {number}"))
}

/// The ids of transactional producers 0 to `count`.
fn producers(cluster: &mut Cluster, count: u64) -> Vec<i64> {
    let client = cluster.connect(COORDINATOR, 1);
    let each = (0..count).map(|number| {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional_id(number).into()))
            .with_transaction_timeout_ms(10_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        cluster.send(COORDINATOR, client, 5, &request);
        cluster.pass_ms(1);
        let response: InitProducerIdResponse = cluster.response(client, 5).expect("it was answered");
        assert_eq!(response.error_code, 0);
        response.producer_id.0
    });
    each.collect()
}

/// Has producer `number` write to a partition, by a connection of its own.
fn write(cluster: &mut Cluster, (number, id): (u64, i64), partition: i32) -> ConnectionId {
    let connection = cluster.connect(LEADER, 100 + 10 * number + u64::from(partition.unsigned_abs()));
    let batch = transactional(&["a"], id, 0, 0);
    let request = produce("t", -1, &[(partition, batch)]);
    let request = request.with_transactional_id(Some(transactional_id(number).into()));
    cluster.send(LEADER, connection, 12, &request);
    connection
}

fn told(cluster: &mut Cluster, connection: ConnectionId) -> Option<ErrorCode> {
    let response: ProduceResponse = cluster.response(connection, 12)?;
    ErrorCode::from_code(response.responses[0].partition_responses[0].error_code)
}

fn all_written(cluster: &mut Cluster, connections: &[ConnectionId]) {
    for connection in connections {
        assert_eq!(told(cluster, *connection), Some(ErrorCode::None));
    }
}

fn asked(cluster: &Cluster) -> usize {
    cluster.called.get(&Line::Enlistment).copied().unwrap_or(0)
}

#[test]
fn what_many_transactions_write_to_in_a_turn_is_one_question_to_their_coordinator() {
    let mut cluster = Cluster::start_with_transactions(2);
    let ids = producers(&mut cluster, 4);
    let writing: Vec<_> = (0..).zip(ids).map(|producer| write(&mut cluster, producer, 0)).collect();
    cluster.settle();
    assert_eq!(asked(&cluster), 1);
    all_written(&mut cluster, &writing);
}

#[test]
fn one_transaction_stands_in_a_question_once_and_both_its_requests_are_answered() {
    let mut cluster = Cluster::start_with_transactions(2);
    let ids = producers(&mut cluster, 2);
    let both = [0, 1].map(|partition| write(&mut cluster, (0, ids[0]), partition));
    let other = write(&mut cluster, (1, ids[1]), 1);
    cluster.settle();
    assert_eq!(asked(&cluster), 2);
    all_written(&mut cluster, &[both[0], both[1], other]);
}

#[test]
fn what_comes_while_a_coordinator_owes_two_answers_waits_and_goes_together() {
    let mut cluster = Cluster::start_with_transactions(2);
    let ids = producers(&mut cluster, 4);
    cluster.hold_disk(COORDINATOR);
    let first = write(&mut cluster, (0, ids[0]), 0);
    cluster.settle();
    let mut writing = vec![first];
    for producer in (0..).zip(ids).skip(1) {
        writing.push(write(&mut cluster, producer, 0));
        cluster.settle();
    }
    assert_eq!(asked(&cluster), 2);
    assert_eq!(told(&mut cluster, first), None);
    cluster.release_disk(COORDINATOR);
    cluster.pass_ms(1_000);
    assert_eq!(asked(&cluster), 3, "the third and the fourth together");
    all_written(&mut cluster, &writing);
}

#[test]
fn whoever_waits_for_a_coordinator_that_is_gone_is_told_and_the_next_question_is_asked() {
    let mut cluster = Cluster::start_with_transactions(2);
    let ids = producers(&mut cluster, 2);
    cluster.cut_between(COORDINATOR, LEADER);
    let lost = write(&mut cluster, (0, ids[0]), 0);
    cluster.settle();
    assert_eq!(told(&mut cluster, lost), Some(ErrorCode::NotEnoughReplicas), "so that it tries again");
    cluster.cut.clear();
    let found = write(&mut cluster, (1, ids[1]), 0);
    cluster.pass_ms(1_000);
    assert_eq!(told(&mut cluster, found), Some(ErrorCode::None));
}
