//! DeleteGroups (key 42), versions 0-2 (KIP-229).

use super::{
    groups::{self, WRONG_KIND, told},
    respond::{ReplyTo, too_many},
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    groups::{Request, Response},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, delete_groups_response::DeletableGroupResult,
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DeleteGroupsRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let names = request.groups_names;
    if let Some(refusal) = too_many(names.len()) {
        return Ok(refusal);
    }
    let requests = names.iter().map(|name| groups::named(name).map(Request::Delete)).collect();
    Ok(groups::ask_each(context, "DeleteGroups", requests, move |_, replies| {
        let results = names.iter().zip(replies).map(|(name, reply)| {
            let error = match reply {
                Ok(Response::Done) => ErrorCode::None,
                Ok(_) => WRONG_KIND,
                Err(error) => told(error),
            };
            DeletableGroupResult::default().with_group_id(name.clone()).with_error_code(error.code())
        });
        reply_to.encode(&DeleteGroupsResponse::default().with_results(results.collect()))
    }))
}
