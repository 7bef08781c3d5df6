//! The other keys.

use super::{
    broker::{Broker, NODE},
    clients::{alter, batch, create, delete_records, delete_topic, name, produce},
    files::Files,
};
use crate::{
    error::ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    records::{BatchBuilder, NewRecord},
};
use bytes::Bytes;
use corelane_seam::ConnectionId;
use kafka_protocol::{
    messages::{
        ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreatePartitionsResponse,
        CreateTopicsResponse, DeleteRecordsResponse, DeleteTopicsResponse, DescribeClusterRequest,
        DescribeClusterResponse, DescribeConfigsRequest, DescribeConfigsResponse,
        DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, FindCoordinatorRequest,
        FindCoordinatorResponse, IncrementalAlterConfigsResponse, InitProducerIdRequest,
        InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
        OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse,
        WriteTxnMarkersRequest, WriteTxnMarkersResponse,
        create_partitions_request::CreatePartitionsTopic,
        describe_configs_request::DescribeConfigsResource,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
        write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
    },
    protocol::StrBytes,
};

fn broker() -> (Broker, ConnectionId) {
    let mut broker = Broker::start(2, Files::default());
    let client = broker.connect(1, 1);
    let created: CreateTopicsResponse = broker.ask(client, 7, &create("t", 2, &[]));
    assert_eq!(created.topics[0].error_code, 0, "{created:?}");
    (broker, client)
}

fn append(broker: &mut Broker, client: ConnectionId, values: &[&str]) {
    let response: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(0, batch(values))]));
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

fn list_offsets(broker: &mut Broker, client: ConnectionId, timestamp: i64) -> (i16, i64, i64) {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(-1);
    let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let response: ListOffsetsResponse = broker.ask(client, 7, &request);
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.offset, partition.timestamp)
}

#[test]
fn offsets_are_listed_by_end_by_start_by_time_and_by_the_largest_time() {
    let (mut broker, client) = broker();
    assert_eq!(list_offsets(&mut broker, client, -1), (0, 0, -1));
    append(&mut broker, client, &["a", "b"]);
    append(&mut broker, client, &["c"]);
    assert_eq!(list_offsets(&mut broker, client, -1), (0, 3, -1));
    assert_eq!(list_offsets(&mut broker, client, -2), (0, 0, -1));
    let at = 1_700_000_000_000;
    assert_eq!(list_offsets(&mut broker, client, at), (0, 0, at));
    assert_eq!(list_offsets(&mut broker, client, at + 1), (0, -1, -1));
    assert_eq!(list_offsets(&mut broker, client, -3).0, 0);
}

#[test]
fn deleted_records_are_gone_and_the_log_starts_behind_them() {
    let (mut broker, client) = broker();
    append(&mut broker, client, &["a", "b"]);
    append(&mut broker, client, &["c"]);
    let delete = |broker: &mut Broker, offset| {
        let response: DeleteRecordsResponse = broker.ask(client, 2, &delete_records("t", offset));
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.low_watermark)
    };
    assert_eq!(delete(&mut broker, 1), (0, 1));
    assert_eq!(list_offsets(&mut broker, client, -2), (0, 1, -1));
    assert_eq!(delete(&mut broker, 9), (ErrorCode::OffsetOutOfRange.code(), -1));
    assert_eq!(delete(&mut broker, -1), (0, 3));
}

#[test]
fn a_new_topic_is_in_the_metadata_of_every_shard_when_its_creation_is_answered() {
    let (mut broker, _) = broker();
    for shard in 0..2 {
        let client = broker.connect(shard, 9);
        let topic = MetadataRequestTopic::default().with_name(Some(name("t")));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let response: MetadataResponse = broker.ask(client, 12, &request);
        assert_eq!(response.topics[0].partitions.len(), 2);
        assert_eq!(response.brokers[0].host.as_str(), "broker.test");
        assert!(
            response.topics[0].partitions.iter().all(|it| it.leader_id.0 == NODE.0 && it.leader_epoch >= 0)
        );
    }
}

