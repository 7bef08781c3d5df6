//! Configurations as DescribeConfigs, CreateTopics, AlterConfigs and their kin speak of them.

use super::alterations::Refusal;
use crate::{
    config::{
        DescribedConfig, describe_broker, describe_broker_default, describe_client_metrics, describe_group,
        describe_topic,
    },
    engine::Context,
    error::ErrorCode,
    ids::NodeId,
    metadata::{ConfigResource, validate_topic_name},
};
use imbl::OrdMap;

/// Kafka's numbers of resource types (`ConfigResource.Type`).
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

fn invalid<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err((ErrorCode::InvalidRequest, text.into()))
}

/// The resource that a type and a name mean to who alters it.
pub(super) fn resource_to_alter(
    context: &Context<'_>,
    kind: i8,
    name: &str,
) -> Result<ConfigResource, Refusal> {
    let this = context.place.node;
    match kind {
        TOPIC if name.is_empty() => invalid("Default topic resources are not allowed."),
        TOPIC => Ok(ConfigResource::Topic(name.into())),
        BROKER if name.is_empty() => Ok(ConfigResource::BrokerDefault),
        // A broker is asked for itself: it alone knows what it can do with a setting.
        BROKER => match name.parse() {
            Ok(id) if NodeId(id) == this => Ok(ConfigResource::Broker(this)),
            Ok(_) => invalid(format!("Unexpected broker id, expected {this}, but received {name}")),
            Err(_) => invalid(format!("Node id must be an integer, but it is: {name}")),
        },
        CLIENT_METRICS if name.is_empty() => invalid("Subscription name can't be empty"),
        CLIENT_METRICS => Ok(ConfigResource::ClientMetrics(name.to_owned())),
        GROUP if name.is_empty() => invalid("Default group resources are not allowed."),
        GROUP => Ok(ConfigResource::Group(name.to_owned())),
        _ => invalid(format!("Unknown resource type {kind}")),
    }
}

/// Every configuration of a resource, or those among `keys`; none named is all, as in Kafka.
pub(super) fn describe(
    context: &Context<'_>,
    kind: i8,
    name: &str,
    keys: Option<&[&str]>,
) -> Result<Vec<DescribedConfig>, Refusal> {
    let keys = keys.filter(|keys| !keys.is_empty());
    let set = |resource: ConfigResource| context.image.configs(&resource);
    match kind {
        TOPIC => {
            validate_topic_name(name).map_err(|text| (ErrorCode::InvalidTopicException, text))?;
            let topic =
                context.image.topic(name).ok_or((ErrorCode::UnknownTopicOrPartition, String::new()))?;
            Ok(describe_topic(context.config, &topic.configs, keys))
        }
        BROKER if name.is_empty() => Ok(describe_broker_default(context.config, keys)),
        BROKER => match name.parse() {
            Ok(id) if NodeId(id) == context.place.node => Ok(describe_broker(context.config, keys)),
            Ok(_) => invalid(format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                context.place.node
            )),
            Err(_) => invalid(format!("Broker id must be an integer, but it is: {name}")),
        },
        CLIENT_METRICS if name.is_empty() => invalid("Client metrics subscription name must not be empty"),
        CLIENT_METRICS => {
            Ok(describe_client_metrics(&set(ConfigResource::ClientMetrics(name.to_owned())), keys))
        }
        GROUP if name.is_empty() => invalid("Group name must not be empty"),
        GROUP => Ok(describe_group(context.config, &set(ConfigResource::Group(name.to_owned())), keys)),
        _ => invalid(format!("Unsupported resource type: {kind}")),
    }
}

/// Every configuration of a topic with these overrides.
pub(super) fn defaults_of_topic(
    context: &Context<'_>,
    overrides: &OrdMap<String, String>,
) -> Vec<DescribedConfig> {
    describe_topic(context.config, overrides, None)
}
