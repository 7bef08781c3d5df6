//! Groups, from a client's side.

use super::{
    broker::Broker,
    clients::{create, delete_topic, name},
    files::Files,
};
use crate::{error::ErrorCode, groups::OFFSETS_TOPIC};
use bytes::Bytes;
use corelane_seam::ConnectionId;
use kafka_protocol::{
    messages::{
        CreateTopicsResponse, DeleteGroupsRequest, DeleteGroupsResponse, DeleteTopicsResponse,
        DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
        HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
        LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse,
        OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest,
        SyncGroupResponse,
        join_group_request::JoinGroupRequestProtocol,
        leave_group_request::MemberIdentity,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
        sync_group_request::SyncGroupRequestAssignment,
    },
    protocol::StrBytes,
};

fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A broker with a topic and `__consumer_offsets`.
fn broker() -> (Broker, ConnectionId) {
    let mut broker = Broker::start(2, Files::default());
    let client = broker.connect(0, 1);
    let created: CreateTopicsResponse = broker.ask(client, 7, &create("t", 2, &[]));
    assert_eq!(created.topics[0].error_code, 0);
    find(&mut broker, client);
    (broker, client)
}

fn find(broker: &mut Broker, client: ConnectionId) {
    let request = FindCoordinatorRequest::default().with_key(s("g"));
    let found: FindCoordinatorResponse = broker.ask(client, 3, &request);
    assert_eq!((found.error_code, found.node_id.0), (0, 1));
}

fn join(member: &str) -> JoinGroupRequest {
    // Version 0 of a consumer's subscription to "t", and no user data.
    let metadata = Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 0]);
    let protocol = JoinGroupRequestProtocol::default().with_name(s("range")).with_metadata(metadata);
    JoinGroupRequest::default()
        .with_group_id(s("g").into())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(20_000)
        .with_member_id(s(member))
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![protocol])
}

/// A new member's first answer is its name.
fn named(broker: &mut Broker, client: ConnectionId) -> String {
    let refused: JoinGroupResponse = broker.ask(client, 9, &join(""));
    assert_eq!(refused.error_code, ErrorCode::MemberIdRequired.code());
    assert!(refused.member_id.starts_with("test-"), "{}", refused.member_id);
    refused.member_id.to_string()
}

fn sync(member: &str, generation: i32, assignments: &[(&str, &'static [u8])]) -> SyncGroupRequest {
    let assignments = assignments.iter().map(|(member, bytes)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(s(member))
            .with_assignment(Bytes::from_static(bytes))
    });
    SyncGroupRequest::default()
        .with_group_id(s("g").into())
        .with_generation_id(generation)
        .with_member_id(s(member))
        .with_protocol_type(Some(s("consumer")))
        .with_protocol_name(Some(s("range")))
        .with_assignments(assignments.collect())
}

fn heartbeat(broker: &mut Broker, client: ConnectionId, member: &str, generation: i32) -> ErrorCode {
    let request = HeartbeatRequest::default()
        .with_group_id(s("g").into())
        .with_generation_id(generation)
        .with_member_id(s(member));
    let response: HeartbeatResponse = broker.ask(client, 4, &request);
    ErrorCode::from_code(response.error_code).expect("a code")
}

/// A group of one, in its first generation, which has its assignment.
fn group_of_one(broker: &mut Broker, client: ConnectionId) -> String {
    let member = named(broker, client);
    broker.send(client, 9, &join(&member));
    assert!(broker.response::<JoinGroupResponse>(client, 9).is_none(), "a new group waits for more");
    broker.pass_ms(3000);
    let joined: JoinGroupResponse = broker.response(client, 9).expect("the delay is over");
    assert_eq!((joined.error_code, joined.generation_id, joined.members.len()), (0, 1, 1));
    assert_eq!(joined.leader.as_str(), member);
    let synced: SyncGroupResponse = broker.ask(client, 5, &sync(&member, 1, &[(&member, b"all")]));
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all"[..]));
    member
}

/// Of group `g`.
pub fn commit(member: &str, generation: i32, offsets: &[(&str, i32, i64)]) -> OffsetCommitRequest {
    let topics = offsets.iter().map(|(topic, partition, offset)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(4)
            .with_committed_metadata(Some(s("note")));
        OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition])
    });
    OffsetCommitRequest::default()
        .with_group_id(s("g").into())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(s(member))
        .with_topics(topics.collect())
}