#[test]
fn metadata_creates_a_missing_topic_only_when_asked_to() {
    let (mut broker, client) = broker();
    let ask = |broker: &mut Broker, allow| -> MetadataResponse {
        let topic = MetadataRequestTopic::default().with_name(Some(name("new")));
        let request =
            MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(allow);
        broker.ask(client, 9, &request)
    };
    assert_eq!(ask(&mut broker, false).topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    let created = ask(&mut broker, true);
    assert_eq!((created.topics[0].error_code, created.topics[0].partitions.len()), (0, 4));
}

#[test]
fn every_version_of_api_versions_is_answered_and_an_unknown_one_with_the_versions_known() {
    let (mut broker, client) = broker();
    for version in 0..=4 {
        let mut request = ApiVersionsRequest::default();
        if version >= 3 {
            request.client_software_name = StrBytes::from_static_str("test");
            request.client_software_version = StrBytes::from_static_str("1.0");
        }
        let response: ApiVersionsResponse = broker.ask(client, version, &request);
        assert_eq!(response.error_code, 0);
        let produce = response.api_keys.iter().find(|key| key.api_key == 0).expect("Produce is served");
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
        let finalized: Vec<_> = response
            .finalized_features
            .iter()
            .map(|feature| (feature.name.as_str(), feature.min_version_level, feature.max_version_level))
            .collect();
        let expected = [
            ("group.version", 1, 1),
            ("kraft.version", 1, 1),
            ("metadata.version", 30, 30),
            ("transaction.version", 2, 2),
        ];
        assert_eq!(finalized, if version >= 3 { &expected[..] } else { &[] });
        // A feature that is supported from 0 is told of only to who can read it (KAFKA-17492).
        let supported =
            response.supported_features.iter().find(|feature| feature.name.as_str() == "group.version");
        let range = supported.map(|feature| (feature.min_version, feature.max_version));
        assert_eq!(range, (version >= 4).then_some((0, 1)));
    }
    broker.send_frame(client, Bytes::from_static(&[0, 18, 0, 99, 0, 0, 0, 5, 0xff, 0xff]));
    let response: ApiVersionsResponse = broker.response(client, 0).expect("answered");
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(response.api_keys.len(), 1);
}

#[test]
fn a_key_that_is_not_served_closes_the_connection_and_no_other() {
    let (mut broker, client) = broker();
    let other = broker.connect(1, 2);
    broker.send_frame(client, Bytes::from_static(&[0, 11, 0, 0, 0, 0, 0, 5, 0xff, 0xff]));
    assert_eq!(broker.closed.len(), 1, "{:?}", broker.closed);
    append(&mut broker, other, &["a"]);
}

#[test]
fn producer_ids_are_never_given_out_twice_by_two_shards() {
    let (mut broker, one) = broker();
    let two = broker.connect(0, 2);
    let mut ids: Vec<i64> = Vec::new();
    for client in [one, two, one, two] {
        let response: InitProducerIdResponse =
            broker.ask(client, 4, &InitProducerIdRequest::default().with_transactional_id(None));
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        ids.push(response.producer_id.0);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn records_of_a_transaction_that_no_coordinator_knows_are_not_appended() {
    let (mut broker, client) = broker();
    let mut transactional = BatchBuilder::new().producer(ProducerId(5), ProducerEpoch(0), 0).transactional();
    transactional.push(NewRecord { value: Some(b"a"), ..NewRecord::default() });
    let mut request = produce("t", -1, &[(0, transactional.build())]);
    let code = |broker: &mut Broker, request: &ProduceRequest| {
        let response: ProduceResponse = broker.ask(client, 9, request);
        response.responses[0].partition_responses[0].error_code
    };
    let refused = code(&mut broker, &request);
    assert_eq!(refused, ErrorCode::TransactionalIdAuthorizationFailed.code());
    request.transactional_id = Some(StrBytes::from_static_str("tx").into());
    // There is no `__transaction_state` yet: upon this an older client tries again.
    assert_eq!(code(&mut broker, &request), ErrorCode::NotEnoughReplicas.code());
    let plain = produce("t", -1, &[(0, batch(&["b"]))]);
    let response: ProduceResponse = broker.ask(client, 9, &plain);
    assert_eq!(response.responses[0].partition_responses[0].base_offset, 0, "nothing was appended before");
}

/// Producer, epoch, coordinator's epoch, and where it is written.
type MarkerAsked<'a> = (i64, i16, i32, &'a [(&'a str, &'a [i32])]);
/// Of each topic: (partition, error).
type MarkerTold = (i64, Vec<Vec<(i32, i16)>>);

fn write_markers(broker: &mut Broker, client: ConnectionId, markers: &[MarkerAsked<'_>]) -> Vec<MarkerTold> {
    let marker = |(producer, epoch, coordinator, topics): &MarkerAsked<'_>| {
        let topics = topics.iter().map(|(topic, indexes)| {
            WritableTxnMarkerTopic::default().with_name(name(topic)).with_partition_indexes(indexes.to_vec())
        });
        WritableTxnMarker::default()
            .with_producer_id((*producer).into())
            .with_producer_epoch(*epoch)
            .with_coordinator_epoch(*coordinator)
            .with_transaction_result(true)
            .with_topics(topics.collect())
    };
    let request = WriteTxnMarkersRequest::default().with_markers(markers.iter().map(marker).collect());
    let response: WriteTxnMarkersResponse = broker.ask(client, 1, &request);
    let results = response.markers.iter().map(|marker| {
        let topics = marker.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|partition| (partition.partition_index, partition.error_code)).collect()
        });
        (marker.producer_id.0, topics.collect())
    });
    results.collect()
}

