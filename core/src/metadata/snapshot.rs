//! An image as bytes: the records that would build it, so that there is one way in which state comes to be.
//!
//! `[version u8][last applied: Option<u64>][next producer id][records …][CRC32C of all before, little endian]`. Brokers come
//! before partitions: registering a broker raises the epochs of what it leads, and at that point it leads nothing.

use super::{
    DecodeError, Image, MetadataOffset, PartitionRecord, Record, RegisterBrokerRecord, TopicImage,
    batch::{Reader, put},
    records::ConfigResource,
};
use std::sync::Arc;

/// Bytes of a snapshot that is believed: ten million partitions, beyond what memory holds as an image.
pub const SNAPSHOT_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The layout. Another one is refused.
const VERSION: u8 = 1;
const CRC_BYTES: usize = 4;

impl Image {
    /// The records that build this image from nothing, in an order in which they apply. Producer ids apart, which
    /// no record can state without naming a broker.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let cluster = self.cluster_id.iter().map(|id| Record::ClusterId { id: id.to_string() });
        let features = self
            .features
            .iter()
            .map(|(name, level)| Record::FeatureLevel { name: name.clone(), level: *level });
        let brokers = self.brokers.values().flat_map(|broker| {
            let registration = Record::RegisterBroker(RegisterBrokerRecord {
                id: broker.id,
                epoch: broker.epoch,
                incarnation: broker.incarnation,
                endpoints: broker.endpoints.clone(),
                rack: broker.rack.clone(),
                directories: broker.directories.clone(),
                fenced: broker.fenced,
                in_controlled_shutdown: broker.in_controlled_shutdown,
            });
            let (id, epoch, is_full) = (broker.id, broker.epoch, broker.is_full);
            [registration].into_iter().chain(is_full.then_some(Record::BrokerFull { id, epoch, is_full }))
        });
        let configs = self.configs.iter().flat_map(|(resource, configs)| {
            configs.iter().map(|(key, value)| config(resource.clone(), key, value))
        });
        let topics = self.topics.values().flat_map(topic_records);
        cluster.chain(features).chain(brokers).chain(configs).chain(topics)
    }

    /// The image as bytes; equal images give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, &self.last_applied);
        put(&mut bytes, &self.next_producer_id);
        self.records().for_each(|record| put(&mut bytes, &record));
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote. Never panics.
    pub fn decode(bytes: &[u8]) -> Result<Image, DecodeError> {
        if bytes.len() > SNAPSHOT_BYTES_MAX {
            return Err(DecodeError::TooLarge { len: bytes.len(), max: SNAPSHOT_BYTES_MAX });
        }
        let malformed =
            |position: usize, reason: &str| DecodeError::Malformed { position, reason: reason.to_owned() };
        let Some((body, crc)) = bytes.split_last_chunk::<CRC_BYTES>() else {
            return Err(malformed(0, "shorter than its checksum"));
        };
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(malformed(body.len(), "the checksum does not match"));
        }
        let mut reader = Reader::new(body);
        reader.version(VERSION)?;
        let mut image = Image::new();
        image.last_applied = reader.value::<Option<MetadataOffset>>()?;
        let position = reader.position();
        image.next_producer_id = reader.value()?;
        if image.next_producer_id < 0 {
            return Err(malformed(position, "the next producer id is negative"));
        }
        while !reader.is_empty() {
            let position = reader.position();
            let record: Record = reader.tagged("record", Record::KINDS)?;
            image.replay(&record).map_err(|reason| DecodeError::Malformed { position, reason })?;
        }
        Ok(image)
    }
}

fn topic_records(topic: &Arc<TopicImage>) -> impl Iterator<Item = Record> {
    let head = Record::Topic { name: Arc::clone(&topic.name), id: topic.id };
    let partitions = topic.partitions.iter().map(|(index, partition)| {
        Record::Partition(PartitionRecord {
            topic: topic.id,
            index: *index,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            removing: partition.removing.clone(),
            adding: partition.adding.clone(),
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            elr: partition.elr.clone(),
            last_known_elr: partition.last_known_elr.clone(),
        })
    });
    let configs = topic
        .configs
        .iter()
        .map(|(key, value)| config(ConfigResource::Topic(Arc::clone(&topic.name)), key, value));
    // A change of the least ISR forgets who is eligible, so the settings come first.
    std::iter::once(head).chain(configs).chain(partitions)
}

fn config(resource: ConfigResource, key: &str, value: &str) -> Record {
    Record::Config { resource, key: key.to_owned(), value: Some(value.to_owned()) }
}
