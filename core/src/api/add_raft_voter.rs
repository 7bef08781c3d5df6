//! AddRaftVoter (key 80), version 0 (KIP-853): the quorum gets one more voter. The crate lacks version 1, whose one flag asks
//! for an answer before the change is committed.

use super::{
    respond::{ReplyTo, too_many},
    voters,
};
use crate::{
    controller::{ApiError, VoterChange},
    engine::{Context, Start},
    error::ErrorCode,
    ids::NodeId,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{AddRaftVoterRequest, AddRaftVoterResponse, add_raft_voter_request::Listener};

/// Characters of a host name, as DNS has it; it stays in the log of every voter.
const HOST_CHARACTERS_MAX: usize = 255;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: AddRaftVoterRequest = decode_request(header, frame)?;
    if let Some(end) = too_many(request.listeners.len()) {
        return Ok(end);
    }
    let reply_to = ReplyTo::new(header);
    let change = change(context, &request);
    Ok(voters::ask(context, "AddRaftVoter", request.timeout_ms, change, move |error, message| {
        let response = AddRaftVoterResponse::default().with_error_code(error.code());
        reply_to.encode(&response.with_error_message(message))
    }))
}

fn change(context: &Context<'_>, request: &AddRaftVoterRequest) -> Result<VoterChange, ApiError> {
    voters::check_cluster(context, request.cluster_id.as_ref())?;
    let invalid = |text: String| ApiError::new(ErrorCode::InvalidRequest, text);
    let (voter, directory) = (NodeId(request.voter_id), request.voter_directory_id);
    if voter.0 < 0 || directory.is_nil() {
        return Err(invalid("Add voter request didn't include a valid voter".to_owned()));
    }
    let default = &context.config.controller_listener;
    let listener = request.listeners.iter().find(|it| it.name.eq_ignore_ascii_case(default));
    let Some(Listener { host, port, .. }) = listener else {
        return Err(invalid(format!(
            "Add voter request didn't include the endpoint ({}) for the default listener ListenerName({default})",
            endpoints(&request.listeners)
        )));
    };
    // Kafka takes any host; here it would be a voter that can never be called.
    let is_host = !host.is_empty()
        && host.chars().count() <= HOST_CHARACTERS_MAX
        && !host.contains(|c: char| c.is_whitespace() || c.is_control() || "/[]@,".contains(c));
    if !is_host || *port == 0 {
        return Err(invalid(format!("Add voter request's endpoint {host:?}:{port} is no address")));
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    Ok(VoterChange::Add { voter, directory: directory.as_u128(), endpoint: format!("{host}:{port}") })
}

/// As Kafka writes `Endpoints`.
fn endpoints(listeners: &[Listener]) -> String {
    let one = |it: &Listener| {
        let name = it.name.to_ascii_uppercase();
        format!("ListenerName({name})={}/<unresolved>:{}", it.host, it.port)
    };
    let all: Vec<String> = listeners.iter().map(one).collect();
    format!("Endpoints(endpoints={{{}}})", all.join(", "))
}
