//! Share groups (KIP-932).

use super::schema::{
    BOOLEAN, INT8_ARRAY, INT32, INT32_ARRAY, INT64, Row, STRING, STRING_ARRAY, UUID, array, field, nullable,
};
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequest,
    ShareAcknowledgeRequest, ShareFetchRequest, ShareGroupDescribeRequest, ShareGroupHeartbeatRequest,
    alter_share_group_offsets_request, delete_share_group_offsets_request,
    describe_share_group_offsets_request, share_acknowledge_request, share_fetch_request,
};

pub(super) static ROWS: &[Row] = &[
    Row::of::<ShareGroupHeartbeatRequest>(
        "ShareGroupHeartbeat",
        1,
        &[
            field("group_id", STRING),
            field("member_id", STRING),
            field("member_epoch", INT32),
            nullable("rack_id", STRING),
            nullable("subscribed_topic_names", STRING_ARRAY),
        ],
    ),
    Row::of::<ShareGroupDescribeRequest>(
        "ShareGroupDescribe",
        1,
        &[field("group_ids", STRING_ARRAY), field("include_authorized_operations", BOOLEAN)],
    ),
    Row::of::<ShareFetchRequest>(
        "ShareFetch",
        1,
        &[
            nullable("group_id", STRING),
            nullable("member_id", STRING),
            field("share_session_epoch", INT32),
            field("max_wait_ms", INT32),
            field("min_bytes", INT32),
            field("max_bytes", INT32),
            field("max_records", INT32),
            field("batch_size", INT32),
            field(
                "topics",
                array::<share_fetch_request::FetchTopic>(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        array::<share_fetch_request::FetchPartition>(&[
                            field("partition_index", INT32),
                            field(
                                "acknowledgement_batches",
                                array::<share_fetch_request::AcknowledgementBatch>(&[
                                    field("first_offset", INT64),
                                    field("last_offset", INT64),
                                    field("acknowledge_types", INT8_ARRAY),
                                ]),
                            ),
                        ]),
                    ),
                ]),
            ),
            field(
                "forgotten_topics_data",
                array::<share_fetch_request::ForgottenTopic>(&[
                    field("topic_id", UUID),
                    field("partitions", INT32_ARRAY),
                ]),
            ),
        ],
    ),
    Row::of::<ShareAcknowledgeRequest>(
        "ShareAcknowledge",
        1,
        &[
            nullable("group_id", STRING),
            nullable("member_id", STRING),
            field("share_session_epoch", INT32),
            field(
                "topics",
                array::<share_acknowledge_request::AcknowledgeTopic>(&[
                    field("topic_id", UUID),
                    field(
                        "partitions",
                        array::<share_acknowledge_request::AcknowledgePartition>(&[
                            field("partition_index", INT32),
                            field(
                                "acknowledgement_batches",
                                array::<share_acknowledge_request::AcknowledgementBatch>(&[
                                    field("first_offset", INT64),
                                    field("last_offset", INT64),
                                    field("acknowledge_types", INT8_ARRAY),
                                ]),
                            ),
                        ]),
                    ),
                ]),
            ),
        ],
    ),
    Row::of::<DescribeShareGroupOffsetsRequest>(
        "DescribeShareGroupOffsets",
        0,
        &[field(
            "groups",
            array::<describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup>(&[
                field("group_id", STRING),
                nullable(
                    "topics",
                    array::<describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestTopic>(&[
                        field("topic_name", STRING),
                        field("partitions", INT32_ARRAY),
                    ]),
                ),
            ]),
        )],
    ),
    Row::of::<AlterShareGroupOffsetsRequest>(
        "AlterShareGroupOffsets",
        0,
        &[
            field("group_id", STRING),
            field(
                "topics",
                array::<alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic>(&[
                    field("topic_name", STRING),
                    field(
                        "partitions",
                        array::<alter_share_group_offsets_request::AlterShareGroupOffsetsRequestPartition>(
                            &[field("partition_index", INT32), field("start_offset", INT64)],
                        ),
                    ),
                ]),
            ),
        ],
    ),
    Row::of::<DeleteShareGroupOffsetsRequest>(
        "DeleteShareGroupOffsets",
        0,
        &[
            field("group_id", STRING),
            field(
                "topics",
                array::<delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic>(&[field(
                    "topic_name",
                    STRING,
                )]),
            ),
        ],
    ),
];
