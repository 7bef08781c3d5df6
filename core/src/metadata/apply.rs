//! What a batch does to an image.

use super::{
    Batch, BrokerChangeRecord, BrokerImage, ConfigResource, Image, LeaderChange, MetadataOffset,
    PartitionChangeRecord, PartitionImage, PartitionRecord, Precondition, Record, RegisterBrokerRecord,
    TopicImage, check, collision_key, validate_topic_name,
};
use crate::ids::{LeaderEpoch, NodeId, TopicId};
use imbl::OrdMap;
use std::sync::Arc;

/// Which replicas are eligible to lead depends on it (KIP-966).
pub(crate) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// Why a batch had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violated {
    /// The log gave a batch again, or out of order: a bug, or a damaged log.
    #[error("offset {offset} does not follow {last_applied}")]
    OffsetNotAhead {
        /// The batch's.
        offset: MetadataOffset,
        /// The image's.
        last_applied: MetadataOffset,
    },
    /// Something happened between the decision and its place in the log. Deciding again may succeed.
    #[error("{0:?} does not hold any more")]
    Precondition(Precondition),
    /// A record says what cannot be, for instance a partition of a topic that does not exist.
    #[error("record {index} cannot apply: {reason}")]
    Record {
        /// Which record of the batch.
        index: usize,
        /// Why.
        reason: String,
    },
}

impl Image {
    /// Adds a batch, the entry of the log at `offset`. The image afterwards always satisfies
    /// [`check`](Image::check), whatever the batch says.
    ///
    /// # Errors
    /// When a precondition does not hold or a record contradicts the image. The batch has then no effect but that
    /// its offset counts as applied: it is part of the log, and every node refuses it alike.
    pub fn apply(&mut self, offset: MetadataOffset, batch: &Batch) -> Result<(), Violated> {
        if let Some(last_applied) = self.last_applied
            && offset <= last_applied
        {
            return Err(Violated::OffsetNotAhead { offset, last_applied });
        }
        self.last_applied = Some(offset);
        self.speculate(batch)
    }

    /// Adds a batch that has no place in the log yet. What results is what a leader decides on; it must be thrown
    /// away when the leadership is lost.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); the image is then as it was.
    pub fn speculate(&mut self, batch: &Batch) -> Result<(), Violated> {
        for precondition in &batch.preconditions {
            if !self.holds(precondition) {
                return Err(Violated::Precondition(precondition.clone()));
            }
        }
        let mut next = self.clone();
        for (index, record) in batch.records.iter().enumerate() {
            next.replay(record).map_err(|reason| Violated::Record { index, reason })?;
        }
        *self = next;
        Ok(())
    }

