//! The keys of administration, and of each a random request.

use super::{Values, Visitor};
use kafka_protocol::messages::{
    AddRaftVoterRequest, AlterConfigsRequest, AlterPartitionReassignmentsRequest, CreateAclsRequest,
    DeleteAclsRequest, DescribeAclsRequest, DescribeClientQuotasRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeQuorumRequest, DescribeUserScramCredentialsRequest,
    ElectLeadersRequest, ListConfigResourcesRequest, ListPartitionReassignmentsRequest,
    RemoveRaftVoterRequest, UpdateFeaturesRequest, add_raft_voter_request, alter_configs_request,
    alter_partition_reassignments_request, create_acls_request, delete_acls_request,
    describe_client_quotas_request, describe_log_dirs_request, describe_producers_request,
    describe_quorum_request, describe_user_scram_credentials_request, elect_leaders_request,
    list_partition_reassignments_request, update_features_request,
};

/// Every served key of administration beyond topics.
pub fn visit(visitor: &mut impl Visitor) {
    visitor.request::<AlterConfigsRequest>(alter_configs);
    visitor.request::<ListConfigResourcesRequest>(list_config_resources);
    visitor.request::<DescribeLogDirsRequest>(describe_log_dirs);
    visitor.request::<DescribeProducersRequest>(describe_producers);
    visitor.request::<DescribeQuorumRequest>(describe_quorum);
    visitor.request::<ElectLeadersRequest>(elect_leaders);
    visitor.request::<AlterPartitionReassignmentsRequest>(alter_partition_reassignments);
    visitor.request::<ListPartitionReassignmentsRequest>(list_partition_reassignments);
    visitor.request::<UpdateFeaturesRequest>(update_features);
    visitor.request::<DescribeAclsRequest>(describe_acls);
    visitor.request::<CreateAclsRequest>(create_acls);
    visitor.request::<DeleteAclsRequest>(delete_acls);
    visitor.request::<DescribeClientQuotasRequest>(describe_client_quotas);
    visitor.request::<DescribeUserScramCredentialsRequest>(describe_user_scram_credentials);
    visitor.request::<AddRaftVoterRequest>(add_raft_voter);
    visitor.request::<RemoveRaftVoterRequest>(remove_raft_voter);
}

