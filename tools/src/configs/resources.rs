//! Configurations of topics, brokers and their logging, groups, and subscriptions to metrics.

use super::{Done, Failure, entities::Kind, told};
use crate::{
    client::{
        ClientError, Cluster, Properties,
        admin::{self, ConfigEntry, Resource},
        groups, text,
    },
    console::Console,
};
use kafka_protocol::messages::{
    ListConfigResourcesRequest,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
};
use std::collections::BTreeSet;

/// `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// `DescribeConfigsResponse.ConfigSource`, by number.
const SOURCES: [&str; 10] = [
    "UNKNOWN",
    "DYNAMIC_TOPIC_CONFIG",
    "DYNAMIC_BROKER_CONFIG",
    "DYNAMIC_DEFAULT_BROKER_CONFIG",
    "STATIC_BROKER_CONFIG",
    "DEFAULT_CONFIG",
    "DYNAMIC_BROKER_LOGGER_CONFIG",
    "DYNAMIC_CLIENT_METRICS_CONFIG",
    "DYNAMIC_GROUP_CONFIG",
    "UNKNOWN",
];

fn source_name(source: i8) -> &'static str {
    usize::try_from(source).ok().and_then(|source| SOURCES.get(source)).copied().unwrap_or("UNKNOWN")
}

fn resource(kind: Kind) -> Resource {
    match kind {
        Kind::Brokers => Resource::Broker,
        Kind::BrokerLoggers => Resource::BrokerLogger,
        Kind::ClientMetrics => Resource::ClientMetrics,
        Kind::Groups => Resource::Group,
        // The others have quotas.
        Kind::Topics | Kind::Clients | Kind::Users | Kind::Ips => Resource::Topic,
    }
}

pub fn describe(
    kind: Kind,
    name: Option<&str>,
    all: bool,
    cluster: &mut Cluster,
    console: &mut Console,
) -> Done {
    if let Some(name) = name
        && !all
        && !is_there(kind, name, cluster)?
    {
        console.line(format_args!(
            "The {} '{name}' doesn't exist and doesn't have dynamic config.",
            kind.singular()
        ))?;
        return Ok(());
    }
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => all_names(kind, cluster)?,
    };
    for name in names {
        let (plural, one) = (kind.name(), kind.singular());
        match (name.as_str(), all) {
            ("", _) => console.line(format_args!("Default configs for {plural} in the cluster are:"))?,
            (name, true) => console.line(format_args!("All configs for {one} {name} are:"))?,
            (name, false) => console.line(format_args!("Dynamic configs for {one} {name} are:"))?,
        }
        for entry in entries(kind, &name, all, cluster)? {
            console.line(format_args!("{}", line(&entry)))?;
        }
    }
    Ok(())
}

fn line(entry: &ConfigEntry) -> String {
    let or_null = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".into());
    let synonyms = entry.synonyms.iter();
    let synonyms: Vec<String> = synonyms
        .map(|(name, value, source)| format!("{}:{name}={}", source_name(*source), or_null(value)))
        .collect();
    let ConfigEntry { name, value, is_sensitive, .. } = entry;
    format!("  {name}={} sensitive={is_sensitive} synonyms={{{}}}", or_null(value), synonyms.join(", "))
}

