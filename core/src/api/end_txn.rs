//! EndTxn (key 26), versions 0-5 (KIP-98; PRODUCER_FENCED from v2: KIP-588; the producer of the next transaction from v5:
//! KIP-890). Answered when the decision is committed; the markers follow.

use super::{
    respond::ReplyTo,
    transactions::{self, WRONG_KIND, producer},
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    transactions::{EndTransaction, Request, Response, Versioned, told},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: EndTxnRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let ask = Request::End(EndTransaction {
        id: request.transactional_id.as_str().into(),
        producer: producer(request.producer_id, request.producer_epoch),
        commit: request.committed,
        version: header.api_version,
    });
    Ok(transactions::ask(context, "EndTxn", ask, move |_, reply| {
        let (error, next) = match reply {
            Ok(Response::Ended(next)) => (ErrorCode::None, next),
            Ok(_) => (WRONG_KIND, None),
            Err(error) => (told(error, Versioned::EndTxn, reply_to.version), None),
        };
        let mut response = EndTxnResponse::default().with_error_code(error.code());
        if let Some(next) = next.filter(|_| reply_to.version >= 5) {
            response = response.with_producer_id(next.id.0.into()).with_producer_epoch(next.epoch.0);
        }
        reply_to.encode(&response)
    }))
}