fn alter_configs(g: &mut Values) -> AlterConfigsRequest {
    let mut value = AlterConfigsRequest::default();
    value.resources = g.list(altered_resource);
    value.validate_only = g.boolean();
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn altered_resource(g: &mut Values) -> alter_configs_request::AlterConfigsResource {
    let mut value = alter_configs_request::AlterConfigsResource::default();
    value.resource_type = g.i8();
    value.resource_name = g.text();
    value.configs = g.list(altered_config);
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn altered_config(g: &mut Values) -> alter_configs_request::AlterableConfig {
    let mut value = alter_configs_request::AlterableConfig::default();
    value.name = g.text();
    value.value = g.nullable(Values::text);
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn list_config_resources(g: &mut Values) -> ListConfigResourcesRequest {
    let mut value = ListConfigResourcesRequest::default();
    if g.version >= 1 {
        value.resource_types = g.list(Values::i8);
    }
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn describe_log_dirs(g: &mut Values) -> DescribeLogDirsRequest {
    let mut value = DescribeLogDirsRequest::default();
    value.topics = g.nullable(|g| g.list(log_dir_topic));
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn log_dir_topic(g: &mut Values) -> describe_log_dirs_request::DescribableLogDirTopic {
    let mut value = describe_log_dirs_request::DescribableLogDirTopic::default();
    value.topic = g.text().into();
    value.partitions = g.list(Values::i32);
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn describe_producers(g: &mut Values) -> DescribeProducersRequest {
    let mut value = DescribeProducersRequest::default();
    value.topics = g.list(producers_topic);
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn producers_topic(g: &mut Values) -> describe_producers_request::TopicRequest {
    let mut value = describe_producers_request::TopicRequest::default();
    value.name = g.text().into();
    value.partition_indexes = g.list(Values::i32);
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn describe_quorum(g: &mut Values) -> DescribeQuorumRequest {
    let mut value = DescribeQuorumRequest::default();
    value.topics = g.list(quorum_topic);
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn quorum_topic(g: &mut Values) -> describe_quorum_request::TopicData {
    let mut value = describe_quorum_request::TopicData::default();
    value.topic_name = g.text().into();
    value.partitions = g.list(quorum_partition);
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn quorum_partition(g: &mut Values) -> describe_quorum_request::PartitionData {
    let mut value = describe_quorum_request::PartitionData::default();
    value.partition_index = g.i32();
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn add_raft_voter(g: &mut Values) -> AddRaftVoterRequest {
    let mut value = AddRaftVoterRequest::default();
    value.cluster_id = g.nullable(Values::text);
    value.timeout_ms = g.i32();
    value.voter_id = g.i32();
    value.voter_directory_id = g.uuid();
    value.listeners = g.list(raft_voter_listener);
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn raft_voter_listener(g: &mut Values) -> add_raft_voter_request::Listener {
    let mut value = add_raft_voter_request::Listener::default();
    value.name = g.text();
    value.host = g.text();
    value.port = g.i16().cast_unsigned();
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn remove_raft_voter(g: &mut Values) -> RemoveRaftVoterRequest {
    let mut value = RemoveRaftVoterRequest::default();
    value.cluster_id = g.nullable(Values::text);
    value.voter_id = g.i32();
    value.voter_directory_id = g.uuid();
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn elect_leaders(g: &mut Values) -> ElectLeadersRequest {
    let mut value = ElectLeadersRequest::default();
    if g.version >= 1 {
        value.election_type = g.i8();
    }
    value.topic_partitions = g.nullable(|g| g.list(election_topic));
    value.timeout_ms = g.i32();
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn election_topic(g: &mut Values) -> elect_leaders_request::TopicPartitions {
    let mut value = elect_leaders_request::TopicPartitions::default();
    value.topic = g.text().into();
    value.partitions = g.list(Values::i32);
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn alter_partition_reassignments(g: &mut Values) -> AlterPartitionReassignmentsRequest {
    let mut value = AlterPartitionReassignmentsRequest::default();
    value.timeout_ms = g.i32();
    if g.version >= 1 {
        value.allow_replication_factor_change = g.boolean();
    }
    value.topics = g.list(reassigned_topic);
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn reassigned_topic(g: &mut Values) -> alter_partition_reassignments_request::ReassignableTopic {
    let mut value = alter_partition_reassignments_request::ReassignableTopic::default();
    value.name = g.text().into();
    value.partitions = g.list(reassigned_partition);
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn reassigned_partition(g: &mut Values) -> alter_partition_reassignments_request::ReassignablePartition {
    let mut value = alter_partition_reassignments_request::ReassignablePartition::default();
    value.partition_index = g.i32();
    value.replicas = g.nullable(|g| g.list(|g| g.i32().into()));
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn list_partition_reassignments(g: &mut Values) -> ListPartitionReassignmentsRequest {
    let mut value = ListPartitionReassignmentsRequest::default();
    value.timeout_ms = g.i32();
    value.topics = g.nullable(|g| g.list(listed_topic));
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn listed_topic(g: &mut Values) -> list_partition_reassignments_request::ListPartitionReassignmentsTopics {
    let mut value = list_partition_reassignments_request::ListPartitionReassignmentsTopics::default();
    value.name = g.text().into();
    value.partition_indexes = g.list(Values::i32);
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn update_features(g: &mut Values) -> UpdateFeaturesRequest {
    let mut value = UpdateFeaturesRequest::default();
    value.timeout_ms = g.i32();
    value.feature_updates = g.list(feature_update);
    if g.version >= 1 {
        value.validate_only = g.boolean();
    }
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn feature_update(g: &mut Values) -> update_features_request::FeatureUpdateKey {
    let mut value = update_features_request::FeatureUpdateKey::default();
    value.feature = g.text();
    value.max_version_level = g.i16();
    if g.version == 0 {
        value.allow_downgrade = g.boolean();
    }
    if g.version >= 1 {
        value.upgrade_type = g.i8();
    }
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn describe_acls(g: &mut Values) -> DescribeAclsRequest {
    let mut value = DescribeAclsRequest::default();
    value.resource_type_filter = g.i8();
    value.resource_name_filter = g.nullable(Values::text);
    value.pattern_type_filter = g.i8();
    value.principal_filter = g.nullable(Values::text);
    value.host_filter = g.nullable(Values::text);
    value.operation = g.i8();
    value.permission_type = g.i8();
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn create_acls(g: &mut Values) -> CreateAclsRequest {
    let mut value = CreateAclsRequest::default();
    value.creations = g.list(acl_creation);
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn acl_creation(g: &mut Values) -> create_acls_request::AclCreation {
    let mut value = create_acls_request::AclCreation::default();
    value.resource_type = g.i8();
    value.resource_name = g.text();
    value.resource_pattern_type = g.i8();
    value.principal = g.text();
    value.host = g.text();
    value.operation = g.i8();
    value.permission_type = g.i8();
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn delete_acls(g: &mut Values) -> DeleteAclsRequest {
    let mut value = DeleteAclsRequest::default();
    value.filters = g.list(acl_filter);
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn acl_filter(g: &mut Values) -> delete_acls_request::DeleteAclsFilter {
    let mut value = delete_acls_request::DeleteAclsFilter::default();
    value.resource_type_filter = g.i8();
    value.resource_name_filter = g.nullable(Values::text);
    value.pattern_type_filter = g.i8();
    value.principal_filter = g.nullable(Values::text);
    value.host_filter = g.nullable(Values::text);
    value.operation = g.i8();
    value.permission_type = g.i8();
    if g.version >= 2 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn describe_client_quotas(g: &mut Values) -> DescribeClientQuotasRequest {
    let mut value = DescribeClientQuotasRequest::default();
    value.components = g.list(quota_component);
    value.strict = g.boolean();
    if g.version >= 1 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn quota_component(g: &mut Values) -> describe_client_quotas_request::ComponentData {
    let mut value = describe_client_quotas_request::ComponentData::default();
    value.entity_type = g.text();
    value.match_type = g.i8();
    value._match = g.nullable(Values::text);
    if g.version >= 1 {
        value.unknown_tagged_fields = g.tagged_fields(0);
    }
    value
}

fn describe_user_scram_credentials(g: &mut Values) -> DescribeUserScramCredentialsRequest {
    let mut value = DescribeUserScramCredentialsRequest::default();
    value.users = g.nullable(|g| g.list(user_name));
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}

fn user_name(g: &mut Values) -> describe_user_scram_credentials_request::UserName {
    let mut value = describe_user_scram_credentials_request::UserName::default();
    value.name = g.text();
    value.unknown_tagged_fields = g.tagged_fields(0);
    value
}
