//! The records of the metadata log.
//!
//! Their encoding is positional: a variant is known by its place in the enum, a field by its place in its struct.
//! Therefore a record that was ever written is never changed, moved or removed. A new layout is a new variant at the
//! end, named for its version (`PartitionV2`).

use crate::ids::{LeaderEpoch, NodeId, TopicId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// One fact of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The cluster's id, written once, when the cluster is formed.
    ClusterId {
        /// As `CLUSTER_ID` gives it: 22 characters of base64 in Kafka's own clusters, any text here.
        id: String,
    },
    /// A feature is finalized at a level (KIP-584). Level 0 takes it away.
    FeatureLevel {
        /// For instance `metadata.version`.
        name: String,
        /// From 0.
        level: i16,
    },
    /// A topic exists. Its partitions follow as records of their own, in the same batch.
    Topic {
        /// Free until now.
        name: Arc<str>,
        /// Never used before.
        id: TopicId,
    },
    /// A topic, its partitions and its configurations are gone.
    RemoveTopic {
        /// The topic.
        id: TopicId,
    },
    /// A partition exists.
    Partition(PartitionRecord),
    /// Something about a partition changed.
    PartitionChange(PartitionChangeRecord),
    /// A configuration was set or taken away.
    Config {
        /// What is configured.
        resource: ConfigResource,
        /// Kafka's name of the configuration.
        key: String,
        /// `None`: back to the default.
        value: Option<String>,
    },
    /// Producer ids below `next` are given out; the block that ends there belongs to `broker`.
    ProducerIds {
        /// Whose block it is.
        broker: NodeId,
        /// The first id that no one has.
        next: i64,
    },
    /// A broker process introduced itself. Every partition that this broker leads takes its next leader epoch, so
    /// that what the earlier process appended and what this one appends never share an epoch. If it is fenced, it
    /// leads nothing any more: what no one else was given is without a leader.
    RegisterBroker(RegisterBrokerRecord),
    /// A broker was fenced or unfenced, or began or ended its controlled shutdown. One that is fenced leads nothing
    /// any more: what no one else was given is without a leader, in its next leader epoch. One that is unfenced leads,
    /// in the next leader epoch, what has no leader and has it in sync.
    BrokerChange(BrokerChangeRecord),
    /// A broker is forgotten, and leads nothing any more, like one that is fenced.
    UnregisterBroker {
        /// The broker.
        id: NodeId,
        /// The registration that is meant.
        epoch: i64,
    },
    /// A broker's disk is full from now on, or no longer. A new registration begins with room.
    BrokerFull {
        /// The broker.
        id: NodeId,
        /// The registration that is meant.
        epoch: i64,
        /// Whether it is full.
        is_full: bool,
    },
}

impl Record {
    /// How many kinds of records this version knows. A kind at or above it was written by a later version.
    pub(super) const KINDS: u32 = 12;
}

/// The state of a partition when it comes to be (or, in a snapshot, now).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// Its topic.
    pub topic: TopicId,
    /// Its number; partitions of a topic come in order, from 0.
    pub index: i32,
    /// Who stores it, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Who of them is in sync.
    pub isr: Vec<NodeId>,
    /// Replicas that a reassignment takes away.
    pub removing: Vec<NodeId>,
    /// Replicas that a reassignment adds.
    pub adding: Vec<NodeId>,
    /// Who of the in-sync replicas leads, if anyone can.
    pub leader: Option<NodeId>,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Counts the changes of this partition.
    pub partition_epoch: i32,
    /// See [`super::PartitionImage::elr`].
    pub elr: Vec<NodeId>,
    /// See [`super::PartitionImage::last_known_elr`].
    pub last_known_elr: Vec<NodeId>,
}

/// What changed about a partition. Applying one raises the partition epoch by one, and the leader epoch by one when
/// the leader is named, be it the same as before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionChangeRecord {
    /// Its topic.
    pub topic: TopicId,
    /// Its number.
    pub index: i32,
    /// Who stores it from now on.
    pub replicas: Option<Vec<NodeId>>,
    /// Who is in sync from now on.
    pub isr: Option<Vec<NodeId>>,
    /// See [`PartitionRecord::removing`].
    pub removing: Option<Vec<NodeId>>,
    /// See [`PartitionRecord::adding`].
    pub adding: Option<Vec<NodeId>>,
    /// Who leads from now on.
    pub leader: LeaderChange,
    /// See [`super::PartitionImage::elr`].
    pub elr: Option<Vec<NodeId>>,
    /// See [`super::PartitionImage::last_known_elr`].
    pub last_known_elr: Option<Vec<NodeId>>,
}

/// What becomes of a partition's leadership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaderChange {
    /// As it was, in the same epoch.
    #[default]
    Unchanged,
    /// No one leads: the partition is offline. A new epoch.
    Offline,
    /// This broker leads, in a new epoch.
    Leader(NodeId),
}

/// What a configuration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConfigResource {
    /// A topic, by name; it must exist.
    Topic(Arc<str>),
    /// One broker.
    Broker(NodeId),
    /// Every broker that has no value of its own.
    BrokerDefault,
    /// A group, which need not exist.
    Group(String),
    /// A subscription of client metrics (KIP-714).
    ClientMetrics(String),
}

/// A broker's registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterBrokerRecord {
    /// The broker.
    pub id: NodeId,
    /// Greater than every earlier registration's of this broker.
    pub epoch: i64,
    /// Chosen at random by the broker's process when it starts: tells a repeated request from a restart.
    pub incarnation: Uuid,
    /// Where clients and other brokers reach it.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Its log directories' ids (KIP-858): a new one means that what it stored is lost.
    pub directories: Vec<Uuid>,
    /// Whether it may not lead yet.
    pub fenced: bool,
    /// Whether it is handing over its leaderships before it stops.
    pub in_controlled_shutdown: bool,
}

/// A listener as others reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The listener's name, for instance `PLAINTEXT`.
    pub listener: String,
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: u16,
    /// How to speak there.
    pub security_protocol: SecurityProtocol,
}

/// Kafka's security protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// Authenticated, not encrypted.
    SaslPlaintext,
    /// Authenticated over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Kafka's number of it.
    pub const fn code(self) -> i16 {
        match self {
            SecurityProtocol::Plaintext => 0,
            SecurityProtocol::Ssl => 1,
            SecurityProtocol::SaslPlaintext => 2,
            SecurityProtocol::SaslSsl => 3,
        }
    }
}

/// What changed about a registered broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerChangeRecord {
    /// The broker.
    pub id: NodeId,
    /// The registration that is meant.
    pub epoch: i64,
    /// Fenced from now on, or no longer.
    pub fenced: Option<bool>,
    /// In controlled shutdown from now on, or no longer.
    pub in_controlled_shutdown: Option<bool>,
}
