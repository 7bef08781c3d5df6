//! CreateAcls (key 30), versions 1-3: there is no authorizer, so nothing is created, and every client is told so.

use super::respond::{ReplyTo, text};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, create_acls_response::AclCreationResult,
};

pub(super) fn start(
    _context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: CreateAclsRequest = decode_request(header, frame)?;
    let refused = AclCreationResult::default()
        .with_error_code(ErrorCode::SecurityDisabled.code())
        .with_error_message(Some(text("No Authorizer is configured.")));
    let results = vec![refused; request.creations.len()];
    ReplyTo::new(header).ready(&CreateAclsResponse::default().with_results(results))
}
