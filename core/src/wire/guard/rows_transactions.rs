//! Transactions (KIP-98, KIP-890).

use super::schema::{
    BOOLEAN, INT16, INT32, INT32_ARRAY, INT64, INT64_ARRAY, Row, STRING, STRING_ARRAY, array, field, nullable,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    ListTransactionsRequest, TxnOffsetCommitRequest, WriteTxnMarkersRequest, add_partitions_to_txn_request,
    txn_offset_commit_request, write_txn_markers_request,
};

pub(super) static ROWS: &[Row] = &[
    Row::of::<AddPartitionsToTxnRequest>(
        "AddPartitionsToTxn",
        3,
        &[
            field(
                "transactions",
                array::<add_partitions_to_txn_request::AddPartitionsToTxnTransaction>(&[
                    field("transactional_id", STRING),
                    field("producer_id", INT64),
                    field("producer_epoch", INT16),
                    field("verify_only", BOOLEAN),
                    field(
                        "topics",
                        array::<add_partitions_to_txn_request::AddPartitionsToTxnTopic>(&[
                            field("name", STRING),
                            field("partitions", INT32_ARRAY),
                        ]),
                    ),
                ]),
            )
            .since(4),
            field("v3_and_below_transactional_id", STRING).until(3),
            field("v3_and_below_producer_id", INT64).until(3),
            field("v3_and_below_producer_epoch", INT16).until(3),
            field(
                "v3_and_below_topics",
                array::<add_partitions_to_txn_request::AddPartitionsToTxnTopic>(&[
                    field("name", STRING),
                    field("partitions", INT32_ARRAY),
                ]),
            )
            .until(3),
        ],
    ),
    Row::of::<AddOffsetsToTxnRequest>(
        "AddOffsetsToTxn",
        3,
        &[
            field("transactional_id", STRING),
            field("producer_id", INT64),
            field("producer_epoch", INT16),
            field("group_id", STRING),
        ],
    ),
    Row::of::<TxnOffsetCommitRequest>(
        "TxnOffsetCommit",
        3,
        &[
            field("transactional_id", STRING),
            field("group_id", STRING),
            field("producer_id", INT64),
            field("producer_epoch", INT16),
            field("generation_id", INT32).since(3),
            field("member_id", STRING).since(3),
            nullable("group_instance_id", STRING).since(3),
            field(
                "topics",
                array::<txn_offset_commit_request::TxnOffsetCommitRequestTopic>(&[
                    field("name", STRING),
                    field(
                        "partitions",
                        array::<txn_offset_commit_request::TxnOffsetCommitRequestPartition>(&[
                            field("partition_index", INT32),
                            field("committed_offset", INT64),
                            field("committed_leader_epoch", INT32).since(2),
                            nullable("committed_metadata", STRING),
                        ]),
                    ),
                ]),
            ),
        ],
    ),
    Row::of::<EndTxnRequest>(
        "EndTxn",
        3,
        &[
            field("transactional_id", STRING),
            field("producer_id", INT64),
            field("producer_epoch", INT16),
            field("committed", BOOLEAN),
        ],
    ),
    Row::of::<WriteTxnMarkersRequest>(
        "WriteTxnMarkers",
        1,
        &[field(
            "markers",
            array::<write_txn_markers_request::WritableTxnMarker>(&[
                field("producer_id", INT64),
                field("producer_epoch", INT16),
                field("transaction_result", BOOLEAN),
                field(
                    "topics",
                    array::<write_txn_markers_request::WritableTxnMarkerTopic>(&[
                        field("name", STRING),
                        field("partition_indexes", INT32_ARRAY),
                    ]),
                ),
                field("coordinator_epoch", INT32),
            ]),
        )],
    ),
    Row::of::<DescribeTransactionsRequest>(
        "DescribeTransactions",
        0,
        &[field("transactional_ids", STRING_ARRAY)],
    ),
    Row::of::<ListTransactionsRequest>(
        "ListTransactions",
        0,
        &[
            field("state_filters", STRING_ARRAY),
            field("producer_id_filters", INT64_ARRAY),
            field("duration_filter", INT64).since(1),
            nullable("transactional_id_pattern", STRING).since(2),
        ],
    ),
];