    /// Whether a precondition holds now.
    pub fn holds(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::TopicNameFree(name) => !self.topic_ids.contains_key(name),
            Precondition::TopicExists(id) => self.topics.contains_key(id),
            Precondition::PartitionCount { topic, count } => {
                self.topic_by_id(*topic).is_some_and(|topic| topic.partition_count() == *count)
            }
            Precondition::PartitionEpoch { topic, index, epoch } => {
                self.partition(*topic, *index).is_some_and(|partition| partition.partition_epoch == *epoch)
            }
            Precondition::BrokerEpoch { id, epoch } => self.broker(*id).map(|broker| broker.epoch) == *epoch,
            Precondition::ProducerIdsNext(next) => self.next_producer_id == *next,
            Precondition::ClusterIdUnset => self.cluster_id.is_none(),
        }
    }

    pub(super) fn replay(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::ClusterId { id } => self.set_cluster_id(id),
            Record::FeatureLevel { name, level } => self.set_feature(name, *level),
            Record::Topic { name, id } => self.add_topic(name, *id),
            Record::RemoveTopic { id } => self.remove_topic(*id),
            Record::Partition(record) => self.add_partition(record),
            Record::PartitionChange(record) => self.change_partition(record),
            Record::Config { resource, key, value } => self.set_config(resource, key, value.as_deref()),
            Record::ProducerIds { broker: _, next } => self.set_next_producer_id(*next),
            Record::RegisterBroker(record) => self.register_broker(record),
            Record::BrokerChange(record) => self.change_broker(record),
            Record::UnregisterBroker { id, epoch } => self.unregister_broker(*id, *epoch),
            Record::BrokerFull { id, epoch, is_full } => {
                self.registered(*id, *epoch)?.is_full = *is_full;
                Ok(())
            }
        }
    }

    fn set_cluster_id(&mut self, id: &str) -> Result<(), String> {
        match &self.cluster_id {
            Some(known) if **known != *id => Err(format!("the cluster is {known}, not {id}")),
            Some(_) | None => {
                self.cluster_id = Some(id.into());
                Ok(())
            }
        }
    }

    fn set_feature(&mut self, name: &str, level: i16) -> Result<(), String> {
        match level {
            ..0 => return Err(format!("feature {name} at level {level}")),
            0 => drop(self.features.remove(name)),
            1.. => drop(self.features.insert(name.to_owned(), level)),
        }
        Ok(())
    }

    fn add_topic(&mut self, name: &Arc<str>, id: TopicId) -> Result<(), String> {
        validate_topic_name(name)?;
        if id.is_reserved() {
            return Err(format!("topic id {id} is reserved"));
        }
        if self.topic_ids.contains_key(name) || self.topics.contains_key(&id) {
            return Err(format!("topic {name} or id {id} exists"));
        }
        if let Some(key) = collision_key(name)
            && let Some(other) = self.collisions.insert(key, id)
        {
            return Err(format!("topic {name} collides with {other}"));
        }
        self.topic_ids.insert(Arc::clone(name), id);
        self.topics.insert(id, Arc::new(TopicImage::new(id, Arc::clone(name))));
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), String> {
        let topic = self.topics.remove(&id).ok_or_else(|| format!("no topic {id}"))?;
        self.topic_ids.remove(&topic.name);
        if let Some(key) = collision_key(&topic.name) {
            self.collisions.remove(&key);
        }
        Ok(())
    }

    fn add_partition(&mut self, record: &PartitionRecord) -> Result<(), String> {
        let topic = self.topic_mut(record.topic)?;
        if record.index != topic.partition_count() {
            return Err(format!("partition {} follows {} others", record.index, topic.partition_count()));
        }
        if record.index == i32::MAX {
            return Err("too many partitions".to_owned());
        }
        let partition = PartitionImage::from(record.clone());
        check::partition(&partition)?;
        self.leader_can_lead(&partition)?;
        let topic = self.topic_mut(record.topic)?;
        topic.partitions.insert(record.index, Arc::new(partition));
        Ok(())
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), String> {
        let topic = self.topic_mut(record.topic)?;
        let partition = topic
            .partitions
            .get_mut(&record.index)
            .ok_or_else(|| format!("no partition {} of {}", record.index, record.topic))?;
        let partition = Arc::make_mut(partition);
        let set = |field: &mut Vec<NodeId>, value: &Option<Vec<NodeId>>| {
            if let Some(value) = value {
                field.clone_from(value);
            }
        };
        set(&mut partition.replicas, &record.replicas);
        set(&mut partition.isr, &record.isr);
        set(&mut partition.removing, &record.removing);
        set(&mut partition.adding, &record.adding);
        set(&mut partition.elr, &record.elr);
        set(&mut partition.last_known_elr, &record.last_known_elr);
        match record.leader {
            LeaderChange::Unchanged => {}
            LeaderChange::Offline => {
                partition.leader = None;
                partition.leader_epoch = next_leader_epoch(partition)?;
            }
            LeaderChange::Leader(leader) => {
                partition.leader = Some(leader);
                partition.leader_epoch = next_leader_epoch(partition)?;
            }
        }
        partition.partition_epoch = next_partition_epoch(partition)?;
        check::partition(partition)?;
        match self.partition(record.topic, record.index) {
            Some(partition) => self.leader_can_lead(partition),
            None => Ok(()),
        }
    }

    fn set_config(
        &mut self,
        resource: &ConfigResource,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), String> {
        match resource {
            ConfigResource::Topic(name) => {
                let id = *self.topic_ids.get(name).ok_or_else(|| format!("no topic {name}"))?;
                set_or_remove(&mut self.topic_mut(id)?.configs, key, value);
                if key == MIN_INSYNC_REPLICAS {
                    self.forget_eligible(|topic| topic == id)?;
                }
            }
            ConfigResource::Broker(_)
            | ConfigResource::BrokerDefault
            | ConfigResource::Group(_)
            | ConfigResource::ClientMetrics(_) => {
                let mut configs = self.configs.remove(resource).unwrap_or_default();
                set_or_remove(&mut configs, key, value);
                if !configs.is_empty() {
                    self.configs.insert(resource.clone(), configs);
                }
                if key == MIN_INSYNC_REPLICAS {
                    self.forget_eligible(|_| true)?;
                }
            }
        }
        Ok(())
    }

    /// Who was eligible was so under the bound that is changed now: under a lower one, records are committed that it
    /// does not have.
    fn forget_eligible(&mut self, of: impl Fn(TopicId) -> bool) -> Result<(), String> {
        let has_any =
            |partition: &PartitionImage| !partition.elr.is_empty() || !partition.last_known_elr.is_empty();
        self.change_where(of, has_any, |partition| {
            partition.elr.clear();
            // Where disks are lost, whose they were is still worth knowing: they have the least.
            if !partition.isr.is_empty() {
                partition.last_known_elr.clear();
            }
            Ok(())
        })
    }

    fn set_next_producer_id(&mut self, next: i64) -> Result<(), String> {
        if next < self.next_producer_id {
            return Err(format!("producer ids up to {} are given out, not {next}", self.next_producer_id));
        }
        self.next_producer_id = next;
        Ok(())
    }

    fn register_broker(&mut self, record: &RegisterBrokerRecord) -> Result<(), String> {
        if record.id.0 < 0 || record.epoch < 0 {
            return Err(format!("broker {} with epoch {}", record.id, record.epoch));
        }
        if let Some(known) = self.brokers.get(&record.id)
            && record.epoch <= known.epoch
        {
            return Err(format!("broker {} has epoch {}, beyond {}", record.id, known.epoch, record.epoch));
        }
        self.brokers.insert(record.id, Arc::new(BrokerImage::from(record.clone())));
        match record.fenced {
            true => self.lead_no_more(record.id),
            false => self.change_leaders(|partition| partition.leader == Some(record.id), Some(record.id)),
        }
    }

    /// What this broker leads is without a leader.
    fn lead_no_more(&mut self, id: NodeId) -> Result<(), String> {
        self.change_leaders(|partition| partition.leader == Some(id), None)
    }

    /// Gives the partitions of which `filter` holds a leader, or none, in their next epochs.
    fn change_leaders(
        &mut self,
        filter: impl Fn(&PartitionImage) -> bool,
        leader: Option<NodeId>,
    ) -> Result<(), String> {
        self.change_where(
            |_| true,
            filter,
            |partition| {
                partition.leader = leader;
                partition.leader_epoch = next_leader_epoch(partition)?;
                Ok(())
            },
        )
    }

    /// Changes the partitions of which `filter` holds, of the topics that `of` names, and raises their epochs.
    fn change_where(
        &mut self,
        of: impl Fn(TopicId) -> bool,
        filter: impl Fn(&PartitionImage) -> bool,
        change: impl Fn(&mut PartitionImage) -> Result<(), String>,
    ) -> Result<(), String> {
        let found: Vec<(TopicId, i32)> = self
            .topics
            .values()
            .filter(|topic| of(topic.id))
            .flat_map(|topic| {
                let found = topic.partitions.iter().filter(|(_, partition)| filter(partition));
                found.map(|(index, _)| (topic.id, *index))
            })
            .collect();
        for (topic, index) in found {
            let partition =
                self.topic_mut(topic)?.partitions.get_mut(&index).expect("found in the same topic above");
            let partition = Arc::make_mut(partition);
            change(partition)?;
            partition.partition_epoch = next_partition_epoch(partition)?;
        }
        Ok(())
    }

    fn change_broker(&mut self, record: &BrokerChangeRecord) -> Result<(), String> {
        let broker = self.registered(record.id, record.epoch)?;
        broker.fenced = record.fenced.unwrap_or(broker.fenced);
        broker.in_controlled_shutdown =
            record.in_controlled_shutdown.unwrap_or(broker.in_controlled_shutdown);
        let id = record.id;
        match record.fenced {
            Some(true) => self.lead_no_more(id),
            Some(false) => {
                let waits =
                    |partition: &PartitionImage| partition.leader.is_none() && partition.isr.contains(&id);
                self.change_leaders(waits, Some(id))
            }
            None => Ok(()),
        }
    }

    /// A broker, if that is its registration.
    fn registered(&mut self, id: NodeId, epoch: i64) -> Result<&mut BrokerImage, String> {
        let broker = self.brokers.get_mut(&id).ok_or_else(|| format!("no broker {id}"))?;
        if broker.epoch != epoch {
            return Err(format!("broker {id} has epoch {}, not {epoch}", broker.epoch));
        }
        Ok(Arc::make_mut(broker))
    }

    fn unregister_broker(&mut self, id: NodeId, epoch: i64) -> Result<(), String> {
        match self.brokers.remove(&id) {
            Some(broker) if broker.epoch == epoch => self.lead_no_more(id),
            Some(broker) => Err(format!("broker {id} has epoch {}, not {epoch}", broker.epoch)),
            None => Err(format!("no broker {id}")),
        }
    }

    fn topic_mut(&mut self, id: TopicId) -> Result<&mut TopicImage, String> {
        self.topics.get_mut(&id).map(Arc::make_mut).ok_or_else(|| format!("no topic {id}"))
    }
}

impl From<RegisterBrokerRecord> for BrokerImage {
    fn from(record: RegisterBrokerRecord) -> BrokerImage {
        BrokerImage {
            id: record.id,
            epoch: record.epoch,
            incarnation: record.incarnation,
            endpoints: record.endpoints,
            rack: record.rack,
            directories: record.directories,
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            is_full: false,
        }
    }
}

fn next_leader_epoch(partition: &PartitionImage) -> Result<LeaderEpoch, String> {
    partition
        .leader_epoch
        .0
        .checked_add(1)
        .map(LeaderEpoch)
        .ok_or_else(|| "leader epochs are used up".to_owned())
}

fn next_partition_epoch(partition: &PartitionImage) -> Result<i32, String> {
    partition.partition_epoch.checked_add(1).ok_or_else(|| "partition epochs are used up".to_owned())
}

fn set_or_remove(configs: &mut OrdMap<String, String>, key: &str, value: Option<&str>) {
    match value {
        Some(value) => drop(configs.insert(key.to_owned(), value.to_owned())),
        None => drop(configs.remove(key)),
    }
}
