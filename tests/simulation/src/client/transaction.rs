//! Transactions on the wire: what their producers ask, and what they are answered.

use super::{
    answer::Answer,
    group::{Named, coordinator_found, find_coordinator},
};
use bytes::Bytes;
use corelane_core::{
    error::ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    wire::{WireError, decode_response, encode_request},
};
use kafka_protocol::{
    messages::{
        AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
        AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
        InitProducerIdResponse, add_partitions_to_txn_request::AddPartitionsToTxnTopic,
    },
    protocol::StrBytes,
};
use std::{collections::BTreeMap, rc::Rc};

/// How long a transaction may go on, in ms: for less than the world takes to heal.
pub const TIMEOUT_MS: i32 = 5_000;

/// A producer, as the coordinator names it.
pub type Producer = (ProducerId, ProducerEpoch);

/// What the producer of a transactional id asks its coordinator.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum TransactionRequest {
    FindCoordinator,
    Init,
    /// Before version 2 of transactions.
    AddPartitions {
        producer: Producer,
        partitions: Vec<Named>,
    },
    /// The partition of a group's offsets, before version 2 of transactions.
    AddOffsets {
        producer: Producer,
        group: Rc<str>,
    },
    End {
        producer: Producer,
        commit: bool,
        /// Under version 2 of transactions.
        v2: bool,
    },
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TransactionAnswer {
    /// The coordinator's node id.
    FindCoordinator(Result<i32, ErrorCode>),
    Init(Result<Producer, ErrorCode>),
    /// The first error.
    AddPartitions(ErrorCode),
    AddOffsets(ErrorCode),
    /// The producer of the next transaction, under version 2.
    End(Result<Option<Producer>, ErrorCode>),
}

impl TransactionAnswer {
    /// Its error, or none.
    pub fn error(&self) -> ErrorCode {
        match self {
            TransactionAnswer::FindCoordinator(Err(error))
            | TransactionAnswer::Init(Err(error))
            | TransactionAnswer::End(Err(error))
            | TransactionAnswer::AddPartitions(error)
            | TransactionAnswer::AddOffsets(error) => *error,
            TransactionAnswer::FindCoordinator(Ok(_))
            | TransactionAnswer::Init(Ok(_))
            | TransactionAnswer::End(Ok(_)) => ErrorCode::None,
        }
    }
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn code(number: i16) -> Result<ErrorCode, String> {
    ErrorCode::from_code(number).ok_or_else(|| format!("error code {number} is unknown"))
}

impl TransactionRequest {
    /// Versions in which it can be asked.
    pub fn versions(&self) -> &'static [i16] {
        match self {
            TransactionRequest::FindCoordinator => &[1, 2, 3, 4, 5, 6],
            TransactionRequest::Init => &[0, 1, 2, 3, 4, 5],
            TransactionRequest::AddPartitions { .. } | TransactionRequest::AddOffsets { .. } => &[0, 1, 2, 3],
            TransactionRequest::End { v2: false, .. } => &[0, 1, 2, 3, 4],
            TransactionRequest::End { v2: true, .. } => &[5],
        }
    }

    /// The frame.
    pub fn encode(&self, id: &str, correlation: i32, version: i16) -> Result<Bytes, WireError> {
        let client = Some("sim");
        match self {
            TransactionRequest::FindCoordinator => {
                let request = find_coordinator(id, version).with_key_type(1);
                encode_request(correlation, client, version, &request)
            }
            TransactionRequest::Init => {
                let request = InitProducerIdRequest::default()
                    .with_transactional_id(Some(text(id).into()))
                    .with_transaction_timeout_ms(TIMEOUT_MS);
                encode_request(correlation, client, version, &request)
            }
            TransactionRequest::AddPartitions { producer, partitions } => {
                let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
                for (partition, topic) in partitions {
                    by_topic.entry(topic).or_default().push(partition.index);
                }
                let topics = by_topic.into_iter().map(|(topic, partitions)| {
                    AddPartitionsToTxnTopic::default()
                        .with_name(text(topic).into())
                        .with_partitions(partitions)
                });
                let request = AddPartitionsToTxnRequest::default()
                    .with_v3_and_below_transactional_id(text(id).into())
                    .with_v3_and_below_producer_id(producer.0.0.into())
                    .with_v3_and_below_producer_epoch(producer.1.0)
                    .with_v3_and_below_topics(topics.collect());
                encode_request(correlation, client, version, &request)
            }
            TransactionRequest::AddOffsets { producer, group } => {
                let request = AddOffsetsToTxnRequest::default()
                    .with_transactional_id(text(id).into())
                    .with_producer_id(producer.0.0.into())
                    .with_producer_epoch(producer.1.0)
                    .with_group_id(text(group).into());
                encode_request(correlation, client, version, &request)
            }
            TransactionRequest::End { producer, commit, .. } => {
                let request = EndTxnRequest::default()
                    .with_transactional_id(text(id).into())
                    .with_producer_id(producer.0.0.into())
                    .with_producer_epoch(producer.1.0)
                    .with_committed(*commit);
                encode_request(correlation, client, version, &request)
            }
        }
    }

    /// Reads the answer.
    pub fn decode(&self, version: i16, frame: &Bytes) -> Result<(i32, Answer), String> {
        let unreadable = |error: WireError| error.to_string();
        let (correlation, answer) = match self {
            TransactionRequest::FindCoordinator => {
                let (id, found) = coordinator_found(version, frame)?;
                (id, TransactionAnswer::FindCoordinator(found))
            }
            TransactionRequest::Init => {
                let (id, response) =
                    decode_response::<InitProducerIdResponse>(version, frame).map_err(unreadable)?;
                let producer = (ProducerId(response.producer_id.0), ProducerEpoch(response.producer_epoch));
                let result = match code(response.error_code)? {
                    ErrorCode::None => Ok(producer),
                    error => Err(error),
                };
                (id, TransactionAnswer::Init(result))
            }
            TransactionRequest::AddPartitions { .. } => {
                let (id, response) =
                    decode_response::<AddPartitionsToTxnResponse>(version, frame).map_err(unreadable)?;
                let topics = response.results_by_topic_v3_and_below.iter();
                let mut error = ErrorCode::None;
                for result in topics.flat_map(|topic| &topic.results_by_partition) {
                    let found = code(result.partition_error_code)?;
                    // The reason, if one partition's stands for it.
                    if error.is_none() || error == ErrorCode::OperationNotAttempted {
                        error = found;
                    }
                }
                (id, TransactionAnswer::AddPartitions(error))
            }
            TransactionRequest::AddOffsets { .. } => {
                let (id, response) =
                    decode_response::<AddOffsetsToTxnResponse>(version, frame).map_err(unreadable)?;
                (id, TransactionAnswer::AddOffsets(code(response.error_code)?))
            }
            TransactionRequest::End { v2, .. } => {
                let (id, response) = decode_response::<EndTxnResponse>(version, frame).map_err(unreadable)?;
                let next = (ProducerId(response.producer_id.0), ProducerEpoch(response.producer_epoch));
                let result = match code(response.error_code)? {
                    ErrorCode::None => Ok(v2.then_some(next)),
                    error => Err(error),
                };
                (id, TransactionAnswer::End(result))
            }
        };
        Ok((correlation, Answer::Transaction(answer)))
    }
}
