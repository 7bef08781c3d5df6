//! What administrators and their tools ask.

use super::{
    broker::{Broker, NODE},
    clients::{batch, create, name, produce, sequenced},
    files::Files,
};
use crate::{
    controller::{ChangeError, VoterChange},
    engine::{Input, ShardMessage},
    error::{ErrorCode, Fatal},
    ids::NodeId,
};
use corelane_seam::{ConnectionId, ShardId};
use kafka_protocol::{
    messages::{
        AddRaftVoterRequest, AddRaftVoterResponse, AlterConfigsRequest, AlterConfigsResponse,
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId, CreateAclsRequest,
        CreateAclsResponse, CreateTopicsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
        DescribeAclsResponse, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
        DescribeConfigsRequest, DescribeConfigsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse,
        DescribeProducersRequest, DescribeProducersResponse, DescribeQuorumRequest, DescribeQuorumResponse,
        DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse, ElectLeadersRequest,
        ElectLeadersResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
        ListConfigResourcesRequest, ListConfigResourcesResponse, ListPartitionReassignmentsRequest,
        ListPartitionReassignmentsResponse, ProduceResponse, RemoveRaftVoterRequest, RemoveRaftVoterResponse,
        UnregisterBrokerRequest, UnregisterBrokerResponse, UpdateFeaturesRequest, UpdateFeaturesResponse,
        add_raft_voter_request, alter_configs_request, alter_partition_reassignments_request as reassign,
        create_acls_request, delete_acls_request, describe_client_quotas_request as quotas,
        describe_configs_request, describe_configs_response::DescribeConfigsResourceResult,
        describe_log_dirs_request, describe_producers_request, describe_quorum_request,
        describe_user_scram_credentials_request as scram, elect_leaders_request,
        incremental_alter_configs_request as incremental, list_partition_reassignments_request,
        update_features_request,
    },
    protocol::StrBytes,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

fn broker() -> (Broker, ConnectionId) {
    let mut broker = Broker::start(2, Files::default());
    let client = broker.connect(1, 1);
    let created: CreateTopicsResponse = broker.ask(client, 7, &create("t", 2, &[]));
    assert_eq!(created.topics[0].error_code, 0, "{created:?}");
    (broker, client)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Sets a configuration incrementally; the error's code and words.
fn set(
    broker: &mut Broker,
    client: ConnectionId,
    (kind, resource): (i8, &str),
    key: &str,
    value: &str,
) -> (i16, String) {
    let config = incremental::AlterableConfig::default().with_name(text(key)).with_value(Some(text(value)));
    let resource = incremental::AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response: IncrementalAlterConfigsResponse = broker.ask(client, 1, &request);
    let result = &response.responses[0];
    (result.error_code, result.error_message.as_ref().map_or(String::new(), ToString::to_string))
}

/// What is described of a resource, or the error's code and words.
fn described(
    broker: &mut Broker,
    client: ConnectionId,
    (kind, resource): (i8, &str),
    keys: Option<&[&str]>,
) -> Result<Vec<DescribeConfigsResourceResult>, (i16, String)> {
    let resource = describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let mut response: DescribeConfigsResponse = broker.ask(client, 4, &request);
    let result = response.results.remove(0);
    match result.error_code {
        0 => Ok(result.configs),
        code => Err((code, result.error_message.map_or(String::new(), |message| message.to_string()))),
    }
}

/// Value and source of one configuration.
fn value(broker: &mut Broker, client: ConnectionId, resource: (i8, &str), key: &str) -> (Option<String>, i8) {
    let configs = described(broker, client, resource, Some(&[key])).expect("the resource is known");
    let config = configs.first().expect("the configuration is known");
    (config.value.as_ref().map(ToString::to_string), config.config_source)
}

#[test]
fn every_configuration_of_a_broker_is_described_with_its_documentation() {
    let (mut broker, client) = broker();
    let configs = described(&mut broker, client, (BROKER, "1"), None).expect("this broker");
    assert!(configs.len() > 300, "{}", configs.len());
    assert!(configs.iter().all(|it| it.documentation.as_ref().is_some_and(|doc| !doc.is_empty())));
    assert!(configs.iter().all(|it| !it.is_sensitive || it.value.is_none()));
    // No keys are all keys.
    let no_keys = described(&mut broker, client, (BROKER, "1"), Some(&[])).expect("this broker");
    assert_eq!(no_keys.len(), configs.len());
}

#[test]
fn what_is_altered_for_the_broker_or_for_the_cluster_takes_effect_at_once() {
    let (mut broker, client) = broker();
    let retention = (TOPIC, "t");
    assert_eq!(set(&mut broker, client, (BROKER, ""), "log.retention.ms", "12345678").0, 0);
    assert_eq!(value(&mut broker, client, retention, "retention.ms"), (Some("12345678".into()), 3));
    assert_eq!(set(&mut broker, client, (BROKER, "1"), "log.retention.ms", "2345678").0, 0);
    assert_eq!(value(&mut broker, client, retention, "retention.ms"), (Some("2345678".into()), 2));
    // The cluster's default is what it is, whatever this broker is told.
    assert_eq!(value(&mut broker, client, (BROKER, ""), "log.retention.ms"), (Some("12345678".into()), 3));
    assert_eq!(set(&mut broker, client, (BROKER, "1"), "message.max.bytes", "100").0, 0);
    let large = batch(&["x".repeat(200).as_str()]);
    let response: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(0, large)]));
    let error = response.responses[0].partition_responses[0].error_code;
    assert_eq!(error, ErrorCode::MessageTooLarge.code());
    for engine in &broker.engines {
        assert_eq!(engine.config().fetch_bytes_max, crate::config::BrokerConfig::default().fetch_bytes_max);
    }
    assert_eq!(set(&mut broker, client, (BROKER, "1"), "max.connections", "500").0, 0);
    assert!(broker.engines.iter().all(|engine| engine.config().connections_max == 500));
}

