//! AddOffsetsToTxn (key 25), versions 0-4 (KIP-98; PRODUCER_FENCED from v2: KIP-588): a group's partition of
//! `__consumer_offsets` becomes a part of a transaction, before offsets are committed in it. Clients of version 2 of
//! transactions do not ask.

use super::{
    controlled, groups,
    respond::ReplyTo,
    transactions::{self, WRONG_KIND, producer},
};
use crate::{
    engine::{Context, Response as Answer, Start},
    error::ErrorCode,
    groups::OFFSETS_TOPIC,
    transactions::{Reply, Request, Response, Versioned, told},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: AddOffsetsToTxnRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    if groups::named(&request.group_id).is_err() {
        return Ok(Start::Ready(respond(reply_to, Err(ErrorCode::InvalidGroupId))));
    }
    // The group may be the first one: its coordinator is looked for by whoever commits, perhaps after this.
    if let Some(topic) = controlled::missing_internal(context, OFFSETS_TOPIC, groups::offsets_topic) {
        return Ok(controlled::make_internal(context, "AddOffsetsToTxn", topic, move |_, _| {
            // The client asks again, and finds it.
            respond(reply_to, Err(ErrorCode::CoordinatorLoadInProgress))
        }));
    }
    let ask = Request::AddOffsets {
        id: request.transactional_id.as_str().into(),
        producer: producer(request.producer_id, request.producer_epoch),
        group: request.group_id.as_str().into(),
    };
    Ok(transactions::ask(context, "AddOffsetsToTxn", ask, move |_, reply| respond(reply_to, reply)))
}

fn respond(reply_to: ReplyTo, reply: Reply) -> Answer {
    let error = match reply {
        Ok(Response::OffsetsAdded) => ErrorCode::None,
        // Of the partition of `__consumer_offsets`.
        Ok(Response::Partitions(errors)) => errors.first().map_or(WRONG_KIND, |(.., error)| *error),
        Ok(_) => WRONG_KIND,
        Err(error) => told(error, Versioned::AddOffsetsToTxn, reply_to.version),
    };
    reply_to.encode(&AddOffsetsToTxnResponse::default().with_error_code(error.code()))
}
