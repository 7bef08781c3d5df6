//! DescribeTransactions (key 65), version 0 (KIP-664).

use super::{
    coordinated,
    respond::{ReplyTo, text, too_many},
    transactions::WRONG_KIND,
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    transactions::{DescribedTransaction, Request, Response},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionalId,
    describe_transactions_response::{TopicData, TransactionState},
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DescribeTransactionsRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let ids = request.transactional_ids;
    if let Some(refusal) = too_many(ids.len()) {
        return Ok(refusal);
    }
    let asked = ids.iter().map(|id| Ok(Request::Describe(id.as_str().into()))).collect();
    Ok(coordinated::ask_each(context, "DescribeTransactions", asked, move |_, replies| {
        let states = ids.iter().zip(replies).map(|(id, reply)| match reply {
            Ok(Response::Described(transaction)) => described(id, &transaction),
            Ok(_) => failed(id, WRONG_KIND),
            Err(error) => failed(id, error),
        });
        reply_to.encode(&DescribeTransactionsResponse::default().with_transaction_states(states.collect()))
    }))
}

fn failed(id: &TransactionalId, error: ErrorCode) -> TransactionState {
    TransactionState::default().with_transactional_id(id.clone()).with_error_code(error.code())
}

fn described(id: &TransactionalId, transaction: &DescribedTransaction) -> TransactionState {
    let topics = transaction.partitions.topics().map(|(name, partitions)| {
        TopicData::default()
            .with_topic(text(&**name).into())
            .with_partitions(partitions.iter().copied().collect())
    });
    TransactionState::default()
        .with_transactional_id(id.clone())
        .with_transaction_state(text(transaction.state.name()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(transaction.started_ms)
        .with_producer_id(transaction.producer.id.0.into())
        .with_producer_epoch(transaction.producer.epoch.0)
        .with_topics(topics.collect())
}
