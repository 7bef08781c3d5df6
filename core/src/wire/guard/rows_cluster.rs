//! The cluster: its brokers, its quorum, its disks.

use super::schema::{
    BOOLEAN, BYTES, INT8, INT16, INT32, INT32_ARRAY, Row, STRING, UINT16, UUID, array, field, nullable,
    object,
};
use crate::wire::log_dirs;
use kafka_protocol::messages::{
    AddRaftVoterRequest, AlterReplicaLogDirsRequest, ApiVersionsRequest, DescribeClusterRequest,
    DescribeLogDirsRequest, DescribeQuorumRequest, GetTelemetrySubscriptionsRequest, PushTelemetryRequest,
    RemoveRaftVoterRequest, UnregisterBrokerRequest, UpdateFeaturesRequest, UpdateRaftVoterRequest,
    add_raft_voter_request, alter_replica_log_dirs_request, describe_log_dirs_request,
    describe_quorum_request, update_features_request, update_raft_voter_request,
};

pub(super) static ROWS: &[Row] = &[
    Row::of::<ApiVersionsRequest>(
        "ApiVersions",
        3,
        &[field("client_software_name", STRING).since(3), field("client_software_version", STRING).since(3)],
    ),
    Row::of::<DescribeClusterRequest>(
        "DescribeCluster",
        0,
        &[
            field("include_cluster_authorized_operations", BOOLEAN),
            field("endpoint_type", INT8).since(1),
            field("include_fenced_brokers", BOOLEAN).since(2),
        ],
    ),
    Row::of::<DescribeQuorumRequest>(
        "DescribeQuorum",
        0,
        &[field(
            "topics",
            array::<describe_quorum_request::TopicData>(&[
                field("topic_name", STRING),
                field(
                    "partitions",
                    array::<describe_quorum_request::PartitionData>(&[field("partition_index", INT32)]),
                ),
            ]),
        )],
    ),
    Row::of::<UpdateFeaturesRequest>(
        "UpdateFeatures",
        0,
        &[
            field("timeout_ms", INT32),
            field(
                "feature_updates",
                array::<update_features_request::FeatureUpdateKey>(&[
                    field("feature", STRING),
                    field("max_version_level", INT16),
                    field("allow_downgrade", BOOLEAN).until(0),
                    field("upgrade_type", INT8).since(1),
                ]),
            ),
            field("validate_only", BOOLEAN).since(1),
        ],
    ),
    Row::of::<UnregisterBrokerRequest>("UnregisterBroker", 0, &[field("broker_id", INT32)]),
    Row::of::<AddRaftVoterRequest>(
        "AddRaftVoter",
        0,
        &[
            nullable("cluster_id", STRING),
            field("timeout_ms", INT32),
            field("voter_id", INT32),
            field("voter_directory_id", UUID),
            field(
                "listeners",
                array::<add_raft_voter_request::Listener>(&[
                    field("name", STRING),
                    field("host", STRING),
                    field("port", UINT16),
                ]),
            ),
        ],
    ),
    Row::of::<RemoveRaftVoterRequest>(
        "RemoveRaftVoter",
        0,
        &[nullable("cluster_id", STRING), field("voter_id", INT32), field("voter_directory_id", UUID)],
    ),
    Row::of::<UpdateRaftVoterRequest>(
        "UpdateRaftVoter",
        0,
        &[
            nullable("cluster_id", STRING),
            field("current_leader_epoch", INT32),
            field("voter_id", INT32),
            field("voter_directory_id", UUID),
            field(
                "listeners",
                array::<update_raft_voter_request::Listener>(&[
                    field("name", STRING),
                    field("host", STRING),
                    field("port", UINT16),
                ]),
            ),
            field(
                "k_raft_version_feature",
                object(&[field("min_supported_version", INT16), field("max_supported_version", INT16)]),
            ),
        ],
    ),
    Row::of::<DescribeLogDirsRequest>(
        "DescribeLogDirs",
        2,
        &[nullable(
            "topics",
            array::<describe_log_dirs_request::DescribableLogDirTopic>(&[
                field("topic", STRING),
                field("partitions", INT32_ARRAY),
            ]),
        )],
    )
    .with_version(log_dirs::VERSION, |body, _| log_dirs::request(body).map(drop)),
    Row::of::<AlterReplicaLogDirsRequest>(
        "AlterReplicaLogDirs",
        2,
        &[field(
            "dirs",
            array::<alter_replica_log_dirs_request::AlterReplicaLogDir>(&[
                field("path", STRING),
                field(
                    "topics",
                    array::<alter_replica_log_dirs_request::AlterReplicaLogDirTopic>(&[
                        field("name", STRING),
                        field("partitions", INT32_ARRAY),
                    ]),
                ),
            ]),
        )],
    ),
    Row::of::<GetTelemetrySubscriptionsRequest>(
        "GetTelemetrySubscriptions",
        0,
        &[field("client_instance_id", UUID)],
    ),
    Row::of::<PushTelemetryRequest>(
        "PushTelemetry",
        0,
        &[
            field("client_instance_id", UUID),
            field("subscription_id", INT32),
            field("terminating", BOOLEAN),
            field("compression_type", INT8),
            field("metrics", BYTES),
        ],
    ),
];
