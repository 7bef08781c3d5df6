//! A small client of the protocol on blocking sockets: it starts at once, and a tool's process is all its life.
//!
//! [`Cluster`] finds the broker that a request is for and tries again where that may help; [`admin`], [`offsets`], [`groups`] and
//! [`transactions`] are single questions; [`producer`] and [`consumer`] keep state.
//! [`security`] is TLS and SASL.

pub mod admin;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod consumer;
pub mod error;
pub mod groups;
pub mod member_data;
pub mod offsets;
pub mod producer;
pub mod security;
pub mod traffic;
pub mod transactions;

pub use cluster::{Cluster, Node};
pub use config::{ClientConfig, Properties, Role};
pub use connection::Connection;
pub use error::{ClientError, Result};
pub use traffic::Traffic;

use kafka_protocol::{
    messages::{GroupId, TopicName},
    protocol::StrBytes,
};

/// A text as the protocol crate has it.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A topic's name as the protocol crate has it.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A group's name as the protocol crate has it.
pub fn group_id(name: &str) -> GroupId {
    GroupId(text(name))
}

/// One partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// From 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Of a topic.
    pub fn new(topic: impl Into<String>, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
