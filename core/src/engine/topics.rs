//! Following the metadata: which partitions this shard leads, and with which settings.

use super::{
    Place,
    follower::Leader,
    owner::{Answers, Owner},
    partition::Partition,
    replicas::Replicas,
};
use crate::{
    config::{self, BrokerConfig, TopicConfig},
    error::ErrorCode,
    ids::{NodeId, PartitionId},
    log::{CleanerSettings, FlushPolicy, LogSettings, Slot},
    metadata::{Change, ConfigResource, Image, PartitionImage, TopicImage, delta},
};
use corelane_seam::Now;
use std::{rc::Rc, sync::Arc};

/// What the log needs to know of a topic's settings. `salt` spreads the jitter over partitions.
pub(super) fn log_settings(config: &TopicConfig, salt: u64) -> LogSettings {
    let jitter = u64::try_from(config.segment_jitter_ms).unwrap_or(0);
    let share = if jitter == 0 { 0 } else { salt % jitter };
    let positive = |value: i64| u64::try_from(value).unwrap_or(0);
    // The active segment is not compacted: it ends in time for the greatest lag (Kafka's LogConfig.maxSegmentMs).
    let segment_ms = match config.cleanup.compact {
        true => config.segment_ms.min(config.compaction_lag_ms_max.max(1)),
        false => config.segment_ms,
    };
    LogSettings {
        segment_bytes: positive(i64::from(config.segment_bytes)),
        segment_ms: positive(segment_ms).saturating_sub(share).max(1),
        retention_ms: config.retention_ms.map(positive),
        retention_bytes: config.retention_bytes.map(positive),
        delete: config.cleanup.delete,
        compact: config.cleanup.compact,
        delete_retention_ms: positive(config.delete_retention_ms),
        dirty_share_min: config.cleanable_dirty_ratio_min,
        compaction_lag_ms_min: positive(config.compaction_lag_ms_min),
        compaction_lag_ms_max: positive(config.compaction_lag_ms_max),
        index_interval_bytes: positive(i64::from(config.index_interval_bytes)),
        flush: match config.flush {
            config::FlushPolicy::EveryGroup => FlushPolicy::EveryGroup,
            config::FlushPolicy::Interval { messages, ms } => FlushPolicy::Interval {
                messages: messages.map_or(u64::MAX, positive),
                ms: ms.map_or(u64::MAX, positive),
            },
        },
    }
}

/// What a shard's cleaner is told: its share of what Kafka gives to all cleaner threads together.
pub(super) fn cleaner_settings(config: &BrokerConfig, shards: u16) -> CleanerSettings {
    let shards = shards.max(1);
    let rate = config.log_cleaner_bytes_per_second_max / f64::from(shards);
    CleanerSettings {
        enabled: config.log_cleaner_enable,
        backoff_ms: u64::try_from(config.log_cleaner_backoff_ms).unwrap_or(0),
        map_bytes_max: config.log_cleaner_dedupe_bytes / u64::from(shards),
        map_load_max: config.log_cleaner_load_factor,
        // Kafka writes "without bound" as the largest number there is.
        bytes_per_second_max: (config.log_cleaner_bytes_per_second_max < f64::MAX).then_some(rate),
    }
}

/// Takes a shard's owner from one image to the next.
pub(super) struct Follower<'a> {
    pub owner: &'a mut Owner,
    pub place: Place,
    /// With the dynamic settings of the new image.
    pub config: &'a BrokerConfig,
    pub now: Now,
}

