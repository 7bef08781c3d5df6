//! The served keys, and of each a random request: every field that the version has.

use super::{Values, Visitor};
use kafka_protocol::messages::{
    ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeTopicPartitionsRequest,
    FetchRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest, ProduceRequest,
    create_partitions_request, create_topics_request, delete_records_request, delete_topics_request,
    describe_configs_request, describe_topic_partitions_request, fetch_request,
    incremental_alter_configs_request, list_offsets_request, metadata_request,
    offset_for_leader_epoch_request, produce_request,
};

/// Every served key.
pub fn visit_served(visitor: &mut impl Visitor) {
    visitor.request::<ProduceRequest>(produce);
    visitor.request::<FetchRequest>(fetch);
    visitor.request::<ListOffsetsRequest>(list_offsets);
    visitor.request::<MetadataRequest>(metadata);
    visitor.request::<FindCoordinatorRequest>(find_coordinator);
    visitor.request::<ApiVersionsRequest>(api_versions);
    visitor.request::<CreateTopicsRequest>(create_topics);
    visitor.request::<DeleteTopicsRequest>(delete_topics);
    visitor.request::<DeleteRecordsRequest>(delete_records);
    visitor.request::<CreatePartitionsRequest>(create_partitions);
    visitor.request::<InitProducerIdRequest>(init_producer_id);
    visitor.request::<OffsetForLeaderEpochRequest>(offset_for_leader_epoch);
    visitor.request::<DescribeClusterRequest>(describe_cluster);
    visitor.request::<DescribeTopicPartitionsRequest>(describe_topic_partitions);
    visitor.request::<DescribeConfigsRequest>(describe_configs);
    visitor.request::<IncrementalAlterConfigsRequest>(incremental_alter_configs);
    super::administration::visit(visitor);
    super::groups::visit(visitor);
}

