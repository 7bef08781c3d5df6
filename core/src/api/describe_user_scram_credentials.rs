//! DescribeUserScramCredentials (key 50), version 0 (KIP-554): no one has credentials, since none can be given.

use super::respond::{ReplyTo, text, too_many};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::{
    messages::{
        DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
        describe_user_scram_credentials_response::DescribeUserScramCredentialsResult,
    },
    protocol::StrBytes,
};
use std::collections::BTreeMap;

pub(super) fn start(
    _context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: DescribeUserScramCredentialsRequest = decode_request(header, frame)?;
    if let Some(end) = too_many(request.users.as_ref().map_or(0, Vec::len)) {
        return Ok(end);
    }
    let mut times: BTreeMap<StrBytes, usize> = BTreeMap::new();
    for user in request.users.unwrap_or_default() {
        *times.entry(user.name).or_default() += 1;
    }
    let results = times.into_iter().map(|(user, times)| {
        let (error, words) = match times {
            1 => (ErrorCode::ResourceNotFound, "Attempt to describe a user credential that does not exist: "),
            _ => (
                ErrorCode::DuplicateResource,
                "Cannot describe SCRAM credentials for the same user twice in a single request: ",
            ),
        };
        DescribeUserScramCredentialsResult::default()
            .with_error_code(error.code())
            .with_error_message(Some(text(format!("{words}{}", user.as_str()))))
            .with_user(user)
    });
    let response = DescribeUserScramCredentialsResponse::default()
        .with_error_message(None)
        .with_results(results.collect());
    ReplyTo::new(header).ready(&response)
}