fn commit_error(broker: &mut Broker, client: ConnectionId, request: &OffsetCommitRequest) -> ErrorCode {
    let response: OffsetCommitResponse = broker.ask(client, 9, request);
    ErrorCode::from_code(response.topics[0].partitions[0].error_code).expect("a code")
}

/// Of group `g` and topic `t`.
pub fn fetch(partitions: Option<&[i32]>) -> OffsetFetchRequest {
    let topics = partitions.map(|partitions| {
        vec![
            OffsetFetchRequestTopics::default()
                .with_name(name("t"))
                .with_partition_indexes(partitions.to_vec()),
        ]
    });
    let group = OffsetFetchRequestGroup::default().with_group_id(s("g").into()).with_topics(topics);
    OffsetFetchRequest::default().with_groups(vec![group])
}

fn fetched(broker: &mut Broker, client: ConnectionId, partitions: Option<&[i32]>) -> Vec<(i32, i64)> {
    let response: OffsetFetchResponse = broker.ask(client, 9, &fetch(partitions));
    assert_eq!(response.groups[0].error_code, 0);
    let topics = response.groups[0].topics.iter();
    topics.flat_map(|topic| &topic.partitions).map(|it| (it.partition_index, it.committed_offset)).collect()
}

fn state(broker: &mut Broker, client: ConnectionId) -> (String, usize) {
    let request = DescribeGroupsRequest::default().with_groups(vec![s("g").into()]);
    let response: DescribeGroupsResponse = broker.ask(client, 6, &request);
    (response.groups[0].group_state.to_string(), response.groups[0].members.len())
}

#[test]
fn the_offsets_topic_is_made_when_the_first_group_looks_for_its_coordinator() {
    let (broker, _) = broker();
    let image = broker.image();
    let topic = image.topic(OFFSETS_TOPIC).expect("it is there");
    assert_eq!((topic.partition_count(), topic.is_internal), (50, true));
    assert_eq!(topic.partitions[&0].replicas.len(), 1, "as many as there are brokers");
}

#[test]
fn a_member_joins_gets_what_it_assigned_itself_and_stays_as_long_as_it_is_heard_of() {
    let (mut broker, client) = broker();
    let member = group_of_one(&mut broker, client);
    for _ in 0..5 {
        broker.pass_ms(9000);
        assert_eq!(heartbeat(&mut broker, client, &member, 1), ErrorCode::None);
    }
    assert_eq!(heartbeat(&mut broker, client, &member, 2), ErrorCode::IllegalGeneration);
    assert_eq!(heartbeat(&mut broker, client, "stranger", 1), ErrorCode::UnknownMemberId);
    broker.pass_ms(10_001);
    assert_eq!(heartbeat(&mut broker, client, &member, 1), ErrorCode::UnknownMemberId);
    assert_eq!(state(&mut broker, client), ("Empty".to_owned(), 0));
}