#[test]
fn a_marker_is_written_to_every_partition_it_names_and_fences_what_is_older() {
    let (mut broker, client) = broker();
    let none = ErrorCode::None.code();
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    let results = write_markers(
        &mut broker,
        client,
        &[(5, 1, 3, &[("t", &[0, 1, 9]), ("nothing", &[0])]), (6, 0, 3, &[("t", &[1])])],
    );
    let of_5 = vec![vec![(0, none), (1, none), (9, unknown)], vec![(0, unknown)]];
    assert_eq!(results, [(5, of_5), (6, vec![vec![(1, none)]])]);
    let mut old = BatchBuilder::new().producer(ProducerId(5), ProducerEpoch(0), 0);
    old.push(NewRecord { value: Some(b"a"), ..NewRecord::default() });
    let response: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(0, old.build())]));
    let refused = response.responses[0].partition_responses[0].error_code;
    assert_eq!(refused, ErrorCode::InvalidProducerEpoch.code());
    let fenced = ErrorCode::TransactionCoordinatorFenced.code();
    let results = write_markers(&mut broker, client, &[(5, 1, 2, &[("t", &[0])])]);
    assert_eq!(results, [(5, vec![vec![(0, fenced)]])], "a coordinator that has been replaced");
    let response: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(1, batch(&["b"]))]));
    assert_eq!(response.responses[0].partition_responses[0].base_offset, 2, "two markers stand before it");
}

#[test]
fn a_topic_grows_and_goes() {
    let (mut broker, client) = broker();
    let grow = CreatePartitionsTopic::default().with_name(name("t")).with_count(5).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![grow]).with_timeout_ms(1000);
    let response: CreatePartitionsResponse = broker.ask(client, 3, &request);
    assert_eq!(response.results[0].error_code, 0);
    let response: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(4, batch(&["a"]))]));
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    let response: DeleteTopicsResponse = broker.ask(client, 6, &delete_topic("t"));
    assert_eq!(response.responses[0].error_code, 0);
    let response: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(4, batch(&["a"]))]));
    let error = response.responses[0].partition_responses[0].error_code;
    assert_eq!(error, ErrorCode::UnknownTopicOrPartition.code());
}

#[test]
fn an_epochs_end_is_the_logs_end_for_the_epoch_that_reigns() {
    let (mut broker, client) = broker();
    append(&mut broker, client, &["a", "b"]);
    let partition =
        OffsetForLeaderPartition::default().with_current_leader_epoch(-1).with_leader_epoch(i32::from(0u8));
    let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
    let request =
        OffsetForLeaderEpochRequest::default().with_replica_id((-2).into()).with_topics(vec![topic]);
    let response: OffsetForLeaderEpochResponse = broker.ask(client, 4, &request);
    let end = &response.topics[0].partitions[0];
    assert_eq!((end.error_code, end.end_offset), (0, 2));
}

#[test]
fn a_configuration_that_is_altered_is_described_as_altered() {
    let (mut broker, client) = broker();
    let response: IncrementalAlterConfigsResponse =
        broker.ask(client, 1, &alter("t", "retention.ms", "12345"));
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("t"))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let response: DescribeConfigsResponse = broker.ask(client, 4, &request);
    let configs = &response.results[0].configs;
    let altered = configs.iter().find(|config| config.name.as_str() == "retention.ms").expect("listed");
    assert_eq!((altered.value.as_deref(), altered.config_source), (Some("12345"), 1));
    assert!(configs.len() > 20, "all are listed: {}", configs.len());
}

