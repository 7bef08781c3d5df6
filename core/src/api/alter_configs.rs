//! AlterConfigs (key 33), versions 0-2 (KIP-133): what is set and not named gets its default again, which is why
//! Kafka's own clients ask [IncrementalAlterConfigs](super::incremental_alter_configs) instead.

use super::{
    alterations::{self, Mode, Wanted, responses},
    respond::{ReplyTo, too_many},
};
use crate::{
    controller::{ConfigOp, ConfigOpKind},
    engine::{Context, Start},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, alter_configs_request::AlterableConfig,
    alter_configs_response::AlterConfigsResourceResponse,
};

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: AlterConfigsRequest = decode_request(header, frame)?;
    if let Some(end) = too_many(request.resources.len()) {
        return Ok(end);
    }
    let reply_to = ReplyTo::new(header);
    let mode = Mode { name: "AlterConfigs", replaces: true, validate_only: request.validate_only };
    let set = |config: AlterableConfig| ConfigOp {
        key: config.name.to_string(),
        kind: ConfigOpKind::Set,
        value: config.value.map(|value| value.to_string()),
    };
    let wanted = request.resources.into_iter().map(|change| Wanted {
        kind: change.resource_type,
        name: change.resource_name.to_string(),
        ops: Ok(change.configs.into_iter().map(set).collect()),
    });
    Ok(alterations::ask(context, mode, wanted.collect(), move |altered| {
        let responses = responses!(AlterConfigsResourceResponse, altered);
        reply_to.encode(&AlterConfigsResponse::default().with_responses(responses))
    }))
}
