//! What members of groups send all the time.

use super::Once;
use crate::{
    machine::{Client, Machine},
    requests::{self, text},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest,
    OffsetCommitRequest, SyncGroupRequest,
    join_group_request::JoinGroupRequestProtocol,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    sync_group_request::SyncGroupRequestAssignment,
};

const GROUP: &str = "group";
const PARTITIONS: i32 = 16;

/// A client of a topic whose group has a coordinator: with it comes `__consumer_offsets`.
fn member(machine: &mut Machine) -> Client {
    let client = machine.connect();
    requests::create_topic(machine, client, PARTITIONS);
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(GROUP)]);
    let found = machine.ask(client, 4, &request);
    assert_eq!(found.coordinators[0].error_code, 0, "{found:?}");
    client
}

/// Of a group without members.
pub fn commit(machine: &mut Machine) -> Once {
    let client = member(machine);
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(requests::topic_name())
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default().with_group_id(text(GROUP).into()).with_topics(vec![topic]);
    Box::new(move |machine| {
        let answer = machine.ask(client, 9, &request);
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    })
}

pub fn classic_heartbeat(machine: &mut Machine) -> Once {
    let client = member(machine);
    let protocol =
        JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::from_static(b"m"));
    let join = JoinGroupRequest::default()
        .with_group_id(text(GROUP).into())
        .with_session_timeout_ms(45_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    // Below version 4 a new member need not come back with the name it is given.
    let joined = machine.ask(client, 3, &join);
    assert_eq!(joined.error_code, 0, "{joined:?}");
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(b"a"));
    let sync = SyncGroupRequest::default()
        .with_group_id(text(GROUP).into())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![assignment]);
    let synced = machine.ask(client, 3, &sync);
    assert_eq!(synced.error_code, 0, "{synced:?}");
    let request = HeartbeatRequest::default()
        .with_group_id(text(GROUP).into())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id);
    Box::new(move |machine| assert_eq!(machine.ask(client, 4, &request).error_code, 0))
}

pub fn consumer_heartbeat(machine: &mut Machine) -> Once {
    let client = member(machine);
    let join = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text(GROUP).into())
        .with_member_id(text("cmVhZGVy"))
        .with_rebalance_timeout_ms(300_000)
        .with_subscribed_topic_names(Some(vec![requests::topic_name()]))
        .with_topic_partitions(Some(Vec::new()));
    let joined = machine.ask(client, 1, &join);
    assert_eq!(joined.error_code, 0, "{joined:?}");
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text(GROUP).into())
        .with_member_id(text("cmVhZGVy"))
        .with_member_epoch(joined.member_epoch);
    Box::new(move |machine| assert_eq!(machine.ask(client, 1, &request).error_code, 0))
}
