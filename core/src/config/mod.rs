//! Settings: one table per scope, from which the parser, DescribeConfigs, the errors and the manual all come.
//!
//! Names, types, defaults and ranges are Kafka 4.3's. Where a default differs it is because the promise differs
//! (`flush.messages`) or because `corelane` alone must run (`node.id`, `process.roles`, `listeners`, `log.dirs`).

pub mod broker;
mod check;
pub mod client_metrics;
mod cluster;
mod describe;
pub mod disk;
pub mod environment;
pub mod formatted;
pub mod group;
mod groups;
mod listener;
mod manual;
mod network;
pub mod properties;
mod read;
mod roles;
mod settings;
mod source;
mod table;
mod throttle;
pub mod topic;
mod transactions;

pub use broker::{BrokerConfig, CpuPin, ReadOptions, Roles, Voter, describe_broker, describe_broker_default};
pub use client_metrics::describe_client_metrics;
pub use cluster::ClusterConfig;
pub use describe::{ConfigSource, DescribedConfig, Synonym};
pub use group::{GroupConfig, describe_group};
pub use groups::{ConsumerGroupsConfig, GroupsConfig, Migration};
pub use listener::{Advertised, Listener, parse as parse_listener};
pub use manual::manual;
pub use source::{ConfigError, Source, Warning};
pub use throttle::{QuotaSettings, ThrottledReplicas};
pub use topic::{CleanupPolicy, CompressionType, FlushPolicy, TimestampType, TopicConfig, describe_topic};
pub use transactions::TransactionsConfig;

#[cfg(test)]
mod tests;