#[test]
fn a_shorter_expiration_of_producer_ids_holds_without_a_restart() {
    let (mut broker, client) = broker();
    let response: ProduceResponse =
        broker.ask(client, 9, &produce("t", -1, &[(0, sequenced(&["a"], 7, 0, 0))]));
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(producers(&mut broker, client, 0).len(), 1);
    assert_eq!(set(&mut broker, client, (BROKER, ""), "producer.id.expiration.ms", "5000").0, 0);
    for _ in 0..8 {
        broker.pass_ms(10_000);
    }
    assert_eq!(producers(&mut broker, client, 0), []);
}

#[test]
fn a_groups_configuration_and_a_subscription_of_client_metrics_are_kept_described_and_listed() {
    let (mut broker, client) = broker();
    let (group, metrics) = ((GROUP, "g"), (CLIENT_METRICS, "m"));
    assert_eq!(value(&mut broker, client, group, "consumer.session.timeout.ms"), (Some("45000".into()), 5));
    assert_eq!(set(&mut broker, client, group, "consumer.session.timeout.ms", "50000").0, 0);
    assert_eq!(value(&mut broker, client, group, "consumer.session.timeout.ms"), (Some("50000".into()), 8));
    assert_eq!(described(&mut broker, client, group, None).expect("any group").len(), 17);
    assert_eq!(set(&mut broker, client, metrics, "interval.ms", "1000").0, 0);
    assert_eq!(value(&mut broker, client, metrics, "interval.ms"), (Some("1000".into()), 7));
    let list = |broker: &mut Broker, version, types: &[i8]| -> Vec<(i8, String)> {
        let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
        let response: ListConfigResourcesResponse = broker.ask(client, version, &request);
        assert_eq!(response.error_code, 0);
        let listed = response.config_resources.iter();
        listed.map(|it| (it.resource_type, it.resource_name.to_string())).collect()
    };
    let named = |kind: i8, name: &str| (kind, name.to_owned());
    let brokers = [named(BROKER, "1"), named(BROKER_LOGGER, "1")];
    let [first, second] = brokers;
    let all = [named(TOPIC, "t"), first, second, named(GROUP, "g"), named(CLIENT_METRICS, "m")];
    assert_eq!(list(&mut broker, 1, &[]), all);
    assert_eq!(list(&mut broker, 1, &[GROUP]), [named(GROUP, "g")]);
    // Before it told of types it told of client metrics only; the default stands where none is sent.
    assert_eq!(list(&mut broker, 0, &[]), [named(CLIENT_METRICS, "m")]);
    let unknown = ListConfigResourcesRequest::default().with_resource_types(vec![3]);
    let response: ListConfigResourcesResponse = broker.ask(client, 1, &unknown);
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
}

