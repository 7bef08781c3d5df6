//! What one group is told, and what it inherits from the broker (Kafka's `GroupConfig`).

use super::{
    broker::BrokerConfig,
    describe::{ConfigSource, DescribedConfig, Synonym},
    table::{self, Row},
};
use imbl::OrdMap;

/// A consumer group's settings (KIP-848): its own, else the broker's. All in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `consumer.session.timeout.ms`: without a heartbeat for so long a member is removed.
    pub consumer_session_timeout_ms: i32,
    /// `consumer.heartbeat.interval.ms`: how often members are told to report.
    pub consumer_heartbeat_interval_ms: i32,
    /// `consumer.assignment.interval.ms`: the least time between two assignments.
    pub consumer_assignment_interval_ms: i32,
}

impl GroupConfig {
    /// The group's own settings over the broker's (`image.configs(&ConfigResource::Group(id))`). A setting that the
    /// broker's bounds (`group.consumer.min.…`, `group.consumer.max.…`) no longer allow, because they were changed
    /// after it was made, counts as the nearest bound. One that does not read is passed over.
    pub fn resolve(broker: &BrokerConfig, overrides: &OrdMap<String, String>) -> GroupConfig {
        let view = View { broker, overrides };
        GroupConfig {
            consumer_session_timeout_ms: view.clamped("consumer.session.timeout.ms"),
            consumer_heartbeat_interval_ms: view.clamped("consumer.heartbeat.interval.ms"),
            consumer_assignment_interval_ms: view.clamped("consumer.assignment.interval.ms"),
        }
    }
}

struct View<'a> {
    broker: &'a BrokerConfig,
    overrides: &'a OrdMap<String, String>,
}

impl View<'_> {
    fn own(&self, row: &Row) -> Option<&str> {
        let value = self.overrides.get(row.name)?.trim();
        row.check(value).is_ok().then_some(value)
    }

    fn effective(&self, row: &Row) -> String {
        let inherited = || broker_row_of(row.name).and_then(|broker| self.broker.settings.text(broker.name));
        let default = || row.default.unwrap_or_default();
        self.own(row).or_else(inherited).unwrap_or_else(default).to_owned()
    }

    fn int(&self, name: &str) -> i32 {
        let row = table::group_row(name).expect("named in this file, and a test resolves them all");
        self.effective(row).parse().expect("only checked values apply, and a default exists")
    }

    fn bound(&self, row: Option<&'static Row>) -> Option<i32> {
        row.map(|row| self.broker.settings.int(row.name))
    }

    /// The broker's bounds hold what a group asks for, not what the broker itself is told.
    fn clamped(&self, name: &str) -> i32 {
        let value = self.int(name);
        if !self.overrides.contains_key(name) {
            return value;
        }
        let least = self.bound(bound_row(name, "min")).unwrap_or(i32::MIN);
        let most = self.bound(bound_row(name, "max")).unwrap_or(i32::MAX);
        // Not `clamp`, which panics where an operator has the bounds the wrong way round.
        value.max(least).min(most)
    }
}

/// The broker's setting of the same meaning, which stands where the group has none of its own.
fn broker_row_of(name: &str) -> Option<&'static Row> {
    table::broker_row(&format!("group.{name}"))
}

/// The broker's setting that bounds a group's: `group.consumer.min.session.timeout.ms` for
/// `consumer.session.timeout.ms`.
fn bound_row(name: &str, side: &str) -> Option<&'static Row> {
    let (kind, rest) = name.split_once('.')?;
    // The one whose bound has another name.
    let rest = if name == "streams.num.standby.replicas" { "standby.replicas" } else { rest };
    table::broker_row(&format!("group.{kind}.{side}.{rest}"))
}

/// Whether a group setting may have this value, whatever else is set.
///
/// # Errors
/// Kafka's text, for INVALID_CONFIG.
pub fn validate(name: &str, value: &str) -> Result<(), String> {
    let row = table::group_row(name).ok_or_else(|| format!("Unknown group config name: {name}"))?;
    row.check(value)
}

/// Whether a group's settings agree with the broker's bounds and with each other; each was validated by itself.
///
/// # Errors
/// Kafka's text, for INVALID_CONFIG.
pub fn validate_together(broker: &BrokerConfig, overrides: &OrdMap<String, String>) -> Result<(), String> {
    let view = View { broker, overrides };
    for row in table::GROUP {
        if let Some(least) = bound_row(row.name, "min")
            && view.int(row.name) < broker.settings.int(least.name)
        {
            return Err(format!("{} must be greater than or equal to {}", row.name, least.name));
        }
        if let Some(most) = bound_row(row.name, "max")
            && view.int(row.name) > broker.settings.int(most.name)
        {
            return Err(format!("{} must be less than or equal to {}", row.name, most.name));
        }
    }
    for kind in ["consumer", "share", "streams"] {
        let session = format!("{kind}.session.timeout.ms");
        let heartbeat = format!("{kind}.heartbeat.interval.ms");
        if view.int(&session) <= view.int(&heartbeat) {
            return Err(format!("{session} must be greater than {heartbeat}"));
        }
    }
    Ok(())
}

/// Every setting of a group, or those among `keys`, as DescribeConfigs tells it, in the order of names.
pub fn describe_group(
    broker: &BrokerConfig,
    overrides: &OrdMap<String, String>,
    keys: Option<&[&str]>,
) -> Vec<DescribedConfig> {
    let view = View { broker, overrides };
    let told = table::GROUP.iter().filter(|row| keys.is_none_or(|keys| keys.contains(&row.name)));
    told.map(|row| {
        let own = view.own(row).map(|value| Synonym {
            name: row.name,
            value: Some(value.to_owned()),
            source: ConfigSource::Group,
        });
        let inherited = match broker_row_of(row.name) {
            Some(broker_row) => broker.settings.synonyms(&[broker_row.name]),
            None => {
                let value = row.default.map(str::to_owned);
                vec![Synonym { name: row.name, value, source: ConfigSource::Default }]
            }
        };
        let synonyms: Vec<_> = own.into_iter().chain(inherited).collect();
        DescribedConfig::alterable(row, Some(view.effective(row)), synonyms)
    })
    .collect()
}

#[cfg(test)]
mod tests;
