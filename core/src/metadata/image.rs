//! The sum of the metadata log up to an offset.

use super::{ConfigResource, Endpoint, MetadataOffset, PartitionRecord, collision_key, is_internal};
use crate::ids::{LeaderEpoch, NodeId, TopicId};
use imbl::OrdMap;
use std::{ops::Bound, sync::Arc};
use uuid::Uuid;

/// The cluster's metadata as of an offset. A clone is O(1) and shares everything; changing a clone copies the path
/// to what changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub(super) last_applied: Option<MetadataOffset>,
    pub(super) cluster_id: Option<Arc<str>>,
    pub(super) features: OrdMap<String, i16>,
    pub(super) topics: OrdMap<TopicId, Arc<TopicImage>>,
    pub(super) topic_ids: OrdMap<Arc<str>, TopicId>,
    /// By [`collision_key`]; only of topics whose name has a `.` or `_`.
    pub(super) collisions: OrdMap<String, TopicId>,
    pub(super) brokers: OrdMap<NodeId, Arc<BrokerImage>>,
    /// Of everything but topics, whose configurations are in their images. No resource has an empty map.
    pub(super) configs: OrdMap<ConfigResource, OrdMap<String, String>>,
    pub(super) next_producer_id: i64,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its identity.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is one of the broker's own (`__consumer_offsets`, …).
    pub is_internal: bool,
    /// By number, without gaps from 0.
    pub partitions: OrdMap<i32, Arc<PartitionImage>>,
    /// What is set for this topic, by Kafka's names; everything else has the broker's default.
    pub configs: OrdMap<String, String>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// Who stores it, the preferred leader first. Never empty.
    pub replicas: Vec<NodeId>,
    /// Who of them is in sync. The last in sync stays so when it is gone, as it alone has everything; only with its
    /// disk it leaves, and then no one may be in sync.
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
    /// Eligible leader replicas (KIP-966): not in sync, but with everything that was committed, because they left the
    /// ISR when it was smaller than `min.insync.replicas`, or became so by their leaving, and nothing is committed then.
    pub elr: Vec<NodeId>,
    /// Who was in the ISR or eligible since the ISR became smaller than `min.insync.replicas`, and is neither any more.
    pub last_known_elr: Vec<NodeId>,
}

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    /// The broker.
    pub id: NodeId,
    /// Of its present registration.
    pub epoch: i64,
    /// Which process it is.
    pub incarnation: Uuid,
    /// Where it is reached, in the order of its `listeners`.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Its log directories' ids.
    pub directories: Vec<Uuid>,
    /// Whether it may not lead.
    pub fenced: bool,
    /// Whether it is handing over its leaderships before it stops.
    pub in_controlled_shutdown: bool,
    /// Whether its disk is full: it serves what it has and stores nothing more.
    pub is_full: bool,
}

impl BrokerImage {
    /// Its endpoint of a listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == listener)
    }

    /// Whether it may lead and be given new replicas.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether it may lead, and can store what it is given.
    pub fn takes_records(&self) -> bool {
        self.is_active() && !self.is_full
    }
}

impl TopicImage {
    pub(super) fn new(id: TopicId, name: Arc<str>) -> TopicImage {
        TopicImage {
            id,
            is_internal: is_internal(&name),
            name,
            partitions: OrdMap::new(),
            configs: OrdMap::new(),
        }
    }

    /// A partition by number.
    pub fn partition(&self, index: i32) -> Option<&PartitionImage> {
        self.partitions.get(&index).map(|partition| &**partition)
    }

    /// How many partitions it has.
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).expect("keyed by i32 from 0")
    }
}

impl From<PartitionRecord> for PartitionImage {
    fn from(record: PartitionRecord) -> PartitionImage {
        PartitionImage {
            replicas: record.replicas,
            isr: record.isr,
            removing: record.removing,
            adding: record.adding,
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            elr: record.elr,
            last_known_elr: record.last_known_elr,
        }
    }
}

impl Image {
    /// Before the first batch.
    pub fn new() -> Image {
        Image::default()
    }

    /// The offset of the last batch that was applied, or refused, if there was any.
    pub fn last_applied(&self) -> Option<MetadataOffset> {
        self.last_applied
    }

    /// The cluster's id, once it is formed.
    pub fn cluster_id(&self) -> Option<&Arc<str>> {
        self.cluster_id.as_ref()
    }

    /// A topic by name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topic_ids.get(name).and_then(|id| self.topics.get(id))
    }

    /// A topic by id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(&id)
    }

    /// The topic that keeps another one from being called `name`: the same but for `.` and `_`.
    pub fn topic_colliding_with(&self, name: &str) -> Option<&Arc<TopicImage>> {
        collision_key(name).and_then(|key| self.collisions.get(&key)).and_then(|id| self.topics.get(id))
    }

    /// The ids of all topics by name. Two images share the map as long as no topic came or went.
    pub fn topic_ids(&self) -> &OrdMap<Arc<str>, TopicId> {
        &self.topic_ids
    }

    /// All topics, in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topic_ids.values().filter_map(|id| self.topics.get(id))
    }

    /// All topics whose name is `from` or comes after it, in the order of their names (pages of
    /// DescribeTopicPartitions).
    pub fn topics_from<'a>(&'a self, from: &str) -> impl Iterator<Item = &'a Arc<TopicImage>> {
        self.topic_ids
            .range::<_, str>((Bound::Included(from), Bound::Unbounded))
            .filter_map(|(_, id)| self.topics.get(id))
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// A partition by topic and number.
    pub fn partition(&self, topic: TopicId, index: i32) -> Option<&PartitionImage> {
        self.topics.get(&topic).and_then(|topic| topic.partition(index))
    }

    /// A registered broker.
    pub fn broker(&self, id: NodeId) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&id)
    }

    /// All registered brokers, in the order of their ids.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values()
    }

    /// What is set for a resource; empty when nothing is, or when there is no such resource.
    pub fn configs(&self, resource: &ConfigResource) -> OrdMap<String, String> {
        let configs = match resource {
            ConfigResource::Topic(name) => self.topic(name).map(|topic| &topic.configs),
            ConfigResource::Broker(_)
            | ConfigResource::BrokerDefault
            | ConfigResource::Group(_)
            | ConfigResource::ClientMetrics(_) => self.configs.get(resource),
        };
        configs.cloned().unwrap_or_default()
    }

    /// All resources but topics for which something is set, in order.
    pub fn configured(&self) -> impl Iterator<Item = (&ConfigResource, &OrdMap<String, String>)> {
        self.configs.iter()
    }

    /// A feature's finalized level; 0 when it has none.
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// All finalized features, by name.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (name.as_str(), *level))
    }

    /// The first producer id that no broker was given.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }
}