#[test]
fn a_second_member_makes_everyone_join_again_and_the_leader_assigns_to_both() {
    let (mut broker, first) = broker();
    let a = group_of_one(&mut broker, first);
    let second = broker.connect(1, 2);
    let b = named(&mut broker, second);
    broker.send(second, 9, &join(&b));
    assert_eq!(state(&mut broker, first), ("PreparingRebalance".to_owned(), 2));
    assert_eq!(heartbeat(&mut broker, first, &a, 1), ErrorCode::RebalanceInProgress);
    let joined: JoinGroupResponse = broker.ask(first, 9, &join(&a));
    assert_eq!((joined.generation_id, joined.members.len()), (2, 2));
    let other: JoinGroupResponse = broker.response(second, 9).expect("everyone is there");
    assert_eq!((other.generation_id, other.members.len()), (2, 0), "only the leader learns of the others");
    assert_eq!(other.leader.as_str(), a);
    broker.send(second, 5, &sync(&b, 2, &[]));
    assert!(broker.response::<SyncGroupResponse>(second, 5).is_none(), "the leader has not assigned yet");
    let synced: SyncGroupResponse = broker.ask(first, 5, &sync(&a, 2, &[(&a, b"a's"), (&b, b"b's")]));
    assert_eq!(&synced.assignment[..], b"a's");
    let synced: SyncGroupResponse = broker.response(second, 5).expect("the leader has assigned");
    assert_eq!(&synced.assignment[..], b"b's");
    assert_eq!(state(&mut broker, first), ("Stable".to_owned(), 2));
}

#[test]
fn a_member_that_leaves_or_falls_silent_makes_the_others_join_again() {
    let (mut broker, first) = broker();
    let a = group_of_one(&mut broker, first);
    let second = broker.connect(1, 2);
    let b = named(&mut broker, second);
    broker.send(second, 9, &join(&b));
    let _: JoinGroupResponse = broker.ask(first, 9, &join(&a));
    let _: JoinGroupResponse = broker.response(second, 9).expect("everyone is there");
    let _: SyncGroupResponse = broker.ask(first, 5, &sync(&a, 2, &[(&b, b"all")]));
    let _: SyncGroupResponse = broker.ask(second, 5, &sync(&b, 2, &[]));
    let leaving = MemberIdentity::default().with_member_id(s(&a)).with_reason(Some(s("done")));
    let leave = LeaveGroupRequest::default().with_group_id(s("g").into()).with_members(vec![leaving]);
    let left: LeaveGroupResponse = broker.ask(first, 5, &leave);
    assert_eq!((left.error_code, left.members[0].error_code), (0, 0));
    assert_eq!(heartbeat(&mut broker, second, &b, 2), ErrorCode::RebalanceInProgress);
    let joined: JoinGroupResponse = broker.ask(second, 9, &join(&b));
    assert_eq!((joined.generation_id, joined.leader.as_str()), (3, b.as_str()));
    let again: LeaveGroupResponse = broker.ask(first, 5, &leave);
    assert_eq!(again.members[0].error_code, ErrorCode::UnknownMemberId.code());
    broker.pass_ms(20_000);
    assert_eq!(state(&mut broker, first), ("Empty".to_owned(), 0));
}

#[test]
fn a_commit_is_acknowledged_when_it_is_flushed_and_not_before() {
    let (mut broker, client) = broker();
    broker.held = Some(std::collections::VecDeque::new());
    broker.send(client, 9, &commit("", -1, &[("t", 1, 42)]));
    assert!(broker.response::<OffsetCommitResponse>(client, 9).is_none(), "nothing is flushed yet");
    let other = broker.connect(1, 2);
    broker.send(other, 9, &fetch(Some(&[1])));
    assert!(broker.response::<OffsetFetchResponse>(other, 9).is_none(), "what is told could still be lost");
    broker.release();
    let response: OffsetCommitResponse = broker.response(client, 9).expect("it is flushed");
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    let response: OffsetFetchResponse = broker.response(other, 9).expect("it is flushed");
    let told = &response.groups[0].topics[0].partitions[0];
    assert_eq!((told.committed_offset, told.committed_leader_epoch), (42, 4));
    assert_eq!(told.metadata.as_deref(), Some("note"));
}

