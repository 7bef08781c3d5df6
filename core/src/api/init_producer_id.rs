//! InitProducerId (key 22), versions 0-5 (KIP-98), for idempotent producers.
//!
//! Ids come from blocks that the controller made durable, so none is given out twice over restarts. A client that
//! names a producer id of its own wants its epoch raised (KIP-360), which only transactions need: it gets a new id,
//! which serves an idempotent producer as well. Transactional ids are refused with
//! UNSUPPORTED_VERSION, there being no transactions yet: what clients print for INVALID_REQUEST blames themselves.

use super::{
    controlled::{self, WRONG_KIND},
    respond::ReplyTo,
};
use crate::{
    controller::AllocateProducerIdsRequest,
    engine::{Context, ControllerRequest, ControllerResponse, Response, Start},
    error::ErrorCode,
    ids::ProducerId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

/// How long a new block of ids may take: less than a client waits for its request.
const BLOCK_MS_MAX: i32 = 20_000;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: InitProducerIdRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    if request.transactional_id.is_some() {
        return Ok(Start::Ready(told(reply_to, Err(ErrorCode::UnsupportedVersion))));
    }
    if let Some(id) = context.producer_ids.take() {
        return Ok(Start::Ready(told(reply_to, Ok(id))));
    }
    let Some(broker) = context.image.broker(context.place.node) else {
        return Ok(Start::Ready(told(reply_to, Err(ErrorCode::CoordinatorLoadInProgress))));
    };
    let ask = ControllerRequest::AllocateProducerIds(AllocateProducerIdsRequest {
        broker: broker.id,
        broker_epoch: broker.epoch,
    });
    Ok(controlled::ask(context, "InitProducerId", BLOCK_MS_MAX, ask, move |context, answer| {
        let id = match answer {
            Ok(ControllerResponse::AllocateProducerIds(Ok(block))) => {
                context.producer_ids.add(block.first.0..block.first.0 + i64::from(block.count));
                context.producer_ids.take().ok_or(ErrorCode::CoordinatorLoadInProgress)
            }
            Ok(ControllerResponse::AllocateProducerIds(Err(error))) => Err(error.code),
            Ok(_) => Err(WRONG_KIND),
            // Retriable for every client, unlike NOT_CONTROLLER in this response.
            Err(_) => Err(ErrorCode::CoordinatorLoadInProgress),
        };
        told(reply_to, id)
    }))
}

fn told(reply_to: ReplyTo, id: Result<ProducerId, ErrorCode>) -> Response {
    let response = match id {
        Ok(id) => InitProducerIdResponse::default().with_producer_id(id.0.into()).with_producer_epoch(0),
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id((-1).into())
            .with_producer_epoch(-1),
    };
    reply_to.encode(&response)
}
