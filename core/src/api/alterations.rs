//! Configurations that are altered: what IncrementalAlterConfigs and AlterConfigs have in common.

use super::{
    configs::resource_to_alter,
    controlled::{self, WRONG_KIND},
};
use crate::{
    controller::{AlterConfigsRequest, AlterResource, ConfigOp},
    engine::{Context, ControllerRequest, ControllerResponse, Response, Start},
    error::ErrorCode,
};

/// The requests name no time-out; less than clients wait.
const TIMEOUT_MS: i32 = 20_000;

/// A refusal of a resource, by code and words.
pub(super) type Refusal = (ErrorCode, String);

/// What a request wants of one resource.
pub(super) struct Wanted {
    pub kind: i8,
    pub name: String,
    pub ops: Result<Vec<ConfigOp>, Refusal>,
}

/// What became of one resource.
pub(super) struct Altered {
    pub kind: i8,
    pub name: String,
    pub error: ErrorCode,
    pub message: Option<String>,
}

/// How a request alters.
pub(super) struct Mode {
    /// The key, for the trace.
    pub name: &'static str,
    /// What is set and not named gets its default again.
    pub replaces: bool,
    pub validate_only: bool,
}

/// Asks the controller; `encode` gets one result per resource, in the request's order.
pub(super) fn ask(
    context: &Context<'_>,
    mode: Mode,
    wanted: Vec<Wanted>,
    mut encode: impl FnMut(Vec<Altered>) -> Response + 'static,
) -> Start {
    let mut asked: Vec<AlterResource> = Vec::new();
    // An error found here, or the place among those the controller decides.
    let mut outcomes: Vec<(i8, String, Result<usize, Refusal>)> = Vec::new();
    for Wanted { kind, name, ops } in wanted {
        let resource = ops.and_then(|ops| Ok((resource_to_alter(context, kind, &name)?, ops)));
        let outcome = resource.map(|(resource, ops)| {
            asked.push(AlterResource { resource, ops, replaces: mode.replaces });
            asked.len() - 1
        });
        outcomes.push((kind, name, outcome));
    }
    let request = AlterConfigsRequest { resources: asked, validate_only: mode.validate_only };
    let ask = ControllerRequest::AlterConfigs(request);
    controlled::ask(context, mode.name, TIMEOUT_MS, ask, move |_, answer| {
        let results = match answer {
            Ok(ControllerResponse::AlterConfigs(results)) => Ok(results),
            Ok(_) => Err(WRONG_KIND),
            Err(error) => Err(error),
        };
        let altered = outcomes.iter().map(|(kind, name, outcome)| {
            let (error, message) = match (outcome, &results) {
                (Err((error, message)), _) => (*error, Some(message.clone())),
                (Ok(_), Err(error)) => (*error, None),
                (Ok(place), Ok(results)) => match results.get(*place).map(|result| &result.result) {
                    Some(Ok(())) => (ErrorCode::None, None),
                    Some(Err(error)) => (error.code, Some(error.message.clone())),
                    None => (WRONG_KIND, None),
                },
            };
            Altered { kind: *kind, name: name.clone(), error, message }
        });
        encode(altered.collect())
    })
}
