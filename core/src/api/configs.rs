//! Configurations as DescribeConfigs, CreateTopics and IncrementalAlterConfigs speak of them.

use crate::{
    config::{DescribedConfig, describe_broker, describe_topic},
    engine::Context,
    error::ErrorCode,
    ids::NodeId,
    metadata::ConfigResource,
};
use imbl::OrdMap;

/// Kafka's numbers of resource types (`ConfigResource.Type`).
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;

/// The resource that a type and a name mean.
pub(super) fn resource(kind: i8, name: &str) -> Result<ConfigResource, (ErrorCode, String)> {
    match kind {
        TOPIC => Ok(ConfigResource::Topic(name.into())),
        BROKER if name.is_empty() => Ok(ConfigResource::BrokerDefault),
        BROKER => name.parse().map(|id| ConfigResource::Broker(NodeId(id))).map_err(|_| {
            (ErrorCode::InvalidRequest, format!("Broker id must be an integer, but it is: {name}"))
        }),
        _ => Err((ErrorCode::InvalidRequest, format!("Unsupported resource type: {kind}"))),
    }
}

/// Every configuration of a resource, or those among `keys`.
pub(super) fn describe(
    context: &Context<'_>,
    kind: i8,
    name: &str,
    keys: Option<&[&str]>,
) -> Result<Vec<DescribedConfig>, (ErrorCode, String)> {
    match resource(kind, name)? {
        ConfigResource::Topic(name) => {
            let topic =
                context.image.topic(&name).ok_or((ErrorCode::UnknownTopicOrPartition, String::new()))?;
            Ok(describe_topic(context.config, &topic.configs, keys))
        }
        ConfigResource::Broker(id) if id == context.place.node => Ok(describe_broker(context.config, keys)),
        ConfigResource::BrokerDefault => {
            let dynamic = crate::config::ConfigSource::DynamicDefaultBroker;
            Ok(describe_broker(context.config, keys).into_iter().filter(|it| it.source == dynamic).collect())
        }
        ConfigResource::Broker(_) | ConfigResource::Group(_) | ConfigResource::ClientMetrics(_) => Err((
            ErrorCode::InvalidRequest,
            format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                context.place.node
            ),
        )),
    }
}

/// Every configuration of a topic with these overrides.
pub(super) fn defaults_of_topic(
    context: &Context<'_>,
    overrides: &OrdMap<String, String>,
) -> Vec<DescribedConfig> {
    describe_topic(context.config, overrides, None)
}
