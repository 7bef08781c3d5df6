//! ConsumerGroupHeartbeat (key 68), versions 0-1 (KIP-848; names of their own and regular expressions v1: KIP-1082, 848).

use super::{
    groups::{self, WRONG_KIND, told},
    respond::ReplyTo,
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    groups::{Refusal, Request, Response, validate_consumer_heartbeat},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: ConsumerGroupHeartbeatRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    if !groups::new_protocol_is_served(context) {
        return reply_to.ready(&refused(ErrorCode::UnsupportedVersion));
    }
    if let Err(refusal) = validate_consumer_heartbeat(&request, header.api_version, context.config) {
        return reply_to.ready(&Refusal::response(refusal));
    }
    let client = groups::client(context, header);
    let heartbeat = Request::ConsumerHeartbeat(Box::new(request), client);
    Ok(groups::ask(context, "ConsumerGroupHeartbeat", heartbeat, move |_, reply| {
        reply_to.encode(&match reply {
            Ok(Response::ConsumerHeartbeat(response)) => *response,
            Ok(_) => refused(WRONG_KIND),
            Err(error) => refused(told(error)),
        })
    }))
}

fn refused(error: ErrorCode) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default().with_error_code(error.code())
}