#[test]
fn only_members_of_the_current_generation_commit_while_there_are_any() {
    let (mut broker, client) = broker();
    let member = group_of_one(&mut broker, client);
    let mut error = |member: &str, generation| {
        commit_error(&mut broker, client, &commit(member, generation, &[("t", 0, 7)]))
    };
    assert_eq!(error(&member, 1), ErrorCode::None);
    assert_eq!(error(&member, 0), ErrorCode::IllegalGeneration);
    assert_eq!(error("stranger", 1), ErrorCode::UnknownMemberId);
    assert_eq!(error("", -1), ErrorCode::UnknownMemberId);
    let unknown = commit(&member, 1, &[("nowhere", 0, 7)]);
    assert_eq!(commit_error(&mut broker, client, &unknown), ErrorCode::UnknownTopicOrPartition);
    let mut wordy = commit(&member, 1, &[("t", 0, 9)]);
    wordy.topics[0].partitions[0].committed_metadata = Some(s(&"x".repeat(4097)));
    assert_eq!(commit_error(&mut broker, client, &wordy), ErrorCode::OffsetMetadataTooLarge);
    assert_eq!(fetched(&mut broker, client, Some(&[0, 1])), [(0, 7), (1, -1)]);
}

#[test]
fn groups_and_their_offsets_come_back_after_a_restart() {
    let (mut broker, client) = broker();
    let member = group_of_one(&mut broker, client);
    for round in 0..300 {
        let request = commit(&member, 1, &[("t", 0, round), ("t", 1, 2 * round)]);
        assert_eq!(commit_error(&mut broker, client, &request), ErrorCode::None);
    }
    let (files, image) = (broker.files.clone(), broker.image());
    drop(broker);
    let mut broker = Broker::start_with(3, files, image);
    let client = broker.connect(1, 1);
    let response: OffsetFetchResponse = broker.ask(client, 9, &fetch(None));
    assert_eq!(response.groups[0].error_code, ErrorCode::CoordinatorLoadInProgress.code());
    // A slice of the log at a time, and files are opened between them.
    (0..20).for_each(|_| broker.pass_ms(1));
    assert_eq!(fetched(&mut broker, client, None), [(0, 299), (1, 598)]);
    assert_eq!(state(&mut broker, client), ("Stable".to_owned(), 1));
    assert_eq!(heartbeat(&mut broker, client, &member, 1), ErrorCode::None);
    broker.pass_ms(10_001);
    assert_eq!(state(&mut broker, client), ("Empty".to_owned(), 0));
}

#[test]
fn a_static_member_that_restarts_gets_its_assignment_back_without_a_rebalance() {
    let (mut broker, client) = broker();
    let request = |member: &str| join(member).with_group_instance_id(Some(s("i")));
    broker.send(client, 9, &request(""));
    broker.pass_ms(3000);
    let joined: JoinGroupResponse = broker.response(client, 9).expect("the delay is over");
    let old = joined.member_id.to_string();
    assert!(old.starts_with("i-"));
    let _: SyncGroupResponse =
        broker.ask(client, 5, &sync(&old, 1, &[(&old, b"all")]).with_group_instance_id(Some(s("i"))));
    let again: JoinGroupResponse = broker.ask(client, 9, &request(""));
    assert_eq!((again.error_code, again.generation_id, again.skip_assignment), (0, 1, true));
    let new = again.member_id.to_string();
    assert_ne!(old, new);
    let synced: SyncGroupResponse =
        broker.ask(client, 5, &sync(&new, 1, &[]).with_group_instance_id(Some(s("i"))));
    assert_eq!(&synced.assignment[..], b"all");
    let fenced: JoinGroupResponse = broker.ask(client, 9, &request(&old));
    assert_eq!(fenced.error_code, ErrorCode::FencedInstanceId.code());
    assert_eq!(state(&mut broker, client), ("Stable".to_owned(), 1));
}

#[test]
fn members_that_do_not_fit_are_refused() {
    let (mut broker, client) = broker();
    let short: JoinGroupResponse = broker.ask(client, 9, &join("").with_session_timeout_ms(10));
    assert_eq!(short.error_code, ErrorCode::InvalidSessionTimeout.code());
    let nameless: JoinGroupResponse = broker.ask(client, 9, &join("").with_group_id(s(" ").into()));
    assert_eq!(nameless.error_code, ErrorCode::InvalidGroupId.code());
    let stranger: JoinGroupResponse = broker.ask(client, 9, &join("stranger"));
    assert_eq!(stranger.error_code, ErrorCode::UnknownMemberId.code());
    group_of_one(&mut broker, client);
    let other = join("").with_protocol_type(s("connect"));
    let other: JoinGroupResponse = broker.ask(client, 9, &other);
    assert_eq!(other.error_code, ErrorCode::InconsistentGroupProtocol.code());
}