#[test]
fn a_resource_that_cannot_be_meant_is_refused_in_kafkas_words() {
    let (mut broker, client) = broker();
    let invalid = |text: &str| (ErrorCode::InvalidRequest.code(), text.to_owned());
    for (resource, words) in [
        ((TOPIC, ""), "Default topic resources are not allowed."),
        ((BROKER, "7"), "Unexpected broker id, expected 1, but received 7"),
        ((BROKER, "x"), "Node id must be an integer, but it is: x"),
        ((GROUP, ""), "Default group resources are not allowed."),
        ((CLIENT_METRICS, ""), "Subscription name can't be empty"),
        ((BROKER_LOGGER, ""), "Node id must be an integer, but it is: "),
        ((BROKER_LOGGER, "7"), "Unexpected node id. Expected 1, but received 7"),
        ((3, "1"), "Unknown resource type 3"),
    ] {
        assert_eq!(set(&mut broker, client, resource, "k", "v"), invalid(words));
    }
    for (resource, words) in [
        ((BROKER, "7"), "Unexpected broker id, expected 1 or empty string, but received 7"),
        ((BROKER, "x"), "Broker id must be an integer, but it is: x"),
        ((BROKER_LOGGER, ""), "Broker id must not be empty"),
        ((BROKER_LOGGER, "x"), "Broker id must be an integer, but it is: x"),
        ((BROKER_LOGGER, "7"), "Unexpected broker id, expected 1 but received 7"),
        ((GROUP, ""), "Group name must not be empty"),
        ((CLIENT_METRICS, ""), "Client metrics subscription name must not be empty"),
    ] {
        assert_eq!(described(&mut broker, client, resource, None).expect_err("refused"), invalid(words));
    }
    let (code, _) = described(&mut broker, client, (TOPIC, "a b"), None).expect_err("no name of a topic");
    assert_eq!(code, ErrorCode::InvalidTopicException.code());
}

/// What IncrementalAlterConfigs, or AlterConfigs, answers for each of these resources with one thing to set.
fn alter_all(
    broker: &mut Broker,
    client: ConnectionId,
    resources: &[(i8, &str, &str, &str)],
    validate_only: bool,
) -> Vec<i16> {
    let resource = |(kind, name, key, value): &(i8, &str, &str, &str)| {
        let config =
            incremental::AlterableConfig::default().with_name(text(key)).with_value(Some(text(value)));
        incremental::AlterConfigsResource::default()
            .with_resource_type(*kind)
            .with_resource_name(text(name))
            .with_configs(vec![config])
    };
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(resources.iter().map(resource).collect())
        .with_validate_only(validate_only);
    let response: IncrementalAlterConfigsResponse = broker.ask(client, 1, &request);
    response.responses.iter().map(|result| result.error_code).collect()
}

#[test]
fn a_loggers_level_is_altered_beside_what_the_controller_decides_and_told_to_the_process() {
    let (mut broker, client) = broker();
    let logger = (BROKER_LOGGER, "1");
    assert_eq!(value(&mut broker, client, logger, "corelane_core"), (Some("INFO".into()), 6));
    let refused = ErrorCode::InvalidConfig.code();
    let mixed = [
        (BROKER_LOGGER, "1", "corelane", "DEBUG"),
        (TOPIC, "t", "retention.ms", "5"),
        (TOPIC, "nowhere", "retention.ms", "5"),
    ];
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(alter_all(&mut broker, client, &mixed, true), [0, 0, unknown]);
    assert!(broker.log_filters.is_empty(), "{:?}", broker.log_filters);
    assert_eq!(alter_all(&mut broker, client, &mixed, false), [0, 0, unknown]);
    assert_eq!(broker.log_filters, ["info,corelane=debug"]);
    assert_eq!(value(&mut broker, client, logger, "corelane_core"), (Some("DEBUG".into()), 6));
    assert_eq!(value(&mut broker, client, (TOPIC, "t"), "retention.ms").0, Some("5".into()));
    assert_eq!(set(&mut broker, client, logger, "corelane", "debug").0, refused);
    let twice = [(BROKER_LOGGER, "1", "root", "WARN"), (BROKER_LOGGER, "1", "root", "WARN")];
    assert_eq!(alter_all(&mut broker, client, &twice, false), [ErrorCode::InvalidRequest.code(); 2]);
    assert_eq!(broker.log_filters.len(), 1);
    // Every shard tells the same.
    let other = broker.connect(0, 9);
    let all = described(&mut broker, other, logger, None).expect("this broker");
    assert_eq!(all, described(&mut broker, client, logger, None).expect("this broker"));
    assert!(all.iter().any(|it| it.name.as_str() == "root" && it.value.as_deref() == Some("INFO")));
}

#[test]
fn altering_without_increments_knows_no_loggers() {
    let (mut broker, client) = broker();
    let resource = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(BROKER_LOGGER)
        .with_resource_name(text("1"));
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let response: AlterConfigsResponse = broker.ask(client, 2, &request);
    let result = &response.responses[0];
    assert_eq!(result.error_code, ErrorCode::InvalidRequest.code());
    assert_eq!(result.error_message.as_deref(), Some("Unknown resource type 8"));
}