impl Follower<'_> {
    /// From `old` to `new`. The first image is caught up: logs of topics that it does not know were deleted. Gives whether
    /// this broker, on whichever shard, leads something from now on that others follow.
    pub fn follow(&mut self, old: &Image, new: &Image, first: bool, answers: &mut Answers) -> bool {
        let changes = delta(old, new);
        let deleted: Vec<_> = changes
            .iter()
            .filter_map(|change| match change {
                Change::TopicDeleted(topic) => Some((Arc::clone(&topic.name), topic.id)),
                _ => None,
            })
            .collect();
        for change in &changes {
            match change {
                Change::TopicDeleted(topic) => self.topic_deleted(topic, answers),
                Change::TopicCreated(topic) => self.topic(topic, answers),
                Change::TopicChanged(changed) => self.topic(&changed.topic, answers),
                Change::ConfigsChanged(_, _)
                | Change::BrokerChanged(_)
                | Change::BrokerRemoved(_)
                | Change::FeatureChanged(_, _) => {}
            }
        }
        self.owner.groups_lose_topics(self.now, &deleted, answers);
        if changes.iter().any(is_broker_setting) {
            self.owner.store.configure_cleaner(cleaner_settings(self.config, self.place.shards));
        }
        if !first && changes.iter().any(is_broker_setting) {
            for topic in new.topics() {
                self.topic(topic, answers);
            }
        }
        if first {
            let known = |id: &PartitionId| new.partition(id.topic, id.index).is_some();
            let unknown: Vec<PartitionId> =
                self.owner.store.slots().map(|(id, _)| id).filter(|id| !known(id)).collect();
            for id in unknown {
                self.delete(id, answers);
            }
        }
        changes.iter().any(|change| begins_reign(change, self.place.node))
    }

    /// Brings this shard's partitions of a topic to what the image says.
    fn topic(&mut self, topic: &TopicImage, answers: &mut Answers) {
        let config = Rc::new(TopicConfig::resolve(self.config, &topic.configs));
        for (index, image) in &topic.partitions {
            let id = PartitionId { topic: topic.id, index: *index };
            if id.owner(self.place.shards) == self.place.shard {
                self.partition(topic, id, image, &config, answers);
            }
        }
    }

    /// A partition whose reign had to wait begins it, if it is still to be led here.
    pub fn begin_reign(&mut self, image: &Image, id: PartitionId, answers: &mut Answers) {
        if let Some(topic) = image.topic_by_id(id.topic)
            && let Some(partition) = topic.partitions.get(&id.index)
        {
            let config = Rc::new(TopicConfig::resolve(self.config, &topic.configs));
            self.partition(topic, id, partition, &config, answers);
        }
    }

    /// Brings a partition of this shard to what the image says.
    fn partition(
        &mut self,
        topic: &TopicImage,
        id: PartitionId,
        image: &PartitionImage,
        config: &Rc<TopicConfig>,
        answers: &mut Answers,
    ) {
        if !image.replicas.contains(&self.place.node) {
            // A reassignment took it away.
            return self.delete(id, answers);
        }
        let settings = log_settings(config, self.owner_salt(id));
        let slot = match self.owner.store.slot(id) {
            Some(slot) => {
                self.owner.store.configure(slot, settings);
                slot
            }
            None => self.owner.store.create(self.now, id, settings),
        };
        let is_shared = image.replicas.len() > 1;
        self.owner.store.set_replicated(slot, is_shared);
        self.owner.note_if_offline(id, slot, is_shared && image.isr.contains(&self.place.node));
        if image.leader != Some(self.place.node) {
            self.owner.leave(id, ErrorCode::NotLeaderOrFollower, answers);
            let in_sync = image.isr.contains(&self.place.node);
            let is_throttled = config.follower_throttled.has(id.index, self.place.node);
            let leader =
                image.leader.map(|node| Leader { node, epoch: image.leader_epoch, in_sync, is_throttled });
            return self.owner.follow(id, slot, leader);
        }
        self.owner.unfollow(id);
        match self.owner.partitions.get_mut(&id) {
            Some(partition) if partition.leader_epoch == image.leader_epoch => {
                partition.replicas.update(self.place.node, image, self.now.monotonic);
                partition.config = Rc::clone(config);
                self.owner.note_shared(self.now, id);
                self.owner.isr_changed(id);
                self.owner.advance(self.now, id, answers);
            }
            Some(_) | None => {
                self.owner.leave(id, ErrorCode::NotLeaderOrFollower, answers);
                if self.owner.await_cut(id, slot) {
                    return;
                }
                self.lead(id, slot, image, config, answers);
                self.owner.lead_coordinator(self.now, &topic.name, id, image.leader_epoch);
            }
        }
    }

    /// Begins a reign. What is committed is what this broker knows to be, until its followers say more; without others
    /// it is all that is flushed.
    fn lead(
        &mut self,
        id: PartitionId,
        slot: Slot,
        image: &PartitionImage,
        config: &Rc<TopicConfig>,
        answers: &mut Answers,
    ) {
        let store = &self.owner.store;
        let replicas = Replicas::new(self.place.node, image, self.now.monotonic, store.log_end(slot));
        let own = store.flushed_end(slot);
        let known = if replicas.is_alone() { own } else { store.high_watermark(slot) };
        let mut partition = Partition::new(id, Rc::clone(config), image.leader_epoch, replicas, known, own);
        partition.written = store.written_end(slot);
        self.owner.lead(slot, partition);
        self.owner.store.set_high_watermark(slot, known);
        self.owner.note_shared(self.now, id);
        self.owner.advance(self.now, id, answers);
    }

    /// A number that differs between partitions and is the same at every start.
    fn owner_salt(&self, id: PartitionId) -> u64 {
        let (high, low) = id.topic.0.as_u64_pair();
        high ^ low ^ u64::from(id.index.unsigned_abs())
    }

    fn topic_deleted(&mut self, topic: &TopicImage, answers: &mut Answers) {
        for index in topic.partitions.keys() {
            let id = PartitionId { topic: topic.id, index: *index };
            if id.owner(self.place.shards) == self.place.shard {
                self.delete(id, answers);
            }
        }
    }

    fn delete(&mut self, id: PartitionId, answers: &mut Answers) {
        self.owner.leave(id, ErrorCode::UnknownTopicOrPartition, answers);
        self.owner.unfollow(id);
        if let Some(slot) = self.owner.store.slot(id) {
            self.owner.note_if_offline(id, slot, false);
            self.owner.store.delete(self.now, slot);
        }
    }
}

/// Whether a broker leads a partition from this change on that others follow.
fn begins_reign(change: &Change, node: NodeId) -> bool {
    let is_led = |it: &PartitionImage| it.leader == Some(node) && it.replicas.len() > 1;
    match change {
        Change::TopicCreated(topic) => topic.partitions.values().any(|it| is_led(it)),
        Change::TopicChanged(changed) => changed.partitions.iter().any(|it| {
            is_led(&it.new) && it.old.as_ref().is_none_or(|old| old.leader_epoch != it.new.leader_epoch)
        }),
        Change::TopicDeleted(_)
        | Change::ConfigsChanged(..)
        | Change::BrokerChanged(_)
        | Change::BrokerRemoved(_)
        | Change::FeatureChanged(..) => false,
    }
}

/// Whether a change bears on settings that topics inherit.
fn is_broker_setting(change: &Change) -> bool {
    matches!(change, Change::ConfigsChanged(ConfigResource::Broker(_) | ConfigResource::BrokerDefault, _))
}