fn produce(g: &mut Values) -> ProduceRequest {
    let mut value = ProduceRequest::default();
    value.transactional_id = g.nullable(|g| g.text().into());
    value.acks = g.i16();
    value.timeout_ms = g.i32();
    value.topic_data = g.list(topic_produce_data);
    if g.version >= 9 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn topic_produce_data(g: &mut Values) -> produce_request::TopicProduceData {
    let mut value = produce_request::TopicProduceData::default();
    if g.version <= 12 {
        value.name = g.text().into();
    }
    if g.version >= 13 {
        value.topic_id = g.uuid();
    }
    value.partition_data = g.list(partition_produce_data);
    if g.version >= 9 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn partition_produce_data(g: &mut Values) -> produce_request::PartitionProduceData {
    let mut value = produce_request::PartitionProduceData::default();
    value.index = g.i32();
    value.records = g.nullable(Values::bytes);
    if g.version >= 9 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn fetch(g: &mut Values) -> FetchRequest {
    let mut value = FetchRequest::default();
    if g.version <= 14 {
        value.replica_id = g.i32().into();
    }
    value.max_wait_ms = g.i32();
    value.min_bytes = g.i32();
    value.max_bytes = g.i32();
    value.isolation_level = g.i8();
    if g.version >= 7 {
        value.session_id = g.i32();
    }
    if g.version >= 7 {
        value.session_epoch = g.i32();
    }
    value.topics = g.list(fetch_topic);
    if g.version >= 7 {
        value.forgotten_topics_data = g.list(forgotten_topic);
    }
    if g.version >= 11 {
        value.rack_id = g.text();
    }
    if g.version >= 12 {
        value.cluster_id = g.nullable(Values::text);
    }
    if g.version >= 15 {
        value.replica_state = replica_state(g);
    }
    if g.version >= 12 {
        value.unknown_tagged_fields = g.tagged_fields(2);
    }
    value
}

fn fetch_topic(g: &mut Values) -> fetch_request::FetchTopic {
    let mut value = fetch_request::FetchTopic::default();
    if g.version <= 12 {
        value.topic = g.text().into();
    }
    if g.version >= 13 {
        value.topic_id = g.uuid();
    }
    value.partitions = g.list(fetch_partition);
    if g.version >= 12 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn fetch_partition(g: &mut Values) -> fetch_request::FetchPartition {
    let mut value = fetch_request::FetchPartition::default();
    value.partition = g.i32();
    if g.version >= 9 {
        value.current_leader_epoch = g.i32();
    }
    value.fetch_offset = g.i64();
    if g.version >= 12 {
        value.last_fetched_epoch = g.i32();
    }
    if g.version >= 5 {
        value.log_start_offset = g.i64();
    }
    value.partition_max_bytes = g.i32();
    if g.version >= 17 {
        value.replica_directory_id = g.uuid();
    }
    if g.version >= 18 {
        value.high_watermark = g.i64();
    }
    if g.version >= 12 {
        value.unknown_tagged_fields = g.tagged_fields(2);
    }
    value
}

fn forgotten_topic(g: &mut Values) -> fetch_request::ForgottenTopic {
    let mut value = fetch_request::ForgottenTopic::default();
    if g.version >= 7 && g.version <= 12 {
        value.topic = g.text().into();
    }
    if g.version >= 13 {
        value.topic_id = g.uuid();
    }
    if g.version >= 7 {
        value.partitions = g.list(Values::i32);
    }
    if g.version >= 12 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn replica_state(g: &mut Values) -> fetch_request::ReplicaState {
    let mut value = fetch_request::ReplicaState::default();
    if g.version >= 15 {
        value.replica_id = g.i32().into();
    }
    if g.version >= 15 {
        value.replica_epoch = g.i64();
    }
    if g.version >= 12 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn list_offsets(g: &mut Values) -> ListOffsetsRequest {
    let mut value = ListOffsetsRequest::default();
    value.replica_id = g.i32().into();
    if g.version >= 2 {
        value.isolation_level = g.i8();
    }
    value.topics = g.list(list_offsets_topic);
    if g.version >= 10 {
        value.timeout_ms = g.i32();
    }
    if g.version >= 6 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn list_offsets_topic(g: &mut Values) -> list_offsets_request::ListOffsetsTopic {
    let mut value = list_offsets_request::ListOffsetsTopic::default();
    value.name = g.text().into();
    value.partitions = g.list(list_offsets_partition);
    if g.version >= 6 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn list_offsets_partition(g: &mut Values) -> list_offsets_request::ListOffsetsPartition {
    let mut value = list_offsets_request::ListOffsetsPartition::default();
    value.partition_index = g.i32();
    if g.version >= 4 {
        value.current_leader_epoch = g.i32();
    }
    value.timestamp = g.i64();
    if g.version >= 6 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn metadata(g: &mut Values) -> MetadataRequest {
    let mut value = MetadataRequest::default();
    value.topics = g.nullable(|g| g.list(metadata_topic));
    if g.version >= 4 {
        value.allow_auto_topic_creation = g.boolean();
    }
    if g.version >= 8 && g.version <= 10 {
        value.include_cluster_authorized_operations = g.boolean();
    }
    if g.version >= 8 {
        value.include_topic_authorized_operations = g.boolean();
    }
    if g.version >= 9 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn metadata_topic(g: &mut Values) -> metadata_request::MetadataRequestTopic {
    let mut value = metadata_request::MetadataRequestTopic::default();
    if g.version >= 10 {
        value.topic_id = g.uuid();
    }
    value.name = g.nullable(|g| g.text().into());
    if g.version >= 9 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn find_coordinator(g: &mut Values) -> FindCoordinatorRequest {
    let mut value = FindCoordinatorRequest::default();
    if g.version <= 3 {
        value.key = g.text();
    }
    if g.version >= 1 {
        value.key_type = g.i8();
    }
    if g.version >= 4 {
        value.coordinator_keys = g.list(Values::text);
    }
    if g.version >= 3 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn api_versions(g: &mut Values) -> ApiVersionsRequest {
    let mut value = ApiVersionsRequest::default();
    if g.version >= 3 {
        value.client_software_name = g.text();
    }
    if g.version >= 3 {
        value.client_software_version = g.text();
    }
    if g.version >= 3 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn create_topics(g: &mut Values) -> CreateTopicsRequest {
    let mut value = CreateTopicsRequest::default();
    value.topics = g.list(creatable_topic);
    value.timeout_ms = g.i32();
    value.validate_only = g.boolean();
    if g.version >= 5 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn creatable_topic(g: &mut Values) -> create_topics_request::CreatableTopic {
    let mut value = create_topics_request::CreatableTopic::default();
    value.name = g.text().into();
    value.num_partitions = g.i32();
    value.replication_factor = g.i16();
    value.assignments = g.list(creatable_replica_assignment);
    value.configs = g.list(creatable_topic_config);
    if g.version >= 5 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn creatable_replica_assignment(g: &mut Values) -> create_topics_request::CreatableReplicaAssignment {
    let mut value = create_topics_request::CreatableReplicaAssignment::default();
    value.partition_index = g.i32();
    value.broker_ids = g.list(|g| g.i32().into());
    if g.version >= 5 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn creatable_topic_config(g: &mut Values) -> create_topics_request::CreatableTopicConfig {
    let mut value = create_topics_request::CreatableTopicConfig::default();
    value.name = g.text();
    value.value = g.nullable(Values::text);
    if g.version >= 5 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn delete_topics(g: &mut Values) -> DeleteTopicsRequest {
    let mut value = DeleteTopicsRequest::default();
    if g.version >= 6 {
        value.topics = g.list(delete_topic_state);
    }
    if g.version <= 5 {
        value.topic_names = g.list(|g| g.text().into());
    }
    value.timeout_ms = g.i32();
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn delete_topic_state(g: &mut Values) -> delete_topics_request::DeleteTopicState {
    let mut value = delete_topics_request::DeleteTopicState::default();
    if g.version >= 6 {
        value.name = g.nullable(|g| g.text().into());
    }
    if g.version >= 6 {
        value.topic_id = g.uuid();
    }
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn delete_records(g: &mut Values) -> DeleteRecordsRequest {
    let mut value = DeleteRecordsRequest::default();
    value.topics = g.list(delete_records_topic);
    value.timeout_ms = g.i32();
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn delete_records_topic(g: &mut Values) -> delete_records_request::DeleteRecordsTopic {
    let mut value = delete_records_request::DeleteRecordsTopic::default();
    value.name = g.text().into();
    value.partitions = g.list(delete_records_partition);
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn delete_records_partition(g: &mut Values) -> delete_records_request::DeleteRecordsPartition {
    let mut value = delete_records_request::DeleteRecordsPartition::default();
    value.partition_index = g.i32();
    value.offset = g.i64();
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn create_partitions(g: &mut Values) -> CreatePartitionsRequest {
    let mut value = CreatePartitionsRequest::default();
    value.topics = g.list(create_partitions_topic);
    value.timeout_ms = g.i32();
    value.validate_only = g.boolean();
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn create_partitions_topic(g: &mut Values) -> create_partitions_request::CreatePartitionsTopic {
    let mut value = create_partitions_request::CreatePartitionsTopic::default();
    value.name = g.text().into();
    value.count = g.i32();
    value.assignments = g.nullable(|g| g.list(create_partitions_assignment));
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn create_partitions_assignment(g: &mut Values) -> create_partitions_request::CreatePartitionsAssignment {
    let mut value = create_partitions_request::CreatePartitionsAssignment::default();
    value.broker_ids = g.list(|g| g.i32().into());
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn init_producer_id(g: &mut Values) -> InitProducerIdRequest {
    let mut value = InitProducerIdRequest::default();
    value.transactional_id = g.nullable(|g| g.text().into());
    value.transaction_timeout_ms = g.i32();
    if g.version >= 3 {
        value.producer_id = g.i64().into();
    }
    if g.version >= 3 {
        value.producer_epoch = g.i16();
    }
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn offset_for_leader_epoch(g: &mut Values) -> OffsetForLeaderEpochRequest {
    let mut value = OffsetForLeaderEpochRequest::default();
    if g.version >= 3 {
        value.replica_id = g.i32().into();
    }
    value.topics = g.list(offset_for_leader_topic);
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn offset_for_leader_topic(g: &mut Values) -> offset_for_leader_epoch_request::OffsetForLeaderTopic {
    let mut value = offset_for_leader_epoch_request::OffsetForLeaderTopic::default();
    value.topic = g.text().into();
    value.partitions = g.list(offset_for_leader_partition);
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn offset_for_leader_partition(g: &mut Values) -> offset_for_leader_epoch_request::OffsetForLeaderPartition {
    let mut value = offset_for_leader_epoch_request::OffsetForLeaderPartition::default();
    value.partition = g.i32();
    value.current_leader_epoch = g.i32();
    value.leader_epoch = g.i32();
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn describe_cluster(g: &mut Values) -> DescribeClusterRequest {
    let mut value = DescribeClusterRequest::default();
    value.include_cluster_authorized_operations = g.boolean();
    if g.version >= 1 {
        value.endpoint_type = g.i8();
    }
    if g.version >= 2 {
        value.include_fenced_brokers = g.boolean();
    }
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn describe_topic_partitions(g: &mut Values) -> DescribeTopicPartitionsRequest {
    let mut value = DescribeTopicPartitionsRequest::default();
    value.topics = g.list(described_topic);
    value.response_partition_limit = g.i32();
    value.cursor = g.nullable(cursor);
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn described_topic(g: &mut Values) -> describe_topic_partitions_request::TopicRequest {
    let mut value = describe_topic_partitions_request::TopicRequest::default();
    value.name = g.text().into();
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn cursor(g: &mut Values) -> describe_topic_partitions_request::Cursor {
    let mut value = describe_topic_partitions_request::Cursor::default();
    value.topic_name = g.text().into();
    value.partition_index = g.i32();
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn describe_configs(g: &mut Values) -> DescribeConfigsRequest {
    let mut value = DescribeConfigsRequest::default();
    value.resources = g.list(describe_configs_resource);
    value.include_synonyms = g.boolean();
    if g.version >= 3 {
        value.include_documentation = g.boolean();
    }
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn describe_configs_resource(g: &mut Values) -> describe_configs_request::DescribeConfigsResource {
    let mut value = describe_configs_request::DescribeConfigsResource::default();
    value.resource_type = g.i8();
    value.resource_name = g.text();
    value.configuration_keys = g.nullable(|g| g.list(Values::text));
    if g.version >= 4 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn incremental_alter_configs(g: &mut Values) -> IncrementalAlterConfigsRequest {
    let mut value = IncrementalAlterConfigsRequest::default();
    value.resources = g.list(altered_resource);
    value.validate_only = g.boolean();
    if g.version >= 1 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn altered_resource(g: &mut Values) -> incremental_alter_configs_request::AlterConfigsResource {
    let mut value = incremental_alter_configs_request::AlterConfigsResource::default();
    value.resource_type = g.i8();
    value.resource_name = g.text();
    value.configs = g.list(alterable_config);
    if g.version >= 1 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn alterable_config(g: &mut Values) -> incremental_alter_configs_request::AlterableConfig {
    let mut value = incremental_alter_configs_request::AlterableConfig::default();
    value.name = g.text();
    value.config_operation = g.i8();
    value.value = g.nullable(Values::text);
    if g.version >= 1 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}