#[test]
fn altering_without_increments_gives_what_is_not_named_its_default_again() {
    let (mut broker, client) = broker();
    assert_eq!(set(&mut broker, client, (TOPIC, "t"), "retention.ms", "5").0, 0);
    for version in 0..=2 {
        let config = alter_configs_request::AlterableConfig::default()
            .with_name(text("segment.ms"))
            .with_value(Some(text(&format!("{}", 1000 + version))));
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("t"))
            .with_configs(vec![config]);
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        let response: AlterConfigsResponse = broker.ask(client, version, &request);
        assert_eq!(response.responses[0].error_code, 0, "{response:?}");
        let expected = (Some(format!("{}", 1000 + version)), 1);
        assert_eq!(value(&mut broker, client, (TOPIC, "t"), "segment.ms"), expected);
    }
    assert_eq!(value(&mut broker, client, (TOPIC, "t"), "retention.ms"), (Some("604800000".into()), 5));
}

#[test]
fn the_log_directory_is_described_with_the_size_of_every_partition() {
    let (mut broker, client) = broker();
    let _: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(1, batch(&["a", "b"]))]));
    // The disk's figures come with the first tick.
    broker.pass_ms(1000);
    let size = i64::try_from(batch(&["a", "b"]).len()).expect("small");
    let named = |topic: &str, partitions: &[i32]| {
        describe_log_dirs_request::DescribableLogDirTopic::default()
            .with_topic(name(topic))
            .with_partitions(partitions.to_vec())
    };
    let ask = |broker: &mut Broker, version, topics| -> Vec<(String, i32, i64)> {
        let request = DescribeLogDirsRequest::default().with_topics(topics);
        let response: DescribeLogDirsResponse = broker.ask(client, version, &request);
        let [directory] = &response.results[..] else { panic!("{response:?}") };
        assert_eq!((directory.error_code, response.error_code), (0, 0));
        assert!(directory.log_dir.ends_with("corelane-data"), "{:?}", directory.log_dir);
        let room = if version >= 4 { (1 << 41, 1 << 40) } else { (-1, -1) };
        assert_eq!((directory.total_bytes, directory.usable_bytes), room, "v{version}");
        let partitions = directory.topics.iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.iter().map(move |it| (name.clone(), it.partition_index, it.partition_size))
        });
        partitions.collect()
    };
    let both = [("t".to_owned(), 0, 0), ("t".to_owned(), 1, size)];
    for version in 1..=4 {
        assert_eq!(ask(&mut broker, version, None), both, "v{version}");
    }
    // What is named twice is told of once, what is not here not at all.
    let named = Some(vec![named("t", &[1, 1, 9]), named("nope", &[0]), named("t", &[1])]);
    assert_eq!(ask(&mut broker, 4, named), both[1..]);
    assert_eq!(ask(&mut broker, 4, Some(Vec::new())), []);
}

#[test]
fn a_log_directory_that_failed_is_described_as_such() {
    let (mut broker, client) = broker();
    broker.pass_ms(1000);
    let message = ShardMessage::DirectoryOffline(Fatal::new("the disk is gone"));
    broker.input(0, Input::Message { from: ShardId(1), message });
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let response: DescribeLogDirsResponse = broker.ask(client, 4, &request);
    let directory = &response.results[0];
    assert_eq!(directory.error_code, ErrorCode::KafkaStorageError.code());
    assert!(directory.topics.is_empty());
    assert_eq!((directory.total_bytes, directory.usable_bytes), (-1, -1));
}

#[test]
fn elections_that_are_not_needed_are_told_of_only_where_they_were_asked_for() {
    let (mut broker, client) = broker();
    let topic = |topic: &str, partitions: &[i32]| {
        elect_leaders_request::TopicPartitions::default()
            .with_topic(name(topic))
            .with_partitions(partitions.to_vec())
    };
    for version in 0..=2 {
        let request = ElectLeadersRequest::default()
            .with_topic_partitions(Some(vec![topic("t", &[0, 9]), topic("nope", &[0])]))
            .with_timeout_ms(1000);
        let response: ElectLeadersResponse = broker.ask(client, version, &request);
        assert_eq!(response.error_code, 0);
        let errors = response.replica_election_results.iter().flat_map(|it| &it.partition_result);
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        let expected = [ErrorCode::ElectionNotNeeded.code(), unknown, unknown];
        assert_eq!(errors.map(|it| it.error_code).collect::<Vec<_>>(), expected);
    }
    let all = ElectLeadersRequest::default().with_topic_partitions(None).with_timeout_ms(1000);
    let response: ElectLeadersResponse = broker.ask(client, 2, &all);
    assert_eq!((response.error_code, response.replica_election_results.len()), (0, 0));
    let other = ElectLeadersRequest::default().with_election_type(5).with_timeout_ms(1000);
    let response: ElectLeadersResponse = broker.ask(client, 2, &other);
    assert_eq!(response.error_code, ErrorCode::InvalidRequest.code());
}

