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

/// The longest value of `match`: whoever writes it chooses what compiling costs, half a millisecond for a Unicode class
/// of two bytes (`\w` under `(?i)`). Kafka has no bound of its own.
const MATCH_BYTES_MAX: usize = 512;

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Whether a subscription's setting may have this value. Patterns are compiled, though no client is asked to match one.
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
    let is_list = matches!(name, "match" | "metrics") && !value.is_empty();
    if is_list && value.split(',').any(|item| item.trim().is_empty()) {
        let text = format!("Configuration '{name}' values must not be empty.");
        return Err((ErrorCode::InvalidConfig, text));
    }
    if name == "match" && value.len() > MATCH_BYTES_MAX {
        return Err((ErrorCode::InvalidConfig, format!("{name} is longer than {MATCH_BYTES_MAX} bytes")));
    }
    if name == "match"
        && let Some(wrong) = table::list(value).find(|item| !is_pattern(item))
    {
        return Err((ErrorCode::InvalidConfig, format!("Illegal client matching pattern: {wrong}")));
    }
    Ok(())
}

/// Whether it is a property that is known, `=`, and a regular expression (`parseMatchingPatterns`). Kafka splits with
/// Java's `String.split`, which drops what is empty at the end. Java's syntax as far as the fancy-regex crate has it,
/// which is nearly all.
fn is_pattern(item: &str) -> bool {
    let mut parts: Vec<&str> = item.split('=').collect();
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    let [property, pattern] = parts[..] else { return false };
    let compiled = || {
        fancy_regex::RegexBuilder::new(pattern.trim()).delegate_size_limit(PATTERN_BYTES_MAX).build().is_ok()
    };
    PROPERTIES.contains(&property.trim()) && compiled()
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
