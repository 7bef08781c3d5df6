//! What all handlers of transactions share.

pub(super) use super::coordinated::{WRONG_KIND, ask};

use super::{
    controlled::internal_replicas,
    coordinated::{Coordinated as _, home},
    respond::text,
};
use crate::{
    controller::NewTopic,
    engine::{Ask, Context, Enlist, Guard},
    error::ErrorCode,
    ids::{NodeId, PartitionId, ProducerEpoch, ProducerId},
    transactions::{
        AddPartitions, PartitionErrors, PartitionSet, Producer, Request, TRANSACTIONS_TOPIC, TransactionalId,
    },
    wire::{WireError, decode_response, encode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
    add_partitions_to_txn_response::AddPartitionsToTxnTopicResult,
};
use std::{collections::BTreeMap, sync::Arc};

/// `__transaction_state`, as it is created when the first transactional id needs it
/// (`TransactionStateManager.transactionTopicConfigs`).
pub(super) fn transactions_topic(context: &Context<'_>) -> NewTopic {
    let settings = &context.config.transactions;
    let replication_factor = internal_replicas(context, settings.topic_replication_factor);
    let insync_replicas_min = settings.topic_insync_replicas_min.min(i32::from(replication_factor));
    let config = |key: &str, value: String| (key.to_owned(), Some(value));
    NewTopic {
        name: TRANSACTIONS_TOPIC.to_owned(),
        partitions: settings.topic_partitions,
        replication_factor,
        assignments: Vec::new(),
        configs: vec![
            config("unclean.leader.election.enable", "false".to_owned()),
            config("compression.type", "uncompressed".to_owned()),
            config("cleanup.policy", "compact".to_owned()),
            config("min.insync.replicas", insync_replicas_min.to_string()),
            config("segment.bytes", settings.topic_segment_bytes.to_string()),
        ],
    }
}

/// Who coordinates a transactional id, if anyone can now.
pub(super) fn coordinator(context: &Context<'_>, id: &str) -> Option<NodeId> {
    home(context, TRANSACTIONS_TOPIC, id)?.1
}

/// A producer, as requests name it.
pub(super) fn producer(id: impl Into<i64>, epoch: i16) -> Producer {
    Producer { id: ProducerId(id.into()), epoch: ProducerEpoch(epoch) }
}

/// Partitions of a transaction, as requests name them.
pub(super) fn partitions(topics: &[AddPartitionsToTxnTopic]) -> PartitionSet {
    let each = topics.iter().flat_map(|topic| {
        let name: Arc<str> = topic.name.as_str().into();
        topic.partitions.iter().map(move |partition| (Arc::clone(&name), *partition))
    });
    each.collect()
}

/// The first version that a broker asks with: its answers keep transactions apart.
pub(super) const BATCHED_FROM: i16 = 4;

/// The version that this broker asks others in.
const VERSION: i16 = 5;

/// What a broker in whose partitions a transaction writes wants of its coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// That they are added (version 2 of transactions).
    Add,
    /// To know whether they were added.
    Verify,
}

impl Wish {
    /// Of a request of some version, where those from `adds_from` on have their partitions added (KIP-890).
    pub fn of(version: i16, adds_from: i16) -> Wish {
        if version >= adds_from { Wish::Add } else { Wish::Verify }
    }

    /// The version of AddPartitionsToTxn whose errors it is answered with.
    pub fn version(self) -> i16 {
        match self {
            Wish::Add => 5,
            Wish::Verify => 4,
        }
    }

    /// What goes with a batch that comes again because the coordinator has agreed: whose partitions are added has an epoch
    /// of its own for each transaction.
    pub fn guard(self, guard: Guard) -> Guard {
        Guard { has_own_epoch: self == Wish::Add, ..guard }
    }
}

/// A question to a transaction's coordinator, here or on another broker.
///
/// # Errors
/// Nobody coordinates it now.
pub(super) fn ask_for_partitions(
    context: &Context<'_>,
    wish: Wish,
    request: AddPartitions,
) -> Result<Ask, ErrorCode> {
    let (id, leader): (PartitionId, _) =
        home(context, TRANSACTIONS_TOPIC, &request.id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let leader = leader.ok_or(ErrorCode::CoordinatorNotAvailable)?;
    if leader == context.place.node {
        let request = match wish {
            Wish::Add => Request::AddPartitions(request),
            Wish::Verify => Request::VerifyPartitions(request),
        };
        return Ok(Ask::Owner(context.owner(id), request.query(0, id)));
    }
    Ok(Ask::Enlist(leader, Enlist { request, verifies: wish == Wish::Verify }))
}

/// A request to another broker, without its length, about transactions each of which stands there once.
pub(crate) fn question_about_partitions<'a>(
    all: impl Iterator<Item = &'a Enlist>,
) -> Result<Bytes, WireError> {
    let transactions = all.map(|Enlist { request, verifies }| {
        let topics = request.partitions.topics().map(|(name, partitions)| {
            AddPartitionsToTxnTopic::default()
                .with_name(text(&**name).into())
                .with_partitions(partitions.iter().copied().collect())
        });
        AddPartitionsToTxnTransaction::default()
            .with_transactional_id(text(&*request.id).into())
            .with_producer_id(request.producer.id.0.into())
            .with_producer_epoch(request.producer.epoch.0)
            .with_verify_only(*verifies)
            .with_topics(topics.collect())
    });
    let message = AddPartitionsToTxnRequest::default().with_transactions(transactions.collect());
    Ok(encode_request(0, Some("transactions"), VERSION, &message)?.slice(4..))
}

/// What whoever writes in a transaction is told of its coordinator's error (`AddPartitionsToTxnManager`).
pub(super) fn told_to_writers(error: ErrorCode, knows_abortable: bool) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if !knows_abortable => ErrorCode::InvalidTxnState,
        error => error,
    }
}

/// What another broker has answered to [`question_about_partitions`]: of each transaction, its partitions' errors.
///
/// # Errors
/// Of the whole request.
pub(crate) fn answer_about_partitions(
    frame: &Bytes,
) -> Result<BTreeMap<TransactionalId, PartitionErrors>, ErrorCode> {
    let Ok((_, response)) = decode_response::<AddPartitionsToTxnResponse>(VERSION, frame) else {
        return Err(WRONG_KIND);
    };
    if response.error_code != 0 {
        return Err(ErrorCode::from_code(response.error_code).unwrap_or(WRONG_KIND));
    }
    let each = response.results_by_transaction.iter();
    Ok(each.map(|it| (it.transactional_id.as_str().into(), errors(&it.topic_results))).collect())
}

fn errors(topics: &[AddPartitionsToTxnTopicResult]) -> PartitionErrors {
    let each = topics.iter().flat_map(|topic| {
        let name: Arc<str> = topic.name.as_str().into();
        topic.results_by_partition.iter().map(move |result| {
            let error = ErrorCode::from_code(result.partition_error_code).unwrap_or(WRONG_KIND);
            (Arc::clone(&name), result.partition_index, error)
        })
    });
    each.collect()
}
