//! IncrementalAlterConfigs (KIP-339), and AlterConfigs (KIP-133), which it replaces.

use super::{ApiError, Controller, Decision, limits};
use crate::{
    error::ErrorCode,
    metadata::{ConfigResource, Precondition, Record},
};
use imbl::{OrdMap, ordmap::DiffItem};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Configurations to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterConfigsRequest {
    /// Each is changed or refused as a whole.
    pub resources: Vec<AlterResource>,
    /// Answer as if, but change nothing.
    pub validate_only: bool,
}

/// What to change about a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterResource {
    /// The resource.
    pub resource: ConfigResource,
    /// In any order; no key twice.
    pub ops: Vec<ConfigOp>,
    /// Whatever is set and not among `ops` gets its default again (AlterConfigs).
    pub replaces: bool,
}

/// What to do with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigOp {
    /// Kafka's name of it.
    pub key: String,
    /// What to do.
    pub kind: ConfigOpKind,
    /// With what; only a deletion can do without.
    pub value: Option<String>,
}

/// Kafka's operations on a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigOpKind {
    /// It has this value now.
    Set,
    /// It has its default again.
    Delete,
    /// These are in the list too.
    Append,
    /// These are in the list no longer.
    Subtract,
}

/// What became of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceResult {
    /// The resource.
    pub resource: ConfigResource,
    /// What became of it.
    pub result: Result<(), ApiError>,
}

impl Controller {
    /// Decides on configurations to change. Every resource of the request has one result, in the request's order.
    pub fn alter_configs(&mut self, request: &AlterConfigsRequest) -> Decision<Vec<ResourceResult>> {
        let mut occurrences: BTreeMap<&ConfigResource, usize> = BTreeMap::new();
        request.resources.iter().for_each(|change| *occurrences.entry(&change.resource).or_default() += 1);
        let (mut preconditions, mut records, mut results) = (Vec::new(), Vec::new(), Vec::new());
        for change in &request.resources {
            let result = if occurrences[&change.resource] > 1 {
                Err(ApiError::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."))
            } else {
                self.alter_resource(change).map(|mut new| {
                    preconditions.extend(self.must_still_exist(&change.resource));
                    records.append(&mut new);
                })
            };
            results.push(ResourceResult { resource: change.resource.clone(), result });
        }
        if request.validate_only {
            return self.unchanged(results);
        }
        self.propose(preconditions, records, results).unwrap_or_else(|error| {
            let refuse = |change: &AlterResource| ResourceResult {
                resource: change.resource.clone(),
                result: Err(error.clone()),
            };
            self.unchanged(request.resources.iter().map(refuse).collect())
        })
    }

    fn must_still_exist(&self, resource: &ConfigResource) -> Option<Precondition> {
        match resource {
            ConfigResource::Topic(name) => {
                self.speculative.topic(name).map(|topic| Precondition::TopicExists(topic.id))
            }
            ConfigResource::Broker(_)
            | ConfigResource::BrokerDefault
            | ConfigResource::Group(_)
            | ConfigResource::ClientMetrics(_) => None,
        }
    }

    fn alter_resource(&self, change: &AlterResource) -> Result<Vec<Record>, ApiError> {
        check_form(&change.ops)?;
        self.check_exists(&change.resource)?;
        let before = self.speculative.configs(&change.resource);
        let mut after = if change.replaces { OrdMap::new() } else { before.clone() };
        for op in &change.ops {
            match self.value_after(&change.resource, op, before.get(&op.key))? {
                Some(value) => drop(after.insert(op.key.clone(), value)),
                None => drop(after.remove(&op.key)),
            }
        }
        self.check_configs(&change.resource, &after)?;
        Ok(differences(&change.resource, &before, &after))
    }

    fn check_exists(&self, resource: &ConfigResource) -> Result<(), ApiError> {
        match resource {
            ConfigResource::Topic(name) if self.speculative.topic(name).is_none() => Err(ApiError::new(
                ErrorCode::UnknownTopicOrPartition,
                format!("The topic '{name}' does not exist."),
            )),
            ConfigResource::Broker(id) if self.speculative.broker(*id).is_none() => {
                Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, format!("No node with id {id} found.")))
            }
            ConfigResource::Topic(_)
            | ConfigResource::Broker(_)
            | ConfigResource::BrokerDefault
            | ConfigResource::Group(_)
            | ConfigResource::ClientMetrics(_) => Ok(()),
        }
    }

    /// What a configuration is after an operation; `None`: its default.
    fn value_after(
        &self,
        resource: &ConfigResource,
        op: &ConfigOp,
        old: Option<&String>,
    ) -> Result<Option<String>, ApiError> {
        let rules = &self.settings.config_rules;
        let (verb, given) = match (op.kind, &op.value) {
            (ConfigOpKind::Delete, _) | (_, None) => return Ok(None),
            (ConfigOpKind::Set, Some(value)) => return Ok(Some(value.clone())),
            (ConfigOpKind::Append, Some(value)) => ("APPEND", value),
            (ConfigOpKind::Subtract, Some(value)) => ("SUBTRACT", value),
        };
        if !rules.is_list(resource, &op.key) {
            return Err(ApiError::new(ErrorCode::InvalidConfig, not_a_list(resource, verb, &op.key)));
        }
        let start = old.cloned().or_else(|| rules.default_value(resource, &op.key)).unwrap_or_default();
        let mut list: Vec<&str> = start.split(',').filter(|part| !part.is_empty()).collect();
        for part in given.split(',') {
            let position = list.iter().position(|known| *known == part);
            match (op.kind, position) {
                (ConfigOpKind::Append, None) => list.push(part),
                (ConfigOpKind::Subtract, Some(position)) => drop(list.remove(position)),
                (ConfigOpKind::Append, Some(_)) | (ConfigOpKind::Subtract, None) => {}
                (ConfigOpKind::Set | ConfigOpKind::Delete, _) => {}
            }
        }
        Ok(Some(list.join(",")))
    }

    /// Whether a resource may have these configurations.
    pub(super) fn check_configs(
        &self,
        resource: &ConfigResource,
        configs: &OrdMap<String, String>,
    ) -> Result<(), ApiError> {
        for (key, value) in configs {
            if value.len() > limits::CONFIG_VALUE_BYTES_MAX {
                return Err(ApiError::new(
                    ErrorCode::InvalidConfig,
                    format!(
                        "The configuration value cannot be added because it exceeds the maximum value size of {} bytes.",
                        limits::CONFIG_VALUE_BYTES_MAX
                    ),
                ));
            }
            self.settings.config_rules.check(resource, key, value)?;
        }
        self.settings.config_rules.check_together(resource, configs)
    }
}

