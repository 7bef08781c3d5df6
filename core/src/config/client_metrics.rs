//! Subscriptions of client metrics (KIP-714). They are kept and described; no client is asked to push, because
//! telemetry is not served, as in a Kafka without a plugin that takes metrics.

use super::{
    describe::{ConfigSource, DescribedConfig, Synonym},
    table,
};
use crate::error::ErrorCode;
use imbl::OrdMap;

/// Milliseconds, from 100 to one hour (`ClientMetricsConfigs.MIN_INTERVAL_MS`, `MAX_INTERVAL_MS`).
const INTERVAL_MS: std::ops::RangeInclusive<i64> = 100..=3_600_000;

/// What a subscription can tell clients apart by (`ClientMetricsConfigs.ALLOWED_MATCH_PARAMS`).
const PROPERTIES: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Whether a subscription's setting may have this value. Whether a pattern is a regular expression is not looked at:
/// none is ever matched.
///
/// # Errors
/// Kafka's code and text.
pub fn validate(name: &str, value: &str) -> Result<(), (ErrorCode, String)> {
    let Some(row) = table::client_metrics_row(name) else {
        return Err((ErrorCode::InvalidRequest, format!("Unknown client metrics configuration: {name}")));
    };
    row.check(value).map_err(|text| (ErrorCode::InvalidConfig, text))?;
    let value = value.trim();
    if name == "interval.ms" && value.parse().is_ok_and(|interval| !INTERVAL_MS.contains(&interval)) {
        let text =
            format!("Invalid value {value} for {name}, interval must be between 100 and 3600000 (1 hour)");
        return Err((ErrorCode::InvalidRequest, text));
    }
    let is_pattern = |item: &str| {
        let mut parts = item.split('=');
        let property = parts.next().is_some_and(|property| PROPERTIES.contains(&property.trim()));
        property && parts.next().is_some_and(|pattern| !pattern.is_empty()) && parts.next().is_none()
    };
    if name == "match"
        && let Some(wrong) = table::list(value).find(|item| !is_pattern(item))
    {
        return Err((ErrorCode::InvalidConfig, format!("Illegal client matching pattern: {wrong}")));
    }
    Ok(())
}

/// Every setting of a subscription, or those among `keys`, as DescribeConfigs tells it, in the order of names.
pub fn describe_client_metrics(
    overrides: &OrdMap<String, String>,
    keys: Option<&[&str]>,
) -> Vec<DescribedConfig> {
    let told = table::CLIENT_METRICS.iter().filter(|row| keys.is_none_or(|keys| keys.contains(&row.name)));
    told.map(|row| {
        let own = overrides.get(row.name).map(|value| value.trim().to_owned());
        let synonyms: Vec<_> = own
            .iter()
            .map(|value| Synonym {
                name: row.name,
                value: Some(value.clone()),
                source: ConfigSource::ClientMetrics,
            })
            .collect();
        DescribedConfig::alterable(row, own.or_else(|| row.default.map(str::to_owned)), synonyms)
    })
    .collect()
}

#[cfg(test)]
mod tests;
