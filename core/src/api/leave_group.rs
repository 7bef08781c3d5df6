//! LeaveGroup (key 13), versions 0-5 (several members v3: KIP-345; reason v5: KIP-800).

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
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse, leave_group_request::MemberIdentity};

/// The first version in which several members may leave at once.
const SEVERAL_FROM: i16 = 3;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let mut request: LeaveGroupRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    if header.api_version < SEVERAL_FROM {
        request.members = vec![MemberIdentity::default().with_member_id(request.member_id.clone())];
    }
    let refused = |error: ErrorCode| LeaveGroupResponse::default().with_error_code(error.code());
    if let Err(error) = groups::named(&request.group_id) {
        return reply_to.ready(&refused(error));
    }
    Ok(groups::ask(context, "LeaveGroup", Request::Leave(request), move |_, reply| {
        let mut response = match reply {
            Ok(Response::Leave(response)) => response,
            Ok(_) => refused(WRONG_KIND),
            Err(error) => refused(told(error)),
        };
        if reply_to.version < SEVERAL_FROM
            && let Some(member) = std::mem::take(&mut response.members).first()
        {
            response.error_code = member.error_code;
        }
        reply_to.encode(&response)
    }))
}
