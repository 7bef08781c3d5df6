//! ListConfigResources (key 74), versions 0-1 (client metrics only: KIP-1000; of every type: KIP-1142).
//!
//! Topics, brokers and their loggers are listed whether or not anything is set for them; groups and client metrics where
//! something is.

use super::{
    configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC},
    respond::{ReplyTo, text},
};
use crate::{
    engine::{Context, Start},
    error::ErrorCode,
    metadata::ConfigResource,
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    ListConfigResourcesRequest, ListConfigResourcesResponse, list_config_resources_response,
};

const TYPES: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: ListConfigResourcesRequest = decode_request(header, frame)?;
    let (reply_to, version) = (ReplyTo::new(header), header.api_version);
    if request.resource_types.iter().any(|kind| !TYPES.contains(kind)) {
        let response =
            ListConfigResourcesResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code());
        return reply_to.ready(&response);
    }
    let asked = |kind: i8| match version {
        0 => kind == CLIENT_METRICS,
        _ => request.resource_types.is_empty() || request.resource_types.contains(&kind),
    };
    let mut listed = Vec::new();
    let mut list = |kind: i8, name: String| {
        let mut resource =
            list_config_resources_response::ConfigResource::default().with_resource_name(text(name));
        // The type is of version 1; before it there is but one.
        if version >= 1 {
            resource.resource_type = kind;
        }
        listed.push(resource);
    };
    if asked(TOPIC) {
        context.image.topics().for_each(|topic| list(TOPIC, topic.name.to_string()));
    }
    for kind in [BROKER, BROKER_LOGGER].into_iter().filter(|kind| asked(*kind)) {
        context.image.brokers().for_each(|broker| list(kind, broker.id.to_string()));
    }
    for (resource, _) in context.image.configured() {
        match resource {
            ConfigResource::Group(name) if asked(GROUP) => list(GROUP, name.clone()),
            ConfigResource::ClientMetrics(name) if asked(CLIENT_METRICS) => {
                list(CLIENT_METRICS, name.clone());
            }
            _ => {}
        }
    }
    reply_to.ready(&ListConfigResourcesResponse::default().with_config_resources(listed))
}