#[test]
fn a_broker_that_is_alone_has_no_reassignment_under_way_and_begins_none() {
    let (mut broker, client) = broker();
    let topic = list_partition_reassignments_request::ListPartitionReassignmentsTopics::default()
        .with_name(name("t"))
        .with_partition_indexes(vec![0]);
    for topics in [None, Some(vec![topic])] {
        let request = ListPartitionReassignmentsRequest::default().with_topics(topics);
        let response: ListPartitionReassignmentsResponse = broker.ask(client, 0, &request);
        assert_eq!((response.error_code, response.topics.len()), (0, 0));
    }
    let mut ask = |topic: &str, index: i32, replicas: Option<&[i32]>| {
        let replicas = replicas.map(|ids| ids.iter().copied().map(BrokerId).collect());
        let partition =
            reassign::ReassignablePartition::default().with_partition_index(index).with_replicas(replicas);
        let topic =
            reassign::ReassignableTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
        let response: AlterPartitionReassignmentsResponse = broker.ask(client, 1, &request);
        assert_eq!(response.error_code, 0);
        response.responses[0].partitions[0].error_code
    };
    assert_eq!(ask("t", 0, Some(&[NODE.0])), 0);
    let invalid = ErrorCode::InvalidReplicaAssignment.code();
    for replicas in [&[2][..], &[1, 1], &[]] {
        assert_eq!(ask("t", 0, Some(replicas)), invalid, "{replicas:?}");
    }
    assert_eq!(ask("t", 0, None), ErrorCode::NoReassignmentInProgress.code());
    assert_eq!(ask("t", 9, Some(&[1])), ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(ask("nope", 0, Some(&[1])), ErrorCode::UnknownTopicOrPartition.code());
}

#[test]
fn a_broker_that_is_not_known_cannot_be_forgotten() {
    let (mut broker, client) = broker();
    let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(9));
    let response: UnregisterBrokerResponse = broker.ask(client, 0, &request);
    assert_eq!(response.error_code, ErrorCode::BrokerIdNotRegistered.code());
    assert_eq!(response.error_message.as_deref(), Some("Broker ID 9 is not currently registered"));
}

/// (id, epoch, last sequence, timestamp) of a partition's producers.
fn producers(broker: &mut Broker, client: ConnectionId, index: i32) -> Vec<(i64, i32, i32, i64)> {
    let response = describe_producers(broker, client, "t", &[index]);
    let partition = &response.topics[0].partitions[0];
    assert_eq!(partition.error_code, 0, "{partition:?}");
    let seen = partition.active_producers.iter();
    seen.map(|it| (it.producer_id.0, it.producer_epoch, it.last_sequence, it.last_timestamp)).collect()
}

fn describe_producers(
    broker: &mut Broker,
    client: ConnectionId,
    topic: &str,
    indexes: &[i32],
) -> DescribeProducersResponse {
    let topic = describe_producers_request::TopicRequest::default()
        .with_name(name(topic))
        .with_partition_indexes(indexes.to_vec());
    broker.ask(client, 0, &DescribeProducersRequest::default().with_topics(vec![topic]))
}