/// Those that are set for this entity itself, or all, in the order of names.
fn entries(kind: Kind, name: &str, all: bool, cluster: &mut Cluster) -> Done<Vec<ConfigEntry>> {
    let own = match (kind, name) {
        (Kind::Brokers, "") => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        (Kind::Brokers, _) => "DYNAMIC_BROKER_CONFIG",
        (Kind::ClientMetrics, _) => "DYNAMIC_CLIENT_METRICS_CONFIG",
        (Kind::Groups, _) => "DYNAMIC_GROUP_CONFIG",
        _ => "DYNAMIC_TOPIC_CONFIG",
    };
    let mut entries = admin::describe_configs(cluster, resource(kind), name, true)?;
    entries.retain(|entry| all || kind == Kind::BrokerLoggers || source_name(entry.source) == own);
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn is_there(kind: Kind, name: &str, cluster: &mut Cluster) -> Done<bool> {
    Ok(match kind {
        Kind::Topics => admin::list_topics(cluster)?.contains_key(name),
        Kind::Brokers | Kind::BrokerLoggers => {
            name.is_empty() || admin::live_brokers(cluster)?.iter().any(|id| id.to_string() == name)
        }
        Kind::ClientMetrics => listed(Resource::ClientMetrics, cluster)?.contains(name),
        _ => {
            groups::list_groups(cluster, &[], &[])?.iter().any(|group| group.id == name)
                || group_resources(cluster)?.is_none_or(|names| names.contains(name))
        }
    })
}

fn all_names(kind: Kind, cluster: &mut Cluster) -> Done<Vec<String>> {
    Ok(match kind {
        Kind::Topics => admin::list_topics(cluster)?.into_keys().collect(),
        Kind::Brokers | Kind::BrokerLoggers => {
            let brokers = admin::live_brokers(cluster)?.into_iter().map(|id| id.to_string());
            brokers.chain([String::new()]).collect()
        }
        Kind::ClientMetrics => listed(Resource::ClientMetrics, cluster)?.into_iter().collect(),
        _ => {
            let groups = groups::list_groups(cluster, &[], &[])?.into_iter().map(|group| group.id);
            let mut names: BTreeSet<String> = groups.collect();
            names.extend(group_resources(cluster)?.into_iter().flatten());
            names.into_iter().collect()
        }
    })
}

/// The resources of a kind that have configurations.
fn listed(kind: Resource, cluster: &mut Cluster) -> Result<BTreeSet<String>, ClientError> {
    cluster.retry("listConfigResources", |cluster| {
        cluster.on_any(|connection| {
            let version = connection.version::<ListConfigResourcesRequest>()?;
            let mut request = ListConfigResourcesRequest::default();
            if version >= 1 {
                request.resource_types = vec![kind as i8];
            } else if kind != Resource::ClientMetrics {
                return Err(ClientError::Unsupported(
                    "The v0 ListConfigResources only supports CLIENT_METRICS".into(),
                ));
            }
            let answer = connection.call(version, &request)?;
            ClientError::check(answer.error_code)?;
            Ok(answer
                .config_resources
                .into_iter()
                .map(|resource| resource.resource_name.to_string())
                .collect())
        })
    })
}

/// Groups with configurations; `None` from a broker that does not tell.
fn group_resources(cluster: &mut Cluster) -> Done<Option<BTreeSet<String>>> {
    match listed(Resource::Group, cluster) {
        Ok(names) => Ok(Some(names)),
        Err(ClientError::Unsupported(_) | ClientError::Broker { code: 31 | 35, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub fn alter(kind: Kind, name: &str, add: &Properties, delete: &[String], cluster: &mut Cluster) -> Done {
    if kind == Kind::BrokerLoggers {
        let known = entries(kind, name, false, cluster)?;
        let names = delete.iter().map(String::as_str).chain(add.iter().map(|(name, _)| name));
        let unknown: Vec<&str> =
            names.filter(|name| !known.iter().any(|entry| entry.name == *name)).collect();
        if !unknown.is_empty() {
            return told(format!("Invalid broker logger(s): {}", unknown.join(",")));
        }
    }
    let change = |name: &str, operation, value: &str| {
        let config = AlterableConfig::default().with_name(text(name)).with_config_operation(operation);
        config.with_value(Some(text(value)))
    };
    let deletions = delete.iter().map(|name| change(name, DELETE, ""));
    let additions = add.iter().map(|(name, value)| change(name, SET, value));
    let mut altered = AlterConfigsResource::default();
    altered.resource_type = resource(kind) as i8;
    altered.resource_name = text(name);
    altered.configs = deletions.chain(additions).collect();
    match admin::alter_configs(cluster, &altered) {
        Ok(()) => Ok(()),
        Err(ClientError::Unsupported(_)) => told(
            "The INCREMENTAL_ALTER_CONFIGS API is not supported by the cluster. The API is supported starting from version \
             2.3.0. You may want to use an older version of this tool to interact with your cluster, or upgrade your brokers to \
             version 2.3.0 or newer to avoid this error.",
        ),
        Err(error) => Err(Failure::Unexpected(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_printed_with_all_that_set_it() {
        let entry = ConfigEntry {
            name: "retention.ms".into(),
            value: Some("1".into()),
            source: 1,
            is_sensitive: false,
            synonyms: vec![
                ("retention.ms".into(), Some("1".into()), 1),
                ("log.retention.hours".into(), None, 5),
            ],
        };
        let expected = "  retention.ms=1 sensitive=false \
                        synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1, DEFAULT_CONFIG:log.retention.hours=null}";
        assert_eq!(line(&entry), expected);
    }
}