#[test]
fn the_cluster_is_described_by_its_brokers() {
    let (mut broker, client) = broker();
    let request = DescribeClusterRequest::default().with_endpoint_type(1);
    let response: DescribeClusterResponse = broker.ask(client, 2, &request);
    assert_eq!((response.error_code, response.cluster_id.as_str()), (0, "test"));
    assert_eq!(response.brokers[0].broker_id.0, NODE.0);
}

#[test]
fn topics_are_described_page_by_page() {
    let (mut broker, client) = broker();
    let _: CreateTopicsResponse = broker.ask(client, 7, &create("u", 3, &[]));
    let mut seen = Vec::new();
    let mut request = DescribeTopicPartitionsRequest::default().with_response_partition_limit(2);
    loop {
        let response: DescribeTopicPartitionsResponse = broker.ask(client, 0, &request);
        for topic in &response.topics {
            let topic_name = topic.name.as_ref().expect("named").to_string();
            seen.extend(topic.partitions.iter().map(|it| (topic_name.clone(), it.partition_index)));
        }
        let Some(cursor) = response.next_cursor else { break };
        request.cursor = Some(
            kafka_protocol::messages::describe_topic_partitions_request::Cursor::default()
                .with_topic_name(cursor.topic_name)
                .with_partition_index(cursor.partition_index),
        );
    }
    let expected = [("t", 0), ("t", 1), ("u", 0), ("u", 1), ("u", 2)].map(|(t, p)| (t.to_owned(), p));
    assert_eq!(seen, expected);
}

#[test]
fn the_coordinator_of_whatever_is_asked_for_is_this_broker_in_every_version() {
    let (mut broker, client) = broker();
    let key = |text: &'static str| StrBytes::from_static_str(text);
    for version in 0..=3 {
        let response: FindCoordinatorResponse =
            broker.ask(client, version, &FindCoordinatorRequest::default().with_key(key("group")));
        assert_eq!((response.error_code, response.node_id.0), (0, NODE.0), "v{version}");
        assert_eq!((response.host.as_str(), response.port), ("broker.test", 9092), "v{version}");
    }
    for (version, key_type) in [(4, 0), (5, 1), (6, 1)] {
        let request = FindCoordinatorRequest::default().with_key_type(key_type).with_coordinator_keys(vec![
            key("one"),
            key("other"),
            key(""),
        ]);
        let response: FindCoordinatorResponse = broker.ask(client, version, &request);
        let keys: Vec<&str> = response.coordinators.iter().map(|found| found.key.as_str()).collect();
        assert_eq!(keys, ["one", "other", ""], "v{version}");
        for found in &response.coordinators {
            assert_eq!((found.error_code, found.node_id.0), (0, NODE.0), "v{version}");
            assert_eq!((found.host.as_str(), found.port), ("broker.test", 9092), "v{version}");
        }
    }
}

#[test]
fn a_coordinator_that_cannot_be_asked_for_is_nowhere_and_the_others_of_the_request_are_found() {
    let (mut broker, client) = broker();
    let partition = StrBytes::from_static_str("group:gqPB3ew1Q9iWmL0t2k_-7A:0");
    let request = FindCoordinatorRequest::default()
        .with_key_type(2)
        .with_coordinator_keys(vec![StrBytes::from_static_str("group"), partition]);
    let response: FindCoordinatorResponse = broker.ask(client, 6, &request);
    let [refused, found] = &response.coordinators[..] else { panic!("{response:?}") };
    assert_eq!(refused.error_code, ErrorCode::InvalidRequest.code());
    assert_eq!((refused.node_id.0, refused.host.as_str(), refused.port), (-1, "", -1));
    assert!(refused.error_message.is_some());
    assert_eq!((found.error_code, found.node_id.0), (0, NODE.0));
    let request = FindCoordinatorRequest::default().with_key_type(9);
    let response: FindCoordinatorResponse = broker.ask(client, 3, &request);
    assert_eq!((response.error_code, response.node_id.0), (ErrorCode::InvalidRequest.code(), -1));
}
