//! What AddRaftVoter and RemoveRaftVoter share.

use super::{
    controlled::{self, WRONG_KIND},
    respond::text,
};
use crate::{
    controller::{ApiError, VoterChange},
    engine::{Context, ControllerRequest, ControllerResponse, Response, Start},
    error::ErrorCode,
};
use kafka_protocol::protocol::StrBytes;

/// A request that names a cluster means that one only.
pub(super) fn check_cluster(context: &Context<'_>, named: Option<&StrBytes>) -> Result<(), ApiError> {
    let known = context.image.cluster_id().map_or("", |id| &**id);
    match named {
        Some(named) if named.as_str() != known => Err(ApiError::new(
            ErrorCode::InconsistentClusterId,
            format!("The given id \"{named}\" doesn't match the cluster id \"{known}\""),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Asks the controller for the change, if the request means one; `encode` makes the response.
pub(super) fn ask(
    context: &Context<'_>,
    name: &'static str,
    timeout_ms: i32,
    change: Result<VoterChange, ApiError>,
    encode: impl Fn(ErrorCode, Option<StrBytes>) -> Response + 'static,
) -> Start {
    let answer = move |result: Result<(), ApiError>| match result {
        Ok(()) => encode(ErrorCode::None, None),
        Err(error) => encode(error.code, Some(text(error.message))),
    };
    let request = match change {
        Ok(change) => ControllerRequest::ChangeVoters(change),
        Err(error) => return Start::Ready(answer(Err(error))),
    };
    controlled::ask(context, name, timeout_ms, request, move |_, told| {
        answer(match told {
            Ok(ControllerResponse::ChangeVoters(result)) => result,
            Ok(_) => Err(ApiError::new(WRONG_KIND, WRONG_KIND.name())),
            Err(error) => Err(ApiError::new(error, error.name())),
        })
    })
}
