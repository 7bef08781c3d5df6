//! The levels of this broker's loggers (KIP-412): one shard keeps them, and is asked.

use super::{alterations::Refusal, respond::text};
use crate::{
    engine::{Ask, Context, LOGGERS_SHARD, LoggersChange, LoggersRequest, OwnerRequest},
    error::ErrorCode,
    ids::NodeId,
    loggers::Level,
};
use kafka_protocol::{
    messages::describe_configs_response::DescribeConfigsResourceResult, protocol::StrBytes,
};

/// `DescribeConfigsResponse.ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG`.
const SOURCE: i8 = 6;

/// Asks for all levels.
pub(super) fn ask_levels() -> Ask {
    Ask::Owner(LOGGERS_SHARD, OwnerRequest::Loggers(LoggersRequest::Levels))
}

/// Asks for levels to be altered.
pub(super) fn ask_to_alter(changes: Vec<LoggersChange>, validate_only: bool) -> Ask {
    Ask::Owner(LOGGERS_SHARD, OwnerRequest::Loggers(LoggersRequest::Alter { changes, validate_only }))
}

/// Whether the loggers of a broker of this name can be described.
pub(super) fn describable(context: &Context<'_>, name: &str) -> Result<(), Refusal> {
    let this = context.place.node;
    let refused = |text: String| Err((ErrorCode::InvalidRequest, text));
    match name.parse() {
        _ if name.is_empty() => refused("Broker id must not be empty".to_owned()),
        Ok(id) if NodeId(id) == this => Ok(()),
        Ok(_) => refused(format!("Unexpected broker id, expected {this} but received {name}")),
        Err(_) => refused(format!("Broker id must be an integer, but it is: {name}")),
    }
}

/// Whether the loggers of a broker of this name can be altered.
pub(super) fn alterable(context: &Context<'_>, name: &str) -> Result<(), Refusal> {
    let this = context.place.node;
    let refused = |text: String| Err((ErrorCode::InvalidRequest, text));
    match name.parse().map(NodeId) {
        Ok(id) if id == this => Ok(()),
        Ok(id) => refused(format!("Unexpected node id. Expected {this}, but received {id}")),
        Err(_) => refused(format!("Node id must be an integer, but it is: {name}")),
    }
}

/// Loggers with their levels, or those among `keys`; none named is all.
pub(super) fn described(
    levels: &[(String, Level)],
    keys: Option<&[StrBytes]>,
) -> Vec<DescribeConfigsResourceResult> {
    let keys = keys.filter(|keys| !keys.is_empty());
    let wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name));
    let told = levels.iter().filter(|(name, _)| wanted(name)).map(|(name, level)| {
        DescribeConfigsResourceResult::default()
            .with_name(text(name.clone()))
            .with_value(Some(text(level.name())))
            .with_config_source(SOURCE)
    });
    told.collect()
}
