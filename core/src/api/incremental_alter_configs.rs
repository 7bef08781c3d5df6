//! IncrementalAlterConfigs (key 44), versions 0-1 (KIP-339).

use super::{
    configs::resource,
    controlled::{self, WRONG_KIND},
    respond::{ReplyTo, text},
};
use crate::{
    controller::{AlterConfigsRequest, AlterResource, ConfigOp, ConfigOpKind},
    engine::{Context, ControllerRequest, ControllerResponse, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    incremental_alter_configs_request::AlterConfigsResource,
    incremental_alter_configs_response::AlterConfigsResourceResponse,
};

/// The request names no time-out; less than clients wait.
const TIMEOUT_MS: i32 = 20_000;

/// What a resource of the request became: an error found here, or its place among those the controller decides.
type Outcome = (i8, String, Result<usize, (ErrorCode, String)>);

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: IncrementalAlterConfigsRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    let mut asked: Vec<AlterResource> = Vec::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for change in request.resources {
        let (kind, name) = (change.resource_type, change.resource_name.to_string());
        let outcome =
            resource(kind, &name).and_then(|resource| Ok(AlterResource { resource, ops: ops(change)? }));
        outcomes.push((
            kind,
            name,
            outcome.map(|change| {
                asked.push(change);
                asked.len() - 1
            }),
        ));
    }
    let ask = ControllerRequest::AlterConfigs(AlterConfigsRequest {
        resources: asked,
        validate_only: request.validate_only,
    });
    Ok(controlled::ask(context, "IncrementalAlterConfigs", TIMEOUT_MS, ask, move |_, answer| {
        let results = match answer {
            Ok(ControllerResponse::AlterConfigs(results)) => Ok(results),
            Ok(_) => Err(WRONG_KIND),
            Err(error) => Err(error),
        };
        let responses = outcomes.iter().map(|(kind, name, outcome)| {
            let (error, message) = match (outcome, &results) {
                (Err((error, message)), _) => (*error, Some(message.clone())),
                (Ok(_), Err(error)) => (*error, None),
                (Ok(place), Ok(results)) => match results.get(*place).map(|result| &result.result) {
                    Some(Ok(())) => (ErrorCode::None, None),
                    Some(Err(error)) => (error.code, Some(error.message.clone())),
                    None => (WRONG_KIND, None),
                },
            };
            AlterConfigsResourceResponse::default()
                .with_error_code(error.code())
                .with_error_message(message.map(text))
                .with_resource_type(*kind)
                .with_resource_name(text(name.clone()))
        });
        reply_to.encode(&IncrementalAlterConfigsResponse::default().with_responses(responses.collect()))
    }))
}

fn ops(change: AlterConfigsResource) -> Result<Vec<ConfigOp>, (ErrorCode, String)> {
    let op = |config: kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig| {
        let kind = match config.config_operation {
            0 => ConfigOpKind::Set,
            1 => ConfigOpKind::Delete,
            2 => ConfigOpKind::Append,
            3 => ConfigOpKind::Subtract,
            other => {
                let text = format!("Unknown config operation {other} for {}", config.name.as_str());
                return Err((ErrorCode::InvalidRequest, text));
            }
        };
        Ok(ConfigOp {
            key: config.name.to_string(),
            kind,
            value: config.value.map(|value| value.to_string()),
        })
    };
    change.configs.into_iter().map(op).collect()
}