#[test]
fn groups_are_listed_by_state_and_deleted_when_they_are_empty() {
    let (mut broker, client) = broker();
    let list = |broker: &mut Broker, states: &[&str]| {
        let states = states.iter().map(|state| s(state)).collect();
        let request = ListGroupsRequest::default().with_states_filter(states);
        let response: ListGroupsResponse = broker.ask(client, 5, &request);
        let told = response.groups.iter();
        told.map(|it| format!("{} {} {}", it.group_id.as_str(), it.group_state, it.group_type))
            .collect::<Vec<_>>()
    };
    let delete = |broker: &mut Broker| {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![s("g").into()]);
        let response: DeleteGroupsResponse = broker.ask(client, 2, &request);
        ErrorCode::from_code(response.results[0].error_code).expect("a code")
    };
    assert_eq!(delete(&mut broker), ErrorCode::GroupIdNotFound);
    let member = group_of_one(&mut broker, client);
    let request = commit(&member, 1, &[("t", 0, 7)]);
    assert_eq!(commit_error(&mut broker, client, &request), ErrorCode::None);
    assert_eq!(list(&mut broker, &[]), ["g Stable classic"]);
    assert_eq!(list(&mut broker, &["Empty"]), Vec::<String>::new());
    assert_eq!(delete(&mut broker), ErrorCode::NonEmptyGroup);
    broker.pass_ms(10_001);
    assert_eq!(list(&mut broker, &["empty"]), ["g Empty classic"]);
    assert_eq!(delete(&mut broker), ErrorCode::None);
    assert_eq!(list(&mut broker, &[]), Vec::<String>::new());
    assert_eq!(fetched(&mut broker, client, Some(&[0])), [(0, -1)]);
    let request = DescribeGroupsRequest::default().with_groups(vec![s("g").into()]);
    let response: DescribeGroupsResponse = broker.ask(client, 6, &request);
    assert_eq!(response.groups[0].error_code, ErrorCode::GroupIdNotFound.code());
    assert_eq!(response.groups[0].group_state.as_str(), "Dead");
}

#[test]
fn offsets_that_members_read_cannot_be_deleted_and_others_can() {
    let (mut broker, client) = broker();
    let _: CreateTopicsResponse = broker.ask(client, 7, &create("u", 1, &[]));
    let member = group_of_one(&mut broker, client);
    let request = commit(&member, 1, &[("t", 0, 7), ("u", 0, 8)]);
    assert_eq!(commit_error(&mut broker, client, &request), ErrorCode::None);
    let topics = ["t", "u"].map(|topic| {
        OffsetDeleteRequestTopic::default()
            .with_name(name(topic))
            .with_partitions(vec![OffsetDeleteRequestPartition::default()])
    });
    let request = OffsetDeleteRequest::default().with_group_id(s("g").into()).with_topics(topics.to_vec());
    let response: OffsetDeleteResponse = broker.ask(client, 0, &request);
    let errors: Vec<i16> = response.topics.iter().map(|topic| topic.partitions[0].error_code).collect();
    assert_eq!(errors, [ErrorCode::GroupSubscribedToTopic.code(), 0]);
    assert_eq!(fetched(&mut broker, client, None), [(0, 7)]);
}

#[test]
fn offsets_of_a_deleted_topic_are_gone_with_it() {
    let (mut broker, client) = broker();
    assert_eq!(commit_error(&mut broker, client, &commit("", -1, &[("t", 0, 7)])), ErrorCode::None);
    let _: DeleteTopicsResponse = broker.ask(client, 6, &delete_topic("t"));
    assert_eq!(fetched(&mut broker, client, None), []);
}

