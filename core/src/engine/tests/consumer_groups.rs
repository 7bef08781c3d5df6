//! Groups of the new protocol (KIP-848), from a client's side.

use super::{
    broker::Broker,
    clients::{create, delete_topic, name},
    files::Files,
};
use crate::{error::ErrorCode, ids::TopicId};
use corelane_seam::ConnectionId;
use kafka_protocol::{
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
        ConsumerGroupHeartbeatResponse, CreateTopicsResponse, DeleteGroupsRequest, DeleteGroupsResponse,
        DeleteTopicsResponse, FindCoordinatorRequest, FindCoordinatorResponse, ListGroupsRequest,
        ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
        OffsetFetchResponse, UpdateFeaturesRequest, UpdateFeaturesResponse,
        consumer_group_describe_response::DescribedGroup,
        consumer_group_heartbeat_request::TopicPartitions,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
        update_features_request::FeatureUpdateKey,
    },
    protocol::StrBytes,
};

fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A broker with a topic of two partitions and `__consumer_offsets`.
fn broker() -> (Broker, ConnectionId) {
    let mut broker = Broker::start(2, Files::default());
    let client = broker.connect(0, 1);
    let created: CreateTopicsResponse = broker.ask(client, 7, &create("t", 2, &[]));
    assert_eq!(created.topics[0].error_code, 0);
    let request = FindCoordinatorRequest::default().with_key(s("g"));
    let found: FindCoordinatorResponse = broker.ask(client, 3, &request);
    assert_eq!(found.error_code, 0);
    (broker, client)
}

fn join(member: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(s("g").into())
        .with_member_id(s(member))
        .with_rebalance_timeout_ms(20_000)
        .with_subscribed_topic_names(Some(vec![name("t")]))
        .with_topic_partitions(Some(Vec::new()))
}

fn go_on(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(s("g").into())
        .with_member_id(s(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
}

fn beat(
    broker: &mut Broker,
    client: ConnectionId,
    request: &ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    broker.ask(client, 1, request)
}

/// The partitions that a member is told, all of "t"; `None` when it is told nothing.
fn told(response: &ConsumerGroupHeartbeatResponse) -> Option<Vec<i32>> {
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let topics = &response.assignment.as_ref()?.topic_partitions;
    Some(topics.iter().flat_map(|topic| topic.partitions.clone()).collect())
}

fn topic_id(broker: &Broker) -> TopicId {
    broker.image().topic("t").expect("created").id
}

fn describe(broker: &mut Broker, client: ConnectionId, version: i16) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![s("g").into()]);
    let mut response: ConsumerGroupDescribeResponse = broker.ask(client, version, &request);
    response.groups.pop().expect("one was asked for")
}

fn commit(broker: &mut Broker, client: ConnectionId, member: &str, epoch: i32) -> ErrorCode {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
    let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(s("g").into())
        .with_generation_id_or_member_epoch(epoch)
        .with_member_id(s(member))
        .with_topics(vec![topic]);
    let response: OffsetCommitResponse = broker.ask(client, 9, &request);
    ErrorCode::from_code(response.topics[0].partitions[0].error_code).expect("a code")
}

fn fetch(broker: &mut Broker, client: ConnectionId, member: &str, epoch: i32) -> Result<i64, ErrorCode> {
    let topic = OffsetFetchRequestTopics::default().with_name(name("t")).with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(s("g").into())
        .with_member_id(Some(s(member)))
        .with_member_epoch(epoch)
        .with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    let response: OffsetFetchResponse = broker.ask(client, 9, &request);
    let group = &response.groups[0];
    match ErrorCode::from_code(group.error_code).expect("a code") {
        ErrorCode::None => Ok(group.topics[0].partitions[0].committed_offset),
        error => Err(error),
    }
}

