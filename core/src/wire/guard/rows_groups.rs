//! Groups: classic (the join and sync of KIP-62), new (KIP-848), and their offsets.

use super::schema::{
    BOOLEAN, BYTES, INT8, INT32, INT32_ARRAY, INT64, NEVER, Row, STRING, STRING_ARRAY, UUID, array, field,
    nullable,
};
use crate::wire::by_topic_id;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DeleteGroupsRequest, DescribeGroupsRequest,
    FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest,
    consumer_group_heartbeat_request, join_group_request, leave_group_request, offset_commit_request,
    offset_delete_request, offset_fetch_request, sync_group_request,
};

pub(super) static ROWS: &[Row] = &[
    Row::of::<FindCoordinatorRequest>(
        "FindCoordinator",
        3,
        &[
            field("key", STRING).until(3),
            field("key_type", INT8).since(1),
            field("coordinator_keys", STRING_ARRAY).since(4),
        ],
    ),
    Row::of::<JoinGroupRequest>(
        "JoinGroup",
        6,
        &[
            field("group_id", STRING),
            field("session_timeout_ms", INT32),
            field("rebalance_timeout_ms", INT32).since(1),
            field("member_id", STRING),
            nullable("group_instance_id", STRING).since(5),
            field("protocol_type", STRING),
            field(
                "protocols",
                array::<join_group_request::JoinGroupRequestProtocol>(&[
                    field("name", STRING),
                    field("metadata", BYTES),
                ]),
            ),
            nullable("reason", STRING).since(8),
        ],
    ),
    Row::of::<SyncGroupRequest>(
        "SyncGroup",
        4,
        &[
            field("group_id", STRING),
            field("generation_id", INT32),
            field("member_id", STRING),
            nullable("group_instance_id", STRING).since(3),
            nullable("protocol_type", STRING).since(5),
            nullable("protocol_name", STRING).since(5),
            field(
                "assignments",
                array::<sync_group_request::SyncGroupRequestAssignment>(&[
                    field("member_id", STRING),
                    field("assignment", BYTES),
                ]),
            ),
        ],
    ),
    Row::of::<HeartbeatRequest>(
        "Heartbeat",
        4,
        &[
            field("group_id", STRING),
            field("generation_id", INT32),
            field("member_id", STRING),
            nullable("group_instance_id", STRING).since(3),
        ],
    ),
    Row::of::<LeaveGroupRequest>(
        "LeaveGroup",
        4,
        &[
            field("group_id", STRING),
            field("member_id", STRING).until(2),
            field(
                "members",
                array::<leave_group_request::MemberIdentity>(&[
                    field("member_id", STRING),
                    nullable("group_instance_id", STRING),
                    nullable("reason", STRING).since(5),
                ]),
            )
            .since(3),
        ],
    ),
    Row::of::<ConsumerGroupHeartbeatRequest>(
        "ConsumerGroupHeartbeat",
        0,
        &[
            field("group_id", STRING),
            field("member_id", STRING),
            field("member_epoch", INT32),
            nullable("instance_id", STRING),
            nullable("rack_id", STRING),
            field("rebalance_timeout_ms", INT32),
            nullable("subscribed_topic_names", STRING_ARRAY),
            nullable("subscribed_topic_regex", STRING).since(1),
            nullable("server_assignor", STRING),
            nullable(
                "topic_partitions",
                array::<consumer_group_heartbeat_request::TopicPartitions>(&[
                    field("topic_id", UUID),
                    field("partitions", INT32_ARRAY),
                ]),
            ),
        ],
    ),
    Row::of::<ConsumerGroupDescribeRequest>(
        "ConsumerGroupDescribe",
        0,
        &[field("group_ids", STRING_ARRAY), field("include_authorized_operations", BOOLEAN)],
    ),
    Row::of::<DescribeGroupsRequest>(
        "DescribeGroups",
        5,
        &[field("groups", STRING_ARRAY), field("include_authorized_operations", BOOLEAN).since(3)],
    ),
    Row::of::<ListGroupsRequest>(
        "ListGroups",
        3,
        &[field("states_filter", STRING_ARRAY).since(4), field("types_filter", STRING_ARRAY).since(5)],
    ),
    Row::of::<DeleteGroupsRequest>("DeleteGroups", 2, &[field("groups_names", STRING_ARRAY)]),
    Row::of::<OffsetCommitRequest>(
        "OffsetCommit",
        8,
        &[
            field("group_id", STRING),
            field("generation_id_or_member_epoch", INT32),
            field("member_id", STRING),
            nullable("group_instance_id", STRING).since(7),
            field("retention_time_ms", INT64).until(4),
            field(
                "topics",
                array::<offset_commit_request::OffsetCommitRequestTopic>(&[
                    field("name", STRING).until(9),
                    field("topic_id", UUID).since(10),
                    field(
                        "partitions",
                        array::<offset_commit_request::OffsetCommitRequestPartition>(&[
                            field("partition_index", INT32),
                            field("committed_offset", INT64),
                            field("committed_leader_epoch", INT32).since(6),
                            nullable("committed_metadata", STRING),
                        ]),
                    ),
                ]),
            ),
        ],
    )
    .with_version(by_topic_id::VERSION, |body, _| by_topic_id::offset_commit(body).map(drop)),
    Row::of::<OffsetFetchRequest>(
        "OffsetFetch",
        6,
        &[
            field("group_id", STRING).until(7),
            nullable(
                "topics",
                array::<offset_fetch_request::OffsetFetchRequestTopic>(&[
                    field("name", STRING),
                    field("partition_indexes", INT32_ARRAY),
                ]),
            )
            .until(7),
            field(
                "groups",
                array::<offset_fetch_request::OffsetFetchRequestGroup>(&[
                    field("group_id", STRING),
                    nullable("member_id", STRING).since(9),
                    field("member_epoch", INT32).since(9),
                    nullable(
                        "topics",
                        array::<offset_fetch_request::OffsetFetchRequestTopics>(&[
                            field("name", STRING).until(9),
                            field("topic_id", UUID).since(10),
                            field("partition_indexes", INT32_ARRAY),
                        ]),
                    ),
                ]),
            )
            .since(8),
            field("require_stable", BOOLEAN).since(7),
        ],
    )
    .with_version(by_topic_id::VERSION, |body, _| by_topic_id::offset_fetch(body).map(drop)),
    Row::of::<OffsetDeleteRequest>(
        "OffsetDelete",
        NEVER,
        &[
            field("group_id", STRING),
            field(
                "topics",
                array::<offset_delete_request::OffsetDeleteRequestTopic>(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        array::<offset_delete_request::OffsetDeleteRequestPartition>(&[field(
                            "partition_index",
                            INT32,
                        )]),
                    ),
                ]),
            ),
        ],
    ),
];
