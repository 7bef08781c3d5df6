//! DeleteAcls (key 31), versions 1-3: there is no authorizer, so there is nothing to delete, and every client is told
//! so.

use super::respond::{ReplyTo, text};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    DeleteAclsRequest, DeleteAclsResponse, delete_acls_response::DeleteAclsFilterResult,
};

pub(super) fn start(
    _context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DeleteAclsRequest = decode_request(header, frame)?;
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(ErrorCode::SecurityDisabled.code())
        .with_error_message(Some(text("No Authorizer is configured.")));
    let results = vec![refused; request.filters.len()];
    ReplyTo::new(header).ready(&DeleteAclsResponse::default().with_filter_results(results))
}
