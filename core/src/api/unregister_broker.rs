//! UnregisterBroker (key 64), version 0 (KIP-500): a broker that will not come back is forgotten. It leads nothing any more
//! and is in sync only where it is the last; one that lives registers again.

use super::{
    controlled::{self, WRONG_KIND},
    respond::{ReplyTo, text},
};
use crate::{
    controller::{ApiError, UnregisterBrokerRequest},
    engine::{Context, ControllerRequest, ControllerResponse, Start},
    ids::NodeId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{self, UnregisterBrokerResponse};

/// The request names no time-out; less than clients wait.
const TIMEOUT_MS: i32 = 20_000;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: messages::UnregisterBrokerRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let id = NodeId(request.broker_id.0);
    let ask = ControllerRequest::UnregisterBroker(UnregisterBrokerRequest { id });
    Ok(controlled::ask(context, "UnregisterBroker", TIMEOUT_MS, ask, move |_, answer| {
        let result = match answer {
            Ok(ControllerResponse::UnregisterBroker(result)) => result,
            Ok(_) => Err(ApiError::new(WRONG_KIND, "")),
            Err(code) => Err(ApiError::new(code, "")),
        };
        let mut response = UnregisterBrokerResponse::default().with_error_message(None);
        if let Err(error) = result {
            let message = (!error.message.is_empty()).then(|| text(error.message));
            response = response.with_error_code(error.code.code()).with_error_message(message);
        }
        reply_to.encode(&response)
    }))
}
