//! AddPartitionsToTxn (key 24), versions 0-5 (KIP-98; PRODUCER_FENCED from v2: KIP-588; batched, and to verify, from v4:
//! KIP-890).
//!
//! Clients add partitions before they write to them in versions before 4, brokers in whose partitions transactions write
//! ask in the others. If one partition does not exist none is added.

use super::{
    coordinated,
    respond::{ReplyTo, too_many},
    transactions::{self, BATCHED_FROM, WRONG_KIND, partitions, producer},
};
use crate::{
    engine::{Context, Response as Answer, Start},
    error::ErrorCode,
    transactions::{AddPartitions, PartitionErrors, PartitionSet, Reply, Request, Response, Versioned, told},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, TransactionalId,
    add_partitions_to_txn_response::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
    },
};
use std::{collections::BTreeMap, sync::Arc};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: AddPartitionsToTxnRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    if header.api_version < BATCHED_FROM {
        let asked = AddPartitions {
            id: request.v3_and_below_transactional_id.as_str().into(),
            producer: producer(request.v3_and_below_producer_id, request.v3_and_below_producer_epoch),
            partitions: partitions(&request.v3_and_below_topics),
            version: header.api_version,
        };
        let named = asked.partitions.clone();
        let ask = Request::AddPartitions(asked);
        return Ok(transactions::ask(context, "AddPartitionsToTxn", ask, move |_, reply| {
            let results = topic_results(&named, reply, reply_to.version);
            reply_to
                .encode(&AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results))
        }));
    }
    if let Some(refusal) = too_many(request.transactions.len()) {
        return Ok(refusal);
    }
    let mut named: Vec<(TransactionalId, PartitionSet)> = Vec::new();
    let mut asked = Vec::new();
    for transaction in request.transactions {
        let partitions = partitions(&transaction.topics);
        named.push((transaction.transactional_id.clone(), partitions.clone()));
        let one = AddPartitions {
            id: transaction.transactional_id.as_str().into(),
            producer: producer(transaction.producer_id, transaction.producer_epoch),
            partitions,
            version: header.api_version,
        };
        asked.push(Ok(match transaction.verify_only {
            true => Request::VerifyPartitions(one),
            false => Request::AddPartitions(one),
        }));
    }
    Ok(coordinated::ask_each(context, "AddPartitionsToTxn", asked, move |_, replies| {
        batched(reply_to, &named, replies)
    }))
}

fn batched(reply_to: ReplyTo, named: &[(TransactionalId, PartitionSet)], replies: Vec<Reply>) -> Answer {
    let results = named.iter().zip(replies).map(|((id, partitions), reply)| {
        AddPartitionsToTxnResult::default()
            .with_transactional_id(id.clone())
            .with_topic_results(topic_results(partitions, reply, reply_to.version))
    });
    reply_to.encode(&AddPartitionsToTxnResponse::default().with_results_by_transaction(results.collect()))
}

/// Each partition's error; where the whole request failed, its error for all of them.
fn topic_results(named: &PartitionSet, reply: Reply, version: i16) -> Vec<AddPartitionsToTxnTopicResult> {
    let all = |error: ErrorCode| -> PartitionErrors {
        named.iter().map(|(topic, partition)| (Arc::clone(topic), partition, error)).collect()
    };
    let errors = match reply {
        Ok(Response::Partitions(errors)) => errors,
        Ok(_) => all(WRONG_KIND),
        Err(error) => all(told(error, Versioned::AddPartitionsToTxn, version)),
    };
    let mut by_topic: BTreeMap<Arc<str>, Vec<AddPartitionsToTxnPartitionResult>> = BTreeMap::new();
    for (topic, partition, error) in errors {
        let result = AddPartitionsToTxnPartitionResult::default()
            .with_partition_index(partition)
            .with_partition_error_code(error.code());
        by_topic.entry(topic).or_default().push(result);
    }
    let topics = by_topic.into_iter().map(|(name, results)| {
        AddPartitionsToTxnTopicResult::default()
            .with_name(super::respond::text(&*name).into())
            .with_results_by_partition(results)
    });
    topics.collect()
}