#[test]
fn two_members_share_a_topic_and_commit_in_their_epochs() {
    let (mut broker, a) = broker();
    let joined = beat(&mut broker, a, &join("a"));
    assert_eq!(
        (joined.member_epoch, joined.heartbeat_interval_ms, told(&joined)),
        (1, 5000, Some(vec![0, 1]))
    );
    let b = broker.connect(1, 2);
    broker.pass_ms(1000);
    let joined = beat(&mut broker, b, &join("b"));
    assert_eq!((joined.member_epoch, told(&joined)), (2, Some(vec![])));
    assert_eq!(told(&beat(&mut broker, a, &go_on("a", 1))), Some(vec![0]));
    let owned = TopicPartitions::default().with_topic_id(topic_id(&broker).0).with_partitions(vec![0]);
    let gave_up = beat(&mut broker, a, &go_on("a", 1).with_topic_partitions(Some(vec![owned])));
    assert_eq!((gave_up.member_epoch, told(&gave_up)), (2, None));
    assert_eq!(told(&beat(&mut broker, b, &go_on("b", 2))), Some(vec![1]));

    assert_eq!(commit(&mut broker, a, "a", 2), ErrorCode::None);
    assert_eq!(commit(&mut broker, a, "a", 1), ErrorCode::None, "it has had the partition since epoch 1");
    assert_eq!(commit(&mut broker, a, "a", 3), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit(&mut broker, b, "b", 1), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit(&mut broker, b, "x", 2), ErrorCode::UnknownMemberId);
    assert_eq!(fetch(&mut broker, a, "a", 2), Ok(7));
    assert_eq!(fetch(&mut broker, a, "a", 1), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(beat(&mut broker, a, &go_on("a", 9)).error_code, ErrorCode::FencedMemberEpoch.code());
}

#[test]
fn a_group_is_described_listed_and_deleted_when_it_is_empty() {
    let (mut broker, client) = broker();
    beat(&mut broker, client, &join("a"));
    for (version, kind) in [(0, -1), (1, 1)] {
        let group = describe(&mut broker, client, version);
        assert_eq!((group.group_state.as_str(), group.assignor_name.as_str()), ("Stable", "uniform"));
        let member = &group.members[0];
        assert_eq!((member.member_id.as_str(), member.member_type), ("a", kind));
        assert_eq!(member.assignment.topic_partitions[0].topic_name.as_str(), "t");
        assert_eq!(member.target_assignment, member.assignment);
    }
    let request = ListGroupsRequest::default().with_types_filter(vec![s("consumer")]);
    let listed: ListGroupsResponse = broker.ask(client, 5, &request);
    let listed = &listed.groups[0];
    assert_eq!((listed.group_type.as_str(), listed.group_state.as_str()), ("consumer", "Stable"));
    let mut delete = || {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![s("g").into()]);
        let response: DeleteGroupsResponse = broker.ask(client, 2, &request);
        let code = response.results[0].error_code;
        beat(&mut broker, client, &go_on("a", -1));
        ErrorCode::from_code(code).expect("a code")
    };
    assert_eq!(delete(), ErrorCode::NonEmptyGroup);
    assert_eq!(delete(), ErrorCode::None);
    let gone = describe(&mut broker, client, 1);
    assert_eq!(gone.error_code, ErrorCode::GroupIdNotFound.code());
    assert_eq!(gone.error_message.as_deref(), Some("Group g not found."));
}

#[test]
fn a_group_comes_back_after_a_restart_and_its_members_go_on() {
    let (mut broker, client) = broker();
    beat(&mut broker, client, &join("a"));
    assert_eq!(commit(&mut broker, client, "a", 1), ErrorCode::None);
    let before = describe(&mut broker, client, 1);
    let (files, image) = (broker.files.clone(), broker.image());
    drop(broker);
    let mut broker = Broker::start_with(3, files, image);
    let client = broker.connect(1, 1);
    let loading = beat(&mut broker, client, &go_on("a", 1));
    assert_eq!(loading.error_code, ErrorCode::CoordinatorLoadInProgress.code());
    (0..20).for_each(|_| broker.pass_ms(1));
    assert_eq!(describe(&mut broker, client, 1), before);
    let next = beat(&mut broker, client, &go_on("a", 1));
    assert_eq!((next.member_epoch, told(&next)), (1, None));
    assert_eq!(fetch(&mut broker, client, "a", 1), Ok(7));
    broker.pass_ms(45_001);
    assert_eq!(describe(&mut broker, client, 1).group_state.as_str(), "Empty");
}