#[test]
fn producers_are_described_by_what_they_appended_last() {
    let (mut broker, client) = broker();
    let batches = [sequenced(&["a", "b"], 7, 3, 0), sequenced(&["c"], 7, 3, 2), sequenced(&["x"], 9, 0, 0)];
    for batch in batches {
        let response: ProduceResponse = broker.ask(client, 9, &produce("t", -1, &[(0, batch)]));
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    let at = 1_700_000_000_000;
    assert_eq!(producers(&mut broker, client, 0), [(7, 3, 2, at), (9, 0, 0, at)]);
    assert_eq!(producers(&mut broker, client, 1), []);
    // A partition named twice is told of once, so that a small request has no huge answer.
    let errors = |response: &DescribeProducersResponse| -> Vec<i16> {
        response.topics[0].partitions.iter().map(|it| it.error_code).collect()
    };
    let twice = describe_producers(&mut broker, client, "t", &[0, 0, 9]);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(errors(&twice), [0, ErrorCode::InvalidRequest.code(), unknown]);
    assert_eq!(errors(&describe_producers(&mut broker, client, "nope", &[0])), [unknown]);
}

#[test]
fn the_quorum_is_described_with_its_voter_and_who_follows_without_a_vote() {
    let (mut broker, client) = broker();
    let ask = |broker: &mut Broker, version, topic: &str, index| -> DescribeQuorumResponse {
        let partition = describe_quorum_request::PartitionData::default().with_partition_index(index);
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(name(topic))
            .with_partitions(vec![partition]);
        broker.ask(client, version, &DescribeQuorumRequest::default().with_topics(vec![topic]))
    };
    let end = i64::try_from(broker.image().last_applied().expect("some").0).expect("small") + 1;
    for version in 0..=2 {
        let response = ask(&mut broker, version, "__cluster_metadata", 0);
        assert_eq!(response.error_code, 0);
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id.0, partition.leader_epoch), (0, NODE.0, 1));
        assert_eq!(partition.high_watermark, end);
        let [voter] = &partition.current_voters[..] else { panic!("{partition:?}") };
        assert_eq!((voter.replica_id.0, voter.log_end_offset), (NODE.0, end));
        let at = if version >= 1 { broker.now.unix_ms } else { -1 };
        assert_eq!((voter.last_fetch_timestamp, voter.last_caught_up_timestamp), (at, at));
        let [observer] = &partition.observers[..] else { panic!("{partition:?}") };
        assert_eq!((observer.replica_id.0, observer.log_end_offset), (NODE.0 + 1, end - 1));
        let at = if version >= 1 { at - 10 } else { -1 };
        assert_eq!((observer.last_fetch_timestamp, observer.last_caught_up_timestamp), (at, -1));
        let directory = if version >= 2 { 0xD2 } else { 0 };
        assert_eq!(observer.replica_directory_id.as_u128(), directory);
        let nodes: Vec<_> = response.nodes.iter().map(|node| &node.listeners[0]).collect();
        let expected = if version >= 2 { 1 } else { 0 };
        assert_eq!(nodes.len(), expected);
        let place = ("CONTROLLER", "broker.test", 9093);
        assert!(nodes.iter().all(|it| (it.name.as_str(), it.host.as_str(), it.port) == place));
    }
    for (topic, index) in [("t", 0), ("__cluster_metadata", 1)] {
        let response = ask(&mut broker, 2, topic, index);
        let error = response.topics[0].partitions[0].error_code;
        assert_eq!(error, ErrorCode::UnknownTopicOrPartition.code());
    }
}

fn add_voter(id: i32, directory: u128, listeners: &[(&str, &str, u16)]) -> AddRaftVoterRequest {
    let listener = |(name, host, port): &(&str, &str, u16)| {
        let listener = add_raft_voter_request::Listener::default();
        listener.with_name(text(name)).with_host(text(host)).with_port(*port)
    };
    AddRaftVoterRequest::default()
        .with_cluster_id(None)
        .with_timeout_ms(1000)
        .with_voter_id(id)
        .with_voter_directory_id(uuid::Uuid::from_u128(directory))
        .with_listeners(listeners.iter().map(listener).collect())
}

#[test]
fn a_voter_is_added_or_removed_when_the_quorum_says_so_and_a_refusal_is_told_in_kafkas_words() {
    let (mut broker, client) = broker();
    let listeners = [("OTHER", "o", 1), ("controller", "::1", 9093)];
    broker.send(client, 0, &add_voter(2, 0xD2, &listeners));
    let endpoint = "[::1]:9093".to_owned();
    let added = VoterChange::Add { voter: NodeId(2), directory: 0xD2, endpoint };
    assert_eq!(broker.voter_changes(), [added]);
    assert!(broker.response::<AddRaftVoterResponse>(client, 0).is_none(), "not before it is committed");
    broker.voters_changed(Ok(()));
    let response: AddRaftVoterResponse = broker.response(client, 0).expect("committed");
    assert_eq!((response.error_code, response.error_message), (0, None));

    let directory = uuid::Uuid::from_u128(9);
    let remove = RemoveRaftVoterRequest::default()
        .with_cluster_id(Some(text("test")))
        .with_voter_id(NODE.0)
        .with_voter_directory_id(directory);
    broker.send(client, 0, &remove);
    assert_eq!(broker.voter_changes(), [VoterChange::Remove { voter: NODE, directory: 9 }]);
    broker.voters_changed(Err(ChangeError::VoterNotFound(NODE)));
    let response: RemoveRaftVoterResponse = broker.response(client, 0).expect("refused");
    let told = response.error_message.expect("why").to_string();
    assert_eq!(response.error_code, ErrorCode::VoterNotFound.code());
    let words = "Cannot remove voter ReplicaKey(id=1, directoryId=AAAAAAAAAAAAAAAAAAAACQ) from the set of voters \
                 [ReplicaKey(id=1, directoryId=AAAAAAAAAAAAAAAAAAAA0Q)]";
    assert_eq!(told, words);

    broker.send(client, 0, &remove);
    broker.voters_changed(Err(ChangeError::NotLeader { leader: None }));
    let response: RemoveRaftVoterResponse = broker.response(client, 0).expect("refused");
    assert_eq!(response.error_code, ErrorCode::NotController.code());
}

