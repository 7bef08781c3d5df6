//! SyncGroup (key 14), versions 0-5 (static members v3: KIP-345; protocol type and name v5: KIP-559).
//!
//! Answered when the leader's assignment is committed.

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
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

/// The first version that must name the protocol it speaks of, so that it is not another group's.
const NAMES_PROTOCOL_FROM: i16 = 5;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: SyncGroupRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let refused = |error: ErrorCode| SyncGroupResponse::default().with_error_code(error.code());
    if let Err(error) = groups::named(&request.group_id) {
        return reply_to.ready(&refused(error));
    }
    let nameless = request.protocol_type.is_none() || request.protocol_name.is_none();
    if header.api_version >= NAMES_PROTOCOL_FROM && nameless {
        return reply_to.ready(&refused(ErrorCode::InconsistentGroupProtocol));
    }
    Ok(groups::ask(context, "SyncGroup", Request::Sync(Box::new(request)), move |_, reply| {
        let mut response = match reply {
            Ok(Response::Sync(response)) => *response,
            Ok(_) => refused(WRONG_KIND),
            Err(error) => refused(told(error)),
        };
        if reply_to.version < NAMES_PROTOCOL_FROM {
            (response.protocol_type, response.protocol_name) = (None, None);
        }
        reply_to.encode(&response)
    }))
}
