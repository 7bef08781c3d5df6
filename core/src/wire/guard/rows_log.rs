//! Records: writing, reading and finding them.

use super::schema::{
    BYTES, INT8, INT16, INT32, INT32_ARRAY, INT64, Row, STRING, UUID, array, field, nullable, object,
};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DescribeProducersRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, delete_records_request, describe_producers_request,
    fetch_request, list_offsets_request, offset_for_leader_epoch_request, produce_request,
};

pub(super) static ROWS: &[Row] = &[
    Row::of::<ProduceRequest>(
        "Produce",
        9,
        &[
            nullable("transactional_id", STRING),
            field("acks", INT16),
            field("timeout_ms", INT32),
            field(
                "topic_data",
                array::<produce_request::TopicProduceData>(&[
                    field("name", STRING).until(12),
                    field("topic_id", UUID).since(13),
                    field(
                        "partition_data",
                        array::<produce_request::PartitionProduceData>(&[
                            field("index", INT32),
                            nullable("records", BYTES),
                        ]),
                    ),
                ]),
            ),
        ],
    ),
    Row::of::<FetchRequest>(
        "Fetch",
        12,
        &[
            field("replica_id", INT32).until(14),
            field("max_wait_ms", INT32),
            field("min_bytes", INT32),
            field("max_bytes", INT32),
            field("isolation_level", INT8),
            field("session_id", INT32).since(7),
            field("session_epoch", INT32).since(7),
            field(
                "topics",
                array::<fetch_request::FetchTopic>(&[
                    field("topic", STRING).until(12),
                    field("topic_id", UUID).since(13),
                    field(
                        "partitions",
                        array::<fetch_request::FetchPartition>(&[
                            field("partition", INT32),
                            field("current_leader_epoch", INT32).since(9),
                            field("fetch_offset", INT64),
                            field("last_fetched_epoch", INT32).since(12),
                            field("log_start_offset", INT64).since(5),
                            field("partition_max_bytes", INT32),
                            field("replica_directory_id", UUID).since(17).tag(0),
                            field("high_watermark", INT64).since(18).tag(1),
                        ]),
                    ),
                ]),
            ),
            field(
                "forgotten_topics_data",
                array::<fetch_request::ForgottenTopic>(&[
                    field("topic", STRING).until(12),
                    field("topic_id", UUID).since(13),
                    field("partitions", INT32_ARRAY),
                ]),
            )
            .since(7),
            field("rack_id", STRING).since(11),
            nullable("cluster_id", STRING).tag(0),
            field("replica_state", object(&[field("replica_id", INT32), field("replica_epoch", INT64)]))
                .since(15)
                .tag(1),
        ],
    ),
    Row::of::<ListOffsetsRequest>(
        "ListOffsets",
        6,
        &[
            field("replica_id", INT32),
            field("isolation_level", INT8).since(2),
            field(
                "topics",
                array::<list_offsets_request::ListOffsetsTopic>(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        array::<list_offsets_request::ListOffsetsPartition>(&[
                            field("partition_index", INT32),
                            field("current_leader_epoch", INT32).since(4),
                            field("timestamp", INT64),
                        ]),
                    ),
                ]),
            ),
            field("timeout_ms", INT32).since(10),
        ],
    ),
    Row::of::<OffsetForLeaderEpochRequest>(
        "OffsetForLeaderEpoch",
        4,
        &[
            field("replica_id", INT32).since(3),
            field(
                "topics",
                array::<offset_for_leader_epoch_request::OffsetForLeaderTopic>(&[
                    field("topic", STRING),
                    field(
                        "partitions",
                        array::<offset_for_leader_epoch_request::OffsetForLeaderPartition>(&[
                            field("partition", INT32),
                            field("current_leader_epoch", INT32),
                            field("leader_epoch", INT32),
                        ]),
                    ),
                ]),
            ),
        ],
    ),
    Row::of::<DeleteRecordsRequest>(
        "DeleteRecords",
        2,
        &[
            field(
                "topics",
                array::<delete_records_request::DeleteRecordsTopic>(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        array::<delete_records_request::DeleteRecordsPartition>(&[
                            field("partition_index", INT32),
                            field("offset", INT64),
                        ]),
                    ),
                ]),
            ),
            field("timeout_ms", INT32),
        ],
    ),
    Row::of::<InitProducerIdRequest>(
        "InitProducerId",
        2,
        &[
            nullable("transactional_id", STRING),
            field("transaction_timeout_ms", INT32),
            field("producer_id", INT64).since(3),
            field("producer_epoch", INT16).since(3),
        ],
    ),
    Row::of::<DescribeProducersRequest>(
        "DescribeProducers",
        0,
        &[field(
            "topics",
            array::<describe_producers_request::TopicRequest>(&[
                field("name", STRING),
                field("partition_indexes", INT32_ARRAY),
            ]),
        )],
    ),
];