/// Whether operations make sense together, whatever they are about (Kafka's `ConfigAdminManager.preprocess`).
pub(crate) fn check_form(ops: &[ConfigOp]) -> Result<(), ApiError> {
    let mut keys = BTreeSet::new();
    if !ops.iter().all(|op| keys.insert(&op.key)) {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "Error due to duplicate config keys"));
    }
    let is_null = |op: &&ConfigOp| op.kind != ConfigOpKind::Delete && op.value.is_none();
    let nulls: Vec<&str> = ops.iter().filter(is_null).map(|op| op.key.as_str()).collect();
    if nulls.is_empty() {
        return Ok(());
    }
    let text = format!("Null value not supported for : {}", nulls.join(", "));
    Err(ApiError::new(ErrorCode::InvalidRequest, text))
}

/// Why a value cannot be appended to: Kafka's brokers look at their own settings with words of their own.
fn not_a_list(resource: &ConfigResource, verb: &str, key: &str) -> String {
    match resource {
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => {
            format!("Config value {} is not allowed for config key: {key}", verb.to_ascii_lowercase())
        }
        ConfigResource::Topic(_) | ConfigResource::Group(_) | ConfigResource::ClientMetrics(_) => {
            format!("Can't {verb} to key {key} because its type is not LIST.")
        }
    }
}

/// The records that lead from one state of a resource to another, in the order of keys.
fn differences(
    resource: &ConfigResource,
    before: &OrdMap<String, String>,
    after: &OrdMap<String, String>,
) -> Vec<Record> {
    let record = |key: &String, value: Option<&String>| Record::Config {
        resource: resource.clone(),
        key: key.clone(),
        value: value.cloned(),
    };
    before
        .diff(after)
        .map(|item| match item {
            DiffItem::Add(key, value) | DiffItem::Update { old: _, new: (key, value) } => {
                record(key, Some(value))
            }
            DiffItem::Remove(key, _) => record(key, None),
        })
        .collect()
}

#[cfg(test)]
mod tests;
