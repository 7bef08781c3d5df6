//! Topics and configurations.

use super::schema::{
    BOOLEAN, INT8, INT8_ARRAY, INT16, INT32, INT32_ARRAY, Row, STRING, STRING_ARRAY, UUID, array, field,
    nullable, object,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteTopicsRequest, DescribeConfigsRequest, DescribeTopicPartitionsRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest, ListConfigResourcesRequest, ListPartitionReassignmentsRequest,
    MetadataRequest, alter_configs_request, alter_partition_reassignments_request, create_partitions_request,
    create_topics_request, delete_topics_request, describe_configs_request,
    describe_topic_partitions_request, elect_leaders_request, incremental_alter_configs_request,
    list_partition_reassignments_request, metadata_request,
};

pub(super) static ROWS: &[Row] = &[
    Row::of::<MetadataRequest>(
        "Metadata",
        9,
        &[
            nullable(
                "topics",
                array::<metadata_request::MetadataRequestTopic>(&[
                    field("topic_id", UUID).since(10),
                    nullable("name", STRING),
                ]),
            ),
            field("allow_auto_topic_creation", BOOLEAN).since(4),
            field("include_cluster_authorized_operations", BOOLEAN).since(8).until(10),
            field("include_topic_authorized_operations", BOOLEAN).since(8),
        ],
    ),
    Row::of::<CreateTopicsRequest>(
        "CreateTopics",
        5,
        &[
            field(
                "topics",
                array::<create_topics_request::CreatableTopic>(&[
                    field("name", STRING),
                    field("num_partitions", INT32),
                    field("replication_factor", INT16),
                    field(
                        "assignments",
                        array::<create_topics_request::CreatableReplicaAssignment>(&[
                            field("partition_index", INT32),
                            field("broker_ids", INT32_ARRAY),
                        ]),
                    ),
                    field(
                        "configs",
                        array::<create_topics_request::CreatableTopicConfig>(&[
                            field("name", STRING),
                            nullable("value", STRING),
                        ]),
                    ),
                ]),
            ),
            field("timeout_ms", INT32),
            field("validate_only", BOOLEAN),
        ],
    ),
    Row::of::<DeleteTopicsRequest>(
        "DeleteTopics",
        4,
        &[
            field(
                "topics",
                array::<delete_topics_request::DeleteTopicState>(&[
                    nullable("name", STRING),
                    field("topic_id", UUID),
                ]),
            )
            .since(6),
            field("topic_names", STRING_ARRAY).until(5),
            field("timeout_ms", INT32),
        ],
    ),
    Row::of::<CreatePartitionsRequest>(
        "CreatePartitions",
        2,
        &[
            field(
                "topics",
                array::<create_partitions_request::CreatePartitionsTopic>(&[
                    field("name", STRING),
                    field("count", INT32),
                    nullable(
                        "assignments",
                        array::<create_partitions_request::CreatePartitionsAssignment>(&[field(
                            "broker_ids",
                            INT32_ARRAY,
                        )]),
                    ),
                ]),
            ),
            field("timeout_ms", INT32),
            field("validate_only", BOOLEAN),
        ],
    ),
    Row::of::<DescribeTopicPartitionsRequest>(
        "DescribeTopicPartitions",
        0,
        &[
            field(
                "topics",
                array::<describe_topic_partitions_request::TopicRequest>(&[field("name", STRING)]),
            ),
            field("response_partition_limit", INT32),
            nullable("cursor", object(&[field("topic_name", STRING), field("partition_index", INT32)])),
        ],
    ),
    Row::of::<DescribeConfigsRequest>(
        "DescribeConfigs",
        4,
        &[
            field(
                "resources",
                array::<describe_configs_request::DescribeConfigsResource>(&[
                    field("resource_type", INT8),
                    field("resource_name", STRING),
                    nullable("configuration_keys", STRING_ARRAY),
                ]),
            ),
            field("include_synonyms", BOOLEAN),
            field("include_documentation", BOOLEAN).since(3),
        ],
    ),
    Row::of::<IncrementalAlterConfigsRequest>(
        "IncrementalAlterConfigs",
        1,
        &[
            field(
                "resources",
                array::<incremental_alter_configs_request::AlterConfigsResource>(&[
                    field("resource_type", INT8),
                    field("resource_name", STRING),
                    field(
                        "configs",
                        array::<incremental_alter_configs_request::AlterableConfig>(&[
                            field("name", STRING),
                            field("config_operation", INT8),
                            nullable("value", STRING),
                        ]),
                    ),
                ]),
            ),
            field("validate_only", BOOLEAN),
        ],
    ),
    Row::of::<AlterConfigsRequest>(
        "AlterConfigs",
        2,
        &[
            field(
                "resources",
                array::<alter_configs_request::AlterConfigsResource>(&[
                    field("resource_type", INT8),
                    field("resource_name", STRING),
                    field(
                        "configs",
                        array::<alter_configs_request::AlterableConfig>(&[
                            field("name", STRING),
                            nullable("value", STRING),
                        ]),
                    ),
                ]),
            ),
            field("validate_only", BOOLEAN),
        ],
    ),
    Row::of::<ListConfigResourcesRequest>(
        "ListConfigResources",
        0,
        &[field("resource_types", INT8_ARRAY).since(1)],
    ),
    Row::of::<ElectLeadersRequest>(
        "ElectLeaders",
        2,
        &[
            field("election_type", INT8).since(1),
            nullable(
                "topic_partitions",
                array::<elect_leaders_request::TopicPartitions>(&[
                    field("topic", STRING),
                    field("partitions", INT32_ARRAY),
                ]),
            ),
            field("timeout_ms", INT32),
        ],
    ),
    Row::of::<AlterPartitionReassignmentsRequest>(
        "AlterPartitionReassignments",
        0,
        &[
            field("timeout_ms", INT32),
            field("allow_replication_factor_change", BOOLEAN).since(1),
            field(
                "topics",
                array::<alter_partition_reassignments_request::ReassignableTopic>(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        array::<alter_partition_reassignments_request::ReassignablePartition>(&[
                            field("partition_index", INT32),
                            nullable("replicas", INT32_ARRAY),
                        ]),
                    ),
                ]),
            ),
        ],
    ),
    Row::of::<ListPartitionReassignmentsRequest>(
        "ListPartitionReassignments",
        0,
        &[
            field("timeout_ms", INT32),
            nullable(
                "topics",
                array::<list_partition_reassignments_request::ListPartitionReassignmentsTopics>(&[
                    field("name", STRING),
                    field("partition_indexes", INT32_ARRAY),
                ]),
            ),
        ],
    ),
];
