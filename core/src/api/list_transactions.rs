//! ListTransactions (key 66), versions 0-2 (KIP-664; by duration v1: KIP-994; by pattern v2: KIP-1152).

use super::{
    coordinated::WRONG_KIND,
    respond::{ReplyTo, text},
};
use crate::{
    engine::{Ask, Context, Gather, OwnerRequest, OwnerResponse, Response, Start, Step},
    error::ErrorCode,
    transactions::{ListFilter, ListedTransaction},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use corelane_seam::ShardId;
use kafka_protocol::messages::{
    ListTransactionsRequest, ListTransactionsResponse, list_transactions_response::TransactionState,
};

/// The transactional ids of all shards.
struct List {
    reply_to: ReplyTo,
    left: u16,
    listed: Vec<ListedTransaction>,
    unknown_states: Vec<String>,
    error: ErrorCode,
}

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: ListTransactionsRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let (filter, unknown_states) = match ListFilter::new(&request) {
        Ok(filter) => filter,
        Err(error) => {
            return reply_to.ready(&ListTransactionsResponse::default().with_error_code(error.code()));
        }
    };
    let shards = context.place.shards;
    let asks = (0..shards)
        .map(|shard| Ask::Owner(ShardId(shard), OwnerRequest::ListTransactions(Box::new(filter.clone()))));
    let asks = asks.collect();
    let gather = List { reply_to, left: shards, listed: Vec::new(), unknown_states, error: ErrorCode::None };
    Ok(Start::Gather { asks, gather: Box::new(gather), deadline: None })
}

impl List {
    fn finish(&mut self) -> Response {
        let mut response = ListTransactionsResponse::default()
            .with_error_code(self.error.code())
            .with_unknown_state_filters(self.unknown_states.drain(..).map(text).collect());
        if self.error.is_none() {
            self.listed.sort_by(|a, b| a.id.cmp(&b.id));
            let states = self.listed.drain(..).map(|listed| {
                TransactionState::default()
                    .with_transactional_id(text(&*listed.id).into())
                    .with_producer_id(listed.producer_id.0.into())
                    .with_transaction_state(text(listed.state.name()))
            });
            response = response.with_transaction_states(states.collect());
        }
        self.reply_to.encode(&response)
    }
}

impl Gather for List {
    fn answered(&mut self, _context: &mut Context<'_>, response: OwnerResponse) -> Step {
        self.left -= 1;
        match response {
            OwnerResponse::ListedTransactions(Ok(mut listed)) => self.listed.append(&mut listed),
            OwnerResponse::ListedTransactions(Err(error)) => self.error = error,
            _ => self.error = WRONG_KIND,
        }
        if self.left == 0 { Step::Done(self.finish()) } else { Step::Wait }
    }

    fn expired(&mut self, _context: &mut Context<'_>) -> Step {
        Step::Done(self.finish())
    }

    fn name(&self) -> &'static str {
        "ListTransactions"
    }
}
