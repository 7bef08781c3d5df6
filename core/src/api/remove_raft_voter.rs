//! RemoveRaftVoter (key 81), version 0 (KIP-853): the quorum gets one voter less.

use super::{respond::ReplyTo, voters};
use crate::{
    controller::{ApiError, VoterChange},
    engine::{Context, Start},
    error::ErrorCode,
    ids::NodeId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};

/// The request names no time-out; less than clients wait.
const TIMEOUT_MS: i32 = 20_000;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: RemoveRaftVoterRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let change = change(context, &request);
    Ok(voters::ask(context, "RemoveRaftVoter", TIMEOUT_MS, change, move |error, message| {
        let response = RemoveRaftVoterResponse::default().with_error_code(error.code());
        reply_to.encode(&response.with_error_message(message))
    }))
}

fn change(context: &Context<'_>, request: &RemoveRaftVoterRequest) -> Result<VoterChange, ApiError> {
    voters::check_cluster(context, request.cluster_id.as_ref())?;
    let (voter, directory) = (NodeId(request.voter_id), request.voter_directory_id);
    if voter.0 < 0 || directory.is_nil() {
        let text = "Remove voter request didn't include a valid voter";
        return Err(ApiError::new(ErrorCode::InvalidRequest, text));
    }
    Ok(VoterChange::Remove { voter, directory: directory.as_u128() })
}
