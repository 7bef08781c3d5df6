//! A number that changes when the topics of a group do (KIP-1101): their ids, names, partitions, and the racks of
//! their replicas. It is Kafka's own number, so that a group that was coordinated by Kafka is not rebalanced here.

use super::{evaluate::Evaluations, group::Readers};
use crate::{
    ids::TopicId,
    metadata::{Image, TopicImage},
};
use imbl::OrdMap;
use std::{collections::BTreeMap, sync::Arc};
use twox_hash::XxHash3_64;

/// Begins what is hashed of a topic (`Utils.TOPIC_HASH_MAGIC_BYTE`).
const MAGIC: u8 = 0;

/// What a coordinator remembers of the topics that its groups read.
#[derive(Debug, Default)]
pub(in crate::groups) struct Topics {
    /// Their numbers, each computed once for every change of its topic.
    hashes: BTreeMap<TopicId, (Arc<TopicImage>, u64)>,
    /// All topics when they were looked at last.
    names: OrdMap<Arc<str>, TopicId>,
    /// Since which metadata they are those.
    since: i64,
    /// Which groups find out what their regular expressions stand for.
    pub(super) evaluations: Evaluations,
}

impl Topics {
    /// The metadata since which there are these topics, as far as this coordinator knows.
    pub fn last_created(&mut self, image: &Image) -> i64 {
        if !self.names.ptr_eq(image.topic_ids()) {
            self.names = image.topic_ids().clone();
            self.since = version(image);
        }
        self.since
    }

    /// A group is gone, and whatever was being found out for it.
    pub fn forget(&mut self, group: &str) {
        self.evaluations.remove(group);
    }

    /// The number of all these topics together; 0 for none. Topics that there are not do not count.
    pub fn hash(&mut self, topics: &BTreeMap<Arc<str>, Readers>, image: &Image) -> i64 {
        let mut bytes = Vec::with_capacity(topics.len() * 8);
        for topic in topics.keys().filter_map(|name| image.topic(name)) {
            bytes.extend_from_slice(&self.of_topic(topic, image).to_le_bytes());
        }
        if bytes.is_empty() { 0 } else { XxHash3_64::oneshot(&bytes).cast_signed() }
    }

    fn of_topic(&mut self, topic: &Arc<TopicImage>, image: &Image) -> u64 {
        match self.hashes.get(&topic.id) {
            Some((known, hash)) if Arc::ptr_eq(known, topic) => return *hash,
            Some(_) => {}
            // Those of topics that are gone do not pile up.
            None if self.hashes.len() > image.topic_count() => {
                self.hashes.retain(|id, _| image.topic_by_id(*id).is_some());
            }
            None => {}
        }
        let hash = XxHash3_64::oneshot(&hashed(topic, image));
        self.hashes.insert(topic.id, (Arc::clone(topic), hash));
        hash
    }
}

/// The offset of the metadata log up to which an image goes, as records name it.
pub(super) fn version(image: &Image) -> i64 {
    image.last_applied().map_or(0, |offset| i64::try_from(offset.0).unwrap_or(i64::MAX))
}

/// What is hashed of a topic, in the order in which Kafka does.
fn hashed(topic: &TopicImage, image: &Image) -> Vec<u8> {
    let (high, low) = topic.id.0.as_u64_pair();
    let mut bytes = vec![MAGIC];
    bytes.extend_from_slice(&high.to_le_bytes());
    bytes.extend_from_slice(&low.to_le_bytes());
    put_text(&mut bytes, &topic.name);
    bytes.extend_from_slice(&topic.partition_count().to_le_bytes());
    for (number, partition) in &topic.partitions {
        bytes.extend_from_slice(&number.to_le_bytes());
        let brokers = partition.replicas.iter().filter_map(|id| image.broker(*id));
        let mut racks: Vec<&str> = brokers.filter_map(|broker| broker.rack.as_deref()).collect();
        racks.sort_unstable();
        for rack in racks {
            bytes.extend_from_slice(&units(rack).to_le_bytes());
            put_text(&mut bytes, rack);
        }
    }
    bytes
}

/// A text as a Java string is hashed: its UTF-16 units, then how many there are.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    text.encode_utf16().for_each(|unit| bytes.extend_from_slice(&unit.to_le_bytes()));
    bytes.extend_from_slice(&units(text).to_le_bytes());
}

fn units(text: &str) -> i32 {
    i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX)
}