#[test]
fn committed_offsets_of_an_idle_group_expire_with_the_group() {
    let (mut broker, client) = broker();
    assert_eq!(commit_error(&mut broker, client, &commit("", -1, &[("t", 0, 7)])), ErrorCode::None);
    let day_ms = 24 * 3600 * 1000;
    broker.pass_ms(6 * day_ms);
    assert_eq!(fetched(&mut broker, client, None), [(0, 7)]);
    broker.pass_ms(day_ms);
    assert_eq!(fetched(&mut broker, client, None), []);
    assert_eq!(state(&mut broker, client).0, "Dead");
}

#[test]
fn a_new_member_that_never_comes_back_with_its_name_holds_up_nobody() {
    let (mut broker, first) = broker();
    let a = group_of_one(&mut broker, first);
    let second = broker.connect(1, 2);
    named(&mut broker, second);
    // The leader joins again: the group waits for the one that was named, but not for ever.
    broker.send(first, 9, &join(&a));
    assert!(broker.response::<JoinGroupResponse>(first, 9).is_none());
    broker.pass_ms(10_001);
    let joined: JoinGroupResponse = broker.response(first, 9).expect("the named one is given up");
    assert_eq!((joined.error_code, joined.members.len()), (0, 1));
}

#[test]
fn a_leader_that_never_assigns_is_removed_and_another_leads() {
    let (mut broker, first) = broker();
    let a = group_of_one(&mut broker, first);
    let second = broker.connect(1, 2);
    let b = named(&mut broker, second);
    broker.send(second, 9, &join(&b));
    let joined: JoinGroupResponse = broker.ask(first, 9, &join(&a));
    assert_eq!(joined.leader.as_str(), a);
    let _: JoinGroupResponse = broker.response(second, 9).expect("everyone is there");
    broker.send(second, 5, &sync(&b, 2, &[]));
    broker.pass_ms(9_000);
    assert_eq!(heartbeat(&mut broker, first, &a, 2), ErrorCode::None);
    broker.pass_ms(9_000);
    assert_eq!(heartbeat(&mut broker, first, &a, 2), ErrorCode::None);
    broker.pass_ms(2_001);
    let told: SyncGroupResponse = broker.response(second, 5).expect("the leader is given up");
    assert_eq!(told.error_code, ErrorCode::RebalanceInProgress.code());
    let joined: JoinGroupResponse = broker.ask(second, 9, &join(&b));
    assert_eq!((joined.generation_id, joined.leader.as_str()), (3, b.as_str()));
}

#[test]
fn a_member_joins_a_group_of_which_only_a_name_is_left() {
    let (mut broker, first) = broker();
    let a = group_of_one(&mut broker, first);
    let second = broker.connect(1, 2);
    let b = named(&mut broker, second);
    let leaving = MemberIdentity::default().with_member_id(s(&a));
    let leave = LeaveGroupRequest::default().with_group_id(s("g").into()).with_members(vec![leaving]);
    let _: LeaveGroupResponse = broker.ask(first, 5, &leave);
    assert_eq!(state(&mut broker, first), ("PreparingRebalance".to_owned(), 0));
    let joined: JoinGroupResponse = broker.ask(second, 9, &join(&b));
    assert_eq!((joined.error_code, joined.members.len()), (0, 1));
}

#[test]
fn a_request_that_names_more_groups_than_anyone_has_ends_its_connection() {
    let (mut broker, client) = broker();
    // Shorter names would be more than the guard lets a decoder make of them.
    let names = vec![s("a-group-like-others").into(); crate::limits::NAMED_PER_REQUEST_MAX + 1];
    broker.send(client, 6, &DescribeGroupsRequest::default().with_groups(names));
    assert!(broker.response::<DescribeGroupsResponse>(client, 6).is_none());
    assert!(broker.closed.iter().any(|(_, why)| why.contains("names 100001 things")), "{:?}", broker.closed);
}