#[test]
fn what_is_malformed_is_refused_with_a_reason() {
    let (mut broker, client) = broker();
    let mut refusal = |request: ConsumerGroupHeartbeatRequest, version| {
        let response: ConsumerGroupHeartbeatResponse = broker.ask(client, version, &request);
        (ErrorCode::from_code(response.error_code).expect("a code"), response.error_message)
    };
    let (error, message) = refusal(join("a").with_server_assignor(Some(s("sticky"))), 1);
    assert_eq!(error, ErrorCode::UnsupportedAssignor);
    let expected = "ServerAssignor sticky is not supported. Supported assignors: uniform, range.";
    assert_eq!(message.as_deref(), Some(expected));
    let (error, message) = refusal(join(""), 1);
    assert_eq!((error, message.as_deref()), (ErrorCode::InvalidRequest, Some("MemberId can't be empty.")));
    assert_eq!(refusal(join(""), 0).0, ErrorCode::None, "the first version has its members named");
    let regex = join("b").with_subscribed_topic_regex(Some(s("(")));
    assert_eq!(refusal(regex, 1).0, ErrorCode::InvalidRegularExpression);
}

#[test]
fn members_follow_topics_that_come_and_go() {
    let (mut broker, client) = broker();
    let by_regex = join("a").with_subscribed_topic_names(None).with_subscribed_topic_regex(Some(s("t.*")));
    assert_eq!(told(&beat(&mut broker, client, &by_regex)), Some(vec![0, 1]));
    let _: CreateTopicsResponse = broker.ask(client, 7, &create("t2", 1, &[]));
    broker.pass_ms(10_001);
    let next = beat(&mut broker, client, &go_on("a", 1));
    // In the order of the topics' ids, which are drawn.
    let mut partitions = told(&next).expect("they have changed");
    partitions.sort_unstable();
    assert_eq!((next.member_epoch, partitions), (2, vec![0, 0, 1]));
    let _: DeleteTopicsResponse = broker.ask(client, 6, &delete_topic("t"));
    broker.pass_ms(10_001);
    let next = beat(&mut broker, client, &go_on("a", 2));
    assert_eq!((next.member_epoch, told(&next)), (2, Some(vec![0])));
}

/// Finalizes `group.version` at a level.
fn finalize(broker: &mut Broker, client: ConnectionId, level: i16, upgrade_type: i8) {
    let update = FeatureUpdateKey::default()
        .with_feature(s("group.version"))
        .with_max_version_level(level)
        .with_upgrade_type(upgrade_type);
    let request = UpdateFeaturesRequest::default().with_feature_updates(vec![update]).with_timeout_ms(1000);
    let response: UpdateFeaturesResponse = broker.ask(client, 2, &request);
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
}

#[test]
fn a_cluster_finalized_below_the_new_protocol_refuses_it_and_its_groups_are_there_when_it_is_back() {
    let (mut broker, client) = broker();
    assert_eq!(told(&beat(&mut broker, client, &join("a"))), Some(vec![0, 1]));
    finalize(&mut broker, client, 0, 2);
    let unsupported = ErrorCode::UnsupportedVersion.code();
    assert_eq!(beat(&mut broker, client, &go_on("a", 1)).error_code, unsupported);
    assert_eq!(describe(&mut broker, client, 1).error_code, unsupported);
    finalize(&mut broker, client, 1, 1);
    assert_eq!(beat(&mut broker, client, &go_on("a", 1)).error_code, 0);
    assert_eq!(describe(&mut broker, client, 1).members.len(), 1);
}
