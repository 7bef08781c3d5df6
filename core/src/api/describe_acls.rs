//! DescribeAcls (key 29), versions 1-3: there is no authorizer, and every client is told so.

use super::respond::{ReplyTo, text};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};

pub(super) fn start(
    _context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let _: DescribeAclsRequest = decode_request(header, frame)?;
    let response = DescribeAclsResponse::default()
        .with_error_code(ErrorCode::SecurityDisabled.code())
        .with_error_message(Some(text("No Authorizer is configured on the broker")));
    ReplyTo::new(header).ready(&response)
}