#[test]
fn a_request_about_a_voter_that_cannot_be_is_refused_before_the_quorum_hears_of_it() {
    let (mut broker, client) = broker();
    let here = [("CONTROLLER", "h", 9093)];
    let long = "h".repeat(256);
    let invalid = ErrorCode::InvalidRequest.code();
    let mut elsewhere = add_voter(2, 1, &here);
    elsewhere.cluster_id = Some(text("another"));
    for (request, code, words) in [
        (elsewhere, 104, "The given id \"another\" doesn't match the cluster id \"test\""),
        (add_voter(-1, 1, &here), invalid, "Add voter request didn't include a valid voter"),
        (add_voter(2, 0, &here), invalid, "Add voter request didn't include a valid voter"),
        (
            add_voter(2, 1, &[("OTHER", "o", 1)]),
            invalid,
            "Add voter request didn't include the endpoint (Endpoints(endpoints={ListenerName(OTHER)=o/<unresolved>:1})) \
             for the default listener ListenerName(CONTROLLER)",
        ),
        (add_voter(2, 1, &[("CONTROLLER", "", 1)]), invalid, "is no address"),
        (add_voter(2, 1, &[("CONTROLLER", "h", 0)]), invalid, "is no address"),
        (add_voter(2, 1, &[("CONTROLLER", "a b", 1)]), invalid, "is no address"),
        (add_voter(2, 1, &[("CONTROLLER", &long, 1)]), invalid, "is no address"),
    ] {
        let response: AddRaftVoterResponse = broker.ask(client, 0, &request);
        let told = response.error_message.expect("why").to_string();
        assert_eq!(response.error_code, code, "{told}");
        assert!(told.contains(words), "{told}");
    }
    let remove = RemoveRaftVoterRequest::default().with_cluster_id(None).with_voter_id(1);
    let response: RemoveRaftVoterResponse = broker.ask(client, 0, &remove);
    assert_eq!(response.error_code, invalid);
    assert_eq!(broker.voter_changes(), []);
}

#[test]
fn without_an_authorizer_whoever_asks_for_acls_is_told_that_security_is_disabled() {
    let (mut broker, client) = broker();
    let disabled = ErrorCode::SecurityDisabled.code();
    for version in 1..=3 {
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(1)
            .with_pattern_type_filter(1)
            .with_resource_name_filter(None)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_operation(1)
            .with_permission_type(1);
        let response: DescribeAclsResponse = broker.ask(client, version, &request);
        assert_eq!(response.error_code, disabled);
        assert_eq!(response.error_message.as_deref(), Some("No Authorizer is configured on the broker"));
        let creation = create_acls_request::AclCreation::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_principal(text("User:x"));
        let request = CreateAclsRequest::default().with_creations(vec![creation.clone(), creation]);
        let response: CreateAclsResponse = broker.ask(client, version, &request);
        assert_eq!(response.results.iter().map(|it| it.error_code).collect::<Vec<_>>(), [disabled; 2]);
        let filter = delete_acls_request::DeleteAclsFilter::default().with_pattern_type_filter(1);
        let request = DeleteAclsRequest::default().with_filters(vec![filter]);
        let response: DeleteAclsResponse = broker.ask(client, version, &request);
        assert_eq!(response.filter_results.iter().map(|it| it.error_code).collect::<Vec<_>>(), [disabled]);
    }
}

