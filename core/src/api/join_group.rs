//! JoinGroup (key 11), versions 0-9 (rebalance timeout v1: KIP-62; member id required v4: KIP-394; static members v5:
//! KIP-345; protocol type v7: KIP-559; reason v8: KIP-800; skipped assignment v9: KIP-814).
//!
//! Answered when the group's join phase ends: as long as that takes, the connection does nothing else.

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
use kafka_protocol::{
    messages::{JoinGroupRequest, JoinGroupResponse},
    protocol::StrBytes,
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: JoinGroupRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let member = request.member_id.clone();
    if let Err(error) = groups::named(&request.group_id) {
        return reply_to.ready(&shaped(refused(error, member), header.api_version));
    }
    let client = groups::client(context, header);
    let join = Request::Join(Box::new(request), header.api_version, client);
    Ok(groups::ask(context, "JoinGroup", join, move |_, reply| {
        let response = match reply {
            Ok(Response::Join(response)) => *response,
            Ok(_) => refused(WRONG_KIND, member.clone()),
            Err(error) => refused(told(error), member.clone()),
        };
        reply_to.encode(&shaped(response, reply_to.version))
    }))
}

fn refused(error: ErrorCode, member: StrBytes) -> JoinGroupResponse {
    JoinGroupResponse::default().with_error_code(error.code()).with_generation_id(-1).with_member_id(member)
}

/// The response as this version has it: what it lacks left out, and no null where it has none.
fn shaped(mut response: JoinGroupResponse, version: i16) -> JoinGroupResponse {
    if version < 7 {
        response.protocol_type = None;
        response.protocol_name.get_or_insert_default();
    }
    if version < 5 {
        response.members.iter_mut().for_each(|member| member.group_instance_id = None);
    }
    response
}
