//! Heartbeat (key 12), versions 0-4 (static members v3: KIP-345).

use super::{
    groups::{self, WRONG_KIND, told},
    respond::ReplyTo,
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    groups::{Request, Response},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: HeartbeatRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let response = |error: ErrorCode| HeartbeatResponse::default().with_error_code(error.code());
    if let Err(error) = groups::named(&request.group_id) {
        return reply_to.ready(&response(error));
    }
    Ok(groups::ask(context, "Heartbeat", Request::Heartbeat(request), move |_, reply| {
        let error = match reply {
            Ok(Response::Heartbeat) => ErrorCode::None,
            Ok(_) => WRONG_KIND,
            // The group is being loaded: its members live on, and hear of it when they next ask for anything.
            Err(ErrorCode::CoordinatorLoadInProgress) => ErrorCode::None,
            Err(error) => told(error),
        };
        reply_to.encode(&response(error))
    }))
}
