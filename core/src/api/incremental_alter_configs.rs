//! IncrementalAlterConfigs (key 44), versions 0-1 (KIP-339; levels of loggers: KIP-412).

use super::{
    alterations::{self, Mode, Refusal, Wanted, responses},
    respond::{ReplyTo, too_many},
};
use crate::{
    controller::{ConfigOp, ConfigOpKind},
    engine::{Context, Start},
    error::ErrorCode,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    incremental_alter_configs_response::AlterConfigsResourceResponse,
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: IncrementalAlterConfigsRequest = decode_request(header, frame)?;
    if let Some(end) = too_many(request.resources.len()) {
        return Ok(end);
    }
    let reply_to = ReplyTo::new(header);
    let mode =
        Mode { name: "IncrementalAlterConfigs", replaces: false, validate_only: request.validate_only };
    let wanted = request.resources.into_iter().map(|change| Wanted {
        kind: change.resource_type,
        name: change.resource_name.to_string(),
        ops: ops(change),
    });
    Ok(alterations::ask(context, mode, wanted.collect(), move |altered| {
        let responses = responses!(AlterConfigsResourceResponse, altered);
        reply_to.encode(&IncrementalAlterConfigsResponse::default().with_responses(responses))
    }))
}

fn ops(change: AlterConfigsResource) -> Result<Vec<ConfigOp>, Refusal> {
    let op = |config: AlterableConfig| {
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