#[test]
fn no_quota_is_set_and_a_filter_that_makes_no_sense_is_refused() {
    let (mut broker, client) = broker();
    let component = |entity: &str, match_type: i8, value: Option<&str>| {
        quotas::ComponentData::default()
            .with_entity_type(text(entity))
            .with_match_type(match_type)
            .with_match(value.map(text))
    };
    let mut ask = |components: Vec<quotas::ComponentData>| {
        let request = DescribeClientQuotasRequest::default().with_components(components);
        let response: DescribeClientQuotasResponse = broker.ask(client, 1, &request);
        (response.error_code, response.entries.map(|entries| entries.len()))
    };
    assert_eq!(ask(Vec::new()), (0, Some(0)));
    assert_eq!(ask(vec![component("user", 0, Some("x")), component("client-id", 2, None)]), (0, Some(0)));
    let invalid = (ErrorCode::InvalidRequest.code(), None);
    for wrong in [
        vec![component("", 0, Some("x"))],
        vec![component("user", 0, Some("x")), component("user", 1, None)],
        vec![component("user", 0, None)],
        vec![component("user", 1, Some("x"))],
        vec![component("user", 2, Some("x"))],
        vec![component("user", 9, None)],
        vec![component("ip", 0, Some("x")), component("user", 1, None)],
    ] {
        assert_eq!(ask(wrong.clone()), invalid, "{wrong:?}");
    }
    let unsupported = (ErrorCode::UnsupportedVersion.code(), None);
    assert_eq!(ask(vec![component("planet", 0, Some("x"))]), unsupported);
}

#[test]
fn no_user_has_scram_credentials_and_whoever_is_named_is_not_found() {
    let (mut broker, client) = broker();
    let mut ask = |users: Option<&[&str]>| -> Vec<(String, i16)> {
        let users = users
            .map(|users| users.iter().map(|user| scram::UserName::default().with_name(text(user))).collect());
        let request = DescribeUserScramCredentialsRequest::default().with_users(users);
        let response: DescribeUserScramCredentialsResponse = broker.ask(client, 0, &request);
        assert_eq!(response.error_code, 0);
        response.results.iter().map(|it| (it.user.to_string(), it.error_code)).collect()
    };
    assert_eq!(ask(None), []);
    assert_eq!(ask(Some(&[])), []);
    let missing = ErrorCode::ResourceNotFound.code();
    let twice = ErrorCode::DuplicateResource.code();
    assert_eq!(ask(Some(&["x", "y", "x"])), [("x".to_owned(), twice), ("y".to_owned(), missing)]);
}

#[test]
fn a_feature_stays_at_the_level_that_is_asked_for_again_and_goes_to_none_that_is_not_supported() {
    let (mut broker, client) = broker();
    let mut ask = |version: i16, feature: &str, level: i16| {
        let mut update = update_features_request::FeatureUpdateKey::default()
            .with_feature(text(feature))
            .with_max_version_level(level);
        if version >= 1 {
            update.upgrade_type = 1;
        }
        let request =
            UpdateFeaturesRequest::default().with_feature_updates(vec![update]).with_timeout_ms(1000);
        let response: UpdateFeaturesResponse = broker.ask(client, version, &request);
        (response.error_code, response.results.len())
    };
    assert_eq!(ask(0, "metadata.version", 30), (0, 1));
    assert_eq!(ask(1, "metadata.version", 30), (0, 1));
    assert_eq!(ask(2, "metadata.version", 30), (0, 0));
    let invalid = (ErrorCode::InvalidUpdateVersion.code(), 0);
    assert_eq!(ask(2, "metadata.version", 29), invalid);
    assert_eq!(ask(1, "nope", 1), invalid);
}

#[test]
fn a_request_that_names_more_than_anyone_would_ends_its_connection_and_no_other() {
    let (mut broker, client) = broker();
    let other = broker.connect(0, 2);
    let too_many = vec![0; crate::limits::NAMED_PER_REQUEST_MAX + 1];
    let topic = describe_producers_request::TopicRequest::default()
        .with_name(name("t"))
        .with_partition_indexes(too_many);
    broker.send(client, 0, &DescribeProducersRequest::default().with_topics(vec![topic]));
    assert_eq!(broker.closed.len(), 1, "{:?}", broker.closed);
    assert_eq!(producers(&mut broker, other, 0), []);
}

#[test]
fn a_resource_is_described_once_and_made_up_names_have_a_bound() {
    let (mut broker, client) = broker();
    let resource = |kind: i8, name: &str| {
        describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    };
    let mut ask = |resources| -> Vec<i16> {
        let request = DescribeConfigsRequest::default().with_resources(resources);
        let response: DescribeConfigsResponse = broker.ask(client, 4, &request);
        response.results.iter().map(|it| it.error_code).collect()
    };
    let invalid = ErrorCode::InvalidRequest.code();
    let twice = vec![resource(BROKER, "1"), resource(BROKER, "1"), resource(TOPIC, "t")];
    assert_eq!(ask(twice), [0, invalid, 0]);
    let most = crate::limits::UNLISTED_RESOURCES_PER_REQUEST_MAX;
    let groups = (0..=most).map(|number| resource(GROUP, &number.to_string()));
    let errors = ask(groups.collect());
    assert!(errors[..most].iter().all(|error| *error == 0));
    assert_eq!(errors[most], invalid);
}
